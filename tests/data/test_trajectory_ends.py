"""Everything that ends a trajectory counts, whatever the array is called."""

import numpy as np
import pytest
import torch

from langrl.data.grid.experts import GridTrajectories
from langrl.data.maze.experts import maze_experts
from langrl.data.replay import geometric_futures
from langrl.data.trajectories import END_ARRAYS, Trajectories, ends_of, load_trajectories
from langrl.envs.maze.layouts import load_layout
from langrl.envs.maze.world import STEP_SIZE
from langrl.errors import TrajectoryError

COUNT, SOLVED = 400, 49


@pytest.fixture(scope="module")
def experts():
    return maze_experts(load_layout("fork"), COUNT, np.random.default_rng(0))


def d4rl(experts):
    """Return the experts as D4RL stores them: 49 reach a goal, the clock ends the others."""
    last = np.flatnonzero(experts.terminals)
    solved = np.append(np.random.default_rng(1).choice(last[:-1], SOLVED - 1, False), last[-1])
    terminals = np.zeros(len(experts.terminals), bool)
    terminals[solved] = True
    return {
        "observations": experts.observations,
        "actions": experts.actions,
        "terminals": terminals,
        "timeouts": experts.terminals & ~terminals,
    }


def load(folder, **arrays):
    np.savez(folder / "mine.npz", **arrays)
    return load_trajectories(folder / "mine.npz", 2, 2)


def share_of_foreign_goals(experts, ends):
    """Return how often a relabelled goal lies in another trajectory than its state."""
    index = torch.from_numpy(experts.transitions)
    generator = torch.Generator().manual_seed(0)
    future = geometric_futures(index, torch.from_numpy(ends)[index], 0.95, "clip", generator)
    return float(np.mean(experts.ends[index] != experts.ends[future]))


def test_ends_by_the_clock_count_beside_ends_of_the_task(experts, tmp_path):
    arrays = d4rl(experts)
    loaded = load(tmp_path, **arrays)
    assert loaded.terminals.sum() == COUNT
    assert np.array_equal(loaded.ends, experts.ends)
    assert share_of_foreign_goals(experts, loaded.ends) == 0
    alone = Trajectories(arrays["observations"], arrays["actions"], arrays["terminals"])
    assert share_of_foreign_goals(experts, alone.ends) > 0.3  # what reading one array would do


@pytest.mark.parametrize("name", END_ARRAYS)
def test_an_array_of_ends_is_read_by_each_of_its_names(experts, tmp_path, name):
    arrays = {"observations": experts.observations, "actions": experts.actions}
    loaded = load(tmp_path, **arrays, **{name: experts.terminals.astype(np.float64)})
    assert np.array_equal(loaded.terminals, experts.terminals)


def test_ends_are_joined_over_all_arrays():
    arrays = {name: np.eye(6)[n] for n, name in enumerate(END_ARRAYS)}
    arrays |= {"rewards": np.ones(6), "infos/qpos": np.zeros((6, 3)), "rendered": np.arange(6)}
    assert ends_of(arrays, 6).tolist() == [True] * 5 + [False]


@pytest.mark.parametrize("value", [np.nan, 0.5, 7, -1])
@pytest.mark.parametrize("name", END_ARRAYS)
def test_a_mark_that_is_neither_0_nor_1_is_named_by_index(name, value):
    marks = np.array([0, value, 1])
    with pytest.raises(TrajectoryError, match=rf"{name}\[1\] is {marks[1]}; write 1 at the last"):
        ends_of({name: marks}, 3)


@pytest.mark.parametrize("name", ["done", "is_last", "truncated", "episode_starts", "time_out"])
@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_marks_under_another_name_are_refused_by_that_name(name, shape):
    marks = np.array([0, 1, 0, 1])
    with pytest.raises(TrajectoryError, match=f"{name} looks as if it marked ends.*'dones'"):
        ends_of({"terminals": marks, name: marks.reshape(shape)}, 4)


def test_the_lengths_and_types_of_all_marks_are_checked():
    with pytest.raises(TrajectoryError, match="mixed lengths: observations 4, timeouts 3"):
        ends_of({"terminals": np.eye(4)[3], "timeouts": np.zeros(3)}, 4)
    with pytest.raises(TrajectoryError, match=r"timeouts must have 1 axes, got shape \[4, 1\]"):
        ends_of({"timeouts": np.zeros((4, 1))}, 4)
    with pytest.raises(TrajectoryError, match="timeouts holds <U1, not numbers"):
        ends_of({"timeouts": np.array(["0", "1"])}, 2)


def test_the_advice_for_missing_ends_is_to_mark_every_trajectory(experts, tmp_path):
    arrays = d4rl(experts) | {"terminals": np.zeros(len(experts.terminals), bool)}
    del arrays["timeouts"]
    with pytest.raises(TrajectoryError, match=r"0 others do.*every trajectory.*timeouts") as error:
        load(tmp_path, **arrays)
    assert "[-1]" not in str(error.value)


@pytest.mark.parametrize("marks", [np.array([0, 1, 0, 1]), np.array([0.0, 1.0, 0.0, 1.0])])
def test_marks_in_memory_are_bool(marks):
    with pytest.raises(TrajectoryError, match=r"terminals must be bool.*ends_of"):
        Trajectories(np.zeros((4, 2), np.float32), np.zeros((4, 2), np.float32), marks)
    room, poses, rooms = np.zeros(4, int), np.zeros((4, 3), int), np.zeros((1, 4, 4, 2), np.uint8)
    with pytest.raises(TrajectoryError, match="terminals bool"):
        GridTrajectories(rooms, room, poses, room, marks)


def test_a_move_longer_than_a_step_is_refused_within_a_trajectory_only(experts):
    experts.check_moves(STEP_SIZE)  # also where it goes on in another place
    first = np.flatnonzero(experts.terminals)[0]
    joined = experts.terminals.copy()
    joined[first] = False
    apart = np.linalg.norm(experts.observations[first + 1] - experts.observations[first])
    assert apart > STEP_SIZE
    long = Trajectories(experts.observations, experts.actions, joined)
    with pytest.raises(TrajectoryError, match=rf"observations\[{first}\] and \[{first + 1}\]") as e:
        long.check_moves(STEP_SIZE)
    assert f"set timeouts[{first}] to 1" in str(e.value)


def test_trajectories_that_run_into_one_another_are_refused_by_training(experts, tmp_path, fails):
    arrays = d4rl(experts)
    del arrays["timeouts"]
    np.savez(tmp_path / "mine.npz", **arrays)
    command = ["train", "--config", "street-fork", "--out", tmp_path / "run"]
    error = fails(*command, "--trajectories", tmp_path / "mine.npz")
    assert "mine.npz: observations[" in error
    assert "longest step is 0.5; set timeouts[" in error


@pytest.mark.parametrize("name", ["weekend", "infos/gender", "attend", "goal_rendered", "pretrend"])
def test_other_flags_than_ends_are_no_ends(name):
    arrays = {"terminals": np.array([0, 0, 1]), name: np.array([1, 0, 1])}
    assert ends_of(arrays, 3).tolist() == [False, False, True]


@pytest.mark.parametrize("name", ["is_last", "infos/ends", "episode_starts", "is_terminal", "Done"])
def test_flags_that_may_be_ends_are_refused(name):
    arrays = {"terminals": np.array([0, 0, 1]), name: np.array([1, 0, 1])}
    with pytest.raises(TrajectoryError, match=f"{name} looks as if it marked ends"):
        ends_of(arrays, 3)
