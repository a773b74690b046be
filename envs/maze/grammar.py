"""Instructions for mazes: text with its denotation, the set of cells that satisfy it.

A *meaning* is a nested tuple: ``("row", 3)``, ``("column", 11)``, ``("corner", "top", "left")``,
``("half", "bottom")``, ``("either", a, b)`` (union), ``("cell", a, b)`` (intersection). Two more
types of instruction are made of these and drawn only where they are asked for: ``cells``, either of
two cells, and ``part``, the cells of a row or column that are in a half or a corner.
Phrasings are templates; those under ``"held_out"`` are never used in training. The parser reads
the same templates backwards, so whatever the grammar writes it can read.
"""

import itertools
import re
from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.random import Generator

from langrl.envs.maze.layouts import Layout
from langrl.envs.noise import add_noise, corrector, read_noisy
from langrl.envs.phrasing import Meaning, Phrasing, TaskPhrasing
from langrl.envs.templates import Templates
from langrl.errors import InstructionError, lookup
from langrl.protocols import Mask

LEADS: dict[Phrasing, list[str]] = {
    "seen": [
        "{}", "go to {}", "walk to {}", "move to {}", "head to {}", "get to {}", "go into {}",
        "please go to {}", "reach {}", "try to reach {}", "go over to {}", "take me to {}",
        "find {}", "walk over to {} please", "you should be in {}",
    ],
    "held_out": [
        "travel to {}", "make your way to {}", "navigate to {}", "proceed to {} now",
        "i want you to end up in {}", "could you step into {}", "bring yourself to {}",
    ],
}  # fmt: skip
"""How a goal is asked for; ``{}`` is the goal."""

GOALS: dict[str, dict[Phrasing, list[str]]] = {
    "row": {
        "seen": ["row {}", "row number {}", "the row {}", "any cell of row {}"],
        "held_out": ["row no {}", "the row numbered {}", "some spot in row {}"],
    },
    "column": {
        "seen": ["column {}", "column number {}", "the column {}", "any cell of column {}"],
        "held_out": ["column no {}", "the column numbered {}", "some spot in column {}"],
    },
    "either": {
        "seen": ["{} or {}", "either {} or {}", "{} or to {}"],
        "held_out": ["{} or else {}", "{} or maybe {}", "whichever you like of {} or {}"],
    },
    "cell": {
        "seen": ["{} and {}", "the cell in {} and {}", "both {} and {}"],
        "held_out": ["{} and also {}", "the spot in {} and in {}"],
    },
    "corner": {
        "seen": ["the {} {} corner", "{} {} corner", "the corner at the {} {}"],
        "held_out": ["the {} {} hand corner", "the {} {} corner of the maze"],
    },
    "half": {
        "seen": ["the {} half", "{} half", "any cell of the {} half"],
        "held_out": ["the {} half of the maze", "somewhere in the {} half"],
    },
}
"""How each kind of goal is named; ``{}`` is a number, a side or another goal."""

SIDES = {
    "top": ["top", "upper"], "bottom": ["bottom", "lower"], "left": ["left"], "right": ["right"],
}  # fmt: skip
KINDS = tuple(GOALS)
VERTICAL, HORIZONTAL = ("top", "bottom"), ("left", "right")
DRAWN_KINDS = (*KINDS, "cells", "part")
"""The types of instruction that can be drawn."""
KIND_WEIGHTS = {
    "row": 4, "column": 4, "either": 6, "cell": 2, "corner": 2, "half": 3, "cells": 2, "part": 3,
}  # fmt: skip
"""How often each kind is drawn when all of them are; relative."""

_FORMS: list[str] = [
    *itertools.chain.from_iterable(LEADS.values()),
    *(text for forms in GOALS.values() for texts in forms.values() for text in texts),
    *itertools.chain.from_iterable(SIDES.values()),
]
VOCABULARY = frozenset(word for text in _FORMS for word in text.replace("{}", " ").split())
"""Every word that the grammar knows."""
corrected = corrector(VOCABULARY)
"""Corrects slips of spelling."""

MOST_WORDS = 32  # of a text that is written; compact text encoders read no more by default
_MASKS_KEPT = 4096


@dataclass(frozen=True)
class MazeGrammar:
    """Writes and reads instructions for one layout."""

    layout: Layout
    kinds = KINDS
    drawn_kinds = DRAWN_KINDS

    @cached_property
    def lines(self) -> tuple[Meaning, ...]:
        """The rows and columns that have a free cell."""
        free = ~self.layout.walls
        rows = [("row", int(r)) for r in np.flatnonzero(free.any(1))]
        return (*rows, *(("column", int(c)) for c in np.flatnonzero(free.any(0))))

    @cached_property
    def _masks(self) -> dict[Meaning, Mask]:
        return {}

    def mask(self, meaning: Meaning) -> Mask:
        """Return the free cells that a meaning denotes, bool [R, C]; possibly none."""
        if meaning not in self._masks:
            if len(self._masks) >= _MASKS_KEPT:
                self._masks.clear()
            self._masks[meaning] = self._mask(meaning)
            self._masks[meaning].setflags(write=False)  # shared by all who ask
        return self._masks[meaning]

    def _mask(self, meaning: Meaning) -> Mask:
        rows, columns = np.indices(self.layout.walls.shape)
        kind, *slots = meaning
        if kind == "either":
            return self.mask(slots[0]) | self.mask(slots[1])
        if kind == "cell":
            return self.mask(slots[0]) & self.mask(slots[1])
        if kind == "row":
            cells = rows == slots[0]
        elif kind == "column":
            cells = columns == slots[0]
        else:
            share = 2 if kind == "half" else 3  # a corner is a third of the rows and columns
            cells = np.logical_and.reduce([self._side(side, share) for side in slots])
        return cells & ~self.layout.walls

    def _side(self, side: str, share: int) -> Mask:
        """Return the outer 1/share of the cells towards a side; a middle line is on no side."""
        axis = 0 if side in VERTICAL else 1
        index = np.indices(self.layout.walls.shape)[axis]
        length = self.layout.walls.shape[axis]
        if side in ("bottom", "right"):
            index = length - 1 - index
        return (index + 0.5) * share < length if share == 2 else index * share < length

    # -- writing ---------------------------------------------------------------------------

    def draw_meaning(
        self,
        generator: Generator,
        kinds: Sequence[str] = KINDS,
        cell: tuple[int, int] | None = None,
    ) -> Meaning:
        """Draw a meaning that denotes at least one cell.

        Args:
            generator: source of randomness.
            kinds: which kinds may be drawn, with the relative frequencies ``KIND_WEIGHTS``.
            cell: a (row, column) that the meaning has to be true of; without it, rows and
                columns are uniform over those with a free cell.

        Raises:
            InstructionError: if no meaning of these kinds denotes a cell (a corner full of
                walls, or one that ``cell`` is not in).
        """
        thresholds = _thresholds(tuple(kinds))
        for _ in range(200):
            kind = kinds[bisect(thresholds, generator.random())]
            meaning = self._propose(kind, generator, cell)
            if meaning is None:
                continue
            mask = self.mask(meaning)
            if mask.any() if cell is None else mask[cell]:
                return meaning
        raise InstructionError(
            f"no instruction of type {' or '.join(kinds)} fits here; add 'row' to the kinds"
        )

    def _propose(
        self, kind: str, generator: Generator, cell: tuple[int, int] | None
    ) -> Meaning | None:
        def pick(options: Sequence[Any]) -> Any:
            return options[int(generator.integers(len(options)))]

        here = self.lines if cell is None else (("row", cell[0]), ("column", cell[1]))
        if kind in ("row", "column"):
            return pick([line for line in here if line[0] == kind])
        if kind == "half":
            return ("half", pick(VERTICAL + HORIZONTAL))
        if kind == "corner":
            return ("corner", pick(VERTICAL), pick(HORIZONTAL))
        if kind in ("cell", "cells"):
            free = self.layout.free_cells.tolist()
            pair = _cell(pick(free) if cell is None else cell)
            if kind == "cells":
                pair = [("cell", *pair), ("cell", *_cell(pick(free)))]
                kind = "either"
        elif kind == "part":
            line = pick(here)
            across = HORIZONTAL if line[0] == "row" else VERTICAL
            regions = [("half", pick(across)), ("corner", pick(VERTICAL), pick(HORIZONTAL))]
            pair, kind = [line, pick(regions)], "cell"
        else:
            pair = [pick(here), pick(self.lines)]
        if pair[0] == pair[1]:
            return None
        generator.shuffle(pair)
        return (kind, *pair)

    def write(self, meaning: Meaning, generator: Generator, phrasing: TaskPhrasing) -> str:
        """Return one of the texts for a meaning, drawn from a set of phrasings.

        It has at most ``MOST_WORDS`` words, which only those of nested meanings could exceed, and
        noise.
        """
        clean: Phrasing = "seen" if phrasing == "noisy" else phrasing
        while True:
            text = _TEMPLATES.write(meaning, generator, clean)
            if phrasing == "noisy":
                text = add_noise(text, VOCABULARY, corrected, generator)
            if text.count(" ") < MOST_WORDS:
                return text

    # -- reading ---------------------------------------------------------------------------

    def parse(self, text: str) -> Meaning | None:
        """Return the meaning of a text, or None if the grammar cannot read it.

        The noise of ``langrl.envs.noise`` may be on it.

        Raises:
            InstructionError: if the text cannot be an instruction (see ``check_instruction``).
        """
        return read_noisy(text, _TEMPLATES.parse, corrected)

    def denotation(self, text: str) -> Mask | None:
        """Return the cells that satisfy a text, bool [R, C]; None if the grammar cannot read it.

        Raises:
            InstructionError: if the text denotes no cell; says what exists.
        """
        meaning = self.parse(text)
        if meaning is None:
            return None
        mask = self.mask(meaning)
        if not mask.any():
            raise InstructionError(f"{text.strip()!r} denotes no cell: {self._why_empty(meaning)}")
        return mask

    def _why_empty(self, meaning: Meaning) -> str:
        kind, *slots = meaning
        if kind in ("row", "column"):
            numbers = [number for name, number in self.lines if name == kind]
            # Free cells hang together, so there are no gaps.
            return f"the {kind}s with free cells are {numbers[0]} to {numbers[-1]}"
        parts = [slot for slot in slots if isinstance(slot, tuple)]
        empty = [part for part in parts if not self.mask(part).any()]
        if empty:
            return self._why_empty(empty[0])
        if {part[0] for part in parts} == {"row", "column"}:
            return "that cell is a wall; name a free one"
        return "nothing there is free and fits all of it; use 'or' for alternatives"


def _cell(at: Sequence[int]) -> list[Meaning]:
    return [("row", int(at[0])), ("column", int(at[1]))]


@lru_cache(maxsize=64)
def _thresholds(kinds: tuple[str, ...]) -> list[float]:
    """Return where in [0, 1) the share of each kind but the last ends."""
    weights = [lookup(KIND_WEIGHTS, kind, "instruction type") for kind in kinds]
    return [end / sum(weights) for end in accumulate(weights[:-1])]


def _read_number(kind: str, groups: Sequence[str]) -> Meaning | None:
    return (kind, int(groups[0])) if re.fullmatch(r"[0-9]{1,6}", groups[0]) else None


def _read_sides(kind: str, groups: Sequence[str]) -> Meaning | None:
    sides = [side for word in groups for side, words in SIDES.items() if word in words]
    if len(sides) != len(groups):
        return None
    if kind == "corner" and not (sides[0] in VERTICAL and sides[1] in HORIZONTAL):
        return None
    return (kind, *sides)


_WORDS = (r"(\S+)", r"(\S+)")
_TEMPLATES = Templates(
    LEADS,
    GOALS,
    {
        "row": _read_number, "column": _read_number, "corner": _read_sides,
        "half": _read_sides, "either": None, "cell": None,
    },
    lambda kind, side, phrasing: SIDES[side],
    dict.fromkeys(("row", "column", "corner", "half"), _WORDS),
)  # fmt: skip
_parse_goal = _TEMPLATES.read_goal
