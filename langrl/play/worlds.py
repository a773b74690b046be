"""A world that is played in: what a page shows of it, what can be done in it, and what is believed.

A *place* is where an agent is: (row, column) in a maze, (row, column, direction) in a grid world,
and empty where nobody knows how to draw it. A world does not change: an edit, or a new room, makes
another one. What changes as an agent acts is its *episode*.

Axes: ``M`` candidate goals, ``K`` cells, ``R`` rows, ``C`` columns, ``B`` axes of the map, which
are rows and columns, or more where cells are boxes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, Protocol, Self

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from langrl.grounding.chooser import Posterior
from langrl.grounding.intents import Intents
from langrl.protocols import Array, Integers, Mask

Kind = Literal["maze", "grid", "frames"]
MOST_STEPS = 100  # of an episode in langrl's own worlds
LEAST_SHOWN = 5e-4  # the least probability that is worth a mark
BEYOND = (
    "These words are beyond the grammar: the agent follows them by its belief, but what they denote"
    " is unknown, and so is success."
)
_RANKED = 8  # entries of the list of what is likely
_MOST_POINTS = 500


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
    """What an action led to.

    Args:
        place: where the agent is now.
        is_over: whether the episode is.
        success: whether it ended well; None where that is not known.
    """

    place: Array
    is_over: bool
    success: bool | None


class Episode(Protocol):
    """An agent's way through a world, from a start."""

    @property
    def things(self) -> list[list[Any]] | None:
        """What lies where by now, as ``scene`` has it; None in worlds that stay as they are."""

    def observe(self) -> Array:
        """Return what the agent sees."""

    def act(self, action: Any, denoted: Mask, meant: Mask) -> Moved:
        """Act once.

        Args:
            action: what the agent does.
            denoted: cells that the words denote [R, C]; committing to any ends an episode.
            meant: those of them in which it succeeds [R, C].
        """

    def frame(self) -> NDArray[np.uint8] | None:
        """Return a picture [height, width, 3]; None of a world that is drawn as a map."""


class World(Protocol):
    """See the module."""

    @property
    def kind(self) -> Kind:
        """How it is drawn: as a map of walls, or of things; or by pictures of its own."""

    @property
    def examples(self) -> Sequence[str]:
        """Instructions to try; some may denote nothing here."""

    @property
    def name(self) -> str:
        """What to call it."""

    @property
    def thing(self) -> str:
        """What words denote here, such as a cell."""

    @property
    def most_steps(self) -> int:
        """After how many steps an episode is over."""

    @property
    def rate(self) -> int:
        """How many steps per second are good to watch."""

    def scene(self) -> dict[str, Any]:
        """Return what is there to draw, as JSON values; see ``scene_of``."""

    @property
    def map_shape(self) -> tuple[int, ...]:
        """How many cells the map has along each of its axes [B]."""

    def begin(self, text: str | None, generator: Generator) -> tuple[Self, Array]:
        """Return a world for a new episode and a place to start, which a text does not denote."""

    def check_place(self, place: Sequence[float]) -> Array:
        """Return a place as an array; raises LangRLError where nobody can stand."""

    def edited(self, edits: Sequence[Edit]) -> Self:
        """Return this world with other cells; raises LayoutError if nobody can live in it."""

    def denoted(self, text: str) -> Mask | None:
        """Return the cells that a text denotes, bool of ``map_shape``; None where it is not known.

        Raises:
            InstructionError: if it denotes nothing here; says why.
        """

    def explain(self, text: str) -> str:
        """Say what becomes of a text of which nobody knows what it denotes."""

    def is_satisfied(self, place: Array, denoted: Mask) -> bool:
        """Whether an agent that starts at a place has nothing to do."""

    def observe(self, place: Array) -> Array:
        """Return what an agent sees at the start of an episode."""

    def episode(self, place: Array, text: str) -> Episode:
        """Return a new episode that starts at a place, of an agent that follows a text."""

    @property
    def intents(self) -> Intents | None:
        """What can be meant here, and what can be asked about it; None if nothing can."""

    def adapt(self, agent: Any) -> None:
        """Let an agent, which was trained elsewhere perhaps, look for goals in this world."""

    def cells_of(self, goals: Array) -> Integers:
        """Return the cells [M, B] that goals reach."""

    def poses_of(self, goals: Array) -> Integers | None:
        """Return goals as poses [M, 3]; None in a world without directions."""

    def points_of(self, goals: Array) -> Array | None:
        """Return goals as places [M, 2] that are drawn one by one; None where cells are."""

    def name_of(self, cell: Sequence[int]) -> str:
        """Return what to call a cell, or the object in it."""


class StillWorld(Protocol):
    """A world in which an agent's place says all that its actions change."""

    def observe(self, place: Array) -> Array:
        """Return what an agent sees."""

    def move(self, place: Array, action: Any, denoted: Mask, meant: Mask) -> Moved:
        """Act once; as ``Episode.act``, from a place."""


class Walked:
    """An episode in a world that stays as it is.

    Args:
        world: where it is.
        place: where it starts.
    """

    things = None

    def __init__(self, world: StillWorld, place: Array) -> None:
        self._world, self._place = world, place

    def observe(self) -> Array:
        """Return what the agent sees."""
        return self._world.observe(self._place)

    def act(self, action: Any, denoted: Mask, meant: Mask) -> Moved:
        """Act once."""
        moved = self._world.move(self._place, action, denoted, meant)
        self._place = moved.place
        return moved

    def frame(self) -> None:
        """Return None: the world is drawn as a map."""


def scene_of(world: World, *, edited: bool = False, **more: Any) -> dict[str, Any]:
    """Return what is there to draw: the size of the map, what is in it, what a click can do.

    Args:
        world: the world.
        edited: whether it is another one than the agent was trained in.
        **more: what is in it, as JSON values; ``can_place`` or ``can_edit`` where it is False.
    """
    rows, columns = (*world.map_shape, 1)[:2]
    return {
        "kind": world.kind, "name": world.name, "thing": world.thing, "rate": world.rate,
        "rows": rows, "columns": columns, "edited": edited, "can_place": True, "can_edit": True,
        "can_mean": world.intents is not None, **more,
    }  # fmt: skip


@dataclass(frozen=True, eq=False)
class Belief:
    """What is believed of cells, which several candidate goals may reach.

    Args:
        cells: the cells [K, B], the likeliest first.
        probabilities: of the cells [K].
        bits: their entropy.
        poses: row, column, direction and probability of each likely pose, where goals are poses.
        points: row, column and probability of likely goals, where they are drawn one by one.
        p_understood: how likely the text means something; None where that was not learned.
    """

    cells: Integers
    probabilities: NDArray[np.float64]
    bits: float
    poses: NDArray[np.float64] | None = None
    points: NDArray[np.float64] | None = None
    p_understood: float | None = None

    @classmethod
    def of(cls, posterior: Posterior, world: World) -> Self:
        """Return the belief that a posterior over candidate goals is."""
        reached = world.cells_of(posterior.goals)
        numbers = np.ravel_multi_index(tuple(reached.T), world.map_shape)
        found, which = np.unique(numbers, return_inverse=True)
        cells = np.stack(np.unravel_index(found, world.map_shape), 1)
        mass = np.bincount(which, posterior.probabilities, len(cells)).astype(np.float64)
        poses, points = world.poses_of(posterior.goals), world.points_of(posterior.goals)
        arrows = dots = None
        if poses is not None:
            arrows = _marks(*_summed(poses, posterior.probabilities))
            arrows = arrows[arrows[:, -1] >= LEAST_SHOWN]
        if points is not None:
            dots = _marks(points, posterior.probabilities)
            dots = dots[np.argsort(-dots[:, -1], kind="stable")[:_MOST_POINTS]]
        believed = cls.of_cells(cells, mass, arrows, dots)
        return replace(believed, p_understood=posterior.p_understood)

    @classmethod
    def of_cells(
        cls,
        cells: Integers,
        probabilities: NDArray[np.float64],
        poses: NDArray[np.float64] | None = None,
        points: NDArray[np.float64] | None = None,
    ) -> Self:
        """Return the belief in cells [K, B] with probabilities [K]; see the class for the rest."""
        bits = Posterior(cells, probabilities.astype(np.float32)).entropy_bits
        order = np.argsort(-probabilities, kind="stable")
        return cls(cells[order], probabilities[order], bits, poses, points)

    def on(self, mask: Mask) -> float:
        """Return the probability of the cells of a mask, bool of the map's shape."""
        inside = ((self.cells >= 0) & (self.cells < mask.shape)).all(1)
        return float(self.probabilities[inside][mask[tuple(self.cells[inside].T)]].sum())

    def to_json(self, world: World) -> dict[str, Any]:
        """Return what a page draws and lists."""
        shown = [
            [*cell, round(p, 5)]
            for cell, p in zip(self.cells.tolist(), self.probabilities.tolist())  # noqa: B905
            if p >= LEAST_SHOWN
        ]
        ranked = [
            {"name": world.name_of(cell), "cell": cell, "p": p} for *cell, p in shown[:_RANKED]
        ]
        marks = {
            name: None if values is None else values.round(5).tolist()
            for name, values in (("poses", self.poses), ("points", self.points))
        }
        is_map = world.kind != "frames"
        return {
            "cells": shown if is_map else [], **marks, "bits": round(self.bits, 3), "ranked": ranked
        }  # fmt: skip


def _marks(where: Array, probabilities: Array) -> NDArray[np.float64]:
    return np.column_stack([where, probabilities]).astype(np.float64)


def _summed(poses: Integers, probabilities: Array) -> tuple[Integers, NDArray[np.float64]]:
    """Return poses, each once, and how likely they are whatever is done there."""
    found, which = np.unique(poses, axis=0, return_inverse=True)
    return found, np.bincount(which.ravel(), probabilities, len(found)).astype(np.float64)
