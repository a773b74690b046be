"""Texts about the cells of a maze, for training only: more meanings and more ways to say them.

A meaning is one of ``langrl.envs.maze.grammar``, with ``("both", a, b)`` and ``("any", a, b, ...)``
of any of them, and ``("not", a)`` and ``("beyond", side, number)``: what lies on that side of a row
or column. No template here is one of the grammar's held-out ones; tests check it.

Axes: ``R`` rows, ``C`` columns.
"""

import re
from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.random import Generator

from langrl.data.images.paraphrases import FILLERS
from langrl.data.maze.composed_texts import say_exclusion, say_inclusion
from langrl.data.maze.phrases import (
    ALONE,
    BEYOND,
    BOTH,
    CELLS,
    CORNERS,
    COUNTED,
    EXCEPT,
    HALVES,
    LEADS,
    LINES,
    LISTS,
    NOT,
    NUMBERS,
    ORDINALS,
    OUTER,
    SIDES,
)
from langrl.envs.grid.templates import pick
from langrl.envs.maze.grammar import KINDS, VOCABULARY, MazeGrammar
from langrl.envs.phrasing import Meaning
from langrl.envs.spelling import SHORTEST, misspell
from langrl.protocols import Mask
from langrl.words import split_words

_AXES = {"row": ("top", "bottom"), "column": ("left", "right")}
_FILLED, _LED = 0.3, 0.75  # shares of texts with words around them, and with a lead
_PLAIN = 0.7  # chance that a part of something is named simply
_TYPO = 0.03  # chance that a word of four letters or more is misspelt
_PLAIN_NAMES = 5  # of the templates, the first ones
_WHOLE = 0.5  # share of exclusions that are whole templates
_COMPOSED = 0.15  # share of other texts that say that nothing else is meant
_TWO = 0.15  # share of exclusions of two places
_TRIES = 20  # proposals until a text names a line
_MOST_WORDS = 24  # what the compact text encoder of a maze reads at least
_FURTHER = ("not", "except", "part", "any", "beyond", "outer")
_WEIGHTS = {
    "row": 3, "column": 3, "cell": 3, "corner": 2, "half": 2, "either": 3,
    "not": 3, "except": 2, "part": 2, "any": 1.5, "beyond": 2, "outer": 1.5,
}  # fmt: skip


class MazeTextWriter:
    """Draws texts that are true of cells.

    Args:
        grammar: of the maze.
        kinds: of the grammar; with all of them, there are negations, longer lists and what lies
            beyond a line, too.
    """

    def __init__(self, grammar: MazeGrammar, kinds: Sequence[str] = KINDS) -> None:
        self._grammar = grammar
        self._free = ~grammar.layout.walls
        self._shape = dict(zip(("row", "column"), self._free.shape, strict=True))
        known = [kind for kind in kinds if kind in _WEIGHTS]
        self._kinds = [*known, *(_FURTHER if set(kinds) == set(KINDS) else ())]
        weights = np.array([_WEIGHTS[kind] for kind in self._kinds])
        self._shares = np.cumsum(weights) / weights.sum()

    def draw(self, cell: tuple[int, int], generator: Generator) -> tuple[str, Mask]:
        """Return a text that a free cell (row, column) satisfies, and all that do [R, C]."""
        while True:
            meaning = self.draw_meaning(cell, generator)
            text = self._say(meaning, generator)
            if len(split_words(text)) <= _MOST_WORDS:
                return text, self.mask(meaning)

    def mask(self, meaning: Meaning) -> Mask:
        """Return the free cells that a meaning denotes, bool [R, C]."""
        kind, *slots = meaning
        if kind == "not":
            return self._free & ~self.mask(slots[0])
        if kind in ("both", "any"):
            join = np.logical_and if kind == "both" else np.logical_or
            return np.asarray(join.reduce([self.mask(slot) for slot in slots]))
        if kind == "outer":
            return self._grammar.mask(slots[0])
        if kind == "beyond":
            axis = 0 if slots[0] in _AXES["row"] else 1
            index = np.indices(self._free.shape)[axis]
            far = index < slots[1] if slots[0] in ("top", "left") else index > slots[1]
            return self._free & far
        return self._grammar.mask(meaning)

    def draw_meaning(self, cell: tuple[int, int], generator: Generator) -> Meaning:
        """Return a meaning that a free cell satisfies; each that does about equally often."""
        for _ in range(_TRIES):
            kind = self._kinds[int(np.searchsorted(self._shares, generator.random()))]
            meaning = self._propose(kind, cell, generator)
            if meaning is not None and self.mask(meaning)[cell]:
                return meaning
        return ("row", cell[0]) if "row" in self._kinds or "column" not in self._kinds else (
            "column", cell[1])  # fmt: skip

    def _propose(self, kind: str, cell: tuple[int, int], generator: Generator) -> Meaning | None:
        row, column = ("row", cell[0]), ("column", cell[1])
        line = pick((row, column), generator)
        if kind in ("row", "column"):
            return row if kind == "row" else column
        if kind == "cell":
            return ("both", row, column)
        if kind in ("half", "corner"):
            return self._region(kind, generator)
        if kind == "beyond":
            name = pick(("row", "column"), generator)
            side = pick(_AXES[name], generator)
            return ("beyond", side, int(generator.integers(self._shape[name])))
        if kind == "outer":
            last = [number for number in (0, self._shape[line[0]] - 1) if number == line[1]]
            return ("outer", line) if last else None
        other = self._atom(generator)
        if kind in ("not", "except"):
            if generator.random() < _TWO:
                other = ("any", other, self._atom(generator))
            if kind == "not":
                return ("not", other)
            return ("both", pick((line, self._atom(generator)), generator), ("not", other))
        if kind == "part":
            region = self._region(pick(("half", "half", "corner"), generator), generator)
            return ("both", pick((line, self._region("half", generator)), generator), region)
        true = pick((line, line, ("both", row, column), self._atom(generator)), generator)
        listed = [true, other] if kind == "either" else [true, other, self._atom(generator)]
        if len(set(listed)) < len(listed):
            return None
        generator.shuffle(listed)
        return ("any", *listed)

    def _region(self, kind: str, generator: Generator) -> Meaning:
        sides = [pick(_AXES[name], generator) for name in ("row", "column")]
        return ("corner", *sides) if kind == "corner" else ("half", pick(sides, generator))

    def _atom(self, generator: Generator) -> Meaning:
        """Return any line, cell, half or corner."""
        kind = pick(("row", "row", "column", "column", "cell", "half", "corner"), generator)
        if kind in ("half", "corner"):
            return self._region(kind, generator)
        if kind == "cell":
            return ("both", *(self._line(name, generator) for name in ("row", "column")))
        return self._line(kind, generator)

    def _line(self, name: str, generator: Generator) -> Meaning:
        return (name, int(generator.integers(self._shape[name])))

    # -- saying ----------------------------------------------------------------------------

    def _say(self, meaning: Meaning, generator: Generator) -> str:
        kind, *slots = meaning
        if kind == "not" or (kind == "both" and slots[1][0] == "not"):
            text = self._exclude(meaning, generator)
        elif kind != "any" and generator.random() < _COMPOSED:
            name = self._name_part(meaning, generator)
            line = kind if kind in ("row", "column") else "cell"
            text = say_inclusion(name, line, generator, partial(self._lead, generator=generator))
        else:
            text = self._lead(self._name(meaning, generator), generator)
        if generator.random() < _FILLED:
            text = pick(FILLERS, generator).format(text)
        return re.sub(r"[a-z]+", lambda match: _with_slip(match[0], generator), text)

    def _lead(self, text: str, generator: Generator) -> str:
        return pick(LEADS, generator).format(text) if generator.random() < _LED else text

    def _exclude(self, meaning: Meaning, generator: Generator) -> str:
        """Say what is excluded, and what it is excluded from."""
        kind, *slots = meaning
        excluded = slots[0] if kind == "not" else slots[1][1]
        parts = excluded[1:] if excluded[0] == "any" else (excluded,)
        if len(parts) == 1 and generator.random() < _WHOLE:
            if kind == "not" and generator.random() < 0.5:
                return pick(ALONE, generator).format(self._name_part(parts[0], generator))
            return self._lead(self._name(meaning, generator), generator)
        included = None if kind == "not" else self._name_part(slots[0], generator)
        kinds = {part[0] for part in parts}
        line = kinds.pop() if len(kinds) == 1 and kinds <= {"row", "column"} else "cell"
        names = [self._name_part(part, generator) for part in parts]
        if line != "cell" and len(parts) > 1 and generator.random() < 0.5:
            numbers = [self._number(part[1], generator) for part in parts]
            names = [f"{line}s {numbers[0]} {pick(('and', 'or'), generator)} {numbers[1]}"]
        lead = partial(self._lead, generator=generator)
        return say_exclusion(included, names, line, generator, lead)

    def _name_part(self, meaning: Meaning, generator: Generator) -> str:
        """Return a name for a part of something: mostly a plain one, as long ones seldom are."""
        kind, *slots = meaning
        if generator.random() < _PLAIN:
            if kind in ("row", "column"):
                number = self._number(slots[0], generator)
                return pick(LINES[kind][:_PLAIN_NAMES], generator).format(number)
            if kind in ("half", "corner"):
                sides = [pick(SIDES[side], generator) for side in slots]
                names = HALVES if kind == "half" else CORNERS
                return pick(names[:_PLAIN_NAMES], generator).format(*sides)
        return self._name(meaning, generator)

    def _name(self, meaning: Meaning, generator: Generator) -> str:
        kind, *slots = meaning
        if kind in ("row", "column"):
            return self._name_line(kind, slots[0], generator)
        if kind == "outer":
            name, number = slots[0]
            return self._name_outer(name, number, generator)
        if kind == "half":
            side = pick(SIDES[slots[0]], generator)
            return pick(HALVES, generator).format(side)
        if kind == "corner":
            upright, flat = (pick(SIDES[side], generator) for side in slots)
            return pick(CORNERS, generator).format(upright, flat)
        if kind == "not":
            return pick(NOT, generator).format(self._name_part(slots[0], generator))
        if kind == "beyond":
            name = "row" if slots[0] in _AXES["row"] else "column"
            line = self._name_line(name, slots[1], generator)
            return pick(BEYOND[slots[0]], generator).format(line)
        if kind == "any":
            return self._name_list(slots, generator)
        first, second = slots
        return self._name_both(first, second, generator)

    def _name_both(self, first: Meaning, second: Meaning, generator: Generator) -> str:
        if second[0] == "not":
            names = self._name_part(first, generator), self._name_part(second[1], generator)
            return pick(EXCEPT, generator).format(*names)
        names = self._name_part(first, generator), self._name_part(second, generator)
        if {first[0], second[0]} == {"row", "column"}:
            ordered = names if generator.random() < 0.5 else names[::-1]
            return pick(CELLS, generator).format(*ordered)
        return pick(BOTH, generator).format(*names)

    def _name_list(self, parts: Sequence[Meaning], generator: Generator) -> str:
        names = [self._name_part(part, generator) for part in parts]
        kinds = {part[0] for part in parts}
        if len(kinds) == 1 and kinds <= {"row", "column"} and generator.random() < 0.4:
            # "rows 3 and 5", "row 3 or 5"
            numbers = [self._number(part[1], generator) for part in parts]
            kind = kinds.pop() + ("s" if generator.random() < 0.5 else "")
            names = [f"{kind} {numbers[0]}", *numbers[1:]]
        text = pick(LISTS, generator).format(names[0], names[1])
        if len(names) == 2:
            return text
        return pick(("{}, {} or {}", "{} or {} or {}", "either {}, {} or {}", "{}, {}, or {}"),
                     generator).format(*names)  # fmt: skip

    def _name_line(self, kind: str, number: int, generator: Generator) -> str:
        draw = generator.random()
        last = self._shape[kind] - 1
        if draw < 0.12 and number in (0, last):
            return self._name_outer(kind, number, generator)
        if draw < 0.22:
            before, after = _AXES[kind]
            side, count = (before, number) if generator.random() < 0.6 else (after, last - number)
            if count < len(ORDINALS):
                ordinal = ORDINALS[count]
                texts = COUNTED if side == after else (*COUNTED, "the {0} {1}", "{0} {1}")
                return pick(texts, generator).format(ordinal, kind, side)
        return pick(LINES[kind], generator).format(self._number(number, generator))

    def _name_outer(self, kind: str, number: int, generator: Generator) -> str:
        side = _AXES[kind][0 if number == 0 else 1]
        return pick(OUTER[side], generator).format(kind)

    def _number(self, number: int, generator: Generator) -> str:
        in_words = generator.random() < 0.3 and number < len(NUMBERS)
        return NUMBERS[number] if in_words else str(number)


def _with_slip(word: str, generator: Generator) -> str:
    if len(word) < SHORTEST or generator.random() >= _TYPO:
        return word
    return misspell(word, VOCABULARY, generator)
