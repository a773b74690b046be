"""A maze as a world: how an agent moves in it, what instructions denote, how far things are.

Axes: ``N`` agents, ``R`` rows, ``C`` columns, ``F`` free cells, ``M`` goals. Positions are
continuous (row, column); cell i covers [i, i + 1). The dynamics are pure functions on arrays.

Source: Che & Eysenbach, ICLR 2025, arXiv:2501.11326, appendix on street mazes.
"""

from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from langrl.envs.maze.grammar import MazeGrammar
from langrl.envs.maze.layouts import Layout, load_layout
from langrl.errors import NonFiniteError, ShapeError
from langrl.protocols import Array, Floats, Integers, Mask

STEP_SIZE = 0.5  # cells
CHECKS = 24  # points along a step at which walls are looked for

Positions = Floats
_FRACTIONS = (np.arange(1, CHECKS + 1) / CHECKS * STEP_SIZE).astype(np.float32)


def unit(vectors: Array) -> Floats:
    """Return directions [N, 2] of length 1, or 0 for 0; raises NonFiniteError for NaN and inf."""
    vectors = np.asarray(vectors, np.float32)
    if not np.isfinite(vectors).all():
        raise NonFiniteError("an action is not finite; give a direction (row, column)")
    sizes = np.abs(vectors)
    largest = np.maximum(sizes[:, 0], sizes[:, 1])  # first, so that no square over- or underflows
    vectors = vectors / np.where(largest > 0, largest, np.float32(1))[:, None]
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
    vectors /= np.where(lengths > 0, lengths, np.float32(1))[:, None]
    return vectors.astype(np.float32, copy=False)


def rotate(directions: Floats, angles: Array) -> Floats:
    """Turn directions [N, 2] by angles [N] in radians."""
    cos, sin = np.cos(angles), np.sin(angles)
    row, column = directions[:, 0], directions[:, 1]
    return np.stack([cos * row - sin * column, sin * row + cos * column], 1).astype(np.float32)


def move(walls: Mask, positions: Positions, directions: Floats) -> Positions:
    """Move every agent by one step, up to the last free one of 24 points along it.

    Args:
        walls: the maze, bool [R, C]; everything outside it is wall too.
        positions: free positions [N, 2].
        directions: unit vectors [N, 2]; a zero vector stays where it is.

    Returns:
        New positions [N, 2].
    """
    ends = positions + directions * _FRACTIONS[-1]
    width = walls.shape[1] + 2
    solid = np.ones((walls.shape[0] + 2, width), bool)
    solid[1:-1, 1:-1] = walls
    solid = solid.reshape(-1)
    # A step is shorter than a cell, so it stays within the corners of the box that it spans.
    top, left = (_cells(positions) + 1).T
    bottom, right = (_cells(ends) + 1).T
    top, bottom = top * width, bottom * width
    near = solid[top + left] | solid[bottom + right] | solid[top + right] | solid[bottom + left]
    blocked = np.flatnonzero(near)
    if len(blocked):
        start, direction = positions[blocked], directions[blocked]
        inside = _points_in_cell(start, direction)
        corners = [each[blocked] for each in (top, bottom, left, right)]
        steps = _free_points(solid, inside, *corners)
        last = start + direction * _FRACTIONS[np.maximum(steps - 1, 0)][:, None]
        ends[blocked] = np.where(steps[:, None] > 0, last, start)
    return ends


def _points_in_cell(positions: Positions, directions: Floats) -> Integers:
    """Return how many points of steps are in the row, and the column, of the first, [2, n]."""
    start, direction = np.ascontiguousarray(positions.T), np.ascontiguousarray(directions.T)
    points = direction * _FRACTIONS[:, None, None]
    points += start  # [CHECKS, 2, n]; on a line, so that those in another row all come later
    same = np.floor(points, out=points) == np.floor(start)
    return same.view(np.uint8).sum(0, dtype=np.uint8).astype(np.int64)


def _free_points(
    solid: Mask, inside: Integers, top: Integers, bottom: Integers, left: Integers, right: Integers
) -> Integers:
    """Return how many points of steps come before the first in a wall, [n].

    A step begins in the cell of top and left, ends in that of bottom and right, and crosses at
    most one more, by way of the side that it meets first.
    """
    early, late = inside.min(0), inside.max(0)
    between = np.where(inside[0] < inside[1], bottom + left, top + right)
    steps = np.where((late < CHECKS) & solid[bottom + right], late, CHECKS)
    steps = np.where((early < late) & solid[between], early, steps)
    return np.where((early > 0) & solid[top + left], 0, steps)


def _cells(positions: Floats) -> Integers:
    return np.floor(positions).astype(np.int64)


class StreetMaze:
    """A maze as a world: its layout, its language, and distances in it."""

    def __init__(self, layout: str | Path | Layout) -> None:
        self.layout = load_layout(layout)
        self.walls = self.layout.walls
        self.grammar = MazeGrammar(self.layout)

    def sample_states(self, count: int, generator: Generator) -> Positions:
        """Return positions [count, 2], uniform over the free area."""
        cells = self.layout.free_cells
        corners = cells[generator.integers(len(cells), size=count)]
        # float32 below 1: a corner plus an offset must not round up into the next cell
        offsets = generator.random((count, 2), dtype=np.float32) * np.float32(0.9999)
        return (corners + offsets).astype(np.float32)

    def cell_mask(self, instruction: str) -> Mask | None:
        """Return the cells that satisfy a text, bool [R, C], as ``MazeGrammar.denotation``."""
        return self.grammar.denotation(instruction)

    def denotation(self, goals: Array, instruction: str) -> Mask | None:
        """Return which goals [M, 2] satisfy an instruction, bool [M]; None if it is unknown.

        Raises:
            InstructionError: if the text is unusable or denotes no cell of this maze.
            ShapeError: if goals are not [M, 2].
        """
        goals = np.asarray(goals)
        if goals.ndim != 2 or goals.shape[1] != 2:
            raise ShapeError(f"goals must be [M, 2] (row, column), got {list(goals.shape)}")
        mask = self.cell_mask(instruction)
        return None if mask is None else self.inside(goals, mask)

    def inside(self, positions: Array, masks: Mask) -> Mask:
        """Return whether positions [N, 2] are in masks [R, C] or [N, R, C]; outside is False."""
        limit = np.array(self.walls.shape)
        valid = np.asarray((positions >= 0) & (positions < limit)).all(axis=1)  # NaN is outside
        rows, columns = _cells(np.where(np.expand_dims(valid, 1), positions, 0)).T
        each = (rows, columns) if masks.ndim == 2 else (np.arange(len(rows)), rows, columns)
        return np.asarray(masks[each], bool) & valid

    def shortest_steps(self, positions: Positions, masks: Mask) -> NDArray[np.float64]:
        """Return the steps from positions [N, 2] to the nearest cell of masks [N, R, C], [N].

        Counted as 4-connected cells, two steps each; nan where a mask is empty.
        """
        rows, columns = _cells(positions).T
        nearest = self.layout.steps_to(rows, columns, masks)
        return np.where(np.isfinite(nearest), nearest / STEP_SIZE, np.nan)
