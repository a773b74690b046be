"""Expert trajectories in mazes: shortest paths with action noise.

Axes: ``E`` trajectories, ``F`` free cells, ``L`` cells on a path.
"""

import numpy as np
from numpy.random import Generator

from langrl.data.trajectories import Trajectories, by_walker
from langrl.envs.maze.layouts import Layout
from langrl.envs.maze.world import move, rotate, unit
from langrl.protocols import Floats, Integers


def maze_experts(
    layout: Layout, count: int, generator: Generator, angle_noise: float = 10.0
) -> Trajectories:
    """Walk between uniform random free cells along shortest paths; all at once.

    A walker starts at the centre of a cell and walks towards the centre of the next cell of its
    path, with noise on the angle; a step into a cell off the path is undone and not recorded.

    Args:
        layout: the maze.
        count: number of trajectories; start and goal cells differ.
        generator: source of randomness.
        angle_noise: standard deviation in degrees.

    Returns:
        Trajectories whose actions are unit vectors; the last action of each is zero.

    Source: arXiv:2501.11326, appendix on street mazes.
    """
    cells = layout.free_cells
    start = generator.integers(len(cells), size=count)
    goal = (start + generator.integers(1, len(cells), size=count)) % len(cells)
    paths = _paths(layout, start, goal)  # [E, L]
    positions = (cells[start] + 0.5).astype(np.float32)
    walker, at = np.arange(count), np.zeros(count, int)  # at: index along the path
    record: list[tuple[Integers, Floats, Floats]] = []
    while len(walker):
        here = positions[walker]
        aim = cells[paths[walker, at[walker] + 1]] + 0.5
        angles = generator.normal(0, np.deg2rad(angle_noise), len(walker))
        directions = rotate(unit(aim - here), angles)
        there = move(layout.walls, here, directions)
        row, column = np.floor(there).astype(int).T
        cell = layout.cell_index[row, column]
        advanced = cell == paths[walker, at[walker] + 1]
        kept = advanced | (cell == paths[walker, at[walker]])
        record.append((walker[kept], here[kept], directions[kept]))
        positions[walker[kept]] = there[kept]
        at[walker[advanced]] += 1
        walker = walker[paths[walker, at[walker]] != goal[walker]]
    record.append((np.arange(count), positions, np.zeros((count, 2), np.float32)))
    walkers, states, directions = by_walker(record)
    terminals = np.append(walkers[1:] != walkers[:-1], True)
    return Trajectories(states, directions, terminals)


def _paths(layout: Layout, start: Integers, goal: Integers) -> Integers:
    """Return shortest paths [E, L] as cell numbers; the goal fills what is left of a row."""
    steps = [start]
    for _ in range(int(layout.distances[start, goal].max())):
        onward = layout.next_cells[goal, steps[-1]]
        steps.append(np.where(steps[-1] == goal, goal, onward))
    return np.stack(steps, 1)
