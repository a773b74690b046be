"""Maze layouts: which cells are walls, and how far apart the free ones are.

Axes: ``R`` rows, ``C`` columns, ``F`` free cells. A layout as text has one line per row, ``#`` for
a wall and ``.`` for a free cell.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langrl.errors import LayoutError, UnknownNameError, suggestion
from langrl.protocols import Integers, Mask

MAX_SIDE = 64  # rows or columns; distances are kept for all pairs of cells

LAYOUTS = {
    "blank": "\n".join([".........."] * 10),
    "fork": "\n".join(["...............", "##########....."] * 7 + ["..............."]),
    "island": "\n".join(["..........."] * 3 + [".....##...."] * 5 + ["..........."] * 3),
    "slit": "\n".join([".....#....."] * 5 + ["..........."] + [".....#....."] * 5),
    "blocker": "\n".join(["..........."] * 3 + ["##########."] + ["..........."] * 7),
}
"""The five mazes of arXiv:2501.11326, appendix."""


@dataclass(frozen=True, eq=False)
class Layout:
    """A maze's walls, bool [R, C]; two layouts are equal when their walls are."""

    walls: Mask

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Layout) and np.array_equal(self.walls, other.walls)

    def __hash__(self) -> int:
        return hash(self.text)

    @cached_property
    def text(self) -> str:
        """The layout as an ASCII map, rows separated by newlines."""
        return "\n".join("".join("#" if wall else "." for wall in row) for row in self.walls)

    @cached_property
    def free_cells(self) -> Integers:
        """Row and column of every free cell, int [F, 2], row by row."""
        return np.argwhere(~self.walls)

    @cached_property
    def cell_index(self) -> Integers:
        """Number of each free cell in ``free_cells``, -1 for walls, int [R, C]."""
        index = np.full(self.walls.shape, -1)
        index[~self.walls] = np.arange(len(self.free_cells))
        return index

    def _graph(self) -> Any:
        """Return which free cells are next to each other, as a sparse matrix [F, F]."""
        from scipy.sparse import coo_array

        index, count = self.cell_index, len(self.free_cells)
        down = np.stack([index[:-1].ravel(), index[1:].ravel()], 1)
        right = np.stack([index[:, :-1].ravel(), index[:, 1:].ravel()], 1)
        pairs = np.concatenate([down, right])  # [edges, 2]
        pairs = pairs[(pairs >= 0).all(1)]
        graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
        return graph.tocsr()

    @cached_property
    def components(self) -> NDArray[np.int32]:
        """Number of the connected part that each free cell is in, int [F]."""
        from scipy.sparse.csgraph import connected_components

        return connected_components(self._graph(), directed=False)[1]

    @cached_property
    def _paths(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        from scipy.sparse.csgraph import shortest_path

        distances, previous = shortest_path(
            self._graph(), directed=False, unweighted=True, return_predecessors=True
        )
        reachable = np.isfinite(distances)
        return np.where(reachable, distances, -1).astype(np.int32), previous.astype(np.int32)

    @property
    def distances(self) -> NDArray[np.int32]:
        """Steps between free cells over 4-connected ones, int [F, F]; -1 if unreachable."""
        return self._paths[0]

    @property
    def next_cells(self) -> NDArray[np.int32]:
        """``next_cells[g, i]``: the cell after i on a shortest path from i to g, int [F, F]."""
        return self._paths[1]  # the graph is symmetric: g's predecessor tree points towards g

    def steps_to(self, rows: Integers, columns: Integers, masks: Mask) -> NDArray[np.float64]:
        """Return how many cells free cells, rows [N] and columns [N], are from masks [N, R, C].

        To the nearest cell of each, over 4-connected ones; inf where none can be reached.
        """
        distances = self.distances[self.cell_index[rows, columns]]  # [N, F]
        there = masks[:, ~self.walls] & (distances >= 0)  # [N, F]
        return np.where(there, distances, np.inf).min(1)


def load_layout(source: str | Path | Layout) -> Layout:
    """Return the layout that ``source`` stands for.

    Args:
        source: a layout, the name of a published one ("fork"), an ASCII map, or a file with one.

    Raises:
        UnknownNameError: if there is no layout of that name.
        LayoutError: if there is no such file, or the map is ragged, too large, has
            characters other than ``#`` and ``.``, fewer than two free cells, or parts that
            cannot be reached from each other.
    """
    if isinstance(source, Layout):
        return source
    if isinstance(source, str) and source in LAYOUTS:
        return parse_layout(LAYOUTS[source], f"layout {source!r}")
    if isinstance(source, str) and ("\n" in source or not source.strip("#. ")):
        return parse_layout(source, "the layout")
    path = Path(source)
    try:
        if path.is_file():
            return parse_layout(path.read_text(encoding="utf-8"), f"layout file {path}")
    except (OSError, UnicodeDecodeError) as error:
        shown = str(path)[-80:]  # the end names the file
        raise LayoutError(f"cannot read the layout file {shown}: {error}"[:200]) from error
    if path.suffix or path.parent != Path("."):
        raise LayoutError(f"no layout file {path}; check the path")
    raise UnknownNameError(f"no layout named {str(source)!r}; {suggestion(str(source), LAYOUTS)}")


def parse_layout(text: str, name: str, connected: bool = True) -> Layout:
    """Parse an ASCII map; errors as ``load_layout``, starting with ``name``.

    ``connected`` refuses parts that no way over cells leads to.
    """
    # Not splitlines, which would also break rows at characters that are no line's end.
    rows = [line.strip() for line in text.strip().split("\n")]
    if not rows[0]:
        raise LayoutError(f"{name} is empty; write one line per row, '#' wall and '.' free")
    if len(rows) > MAX_SIDE or len(rows[0]) > MAX_SIDE:
        raise LayoutError(f"{name} is too large; use at most {MAX_SIDE} rows and columns")
    for number, row in enumerate(rows):
        if len(row) != len(rows[0]):
            raise LayoutError(
                f"{name} is ragged: row {number} has {len(row)} cells and row 0 has"
                f" {len(rows[0])}; make all rows equally long"
            )
        if unknown := sorted(set(row) - set("#.")):
            raise LayoutError(
                f"{name} has {unknown[0]!r} in row {number}; use only '#' (wall) and '.' (free)"
            )
    layout = Layout(np.array([[cell == "#" for cell in row] for row in rows]))
    count = len(layout.free_cells)
    if count == 0:
        raise LayoutError(f"{name} has no free cell; mark free cells with '.'")
    if count == 1:
        raise LayoutError(f"{name} has a single free cell, so there is nowhere to go; add another")
    if connected and (apart := layout.components != layout.components[0]).any():
        row, column = layout.free_cells[int(apart.argmax())]
        raise LayoutError(
            f"{name} has unreachable parts: no way leads from the first free cell to row {row},"
            f" column {column}; open a wall between them or fill one of them"
        )
    return layout
