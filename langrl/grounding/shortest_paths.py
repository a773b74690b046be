"""Shortest paths between waypoints, to goals and from states that are no waypoints.

Axes: ``W`` waypoints, ``n`` goals or states.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

from langrl.protocols import Array, Integers

Costs = NDArray[np.float32]
_AT_ONCE = 256  # searches whose results are held in float64


@dataclass(frozen=True, eq=False)
class Ways:
    """The cheapest paths from every waypoint to some goals.

    Args:
        costs: of a path [n, W]; inf without one.
        onward: the next waypoint on it [n, W]; W or above where the goal itself is next, negative
            without a path.
    """

    costs: Costs
    onward: NDArray[np.int32]

    def path(self, goal: int, start: int) -> Integers:
        """Return the waypoints on the path from one to a goal, which has to have a path."""
        found = [start]
        while (following := int(self.onward[goal, found[-1]])) < self.onward.shape[1]:
            found.append(following)
        return np.array(found)


class ShortestPaths:
    """Searches a graph whose edges are the same in both directions, from where it is asked.

    Args:
        edges: costs above 0 [W, W].
    """

    def __init__(self, edges: csr_matrix) -> None:
        self._edges = edges
        self._searched = 0  # states that paths were searched from
        self._every: Costs | None = None  # between all pairs of waypoints

    def to_goals(self, ends: Costs) -> Ways:
        """Return the paths to goals, of costs from waypoints to them [n, W]; inf: no edge."""
        # Edges are the same in both directions: paths from a goal are paths to it.
        parts = [self._search(part) for part in _split(ends)]
        return Ways(*(np.concatenate(each) for each in zip(*parts, strict=True)))

    def from_states(self, starts: Costs) -> Costs:
        """Return the costs of paths from states to all waypoints [n, W].

        Args:
            starts: costs from states to waypoints [n, W]; inf: no edge.
        """
        size = self._edges.shape[0]
        if self._every is None:
            self._searched += len(starts)
            if self._searched <= size:
                return np.concatenate([self._search(part)[0] for part in _split(starts)])
            # As many searches again are all that there will ever be.
            parts = np.array_split(np.arange(size), -(-size // _AT_ONCE))
            found = [dijkstra(self._edges, indices=part).astype(np.float32) for part in parts]
            self._every = np.concatenate(found)
        costs = np.full_like(starts, np.inf)
        for number, entries in enumerate(np.isfinite(starts)):
            first = starts[number, entries, None]
            costs[number] = (self._every[entries] + first).min(0, initial=np.inf)
        return costs

    def _search(self, ends: Costs) -> tuple[Costs, NDArray[np.int32]]:
        """Return costs and the waypoints before, seen from nodes with these edges [n, W]."""
        edges, size, count = self._edges, self._edges.shape[0], len(ends)
        rows, columns = np.isfinite(ends).nonzero()
        each = np.bincount(rows, minlength=count).cumsum()
        # What weighs 0 is no edge to scipy.
        weights = np.maximum(ends[rows, columns].astype(np.float64), 1e-9)
        # Only searches begin at these nodes: no edge leads to them.
        joined = csr_matrix(
            (
                np.concatenate([edges.data, weights]),
                np.concatenate([edges.indices, columns]),
                np.concatenate([edges.indptr, edges.indptr[-1] + each]),
            ),
            shape=(size + count,) * 2,
        )
        nodes = np.arange(size, size + count)
        costs, before = dijkstra(joined, indices=nodes, return_predecessors=True)
        return costs[:, :size].astype(np.float32), before[:, :size].astype(np.int32)


def _split(rows: Array) -> list[Array]:
    return [rows[start : start + _AT_ONCE] for start in range(0, max(len(rows), 1), _AT_ONCE)]
