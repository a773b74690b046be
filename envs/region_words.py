"""The words of ``langrl.envs.regions``: how sides are named, and goals are asked for."""

from collections.abc import Sequence
from itertools import chain, product

from langrl.envs.phrasing import PHRASINGS, Meaning
from langrl.envs.templates import Forms, Templates

LEADS: Forms = {
    "seen": [
        "{}", "go {}", "move {}", "head {}", "go somewhere {}", "move to a place {}", "be {}",
        "please go {}", "get to a point {}", "stay {}",
    ],
    "held_out": [
        "travel {}", "make your way {}", "proceed {} now", "end up {}", "i want you {}",
        "bring yourself somewhere {}",
    ],
    "read": ["go to {}", "move to {}", "head to {}", "reach {}", "a place {}", "somewhere {}"],
}  # fmt: skip
"""How a goal is asked for; ``{}`` is the goal."""

GOALS: dict[str, Forms] = {
    "half": {"seen": ["{}"], "held_out": ["{}"]},
    "end": {"seen": ["{}"], "held_out": ["{}"]},
    "middle": {
        "seen": ["in the middle", "in the centre", "at the centre"],
        "held_out": ["around the middle", "about the centre"],
        "read": ["middle", "the middle", "to the middle", "centre", "the centre", "to the centre"],
    },
    "either": {
        "seen": ["{} or {}", "either {} or {}", "{} or else {}"],
        "held_out": ["{} or maybe {}", "{} or alternatively {}"],
    },
    "both": {"seen": ["{} and {}", "{} {}"], "held_out": ["{} and also {}", "both {} and {}"]},
}
"""How each kind of goal is named; ``{}`` is a side or another goal."""

KINDS = tuple(GOALS)
KIND_WEIGHTS = {"half": 4, "end": 3, "middle": 1, "either": 4, "both": 4}
"""How often each kind is drawn when all of them are; relative."""

AXES = {
    f"{low}-{high}": (low, high)
    for ends in (("left", "right"), ("bottom", "top"), ("near", "far"), ("low", "high"))
    for low, high in (ends, ends[::-1])
}
"""The words of an axis, by name: that of the least numbers, and that of the largest."""

_PLACES: dict[str, Forms] = {  # of left, right, top and bottom
    "half": {
        "seen": ["to the {}", "on the {}", "at the {}", "in the {} half"],
        "held_out": ["toward the {}", "over on the {} side"],
        "read": [
            "{}", "the {}", "the {} half", "to the {} half", "on the {} side", "towards the {}",
        ],
    },
    "end": {
        "seen": ["far {}", "to the far {}", "at the far {}"],
        "held_out": ["over to the far {}", "on the far {} side"],
        "read": [
            "the far {}", "very far {}", "far to the {}", "on the far {}", "at the very {}",
            "to the very {}", "the very {}",
        ],
    },
}  # fmt: skip
_QUALITIES: dict[str, Forms] = {
    "low": {
        "seen": ["low", "low down"], "held_out": ["low over the ground"],
        "read": ["down", "down low", "lower"],
    },
    "high": {
        "seen": ["high", "high up"], "held_out": ["high over the ground", "high in the air"],
        "read": ["up", "up high", "higher"],
    },
    "near": {"seen": ["near", "close", "close by"], "held_out": ["near to you", "close at hand"]},
    "far": {
        "seen": ["far away", "far off"], "held_out": ["far from you", "far out"],
        "read": ["far", "farther away", "further away"],
    },
}  # fmt: skip


def _phrases(kind: str, side: str, phrasing: str) -> list[str]:
    """Return how a half or an end is named."""
    if side in _QUALITIES:
        very = "very " if kind == "end" else ""
        return [very + text for text in _QUALITIES[side].get(phrasing, ())]
    return [text.format(side) for text in _PLACES[kind][phrasing]]


_SIDES = tuple(dict.fromkeys(side for ends in AXES.values() for side in ends))
_NAMED = {
    text: (kind, side)
    for kind, side, phrasing in product(("half", "end"), _SIDES, (*PHRASINGS, "read"))
    for text in _phrases(kind, side, phrasing)
}
"""Every name of a half or an end."""
VOCABULARY = frozenset(
    word
    for text in (
        *_NAMED,
        *chain(*LEADS.values()),
        *(text for forms in GOALS.values() for text in chain(*forms.values())),
    )
    for word in text.replace("{}", " ").split()
)
"""Every word that the grammar knows."""
_LONGEST_FIRST = "|".join(sorted(_NAMED, key=len, reverse=True))


def _read_side(kind: str, groups: Sequence[str]) -> Meaning | None:
    meaning = _NAMED.get(groups[0])
    return meaning if meaning is not None and meaning[0] == kind else None


TEMPLATES = Templates(
    LEADS,
    GOALS,
    {
        "end": _read_side, "half": _read_side, "middle": lambda kind, groups: (kind,),
        "either": None, "both": None,
    },
    _phrases,
    # Without a word between two names, one of them has to be known to see where it ends.
    {"both": (f"({_LONGEST_FIRST}|.+?)", "(.+)")},
)  # fmt: skip
"""Writes and reads meanings; see ``langrl.envs.regions``."""
