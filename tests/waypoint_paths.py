"""Shortest paths between two waypoints of a graph."""

import numpy as np


def ways_between(graph, ends):
    """Return the paths to waypoints themselves."""
    costs = np.full((len(ends), len(graph.waypoints)), np.inf, np.float32)
    costs[np.arange(len(ends)), ends] = 0
    return graph.paths.to_goals(costs)


def path_between(graph, start, end):
    """Return the waypoints on a shortest path, both ends included."""
    return ways_between(graph, [end]).path(0, start)
