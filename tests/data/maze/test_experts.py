from collections import deque

import numpy as np
import pytest

from langrl.data.maze.experts import maze_experts
from langrl.envs.maze.layouts import load_layout
from langrl.envs.maze.world import move

LAYOUTS = ["blank", "fork", "island", "slit", "blocker", "..#\n#..\n...", ".."]


def walk(name, count=150, **settings):
    layout = load_layout(name)
    return layout, maze_experts(layout, count, np.random.default_rng(0), **settings)


def cell_paths(trajectories):
    """Return the distinct cells that each trajectory visits, in order."""
    cells = [tuple(cell) for cell in np.floor(trajectories.observations).astype(int).tolist()]
    paths, path = [], []
    for cell, last in zip(cells, trajectories.terminals, strict=True):
        if not path or path[-1] != cell:
            path.append(cell)
        if last:
            paths.append(path)
            path = []
    return paths


def breadth_first(walls, start):
    distance, queue = {start: 0}, deque([start])
    while queue:
        row, column = queue.popleft()
        for cell in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
            inside = 0 <= cell[0] < walls.shape[0] and 0 <= cell[1] < walls.shape[1]
            if inside and not walls[cell] and cell not in distance:
                distance[cell] = distance[row, column] + 1
                queue.append(cell)
    return distance


@pytest.mark.parametrize("name", LAYOUTS)
def test_walks_start_at_the_centre_of_a_cell_and_end_in_another(name):
    _, trajectories = walk(name)
    starts = np.append(0, np.flatnonzero(trajectories.terminals)[:-1] + 1)
    assert trajectories.terminals.sum() == len(starts) == 150
    assert (trajectories.observations[starts] % 1 == 0.5).all()
    assert all(path[0] != path[-1] for path in cell_paths(trajectories))


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_step_is_a_move_of_the_maze(name):
    layout, trajectories = walk(name)
    at = trajectories.transitions
    moved = move(layout.walls, trajectories.observations[at], trajectories.actions[at])
    assert np.array_equal(moved, trajectories.observations[at + 1])


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("noise", [0.0, 10.0, 60.0])
def test_walks_keep_to_a_shortest_path(name, noise):
    layout, trajectories = walk(name, 60, angle_noise=noise)
    for path in cell_paths(trajectories):
        assert len(path) - 1 == breadth_first(layout.walls, path[0])[path[-1]]
        assert (np.abs(np.diff(path, axis=0)).sum(1) == 1).all()


def test_actions_are_directions_with_the_noise_asked_for():
    _, exact = walk("..........", angle_noise=0.0)
    used = exact.actions[exact.transitions]
    assert np.allclose(np.abs(used), [0, 1])
    _, noisy = walk("..........", 400, angle_noise=10.0)
    used = noisy.actions[noisy.transitions]
    assert np.allclose(np.linalg.norm(used, axis=1), 1, atol=1e-6)
    here = noisy.observations[noisy.transitions]
    side = np.sign(used[:, 1])
    aim = np.stack([np.full(len(here), 0.5), np.floor(here[:, 1]) + 0.5 + side], 1) - here
    turn = np.arctan2(used[:, 0], used[:, 1]) - np.arctan2(aim[:, 0], aim[:, 1])
    turn = np.rad2deg((turn + np.pi) % (2 * np.pi) - np.pi)
    assert abs(turn.mean()) < 1
    assert turn.std() == pytest.approx(10, rel=0.1)


def test_the_seed_decides_the_walks():
    layout = load_layout("fork")
    one, two, other = (maze_experts(layout, 20, np.random.default_rng(s)) for s in (1, 1, 2))
    assert np.array_equal(one.observations, two.observations)
    assert np.array_equal(one.actions, two.actions)
    assert not np.array_equal(one.observations[:50], other.observations[:50])


def test_starts_and_goals_are_uniform_over_the_other_free_cells():
    _, trajectories = walk("...\n.#.\n...", 5600)
    ends = [(path[0], path[-1]) for path in cell_paths(trajectories)]
    counts = np.unique(np.array(ends).reshape(len(ends), -1), axis=0, return_counts=True)[1]
    assert len(counts) == 8 * 7
    assert ((counts - 100) ** 2 / 100).sum() < 95  # chi-square, 55 degrees of freedom: p = 0.0006


def test_walks_on_the_fork_take_about_as_many_steps_as_published():
    _, trajectories = walk("fork", 2000)
    assert 24 < len(trajectories.observations) / 2000 < 26
