import itertools
import math
import warnings

import numpy as np
import pytest

from langrl.envs.maze.env import StreetMazeEnv, StreetMazeVectorEnv
from langrl.envs.maze.layouts import LAYOUTS
from langrl.envs.maze.world import StreetMaze, move, rotate, unit
from langrl.errors import LangRLError, ShapeError
from langrl.protocols import MAX_INSTRUCTION_LENGTH

FORK = StreetMaze("fork")
DIAGONAL = math.sqrt(0.5)
UP, DOWN, LEFT, RIGHT = (-1, 0), (1, 0), (0, -1), (0, 1)
STEP_POINT = 0.5 / 24  # cells between two of the points at which walls are looked for


def walk(walls, position, direction):
    """One step, point by point, in the same precision."""
    last = position
    for point in range(1, 25):
        fraction = np.float32(point / 24 * 0.5)
        row, column = position[0] + direction[0] * fraction, position[1] + direction[1] * fraction
        cell = math.floor(row), math.floor(column)
        outside = not (0 <= cell[0] < walls.shape[0] and 0 <= cell[1] < walls.shape[1])
        if outside or walls[cell]:
            break
        last = row, column
    return last


def step_from(layout, position, direction):
    """Where one step leads in a maze."""
    env = StreetMazeEnv(layout)
    env.reset(seed=0, options={"position": position})
    return env.step(np.array(direction, np.float32))[0]["observation"]


# -- movement ------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", [UP, DOWN, LEFT, RIGHT, (DIAGONAL, -DIAGONAL)])
def test_free_step_goes_half_a_cell(direction):
    end = step_from("blank", (5.3, 5.6), direction)
    expected = [5.3 + 0.5 * direction[0], 5.6 + 0.5 * direction[1]]
    np.testing.assert_allclose(end, expected, atol=1e-6)


def test_wall_blocks_a_straight_step():
    end = step_from("fork", (0.9, 2.5), DOWN)  # wall from row 1; point 5 would be at 1.004
    np.testing.assert_allclose(end, (0.9 + 4 * STEP_POINT, 2.5), atol=1e-6)


def test_wall_blocks_a_diagonal_step():
    along = DIAGONAL * STEP_POINT
    # row 1 is entered at point 4, still in column 9, a wall: not even the column changes further
    end = step_from("fork", (0.95, 9.9), (DIAGONAL, DIAGONAL))
    np.testing.assert_allclose(end, (0.95 + 3 * along, 9.9 + 3 * along), atol=1e-6)


def test_diagonal_step_around_a_corner_passes():
    # column 10 is entered at point 4, row 1 at point 7, where column 10 is free
    end = step_from("fork", (0.9, 9.95), (DIAGONAL, DIAGONAL))
    np.testing.assert_allclose(end, (0.9 + 0.5 * DIAGONAL, 9.95 + 0.5 * DIAGONAL), atol=1e-6)


def test_step_that_starts_against_a_wall_stays():
    np.testing.assert_array_equal(step_from("fork", (2.0, 3.5), UP), (2.0, 3.5))


@pytest.mark.parametrize(
    ("position", "direction", "end"),
    [
        ((0.1, 5.0), UP, (0.1 - 4 * STEP_POINT, 5.0)),
        ((9.9, 5.0), DOWN, (9.9 + 4 * STEP_POINT, 5.0)),
        ((5.0, 0.1), LEFT, (5.0, 0.1 - 4 * STEP_POINT)),
        ((5.0, 9.9), RIGHT, (5.0, 9.9 + 4 * STEP_POINT)),
    ],
)
def test_outside_of_the_maze_is_wall(position, direction, end):
    np.testing.assert_allclose(step_from("blank", position, direction), end, atol=1e-6)


def test_step_onto_the_edge_of_the_maze_stays_inside():
    end = step_from("blank", (9.5, 5.0), DOWN)  # the 24th point is at 10.0, outside
    np.testing.assert_allclose(end, (9.5 + 23 * STEP_POINT, 5.0), atol=1e-6)


def test_zero_action_stays():
    np.testing.assert_array_equal(step_from("fork", (2.25, 3.5), (0, 0)), (2.25, 3.5))


@pytest.mark.parametrize("length", [1e-30, 1e-6, 0.3, 7.0, 1e30])
def test_length_of_the_action_is_ignored(length):
    direction = np.array([0.6, -0.8])
    end = step_from("blank", (5.5, 5.5), length * direction)
    np.testing.assert_allclose(end, 5.5 + 0.5 * direction, atol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_action_that_is_not_finite_is_an_error(bad):
    single, vector = StreetMazeEnv(), StreetMazeVectorEnv(1)
    single.reset(seed=0), vector.reset(seed=0)
    with pytest.raises(LangRLError, match="action is not finite"):
        single.step(np.array([bad, 0.0]))
    with pytest.raises(LangRLError, match="action is not finite"):
        vector.step(np.array([[0.0, bad]]))


@pytest.mark.parametrize("shape", [(), (1,), (3,), (1, 2), (2, 2)])
def test_action_of_another_shape_is_refused(shape):
    env = StreetMazeEnv("blank")
    env.reset(seed=0)
    with pytest.raises(ShapeError, match="action"):
        env.step(np.zeros(shape))


@pytest.mark.parametrize("shape", [(2,), (1, 2), (4, 2), (3, 1), (3, 3), (3, 2, 1)])
def test_actions_of_another_shape_are_refused(shape):
    envs = StreetMazeVectorEnv(3, "blank")
    envs.reset(seed=0)
    with pytest.raises(ShapeError, match="action"):
        envs.step(np.zeros(shape))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_moves_equal_walking_point_by_point(layout):
    world, generator = StreetMaze(layout), np.random.default_rng(0)
    count = 1000
    positions = world.sample_states(count, generator)
    positions[: count // 4] = np.floor(positions[: count // 4] * 4) / 4  # edges and corners, too
    directions = unit(generator.normal(size=(count, 2)))
    compass = np.array([*itertools.product((-1, 0, 1), repeat=2)], np.float32)
    directions[::2] = unit(compass)[generator.integers(9, size=count // 2)]
    expected = [walk(world.walls, *pair) for pair in zip(positions, directions, strict=True)]
    before = positions.copy()
    np.testing.assert_array_equal(move(world.walls, positions, directions), expected)
    np.testing.assert_array_equal(positions, before)


@pytest.mark.parametrize("layout", [*LAYOUTS, "..\n..", "....", "..#..\n.##..\n.....\n##.#."])
def test_no_walk_ever_enters_a_wall(layout):
    world, generator = StreetMaze(layout), np.random.default_rng(1)
    positions = world.sample_states(200, generator)
    headings = unit(generator.normal(size=(200, 2)))
    for _ in range(40):
        positions = move(world.walls, positions, rotate(headings, generator.normal(size=200)))
        assert world.inside(positions, ~world.walls).all()


def test_rotation_by_a_right_angle_turns_down_into_right():
    turned = rotate(np.array([DOWN, RIGHT], np.float32), np.full(2, np.pi / 2))
    np.testing.assert_allclose(turned, [RIGHT, UP], atol=1e-6)


# -- the world -----------------------------------------------------------------------------------


def test_states_are_uniform_over_the_free_cells():
    states = FORK.sample_states(15_500, np.random.default_rng(0))
    assert states.dtype == np.float32
    counts = np.zeros((15, 15), int)
    np.add.at(counts, tuple(np.floor(states).astype(int).T), 1)
    assert (counts[FORK.walls] == 0).all()
    assert counts[~FORK.walls].min() > 60  # 100 expected, standard deviation 10
    assert counts[~FORK.walls].max() < 145
    offsets = states % 1
    np.testing.assert_allclose(offsets.mean(0), 0.5, atol=0.01)


def test_denotation_of_goals():
    goals = [[3.0, 12.5], [3.99, 10.01], [4.0, 12.5], [3.5, 2.5], [-0.5, 3.0], [3.5, 15.0]]
    expected = [True, True, False, False, False, False]  # the fourth is in a wall
    np.testing.assert_array_equal(FORK.denotation(np.array(goals), "go to row 3"), expected)


def test_goals_that_are_nowhere_satisfy_nothing():
    goals = np.array([[np.nan, 0.5], [0.5, np.nan], [np.inf, 0.5], [0.5, -np.inf], [0.5, 1e30]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not FORK.denotation(goals, "row 0").any()


def test_denotation_of_unknown_text_is_none():
    assert FORK.denotation(np.zeros((2, 2)), "dance") is None


@pytest.mark.parametrize("shape", [(2,), (3, 3), (1, 2, 2)])
def test_denotation_of_goals_of_another_shape_is_refused(shape):
    with pytest.raises(ShapeError, match=r"goals must be \[M, 2\]"):
        FORK.denotation(np.zeros(shape), "row 3")


def test_environments_denote_what_their_world_denotes():
    goals = FORK.sample_states(50, np.random.default_rng(0))
    expected = FORK.denotation(goals, "row 2 or column 12")
    assert 0 < expected.sum() < 50
    for env in (StreetMazeEnv("fork"), StreetMazeVectorEnv(2, "fork")):
        np.testing.assert_array_equal(env.denotation(goals, "row 2 or column 12"), expected)


@pytest.mark.parametrize(
    ("text", "cells", "steps"),
    [
        ("row 0", 15, 0),
        ("row 2", 15, 24),  # along row 0 to column 10, two down: 12 cells
        ("row 3", 5, 26),
        ("column 11", 15, 22),
        ("row 2 and column 0", 1, 44),
        ("row 2 or column 11", 29, 22),
    ],
)
def test_ambiguity_and_shortest_way_of_hand_worked_instructions(text, cells, steps):
    _, info = StreetMazeEnv("fork").reset(options={"position": (0.5, 0.5), "instruction": text})
    assert info["ambiguity_bits"] == pytest.approx(math.log2(cells))
    assert info["shortest_steps"] == steps
    assert info["is_success"] is False


def test_shortest_steps_of_an_empty_mask_are_nan():
    masks = np.zeros((2, 15, 15), bool)
    masks[1, 0, 3] = True
    steps = FORK.shortest_steps(np.full((2, 2), 0.5, np.float32), masks)
    np.testing.assert_array_equal(steps, [np.nan, 6])


@pytest.mark.parametrize("phrasing", ["seen", "held_out"])
def test_instruction_space_samples_what_it_contains(phrasing):
    space = StreetMazeEnv("fork", ("corner", "either"), phrasing).observation_space["instruction"]
    space.seed(0)
    samples = [space.sample() for _ in range(20)]
    assert all(text in space for text in samples)
    assert {FORK.grammar.parse(text)[0] for text in samples} == {"corner", "either"}
    space.seed(0)
    assert [space.sample() for _ in range(20)] == samples


def test_instruction_space_contains_every_usable_text_and_nothing_else():
    space = StreetMazeEnv("fork", ("row",)).observation_space["instruction"]
    for text in ("go to row 3", "https://example.org", "Ünïcödé", "dance\nnow"):
        assert text in space
    for wrong in ("", "  ", 3, None, b"row 3", "\x00", "x" * (MAX_INSTRUCTION_LENGTH + 1)):
        assert wrong not in space
