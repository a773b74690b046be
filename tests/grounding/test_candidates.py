import numpy as np
import pytest
from scipy.stats import chisquare

from langrl.envs.grid.rooms import GRID_WORLDS, draw_rooms, is_free, list_poses, move, observe
from langrl.errors import ShapeError
from langrl.grounding.candidates import (
    CellWeights,
    ListedCandidates,
    ReachablePoses,
    ReplayedCandidates,
    SampledCandidates,
)


def test_candidates_are_drawn_for_each_episode(world):
    goals, log_weights = SampledCandidates(world.sample_states, 7).draw(
        np.zeros((3, 2)), np.random.default_rng(0)
    )
    assert goals.shape == (3, 7, 2)
    assert goals.dtype == log_weights.dtype == np.float32
    assert np.array_equal(log_weights, np.zeros((3, 7)))
    assert len(np.unique(goals.reshape(-1, 2), axis=0)) == 21
    assert world.inside(goals.reshape(-1, 2), ~world.walls).all()


def test_the_generator_decides_the_candidates(world):
    candidates = SampledCandidates(world.sample_states, 5)
    one, two, other = (
        candidates.draw(np.zeros((2, 2)), np.random.default_rng(s))[0] for s in (1, 1, 2)
    )
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)


def test_weights_are_those_of_the_goals():
    candidates = SampledCandidates(
        lambda count, generator: generator.random((count, 2)).astype(np.float32),
        4,
        log_weight=lambda goals: goals[..., 0] - goals[..., 1],
    )
    goals, log_weights = candidates.draw(np.zeros((3, 2)), np.random.default_rng(0))
    assert np.array_equal(log_weights, goals[..., 0] - goals[..., 1])


def test_cell_weights_worked_by_hand():
    weights = CellWeights(np.array([[0.5, 0.25], [0.25, 0.0]]))  # three free cells, one wall
    positions = np.array([[[0.0, 0.9], [0.3, 1.2]], [[1.9, 0.1], [0.99, 0.99]]], np.float32)
    expected = np.log([[1.5, 0.75], [0.75, 1.5]])
    assert weights(positions) == pytest.approx(expected, abs=1e-6)
    assert weights(positions).dtype == np.float32


def test_a_uniform_density_weighs_nothing(world):
    free = ~world.walls
    positions = world.sample_states(50, np.random.default_rng(0))
    assert CellWeights(free / free.sum())(positions) == pytest.approx(np.zeros(50), abs=1e-6)


def test_weighted_uniform_candidates_have_the_density(world):
    generator = np.random.default_rng(0)
    density = np.where(world.walls, 0, generator.random(world.walls.shape) + 0.1)
    density /= density.sum()
    candidates = SampledCandidates(world.sample_states, 20_000, CellWeights(density))
    goals, log_weights = candidates.draw(np.zeros((1, 2)), generator)
    share = np.zeros_like(density)
    rows, columns = np.floor(goals[0]).astype(int).T
    np.add.at(share, (rows, columns), np.exp(log_weights[0]) / 20_000)
    assert share == pytest.approx(density, abs=0.01)


# -- visited before, listed, reachable -------------------------------------------------------

STATES = np.arange(15, dtype=np.float32).reshape(5, 3)


def test_replayed_candidates_are_states_that_were_visited_equally_often():
    goals, log_weights = ReplayedCandidates(STATES, 2000).draw(
        np.zeros((3, 8, 8, 3)), np.random.default_rng(0)
    )
    assert goals.shape == (3, 2000, 3)
    assert goals.dtype == STATES.dtype
    assert log_weights.dtype == np.float32
    assert np.array_equal(log_weights, np.zeros((3, 2000)))
    for episode in goals:
        rows, counts = np.unique(episode, axis=0, return_counts=True)
        assert np.array_equal(rows, STATES)
        assert chisquare(counts).pvalue > 1e-3
    assert not np.array_equal(goals[0], goals[1])


def test_states_visited_more_often_are_replayed_more_often():
    states = STATES[[0, 0, 0, 1]]
    goals, _ = ReplayedCandidates(states, 4000).draw(np.zeros((1, 2)), np.random.default_rng(0))
    assert (goals == STATES[0]).all(-1).mean() == pytest.approx(0.75, abs=0.03)


def test_listed_candidates_are_the_same_in_every_episode():
    weights = np.log([0.5, 1.0, 1.5, 1.0, 1.0])
    goals, log_weights = ListedCandidates(STATES, weights).draw(
        np.zeros((2, 7)), np.random.default_rng(0)
    )
    assert np.array_equal(goals, [STATES, STATES])
    assert goals.dtype == STATES.dtype
    assert np.array_equal(log_weights, np.float32([weights, weights]))
    assert log_weights.dtype == np.float32
    goals, log_weights = ListedCandidates(STATES.tolist()).draw(
        np.zeros((2, 7)), np.random.default_rng(1)
    )
    assert np.array_equal(goals, [STATES, STATES])
    assert np.array_equal(log_weights, np.zeros((2, 5)))


def test_listed_candidate_may_be_ruled_out():
    _, log_weights = ListedCandidates(STATES[:2], np.array([0, -np.inf])).draw(
        np.zeros((1, 2)), np.random.default_rng(0)
    )
    assert np.array_equal(log_weights, [[0, -np.inf]])


@pytest.mark.parametrize(
    "make",
    [
        lambda: ReplayedCandidates(STATES, 5),
        lambda: ListedCandidates(STATES, np.zeros(5)),
        ReachablePoses,
    ],
)
def test_drawn_candidates_are_the_callers_to_change(make):
    observations = observe(ROOM[None].repeat(2, 0), np.array([[1, 1, 0], [1, 2, 3]]))
    candidates, before = make(), observations.copy()
    first = candidates.draw(observations, np.random.default_rng(0))
    kept = [values.copy() for values in first]
    for values in first:
        values[:] = 99
    for values, expected in zip(
        candidates.draw(observations, np.random.default_rng(0)), kept, strict=True
    ):
        assert np.array_equal(values, expected)
    assert np.array_equal(observations, before)
    assert np.array_equal(STATES, np.arange(15).reshape(5, 3))


def test_the_generator_decides_what_is_replayed():
    candidates = ReplayedCandidates(STATES, 9)
    one, two, other = (
        candidates.draw(np.zeros((2, 2)), np.random.default_rng(s))[0] for s in (1, 1, 2)
    )
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ReplayedCandidates(STATES, 4),
        lambda: ListedCandidates(STATES),
        pytest.param(ReachablePoses),
    ],
)
def test_no_episodes_have_no_candidates(make):
    goals, log_weights = make().draw(np.zeros((0, 5, 5, 3), np.uint8), np.random.default_rng(0))
    assert len(goals) == len(log_weights) == 0
    assert goals.shape[:2] == log_weights.shape


@pytest.mark.parametrize("make", [lambda goals: ReplayedCandidates(goals, 3), ListedCandidates])
@pytest.mark.parametrize(
    ("goals", "got"),
    [(STATES[0], r"\[3\]"), (STATES[None], r"\[1, 5, 3\]"), (STATES[:0], r"\[0, 3\]")],
)
def test_candidates_of_another_shape_are_refused(make, goals, got):
    with pytest.raises(ShapeError, match=rf"\[M, S\] with at least one row, got {got}"):
        make(goals)


@pytest.mark.parametrize("weights", [np.zeros(4), np.zeros((5, 1)), np.float32(0)])
def test_weights_of_another_number_than_the_goals_are_refused(weights):
    with pytest.raises(ShapeError, match=r"log_weights must be \[5\], one per goal"):
        ListedCandidates(STATES, weights)


def room_of(image):
    """A room of walls ``#``, doors ``D``, keys ``K`` and empty cells."""
    kinds = {"#": 2, "D": 4, "K": 5, ".": 1}
    types = np.array([[kinds[cell] for cell in row] for row in image.split()], np.uint8)
    return np.stack([types, np.zeros_like(types)], -1)


ROOM = room_of("##### #..K# ##D## #K..# #####")
SPLIT = room_of("##### #..K# ##K## #K..# #####")


def reachable(room, pose):
    goals, log_weights = ReachablePoses().draw(
        observe(room[None], np.array([pose])), np.random.default_rng(0)
    )
    return goals[0], log_weights[0]


def test_reachable_poses_of_hand_made_rooms():
    # Four directions in each cell; there are 9 cells within the outer walls.
    above, below = [(1, 1), (1, 2)], [(3, 2), (3, 3)]
    for room, pose, cells in (
        (ROOM, (1, 1, 0), [*above, (2, 2), *below]),  # through the door
        (SPLIT, (1, 1, 0), above),  # what is walled off is no candidate
        (SPLIT, (1, 2, 3), above),
        (SPLIT, (3, 3, 2), below),
    ):
        goals, log_weights = reachable(room, pose)
        assert goals.shape == (36, 3)
        assert log_weights.shape == (36,)
        assert log_weights.dtype == np.float32
        found = goals[log_weights == 0].tolist()
        assert found == [[*cell, direction] for cell in cells for direction in range(4)]
        assert (log_weights[4 * len(cells) :] == -np.inf).all()
        assert is_free(room)[goals[:, 0], goals[:, 1]].all()  # rows to spare are poses, too


@pytest.mark.parametrize("name", GRID_WORLDS)
def test_every_free_pose_of_a_drawn_room_is_reachable(name):
    rooms = draw_rooms(GRID_WORLDS[name], 8, np.random.default_rng(0))
    poses = np.stack([list_poses(free)[n] for n, free in enumerate(is_free(rooms))])
    goals, log_weights = ReachablePoses().draw(observe(rooms, poses), np.random.default_rng(1))
    inside = GRID_WORLDS[name].size - 2
    assert goals.shape == (8, 4 * inside**2, 3)  # whatever the number of objects
    for n, free in enumerate(is_free(rooms)):
        assert np.array_equal(goals[n][log_weights[n] == 0], list_poses(free))
        assert set(np.unique(log_weights[n])) == {0, -np.inf}


def test_reachable_poses_are_those_that_some_walk_arrives_at():
    generator = np.random.default_rng(0)
    pose = np.array([[1, 1, 2]])
    free, visited = is_free(ROOM)[None], set()
    for action in generator.choice(3, 3000, p=[0.25, 0.25, 0.5]):
        visited.add(tuple(pose[0].tolist()))
        pose = move(free, pose, np.array([action]))
    goals, log_weights = reachable(ROOM, (1, 1, 2))
    assert {tuple(goal) for goal in goals[log_weights == 0].tolist()} == visited


def test_reachable_poses_need_observations_of_a_grid_world():
    seen = observe(ROOM[None], np.array([[1, 1, 0]]))
    seen[..., 2] = 0
    with pytest.raises(ShapeError, match="give observations of a grid world"):
        ReachablePoses().draw(seen, np.random.default_rng(0))


def test_reachable_poses_of_another_world_are_refused():
    with pytest.raises(ShapeError, match="give observations of a grid world"):
        ReachablePoses().draw(np.zeros((3, 2), np.float32), np.random.default_rng(0))
