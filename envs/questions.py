"""What can be asked about what an instruction means: the fixed questions of a world.

Each question splits the intents of a world into a few parts, the same in every episode, and its
answer says which part the intended one is in.

Axes: ``Q`` questions, ``M`` intents (cells), ``H`` rows, ``W`` columns.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langrl.envs.grid.grammar import COLOURS, TYPES
from langrl.errors import DomainError, ShapeError
from langrl.protocols import Integers

NO_ANSWER = -1
"""The label of a cell that a question cannot be about, and of a question that was not asked."""

ANSWERS: dict[str, tuple[str, ...]] = {
    "colour": tuple(COLOURS),
    "type": tuple(TYPES),
    "side": ("left", "right"),
    "half": ("upper", "lower"),
    "row band": ("top", "middle", "bottom"),
    "column band": ("left", "middle", "right"),
}
"""What can be answered to each question; a label is a place in these."""


@dataclass(frozen=True)
class Questions:
    """The questions of a world.

    Args:
        names: of the questions, Q of ``ANSWERS``.
        shape: rows and columns of the world.
    """

    names: tuple[str, ...]
    shape: tuple[int, int]

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """How many answers each question can have, Q of them."""
        return tuple(len(ANSWERS[name]) for name in self.names)

    def labels(self, cells: Any, room: NDArray[np.uint8] | None = None) -> Integers:
        """Return what each intent answers to each question, int64 [Q, M].

        Args:
            cells: row and column of each intent [M, 2].
            room: type and colour of each cell, uint8 [H, W, 2]; of grid worlds.

        Returns:
            Places in ``ANSWERS``; ``NO_ANSWER`` for colour and type where there is no object.

        Raises:
            ShapeError: if cells are not whole numbers [M, 2] inside the world, or a room is needed
                and not given.
        """
        cells = np.asarray(cells)
        if cells.ndim != 2 or cells.shape[1] != 2 or cells.dtype.kind not in "iu":
            raise ShapeError(
                f"cells are whole numbers [M, 2] (row, column), got {list(cells.shape)} of"
                f" {cells.dtype}"
            )
        if not ((cells >= 0) & (cells < self.shape)).all():
            raise ShapeError(f"a cell is outside the world, which is {list(self.shape)}")
        if "colour" in self.names:
            got = None if room is None else np.asarray(room).shape
            if got != (*self.shape, 2):
                raise ShapeError(
                    "questions of a grid world need the room, types and colours"
                    f" {[*self.shape, 2]}, got {got and list(got)}"
                )
        found = [self._label(name, cells.astype(np.int64), room) for name in self.names]
        return np.stack(found) if found else np.zeros((0, len(cells)), np.int64)

    def _label(self, name: str, cells: Integers, room: NDArray[np.uint8] | None) -> Integers:
        """Return what each of some cells [M, 2] answers to one question [M]."""
        rows, columns = cells.T
        if name in ("colour", "type"):
            assert room is not None
            first = min(TYPES.values())
            kinds, colours = room[rows, columns].T.astype(np.int64)
            return np.where(kinds >= first, colours if name == "colour" else kinds - first, -1)
        along, length = (
            (columns, self.shape[1]) if name in ("side", "column band") else (rows, self.shape[0])
        )
        # The first half or third is the larger one where the length does not divide.
        parts = len(ANSWERS[name])
        return along // -(-length // parts)

    def words(self, question: int, label: int) -> str:
        """Return an answer in words.

        Raises:
            DomainError: if there is no such question, or no such answer to it.
        """
        if not 0 <= question < len(self.names):
            raise DomainError(f"question {question} is not one of the {len(self.names)} there are")
        known = ANSWERS[self.names[question]]
        if not 0 <= label < len(known):
            raise DomainError(
                f"{self.names[question]!r} has answers 0 to {len(known) - 1}, got {label}"
            )
        return known[label]


def grid_questions(size: int) -> Questions:
    """Return the questions of a grid world with ``size`` cells along a side."""
    return Questions(("colour", "type", "side", "half"), (size, size))


def maze_questions(shape: tuple[int, int]) -> Questions:
    """Return the questions of a maze with some rows and columns."""
    return Questions(("side", "half", "row band", "column band"), shape)
