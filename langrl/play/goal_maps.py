"""How goals of other environments lie on a map: as cells of a maze, in a plane, or not at all.

Cells of words are indices along the numbers of a goal; those of a map are rows and columns.

Axes: ``M`` goals, ``G`` numbers in a goal, ``R`` rows, ``C`` columns.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from langrl.envs.goal_words import GoalWords
from langrl.envs.maze.cells import CellFrame
from langrl.envs.region_words import AXES
from langrl.envs.regions import RegionFrame
from langrl.errors import ConfigError
from langrl.play.worlds import Kind
from langrl.protocols import Array, Floats, Integers, Mask

_SIDES = ("left", "right", "top", "bottom")  # which have "far left"; others, "very low"


class GoalMap(Protocol):
    """See the module."""

    @property
    def kind(self) -> Kind:
        """How it is drawn."""

    @property
    def thing(self) -> str:
        """What words denote."""

    @property
    def shape(self) -> tuple[int, ...]:
        """How many cells there are along each axis."""

    @property
    def scene(self) -> Mapping[str, Any]:
        """What is there to draw."""

    def places(self, goals: Array) -> Floats | None:
        """Return goals [M, G] as rows and columns [M, 2]; None where they are not drawn."""

    def cells(self, goals: Array) -> Integers:
        """Return the cells of goals [M, G]."""

    def mask(self, own: Mask) -> Mask:
        """Return what words denote as cells of the map."""

    def name_of(self, cell: Sequence[int]) -> str:
        """Return what to call a cell."""


@dataclass(frozen=True)
class CellMap:
    """The cells of a maze."""

    frame: CellFrame

    kind: ClassVar[Kind] = "maze"
    thing: ClassVar[str] = "cell"

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        rows, columns = self.frame.layout.walls.shape
        return rows, columns

    @property
    def scene(self) -> Mapping[str, Any]:
        """The walls."""
        return {"walls": list(self.frame.rows)}

    def places(self, goals: Array) -> Floats:
        """Return rows and columns [M, 2]."""
        picked = np.asarray(goals, np.float64)[:, list(self.frame.columns)]
        return (picked * self.frame.scale + self.frame.offset).astype(np.float32)

    def cells(self, goals: Array) -> Integers:
        """Return the free cells [M, 2] of goals, or next to them."""
        return self.frame.cells(goals)

    def mask(self, own: Mask) -> Mask:
        """Return the same."""
        return own

    def name_of(self, cell: Sequence[int]) -> str:
        """Return "row 3, column 4"."""
        return "row {}, column {}".format(*cell)


@dataclass(frozen=True)
class PlaneMap:
    """Goals of two numbers, in quarters: the first from left to right, the second upwards."""

    frame: RegionFrame

    kind: ClassVar[Kind] = "maze"
    thing: ClassVar[str] = "region"

    @property
    def shape(self) -> tuple[int, int]:
        """Quarters of the second number and of the first one."""
        across, up = self.frame.grammar.shape
        return up, across

    @property
    def scene(self) -> Mapping[str, Any]:
        """Nothing but the words at the edges."""
        rows, columns = self.shape
        across, up = (AXES[axis] if axis else None for axis in self.frame.axes)
        return {
            "walls": ["." * columns] * rows,
            "labels": {"columns": across, "rows": up and up[::-1]},
        }

    def places(self, goals: Array) -> Floats:
        """Return rows and columns [M, 2]; places beyond the outermost quarters are at the edge."""
        low, high = np.asarray(self.frame.low), np.asarray(self.frame.high)
        share = np.clip((np.asarray(goals, np.float64) - low) / (high - low), 0, 1)
        rows, columns = self.shape
        places = np.stack([(1 - share[:, 1]) * rows, share[:, 0] * columns], 1)
        return places.astype(np.float32)

    def cells(self, goals: Array) -> Integers:
        """Return the quarters [M, 2] of goals."""
        across, up = self.frame.cells(goals).T
        return np.stack([self.shape[0] - 1 - up, across], 1)

    def mask(self, own: Mask) -> Mask:
        """Return quarters as rows and columns."""
        return own.T[::-1]

    def name_of(self, cell: Sequence[int]) -> str:
        """Return "far left, top"."""
        row, column = cell
        return _name(self.frame, (column, self.shape[0] - 1 - row))


@dataclass(frozen=True)
class NoMap:
    """Goals of one number, or of three and more."""

    frame: RegionFrame

    kind: ClassVar[Kind] = "frames"
    thing: ClassVar[str] = "region"

    @property
    def shape(self) -> tuple[int, ...]:
        """Quarters along each number of a goal."""
        return self.frame.grammar.shape

    @property
    def scene(self) -> Mapping[str, Any]:
        """Nothing: pictures show it."""
        return {"can_place": False}

    def places(self, goals: Array) -> None:
        """Return None."""

    def cells(self, goals: Array) -> Integers:
        """Return the boxes of quarters [M, G] of goals."""
        return self.frame.cells(goals)

    def mask(self, own: Mask) -> Mask:
        """Return the same."""
        return own

    def name_of(self, cell: Sequence[int]) -> str:
        """Return "far left, near, low"."""
        return _name(self.frame, cell)


def map_of(words: GoalWords) -> GoalMap:
    """Return how goals with words lie on a map.

    Raises:
        ConfigError: if nobody knows how to draw them.
    """
    frame = words.frame
    if isinstance(frame, CellFrame):
        return CellMap(frame)
    if isinstance(frame, RegionFrame):
        return PlaneMap(frame) if len(frame.axes) == 2 else NoMap(frame)
    raise ConfigError(f"goals with words of {type(frame).__name__} cannot be played with")


def _name(frame: RegionFrame, cell: Sequence[int]) -> str:
    named = [
        _quarter(AXES[axis], number)
        for axis, number in zip(frame.axes, cell, strict=True)
        if axis is not None
    ]
    return ", ".join(named)


def _quarter(ends: tuple[str, str], number: int) -> str:
    word = ends[number // 2]
    outermost = "far" if word in _SIDES else "very"
    return f"{outermost} {word}" if number in (0, 3) else word
