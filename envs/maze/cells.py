"""Cells of mazes in other coordinates: OGBench's and gymnasium-robotics' mazes, and our own.

Rows and columns are those of the environment's own map, counted from 0, outer walls included.

Axes: ``M`` goals, ``G`` numbers in a goal, ``R`` rows, ``C`` columns, ``F`` free cells.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from langrl.envs.maze.grammar import MazeGrammar
from langrl.envs.maze.layouts import Layout, parse_layout
from langrl.envs.maze.world import STEP_SIZE, StreetMaze
from langrl.errors import LayoutError, ShapeError
from langrl.protocols import Array, Integers, Mask

_ALMOST = 1e-6
_AT_ONCE = 4096  # goals that are compared with every free cell
_Point = Callable[[Any], Sequence[float]]  # from (row, column) of a cell to x and y of its centre


@dataclass(frozen=True)
class CellFrame:
    """A maze's map, and where its cells are; plain values, which a checkpoint stores.

    Position ``i`` along an axis, in cells, is ``goal[columns[i]] * scale[i] + offset[i]``, and cell
    k covers [k, k + 1).

    Args:
        rows: the map, a text per row; ``#`` wall and ``.`` free.
        columns: which numbers of a goal decide the row and the column.
        scale: cells for each unit of those numbers.
        offset: cells from the map's edge to where those numbers are 0.
        steps_per_cell: steps from a cell to the next one; None where that is not known.

    Raises:
        LayoutError: if the map is no map.
        ShapeError: if columns, scale or offset are not of a row and a column.
    """

    rows: tuple[str, ...]
    columns: tuple[int, int] = (0, 1)
    scale: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)
    steps_per_cell: float | None = None

    def __post_init__(self) -> None:
        parts = self.columns, self.scale, self.offset
        if {len(part) for part in parts} != {2} or min(self.columns) < 0 or 0 in self.scale:
            raise ShapeError(
                "columns, scale and offset are of a row and a column, and no scale is 0; got"
                f" {self.columns}, {self.scale} and {self.offset}"
            )
        self.layout  # noqa: B018  # or an error

    @cached_property
    def layout(self) -> Layout:
        """The maze; parts of it may be joined by other ways than cells, such as teleports."""
        return parse_layout("\n".join(self.rows), "the maze's map", connected=False)

    @cached_property
    def grammar(self) -> MazeGrammar:
        """What writes and reads the words."""
        return MazeGrammar(self.layout)

    def cells(self, goals: Array) -> Integers:
        """Return the row and column that goals [M, G] are in, int [M, 2].

        A goal in a wall, as where a wide robot touches one, or outside is in the nearest free cell.

        Raises:
            ShapeError: if goals are not [M, G] with the numbers of a position.
        """
        goals = np.asarray(goals)
        if goals.ndim != 2 or goals.shape[1] <= max(self.columns):
            raise ShapeError(
                f"goals are [M, at least {max(self.columns) + 1}] here, got {list(goals.shape)}"
            )
        picked = np.nan_to_num(goals[:, list(self.columns)].astype(np.float64))
        places = picked * self.scale + self.offset  # [M, 2]
        walls = self.layout.walls
        found: Integers = np.clip(np.floor(places), 0, np.array(walls.shape) - 1).astype(np.int64)
        outside = (np.floor(places) != found).any(1) | walls[found[:, 0], found[:, 1]]
        for rows in np.array_split(np.flatnonzero(outside), len(goals) // _AT_ONCE + 1):
            found[rows] = self._nearest(places[rows])
        return found

    def _nearest(self, places: NDArray[np.float64]) -> Integers:
        """Return the free cells [n, 2] with the nearest edges to places [n, 2]."""
        free = self.layout.free_cells  # [F, 2]
        apart = np.abs(places[:, None] - (free + 0.5)) - 0.5  # [n, F, 2]
        return free[(np.maximum(apart, 0) ** 2).sum(-1).argmin(1)]

    def shortest_steps(self, goals: Array, masks: Mask) -> NDArray[np.float64]:
        """Return the steps from goals [M, G] to the nearest cell of masks [M, R, C], [M].

        Counted over 4-connected cells; nan where that is not known, or no way leads there.
        """
        if self.steps_per_cell is None:
            return np.full(len(goals), np.nan)
        rows, columns = self.cells(goals).T
        steps = self.steps_per_cell * self.layout.steps_to(rows, columns, masks)
        return np.where(np.isfinite(steps), steps, np.nan)


def street_frame(world: StreetMaze) -> CellFrame:
    """Return the cells of a street maze, whose positions are rows and columns."""
    return CellFrame(tuple(world.layout.text.split("\n")), steps_per_cell=1 / STEP_SIZE)


def cell_frame(env: gym.Env[Any, Any]) -> CellFrame | None:
    """Return the cells of an environment's maze; None if it has no maze that is known here.

    These are mazes of langrl, of OGBench (``maze_map`` and ``ij_to_xy``) and of gymnasium-robotics
    (``maze``), whose goals begin with x and y.

    Raises:
        LayoutError: if the map has no free cells, or rows and columns do not run along x and y.
    """
    base: Any = env.unwrapped
    if isinstance(world := getattr(base, "world", None), StreetMaze):
        return street_frame(world)
    if hasattr(base, "maze_map") and callable(getattr(base, "ij_to_xy", None)):
        return _frame_of(base.maze_map, base.ij_to_xy)
    maze: Any = getattr(base, "maze", None)
    if hasattr(maze, "maze_map") and callable(getattr(maze, "cell_rowcol_to_xy", None)):
        return _frame_of(maze.maze_map, maze.cell_rowcol_to_xy)
    return None


def _frame_of(cells: Any, centre: _Point) -> CellFrame:
    """Return the frame of a map, 1 for a wall, with a function that gives the cells' centres."""
    rows = tuple("".join("#" if str(cell) == "1" else "." for cell in row) for row in cells)
    origin = np.asarray(centre((0, 0)), float)
    steps = [np.asarray(centre(cell), float) - origin for cell in ((1, 0), (0, 1))]
    along = [int(np.abs(step).argmax()) for step in steps]
    ends = [np.abs(step).min() for step in steps]
    if sorted(along) != [0, 1] or max(ends) > _ALMOST * min(np.abs(step).max() for step in steps):
        raise LayoutError("rows and columns of the maze's map do not run along x and y")
    scale = [1 / step[axis] for step, axis in zip(steps, along, strict=True)]
    offset = [0.5 - origin[axis] * each for each, axis in zip(scale, along, strict=True)]
    return CellFrame(
        rows,
        (along[0], along[1]),
        (float(scale[0]), float(scale[1])),
        (float(offset[0]), float(offset[1])),
    )
