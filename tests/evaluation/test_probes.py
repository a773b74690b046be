import numpy as np
import pytest

from langrl.data.grid.experts import GridTrajectories
from langrl.data.grid.exploration import GridExplorations, planner_trajectories
from langrl.envs.grid.grammar import COLOURS, EMPTY, TYPES, WALL
from langrl.envs.grid.rooms import DONE, FORWARD, GRID_WORLDS, LEFT, RIGHT, draw_rooms
from langrl.errors import DomainError, ShapeError
from langrl.evaluation.probes import (
    PENALTIES,
    RidgeProbe,
    Split,
    accuracy,
    explained,
    majority,
    one_hot,
)
from langrl.models.config import CpcConfig
from langrl.models.cpc import CpcDescription, build_cpc
from langrl.tasks.cpc.exploration_probes import (
    KINDS,
    ExplorationStates,
    from_pose,
    kind_of,
    probe_explorations,
    view_features,
)


@pytest.fixture
def generator():
    return np.random.default_rng(0)


def test_what_is_linear_is_read_off(generator):
    fit, test = generator.normal(size=(400, 5)), generator.normal(size=(50, 5))
    weights, offset = generator.normal(size=(5, 2)), np.array([3.0, -1.0])
    probe = RidgeProbe(Split(fit, np.arange(400) // 4, test))
    read = probe.predict(fit @ weights + offset)
    np.testing.assert_allclose(read, test @ weights + offset, atol=1e-2)


def test_the_probe_is_ridge_regression_with_the_best_penalty(generator):
    fit, test = generator.normal(size=(60, 8)) * 3, generator.normal(size=(20, 8))
    groups, targets = np.arange(60) // 3, generator.normal(size=(60, 2)) + fit[:, :2]
    held = groups % 5 == 4
    mean, scale = fit[~held].mean(0), fit[~held].std(0)
    inputs, outputs = (fit[~held] - mean) / scale, targets[~held]
    candidates = []
    for penalty in PENALTIES:
        system = inputs.T @ inputs + penalty * len(inputs) * np.eye(8)
        weights = np.linalg.solve(system, inputs.T @ (outputs - outputs.mean(0)))

        def read(features, weights=weights):
            return (features - mean) / scale @ weights + outputs.mean(0)

        candidates.append((np.square(read(fit[held]) - targets[held]).mean(), read(test)))
    best = min(candidates, key=lambda pair: pair[0])[1]
    np.testing.assert_allclose(RidgeProbe(Split(fit, groups, test)).predict(targets), best)


def test_a_feature_that_never_changes_does_no_harm(generator):
    fit, test = generator.normal(size=(50, 3)), generator.normal(size=(9, 3))
    fit[:, 1] = 7.0
    read = RidgeProbe(Split(fit, np.arange(50), test)).predict(fit[:, :1])
    np.testing.assert_allclose(read, test[:, :1], atol=1e-2)


def test_scores_by_hand():
    scores = one_hot(np.array([0, 2, 1]), 3)
    assert accuracy(scores, np.array([0, 2, 2])) == pytest.approx(2 / 3)
    assert majority(np.array([1, 1, 0]), np.array([1, 0, 0, 0])) == 0.25
    one, other = np.array([[1.0], [3.0]]), np.array([[0.0]])
    mean = np.array([2.0])
    assert explained([one], [one], [mean]) == 1
    assert explained([np.full((2, 1), 2.0)], [one], [mean]) == 0
    assert explained([one, other], [one, np.array([[1.0]])], [mean, mean]) == 1 - 1 / 3


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda f: Split(f, np.arange(8), f[:, :2]), ShapeError, "same features"),
        (lambda f: Split(f, np.arange(7), f), ShapeError, "7 groups for 8 states"),
        (lambda f: Split(f, np.arange(8), f[:0]), ShapeError, "0 states"),
        (lambda f: Split(f, np.zeros(8, int), f), DomainError, "two groups"),
        (lambda f: RidgeProbe(Split(f, np.arange(8), f)).predict(f[:3]), ShapeError, "a row for"),
    ],
)
def test_what_does_not_fit_is_refused(generator, make, error, says):
    with pytest.raises(error, match=says):
        make(generator.normal(size=(8, 3)))


# -- explorations ---------------------------------------------------------------------------------


@pytest.fixture
def exploration():
    """One exploration: a red key behind the agent after it has turned, by hand."""
    room = np.zeros((1, 8, 8, 2), np.uint8)
    room[..., 0] = EMPTY
    room[:, [0, -1]] = room[:, :, [0, -1]] = (WALL, COLOURS["grey"])
    room[0, 2, 4] = (TYPES["key"], COLOURS["red"])
    poses = [(2, 2, 0), (2, 3, 0), (2, 3, 1), (2, 3, 2), (2, 2, 2), (2, 2, 2)]
    actions = [FORWARD, RIGHT, RIGHT, FORWARD, LEFT, DONE]
    poses[5] = (2, 2, 1)
    ends = np.array([False] * 5 + [True])
    segments = GridTrajectories(room, np.zeros(6, int), np.array(poses), np.array(actions), ends)
    return GridExplorations(segments, np.zeros(6, int))


def test_variables_of_a_tour_by_hand(exploration):
    states = ExplorationStates(exploration, 5, 6, 1)
    assert states.at[1].tolist() == [1, 2, 3, 4]
    assert states.index(1).tolist() == [2, 3, 4, 5]
    assert states.turned.tolist() == [0, 0, 1, 2, 2, 1]
    assert states.position.tolist() == [[0, 0], [1, 0], [1, 0], [1, 0], [0, 0], [0, 0]]
    key = kind_of(np.array([TYPES["key"], COLOURS["red"]], np.uint8))
    assert key == 0
    assert states.visible[:, key].tolist() == [True, True, True, False, False, True]
    assert states.seen[:, key].all()
    assert states.in_room[:, key].all()
    assert states.visible.sum() == 4
    hidden, where = states.hidden(int(key))
    assert hidden.tolist() == [False, False, True, True]
    assert where[hidden].tolist() == [[-1, 0], [-2, 0]]  # right behind the agent


def test_cells_are_ahead_and_to_the_right_of_a_pose():
    poses = np.array([[3, 3, turn] for turn in range(4)])
    cells = np.tile([2, 5], (4, 1))  # one up, two to the right on the map
    assert from_pose(poses, cells).tolist() == [[2, -1], [-1, -2], [-2, 1], [1, 2]]


def test_kinds_are_keys_balls_and_boxes_of_a_colour():
    cells = np.array([[t, c] for t in TYPES.values() for c in COLOURS.values()], np.uint8)
    kinds = kind_of(cells)
    assert (kinds[cells[:, 0] == TYPES["door"]] == -1).all()
    assert sorted(kinds[kinds >= 0]) == list(range(KINDS))


def test_a_view_as_numbers_has_one_of_each_sort_in_every_cell(exploration):
    numbers = view_features(exploration.views(7))
    assert numbers.shape == (6, 49 * (7 + 6 + 5))
    assert (numbers.sum(1) == 49 * 3).all()


def test_tours_that_are_too_short_are_refused(exploration):
    with pytest.raises(DomainError, match="none has 9 states"):
        _ = ExplorationStates(exploration, 5, 48, 4).at
    with pytest.raises(DomainError, match="shorter horizon"):
        _ = ExplorationStates(exploration, 5, 4, 2).at


@pytest.fixture(scope="module")
def rows():
    generator = np.random.default_rng(0)
    fit, test = (
        ExplorationStates(
            planner_trajectories(
                draw_rooms(GRID_WORLDS["goto"], count, generator), 1, 5, generator
            ),
            5,
            30,
            2,
        )
        for count in (150, 60)
    )
    config = CpcConfig(embedding=8, context=32, horizon=2, width=16, depth=1)
    description = CpcDescription(observation=(5, 5, 3), actions=4, config=config)
    return probe_explorations(build_cpc(description, 1), build_cpc(description, 2), fit, test)


def test_every_variable_is_scored_at_every_offset(rows):
    offsets = {row["offset"] for row in rows if row["variable"] == "faced"}
    assert offsets == {-2, -1, 0, 1, 2}
    assert {row["features"] for row in rows} == {"context", "code", "untrained context", "view"}
    singles = {"compass", "kinds_seen", "kinds_in_room", "hidden_object"}
    assert {row["variable"] for row in rows} == singles | {
        "faced", "kind_faced", "turned", "position"
    }  # fmt: skip
    assert all(row["states"] > 100 for row in rows)
    assert all(0 <= row["score"] <= 1 for row in rows if row["measure"] == "accuracy")


def score(rows, features, variable, offset=0):
    (row,) = (
        row for row in rows
        if (row["features"], row["variable"], row["offset"]) == (features, variable, offset)
    )  # fmt: skip
    return row["score"] - row["chance"]


def test_a_view_tells_what_is_faced_and_the_compass(rows):
    assert score(rows, "view", "faced") > 0.15
    assert score(rows, "view", "kind_faced") > 0.15
    assert score(rows, "view", "compass") > 0.6
    assert score(rows, "view", "kind_faced", -2) < score(rows, "view", "kind_faced")
