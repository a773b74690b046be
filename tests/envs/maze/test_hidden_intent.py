import numpy as np
import pytest

from langrl.envs.intents import MODES
from langrl.envs.maze.env import StreetMazeEnv, StreetMazeVectorEnv
from langrl.errors import InstructionError, LangRLError, ShapeError, UnknownNameError

CORRIDOR = "....."  # cells (0, 0) to (0, 4)
EITHER = "column 3 or column 1"
MIDDLE = (0.5, 2.5)
LEFT, RIGHT = (0.0, -1.0), (0.0, 1.0)


def begin(count, intended=None, mode="hidden", **settings):
    envs = StreetMazeVectorEnv(count, CORRIDOR, mode=mode, **settings)
    options = {"instruction": EITHER, "position": MIDDLE}
    if intended is not None:
        options["intended"] = intended
    return envs, envs.reset(seed=0, options=options)[1]


def walk(envs, direction):
    """Walk until every episode is over; rewards [N], and what is reported."""
    while True:
        _, rewards, ended, _, info = envs.step(np.array([direction] * envs.num_envs, np.float32))
        assert ended.all() == ended.any() == info["is_success"].all()
        if ended.all():
            return rewards, info
        assert not rewards.any()


@pytest.mark.parametrize(("direction", "right"), [(LEFT, True), (RIGHT, False)])
def test_arriving_in_a_denoted_cell_commits_to_it(direction, right):
    envs, info = begin(2, [(0, 1), (0, 1)])
    assert not info["intended_success"].any()
    rewards, info = walk(envs, direction)
    np.testing.assert_array_equal(info["intended_success"], [right] * 2)
    np.testing.assert_array_equal(rewards, [float(right)] * 2)


@pytest.mark.parametrize("direction", [LEFT, RIGHT])
def test_in_mode_any_each_denoted_cell_will_do(direction):
    envs, info = begin(2, (0, 1), mode="any")
    assert "intended_success" not in info
    rewards, info = walk(envs, direction)
    np.testing.assert_array_equal(rewards, [1.0, 1.0])
    assert "intended_success" not in info


def test_each_denoted_cell_is_meant_about_equally_often():
    envs, _ = begin(500)
    meant = envs._episodes.intended
    assert (meant.sum((1, 2)) == 1).all()
    assert not (meant & ~envs._episodes.denoted).any()
    assert 200 < meant[:, 0, 1].sum() < 300  # of 500 with p = 1/2: within 4.5 deviations


def test_a_guess_is_right_in_one_of_n():
    envs, info = begin(500)
    np.testing.assert_allclose(info["ambiguity_bits"], 1.0)
    rewards, _ = walk(envs, LEFT)
    assert rewards.mean() == pytest.approx(0.5, abs=0.1)


def test_hidden_intent_changes_what_is_meant_only():
    one, other = (StreetMazeVectorEnv(6, "fork", mode=mode, angle_noise=20.0) for mode in MODES)
    (first, _), (second, _) = one.reset(seed=4), other.reset(seed=4)
    np.testing.assert_array_equal(first["observation"], second["observation"])
    assert first["instruction"] == second["instruction"]


def test_single_and_vector_environment_mean_the_same():
    single, envs = StreetMazeEnv("fork", mode="hidden"), StreetMazeVectorEnv(1, mode="hidden")
    for seed in range(5):
        _, info = single.reset(seed=seed)
        assert info["intended_success"] is False
        envs.reset(seed=seed)
        np.testing.assert_array_equal(single._episodes.intended, envs._episodes.intended)


def test_a_text_beyond_the_grammar_means_nothing():
    envs = StreetMazeVectorEnv(2, CORRIDOR, mode="hidden")
    envs.reset(seed=0, options={"instruction": "dance", "position": MIDDLE})
    assert not envs._episodes.intended.any()


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        (
            {"intended": (0, 2)},
            InstructionError,
            r"\(0, 2\), which the instruction does not denote",
        ),
        ({"intended": (0, 9)}, InstructionError, "which the instruction does not denote"),
        ({"intended": (-1, 1)}, InstructionError, "which the instruction does not denote"),
        ({"intended": (0.0, 1.0)}, ShapeError, "whole numbers"),
        ({"intended": [(0, 1)] * 3}, ShapeError, r"\[2\] or \[2, 2\]"),
        ({"intended": "left"}, ShapeError, "whole numbers"),
        ({"noise_seed": "seven"}, ShapeError, "noise_seed"),
        ({"noise_seed": [1, 2, 3]}, ShapeError, "or 2 of them"),
        ({"noise_seed": -1}, ShapeError, "at least 0"),
    ],
)
def test_a_wrong_option_is_refused_and_changes_nothing(options, error, says):
    envs, _ = begin(2, (0, 1))
    before = envs._episodes.positions.copy(), envs._episodes.intended.copy()
    task = {"instruction": EITHER, "position": (0.5, 0.5)}
    with pytest.raises(error, match=says) as refusal:
        envs.reset(options=task | options)
    assert isinstance(refusal.value, LangRLError)
    np.testing.assert_array_equal(envs._episodes.positions, before[0])
    np.testing.assert_array_equal(envs._episodes.intended, before[1])


@pytest.mark.parametrize(
    ("mode", "says"), [("hiden", "did you mean 'hidden'"), ("disjunctive", "now called 'any'")]
)
def test_an_unknown_mode_is_refused_by_name(mode, says):
    with pytest.raises(UnknownNameError, match=says):
        StreetMazeEnv(mode=mode)


# -- noise of an episode's own -----------------------------------------------------------------


def path(seeds, row, seed=0, steps=6):
    """The positions of one of several agents that all go down, with noise."""
    envs = StreetMazeVectorEnv(len(seeds), "blank", angle_noise=40.0)
    options = {"instruction": "row 9", "position": (1.5, 5.5), "noise_seed": seeds}
    envs.reset(seed=seed, options=options)
    down = np.tile(np.array([1, 0], np.float32), (len(seeds), 1))
    return np.array([envs.step(down)[0]["observation"][row] for _ in range(steps)])


def test_noise_with_a_seed_depends_on_nothing_else():
    alone = path([5], 0)
    np.testing.assert_array_equal(alone, path([3, 4, 5], 2, seed=8))
    assert not np.array_equal(alone, path([6], 0))


def test_seeded_noise_has_the_deviation_that_is_asked_for():
    count = 1000
    envs = StreetMazeVectorEnv(count, "blank", angle_noise=20.0)
    options = {"instruction": "row 9", "position": (5.0, 5.0), "noise_seed": np.arange(count)}
    envs.reset(seed=0, options=options)
    seen = envs.step(np.tile(np.array([1, 0], np.float32), (count, 1)))[0]["observation"]
    angles = np.rad2deg(np.arctan2(seen[:, 1] - 5, seen[:, 0] - 5))
    assert angles.std() == pytest.approx(20, rel=0.1)
    assert abs(angles.mean()) < 3
