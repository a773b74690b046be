"""A world that is played in: what a page shows of it, what can be done in it, and what is believed.

A *place* is where an agent is: (row, column) in a maze, (row, column, direction) in a grid world.
A world does not change: an edit, or a new room, makes another one.

Axes: ``M`` candidate goals, ``K`` cells, ``R`` rows, ``C`` columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, Self

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from langrl.grounding.chooser import Posterior
from langrl.grounding.intents import Intents
from langrl.protocols import Array, Integers, Mask

Kind = Literal["maze", "grid"]
LEAST_SHOWN = 5e-4  # the least probability that is worth a mark
_RANKED = 8  # entries of the list of what is likely


class Edit(NamedTuple):
    """A cell that is to become something else.

    Args:
        row, column: the cell.
        thing: ``wall``, ``free``, or in a grid world ``key``, ``ball``, ``box`` or ``door``.
        colour: of an object.
    """

    row: int
    column: int
    thing: str
    colour: str = "grey"


class Moved(NamedTuple):
    """What an action led to: another place, whether the episode is over, and with success."""

    place: Array
    is_over: bool
    success: bool


class World(Protocol):
    """See the module."""

    kind: ClassVar[Kind]
    examples: ClassVar[Sequence[str]]
    """Instructions to try; some may denote nothing here."""

    @property
    def name(self) -> str:
        """What to call it."""

    def scene(self) -> dict[str, Any]:
        """Return what is there to draw, as JSON values."""

    def begin(self, text: str | None, generator: Generator) -> tuple[Self, Array]:
        """Return a world for a new episode and a place to start, which a text does not denote."""

    def check_place(self, place: Sequence[float]) -> Array:
        """Return a place as an array; raises LangRLError where nobody can stand."""

    def edited(self, edits: Sequence[Edit]) -> Self:
        """Return this world with other cells; raises LayoutError if nobody can live in it."""

    def denoted(self, text: str) -> Mask | None:
        """Return the cells that a text denotes [R, C]; None where the grammar cannot read it.

        Raises:
            InstructionError: if it denotes nothing here; says why.
        """

    def observe(self, place: Array) -> Array:
        """Return what an agent sees."""

    def move(self, place: Array, action: Any, denoted: Mask, meant: Mask) -> Moved:
        """Act once.

        Args:
            place: where the agent is.
            action: what it does.
            denoted: cells that the words denote [R, C]; committing to any ends an episode.
            meant: those of them in which it succeeds [R, C].
        """

    @property
    def intents(self) -> Intents:
        """What can be meant here, and what can be asked about it."""

    def adapt(self, agent: Any) -> None:
        """Let an agent, which was trained elsewhere perhaps, look for goals in this world."""

    def cells_of(self, goals: Array) -> tuple[Integers, Integers]:
        """Return rows and columns [M] of the cells that goals reach."""

    def poses_of(self, goals: Array) -> Integers | None:
        """Return goals as poses [M, 3]; None in a world without directions."""

    def name_of(self, row: int, column: int) -> str:
        """Return what to call a cell, or the object in it."""


@dataclass(frozen=True, eq=False)
class Belief:
    """What is believed of cells, which several candidate goals may reach.

    Args:
        cells: row and column [K, 2], the likeliest first.
        probabilities: of the cells [K].
        bits: their entropy.
        poses: row, column, direction and probability of each likely pose, where goals are poses.
    """

    cells: Integers
    probabilities: NDArray[np.float64]
    bits: float
    poses: NDArray[np.float64] | None

    @classmethod
    def of(cls, posterior: Posterior, world: World) -> Self:
        """Return the belief that a posterior over candidate goals is."""
        rows, columns = world.cells_of(posterior.goals)
        width = int(columns.max()) + 1
        numbers, which = np.unique(rows * width + columns, return_inverse=True)
        cells = np.stack(np.divmod(numbers, width), 1)
        mass = np.bincount(which, posterior.probabilities, len(cells)).astype(np.float64)
        poses = world.poses_of(posterior.goals)
        if poses is None:
            return cls.of_cells(cells, mass)
        marks = np.column_stack([poses, posterior.probabilities])
        return cls.of_cells(cells, mass, marks[posterior.probabilities >= LEAST_SHOWN])

    @classmethod
    def of_cells(
        cls,
        cells: Integers,
        probabilities: NDArray[np.float64],
        poses: NDArray[np.float64] | None = None,
    ) -> Self:
        """Return the belief in cells [K, 2] with probabilities [K]; see the class for poses."""
        bits = Posterior(cells, probabilities.astype(np.float32)).entropy_bits
        order = np.argsort(-probabilities, kind="stable")
        return cls(cells[order], probabilities[order], bits, poses)

    def on(self, mask: Mask) -> float:
        """Return the probability of the cells of a mask [R, C]."""
        rows, columns = self.cells.T
        height, width = mask.shape
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        return float(self.probabilities[inside][mask[rows[inside], columns[inside]]].sum())

    def to_json(self, world: World) -> dict[str, Any]:
        """Return what a page draws and lists."""
        shown = [
            [row, column, round(p, 5)]
            for (row, column), p in zip(self.cells.tolist(), self.probabilities.tolist())  # noqa: B905
            if p >= LEAST_SHOWN
        ]
        ranked = [
            {"name": world.name_of(row, column), "row": row, "column": column, "p": p}
            for row, column, p in shown[:_RANKED]
        ]
        poses = None if self.poses is None else self.poses.round(5).tolist()
        return {"cells": shown, "poses": poses, "bits": round(self.bits, 3), "ranked": ranked}
