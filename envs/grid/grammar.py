"""Instructions for rooms of coloured objects: text with its denotation, a set of objects.

A room is uint8 [H, W, 2], the type and the colour of every cell (minigrid's numbers); N rooms
are [N, H, W, 2]. *Objects* are the cells whose type is in ``TYPES``. A *meaning* is a nested
tuple; a *thing* is one of the first kind:

* ``("thing", colour | None, type | None)``: "the red ball", "something red", "a key", "anything";
* ``("except", thing, thing)``: objects of the first that are not of the second;
* ``("both", thing, thing)``: their intersection, each in words of its own;
* ``("either", thing, thing)``: their union;
* ``("next_to", thing, thing)``: objects of the first that share an edge with one of the second;
* ``("nearest_wall", thing)``: objects of the thing at the least Manhattan distance to a wall,
  all of them if several tie (or if the room has no wall).

Phrasings are the templates of ``langrl.envs.grid.words``. The parser reads the same templates
backwards, so whatever the grammar writes it can read; of misspelled texts it reads most.
"""

import re
from functools import lru_cache

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from langrl.envs.grid import templates
from langrl.envs.grid.words import CANONICAL, FILLERS, LEADS, SYNONYMS
from langrl.envs.noise import add_noise, without_politeness
from langrl.envs.phrasing import TASK_PHRASINGS, Meaning, TaskPhrasing
from langrl.errors import InstructionError, ShapeError, lookup
from langrl.protocols import Integers, Mask, check_instruction

EMPTY, WALL = 1, 2
TYPES = {"door": 4, "key": 5, "ball": 6, "box": 7}
COLOURS = {"red": 0, "green": 1, "blue": 2, "purple": 3, "yellow": 4, "grey": 5}
LEVELS = (
    "full", "colour", "type", "any", "negation", "conjunction", "disjunction", "relation",
)  # fmt: skip

HELD_OUT_WORDS = tuple(word for synonyms in SYNONYMS.values() for word in synonyms)
"""The words of held-out texts that seen ones never have."""
SYNONYM_SHARE = (0.85, 0.85)  # of held-out texts that use synonyms; of the words in those
TYPO_SHARE = 0.21  # of held-out texts, if they have a word that is long enough

KIND_LEVELS = {
    "except": "negation", "both": "conjunction", "either": "disjunction",
    "next_to": "relation", "nearest_wall": "relation",
}  # fmt: skip
ANYTHING: Meaning = ("thing", None, None)
_A_BEFORE_VOWEL = re.compile(r"\ba(?= [aeiou])")
_LONGEST_READ = 300  # characters; longer text is followed, but not read
_FAR = 10_000  # cells; farther than any wall

Room = NDArray[np.uint8]

# -- denoting ------------------------------------------------------------------------------


def denoted(meaning: Meaning, rooms: Room) -> Mask:
    """Return the cells of the objects that a meaning denotes, possibly none.

    Args:
        meaning: see the module; the parts of a compound may be compounds themselves.
        rooms: [N, H, W, 2], or one room [H, W, 2].

    Returns:
        bool [N, H, W], or [H, W] for one room.

    Raises:
        ShapeError: if ``rooms`` has another shape.
        UnknownNameError: if the meaning names a kind, colour or type that does not exist.
    """
    if rooms.ndim not in (3, 4) or rooms.shape[-1] != 2:
        raise ShapeError(
            f"denoted needs rooms [N, H, W, 2] or [H, W, 2], got {list(rooms.shape)};"
            " stack type and colour on the last axis"
        )
    return _denoted(meaning, rooms[..., 0], rooms[..., 1])


def name_of(kind: int, colour: int) -> str:
    """Return what an object is called, such as "red ball", by minigrid's numbers."""
    types, colours = ({n: name for name, n in names.items()} for names in (TYPES, COLOURS))
    return f"{colours[colour]} {types[kind]}"


def ambiguity(meaning: Meaning, room: Room) -> int:
    """Return how many objects of a room [H, W, 2] a meaning denotes; errors as ``denoted``."""
    return int(np.count_nonzero(denoted(meaning, room)))


def level_of(meaning: Meaning) -> str:
    """Return a meaning's level, of ``LEVELS``; raises UnknownNameError for an unknown kind."""
    if meaning[0] == "thing":
        return templates.shape_of(meaning)
    return lookup(KIND_LEVELS, meaning[0], "kind of meaning")


def _denoted(meaning: Meaning, types: Room, colours: Room) -> Mask:
    kind = meaning[0]
    if kind == "thing":
        return _of_thing(meaning[1], meaning[2], types, colours)
    lookup(KIND_LEVELS, kind, "kind of meaning")
    first = _denoted(meaning[1], types, colours)
    if kind == "nearest_wall":
        distance = np.where(first, wall_distance(types == WALL), 2 * _FAR)
        return first & (distance == distance.min((-2, -1), keepdims=True))
    second = _denoted(meaning[2], types, colours)
    if kind == "except":
        return first & ~second
    if kind == "either":
        return first | second
    return first & (second if kind == "both" else beside(second))


def _of_thing(colour: str | None, name: str | None, types: Room, colours: Room) -> Mask:
    if name is not None:
        objects = types == lookup(TYPES, name, "type")
    else:
        objects = (types >= min(TYPES.values())) & (types <= max(TYPES.values()))
    return objects if colour is None else objects & (colours == lookup(COLOURS, colour, "colour"))


def beside(cells: Mask) -> Mask:
    """Return the cells [..., H, W] that share an edge with one of ``cells``."""
    near = np.zeros_like(cells)
    near[..., 1:, :] = cells[..., :-1, :]
    near[..., :-1, :] |= cells[..., 1:, :]
    near[..., 1:] |= cells[..., :-1]
    near[..., :-1] |= cells[..., 1:]
    return near


def wall_distance(walls: Mask) -> Integers:
    """Return the Manhattan distance [..., H, W] to the nearest wall; ``_FAR`` without walls."""
    distance = np.where(walls, 0, _FAR)
    for axis in (-2, -1):
        steps = np.arange(walls.shape[axis])[:, None] if axis == -2 else np.arange(walls.shape[-1])
        before = np.minimum.accumulate(distance - steps, axis) + steps
        after = np.flip(np.minimum.accumulate(np.flip(distance + steps, axis), axis), axis) - steps
        distance = np.minimum(before, after)
    return distance


# -- writing -------------------------------------------------------------------------------


def write(meaning: Meaning, generator: Generator, phrasing: TaskPhrasing) -> str:
    """Return one of the texts for a meaning, drawn from a set of phrasings.

    Held-out texts have leads, templates and synonyms that seen ones never have, and in about
    one of six a colour or type word has a typo. Noisy ones are seen ones with politeness and slips
    of spelling.

    Raises:
        InstructionError: if a compound has a compound as a part, or no text says it.
        UnknownNameError: if there is no such phrasing, kind of meaning, colour or type.
    """
    lookup(dict.fromkeys(TASK_PHRASINGS), phrasing, "phrasing")
    if phrasing == "noisy":
        text = write(meaning, generator, "seen")
        return add_noise(text, templates.VOCABULARY, templates.corrected, generator)
    level_of(meaning)
    parts = meaning[1:] if meaning[0] != "thing" else (meaning,)
    phrases = templates.phrases_of(
        meaning[0], tuple(templates.shape_of(part) for part in parts), phrasing
    )
    if not phrases:
        raise InstructionError(f"no text says {meaning}; leave some objects over")
    choices, is_sentence = templates.pick(phrases, generator)
    share = 0.0
    if phrasing == "held_out" and generator.random() < SYNONYM_SHARE[0]:
        share = SYNONYM_SHARE[1]
    text = templates.fill(templates.pick(choices, generator), parts, generator, phrasing, share)
    if not is_sentence:
        text = templates.pick(LEADS[phrasing], generator).format(text)
    text = templates.pick(FILLERS[phrasing], generator).format(text)
    if phrasing == "held_out" and generator.random() < TYPO_SHARE:
        text = templates.with_typo(text, generator)
    return _A_BEFORE_VOWEL.sub("an", text)


# -- reading -------------------------------------------------------------------------------


def parse(text: str) -> Meaning | None:
    """Return the meaning of a text, or None if the grammar cannot read it.

    Reads every phrasing with any synonym, whatever the case and punctuation. A word that it
    does not know stands for the one known word of four letters or more within one edit, and the
    politeness of ``langrl.envs.noise`` may stand around it.

    Raises:
        InstructionError: if the text cannot be an instruction (see ``check_instruction``).
    """
    plain = without_politeness(check_instruction(text))
    return next((meaning for each in plain if (meaning := _read(each))), None)


@lru_cache(4096)  # agents that are compared meet the same texts, and the oracle at every step
def _read(text: str) -> Meaning | None:
    words = templates.words_of(text)
    if sum(map(len, words)) > _LONGEST_READ:
        return None
    known = [templates.corrected(word) for word in words]
    canonical = " ".join(CANONICAL.get(word, word) for word in known if word)
    if None in known or not canonical:
        return None
    for asked in templates.unwrapped(canonical, templates.FILLER_PARTS):
        for goal in templates.unwrapped(asked, templates.LEAD_PARTS):
            if meaning := _read_thing(goal) or _read_compound(goal):
                return meaning
    return None


def _read_thing(words: str) -> Meaning | None:
    named = words.split(" ")
    colours = [word for word in named if word in COLOURS]
    types = [word for word in named if word in TYPES]
    if len(colours) > 1 or len(types) > 1:
        return None
    slots = dict.fromkeys(colours, "{c}") | dict.fromkeys(types, "{t}")
    if " ".join(slots.get(word, word) for word in named) not in templates.THING_TEMPLATES:
        return None
    return ("thing", colours[0] if colours else None, types[0] if types else None)


def _read_compound(words: str) -> Meaning | None:
    for kind, phrases in templates.COMPOUND_PARTS.items():
        for parts in phrases:
            for slots in (
                templates.matches(parts, words) if templates.may_match(parts, words) else ()
            ):
                if meaning := _read_slots(kind, slots):
                    return meaning
    return None


def _read_slots(kind: str, slots: dict[str, str]) -> Meaning | None:
    colour, name = slots.get("c"), slots.get("t")
    if (colour or "red") not in COLOURS or (name or "key") not in TYPES:
        return None
    if kind == "both" and "a" not in slots:
        return (kind, ("thing", colour, None), ("thing", None, name))
    first = _read_thing(slots["a"]) if "a" in slots else ANYTHING
    if kind == "nearest_wall":
        return first and (kind, first)
    second = _read_thing(slots["b"]) if "b" in slots else ("thing", colour, name)
    return (kind, first, second) if first and second else None


def has_known_words(text: str) -> bool:
    """Return whether every word of a text is one of the grammar's, so that none has a typo."""
    return templates.VOCABULARY.issuperset(templates.words_of(text))


def synonyms_in(text: str) -> tuple[str, ...]:
    """Return the ``HELD_OUT_WORDS`` that a text has, spelled as they are, in their order there."""
    return tuple(word for word in dict.fromkeys(templates.words_of(text)) if word in HELD_OUT_WORDS)
