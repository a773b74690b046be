"""What a mission asks for: something to be done with an object that its words denote.

A *goal* is a pose and what is done there: (row, column, direction, action). What a verb asks for:

* "go to": to stand in front of the object and face it, whatever is done there;
* "pick up": to pick the object up from a pose that faces it;
* "open": to toggle the door from a pose that faces it, which opens it;
* "get" may be either of the first two;
* what a verb cannot be done with is not denoted: doors are not picked up, only doors are opened;
* "on your left", "in front of you" and the like narrow the objects, by where the episode starts.

Verbs are read from the templates of ``VERBS``, objects by ``langrl.envs.grid.grammar``, whose
noun phrases, synonyms and compounds are all understood. What is put down, closed or moved, and
several things in turn, have no goal here; see ``without_goal``.

Axes: ``H`` rows, ``W`` columns.
"""

import re
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from minigrid.envs.babyai.core.verifier import (
    GoToInstr,
    ObjDesc,
    OpenInstr,
    PickupInstr,
)
from minigrid.minigrid_env import MiniGridEnv
from numpy.random import Generator

from langrl.envs.grid import grammar as grid_grammar
from langrl.envs.grid import templates
from langrl.envs.grid.rooms import DOOR
from langrl.envs.grid.words import FILLERS, Templates
from langrl.envs.minigrid_levels.places import PLACES, cells_in, split_place
from langrl.envs.minigrid_levels.reading import DONE, PICKUP, TOGGLE
from langrl.envs.noise import add_noise, corrector, read_noisy
from langrl.envs.phrasing import Meaning, Phrasing, TaskPhrasing
from langrl.errors import InstructionError
from langrl.protocols import Mask, check_instruction

VERBS: dict[tuple[int, ...], Templates] = {
    (PICKUP,): {
        "seen": ["pick up {}", "pick {} up"],
        "held_out": [
            "grab {}", "collect {}", "fetch {}", "go and fetch {}", "lift {} off the floor",
            "take hold of {}", "i need you to pick up {}", "could you please collect {}",
        ],
    },
    (TOGGLE,): {
        "seen": ["open {}", "open up {}"],
        "held_out": [
            "pull {} open", "push {} open", "swing {} open", "unlock {}", "go and open {}",
            "i need {} to be open", "could you please open {}",
        ],
    },
    (DONE, PICKUP): {"seen": ["get {}", "go get {}"], "held_out": []},
}  # fmt: skip
"""How to say what is to be done with an object, ``{}``; "go to" is said as in grid worlds."""
_OF_MINIGRID = ("you must fetch {}", "go fetch {}")  # more words of minigrid's own missions
_GO: Templates = {"seen": ["go to {}"], "held_out": ["navigate to {}", "approach {}"]}
_VOCABULARY = templates.VOCABULARY.union(
    *(text.split() for said in PLACES.values() for texts in said.values() for text in texts),
    *(
        verb.replace("{}", "").split()
        for by_phrasing in VERBS.values()
        for verb in (*by_phrasing["seen"], *by_phrasing["held_out"])
    ),
)
_corrected = corrector(_VOCABULARY)
_INSTRS = ((GoToInstr, DONE), (PickupInstr, PICKUP), (OpenInstr, TOGGLE))


_NO_GOAL = {
    "something to be put down": re.compile(r"\b(put|drop|place|lay)\b"),
    "several things in turn": re.compile(
        r"\b(then|after you|before you)\b|\b(and|,) (go|get|pick|open|put|drop)\b"
    ),
    "something to be closed or moved": re.compile(r"\b(close|shut|lock|move|push|pull)\b"),
}


class Task(NamedTuple):
    """What a text asks for: any of some acts, with any object of a meaning, perhaps in a place."""

    acts: tuple[int, ...]
    meaning: Meaning
    place: str | None = None  # of ``PLACES``, relative to the start


class Denoted(NamedTuple):
    """What a text denotes in a level: any of some acts, with any of the objects in ``cells``."""

    acts: tuple[int, ...]
    cells: Mask  # [H, W]


# -- reading -------------------------------------------------------------------------------


def read_task(text: str) -> Task | None:
    """Return what a text asks for, or None if it cannot be read.

    Raises:
        InstructionError: if the text cannot be an instruction.
    """
    return _read(check_instruction(text))


@lru_cache(4096)
def _read(text: str) -> Task | None:
    read = read_noisy(text, _read_act, _corrected)
    if read is not None:
        return Task(*read)
    rest, place = split_place(text)
    meaning = grid_grammar.parse(rest) if rest.strip() else None
    return None if meaning is None else Task((DONE,), meaning, place)


def _read_act(text: str) -> tuple[tuple[int, ...], Meaning, str | None] | None:
    """Return the acts, the meaning and the place of a text that names an act."""
    rest, place = split_place(text)
    words = " ".join(templates.words_of(rest))
    for acts, pattern in _patterns():
        match = pattern.fullmatch(words)
        if match and (meaning := grid_grammar.parse(match[1])):
            return acts, meaning, place
    return None


@lru_cache(1)
def _patterns() -> list[tuple[tuple[int, ...], re.Pattern[str]]]:
    """Return every way to say an act, with fillers around it, as a pattern of plain words."""
    fillers = [filler for phrasing in FILLERS.values() for filler in dict.fromkeys(phrasing)]
    found = []
    for acts, by_phrasing in VERBS.items():
        own = _OF_MINIGRID if acts == (PICKUP,) else ()
        for verb in (*by_phrasing["seen"], *by_phrasing["held_out"], *own):
            for filler in dict.fromkeys(fillers):
                parts = filler.format(verb).split("{}")
                plain = [" ".join(templates.words_of(part)) for part in parts]
                before, after = (f"{part} ?" if part else "" for part in plain)
                found.append((acts, re.compile(f"{before}(.+?) ?{after.strip()}")))
    return found


def acts_of(text: str) -> tuple[int, ...]:
    """Return what a text may ask to be done; "go to" where no verb is found in it.

    In a text that cannot be read, a verb is found by its words.
    """
    if task := read_task(text):
        return task.acts
    words = f" {' '.join(templates.words_of(text))} "
    for acts, by_phrasing in VERBS.items():
        for verb in (*by_phrasing["seen"], *by_phrasing["held_out"]):
            parts = [f" {part.strip()} " for part in verb.split("{}") if part.strip()]
            if all(part in words for part in parts):
                return acts
    return (DONE,)


def without_goal(text: str) -> str | None:
    """Return what a text that cannot be read asks for, where it is known to have no goal here."""
    if read_task(text) is not None:
        return None
    words = text.lower()
    return next((what for what, pattern in _NO_GOAL.items() if pattern.search(words)), None)


def check_possible(task: Task, text: str) -> None:
    """Raise InstructionError if a text asks for what nothing can be done with, in any layout."""
    kind, *parts = task.meaning
    if kind != "thing" or parts[1] is None:
        return
    one = np.array([[[grid_grammar.TYPES[parts[1]], 0]]], np.uint8)
    if not can_be_done(task.acts, one).any():
        only = "doors" if task.acts == (TOGGLE,) else "keys, balls and boxes"
        verb = "opened" if task.acts == (TOGGLE,) else "picked up"
        raise InstructionError(f"{text!r}: only {only} can be {verb}; name one, or go to it")


def can_be_done(acts: tuple[int, ...], room: Any) -> Mask:
    """Return with which objects of a room [H, W, 2] one of some acts can be done, bool [H, W]."""
    door, found = room[..., 0] == DOOR, np.zeros(room.shape[:2], bool)
    for act in acts:
        found |= {PICKUP: ~door, TOGGLE: door}.get(act, ~found)
    return found


def task_of(level: MiniGridEnv) -> Task | None:
    """Return what a level's own instruction asks for; None if words of ours cannot say it."""
    act, described = _instruction_of(level)
    if described is None:
        return read_task(level.mission) if not hasattr(level, "instrs") else None
    return Task((act,), ("thing", described.color, described.type), described.loc)


def denoted_in(level: MiniGridEnv, room: Any) -> Denoted | None:
    """Return what a level's own instruction denotes; None if that is unknown.

    It is what the level itself checks, where it says so (BabyAI's ``instrs``), places relative to
    the start included; else, what its mission means in the room [H, W, 2].
    """
    act, described = _instruction_of(level)
    if described is not None:
        return Denoted((act,), cells_of(level, described.obj_set))
    task = task_of(level)
    if task is None:
        return None
    cells = grid_grammar.denoted(task.meaning, room) & can_be_done(task.acts, room)
    return Denoted(task.acts, cells)


def denoted_by(task: Task, room: Any, start: Any) -> Denoted:
    """Return what a task denotes in a room [H, W, 2]; places are seen from a start [H, W, 3]."""
    cells = grid_grammar.denoted(task.meaning, room) & can_be_done(task.acts, room)
    if task.place is not None:
        cells = cells & cells_in(task.place, start)
    return Denoted(task.acts, cells)


def cells_of(level: MiniGridEnv, things: Any) -> Mask:
    """Return where some objects of a level lie, bool [H, W]; one that is carried lies nowhere."""
    wanted = {id(thing) for thing in things}
    cells = np.array([id(cell) in wanted for cell in level.grid.grid])  # line after line
    return cells.reshape(level.height, level.width)


def _instruction_of(level: MiniGridEnv) -> tuple[int, ObjDesc | None]:
    """Return the act and the object of BabyAI's own instruction, None where there is none."""
    instruction = getattr(level, "instrs", None)
    for kind, act in _INSTRS:
        if type(instruction) is kind:
            return act, instruction.desc
    return DONE, None


# -- writing -------------------------------------------------------------------------------


def write_task(task: Task, generator: Generator, phrasing: TaskPhrasing) -> str:
    """Return one of the texts for a task, of a set of phrasings; see ``grammar.write``.

    Raises:
        InstructionError: if no text says it.
    """
    if phrasing == "noisy":
        text = write_task(task, generator, "seen")
        return add_noise(text, _VOCABULARY, _corrected, generator)
    own = VERBS.get(task.acts, {} if task.place is None else _GO)
    verbs = own.get(phrasing)
    if not verbs or task.meaning[0] != "thing":
        return grid_grammar.write(task.meaning, generator, phrasing)
    noun = _write_noun(task.meaning, generator, phrasing)
    if task.place is not None:
        noun = f"{noun} {templates.pick(PLACES[task.place][phrasing], generator)}"
    text = templates.pick(verbs, generator).format(noun)
    return str(templates.pick(FILLERS[phrasing], generator).format(text))


def _write_noun(thing: Meaning, generator: Generator, phrasing: Phrasing) -> str:
    phrases = templates.phrases_of("thing", (templates.shape_of(thing),), phrasing)
    choices, _ = templates.pick(phrases, generator)
    rarely, share = grid_grammar.SYNONYM_SHARE
    share = share if phrasing == "held_out" and generator.random() < rarely else 0.0
    return templates.fill(templates.pick(choices, generator), [thing], generator, phrasing, share)
