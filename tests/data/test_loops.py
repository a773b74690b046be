"""Loops of trajectories: by hand, and against a search state by state."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from gymnasium import spaces

from langrl.data.config import GoalReplayConfig, RecordedDataConfig
from langrl.data.goal_replay import GoalReplay
from langrl.data.loops import find_loops
from langrl.envs.goal_engine import GoalSpaces


def along(*places):
    return np.array(places, np.float32)[:, None]


def last_of(*lengths):
    last = np.zeros(sum(lengths), bool)
    last[np.cumsum(lengths) - 1] = True
    return last


def test_a_loop_by_hand():
    #                 0    1    2    3    4    5
    achieved = along(0.0, 1.0, 2.0, 1.1, 0.2, 3.0)
    left, until = find_loops(achieved, last_of(6), 0.5)
    assert left.tolist() == [1, 2, 3, 4, 5, 5]
    # 0 is near again at 4, and 1 at 3; no other state is come back to.
    assert until.tolist() == [3, 2, 5, 5, 5, 5]


def test_a_trajectory_that_stays_is_never_left():
    left, until = find_loops(along(0.0, 0.1, 0.2), last_of(3), 1.0)
    assert left.tolist() == until.tolist() == [2, 2, 2]


def test_what_is_as_far_as_the_radius_is_away():
    left, _ = find_loops(along(0.0, 0.5, 1.0), last_of(3), 0.5)
    assert left.tolist() == [1, 2, 2]


def test_trajectories_have_loops_of_their_own():
    achieved = along(0.0, 2.0, 0.0, 0.0, 2.0, 4.0)
    left, until = find_loops(achieved, last_of(3, 3), 0.5)
    assert left.tolist() == [1, 2, 2, 4, 5, 5]
    assert until.tolist() == [1, 2, 2, 5, 5, 5]


def search(achieved, last, radius):
    """Return both, looked for one state after another."""
    left, until = [], []
    ends = np.flatnonzero(last)
    for state in range(len(achieved)):
        end = int(ends[np.searchsorted(ends, state)])
        away = [
            float(np.linalg.norm(achieved[state] - achieved[later])) >= radius
            for later in range(state + 1, end + 1)
        ]
        first = away.index(True) + state + 1 if True in away else None
        left.append(end if first is None else first)
        back = None
        if first is not None and False in away[first - state :]:
            back = first + away[first - state :].index(False) + 1
        until.append(end if back is None else back - 1)
    return left, until


@pytest.mark.parametrize("seed", range(5))
def test_loops_are_those_of_a_search(seed):
    generator = np.random.default_rng(seed)
    last = last_of(*generator.integers(2, 40, 5))
    achieved = np.cumsum(generator.normal(0, 1, (len(last), 2)), 0).astype(np.float32)
    radius = float(generator.uniform(0.5, 4))
    found = find_loops(achieved, last, radius)
    assert [values.tolist() for values in found] == list(search(achieved, last, radius))


# -- what the replay makes of them ---------------------------------------------------------------

BOX = spaces.Box(-9, 9, (1,), np.float32)
ACHIEVED = along(0.0, 1.0, 2.0, 1.1, 0.2, 3.0, 7.0, 8.0, 7.0)
LAST = last_of(6, 3)
ACTIONS = along(1, 2, 4, 8, 16, 0, 32, 64, 0)


def filled(**settings):
    replay = GoalReplay(GoalSpaces(BOX, BOX, BOX), 1, GoalReplayConfig(capacity=9, discount=0.9))
    recorded = SimpleNamespace(
        observations=ACHIEVED,
        actions=ACTIONS,
        achieved=ACHIEVED,
        last=LAST,
        terminated=np.zeros(9, bool),
    )
    replay.fill(recorded, **settings)
    return replay


def drawn(**settings):
    """Return which (state, action, goal) are drawn, each once."""
    batch = filled(**settings).sample(4000, torch.Generator().manual_seed(0))
    return {
        tuple(round(float(batch[name][n]), 4) for name in ("state", "action", "goal"))
        for n in range(4000)
    }


def futures(found, state):
    return {goal for at, _, goal in found if at == round(state, 4)}


def test_without_a_radius_all_later_states_are_goals():
    found = drawn()
    assert futures(found, 0.0) == {1.0, 2.0, 1.1, 0.2, 3.0}
    assert {action for _, action, _ in found} == {1, 2, 4, 8, 16, 32, 64}


def test_goals_lie_before_the_loop_closes():
    found = drawn(loop_radius=0.5)
    assert futures(found, 0.0) == {1.0, 2.0, 1.1}
    assert futures(found, 1.0) == {2.0}
    assert futures(found, 2.0) == {1.1, 0.2, 3.0}
    assert {action for _, action, _ in found} == {1, 2, 4, 8, 16, 32, 64}


def test_actions_are_means_until_the_state_is_left_or_the_goal_is_reached():
    found = {(at, goal): action for at, action, goal in drawn(loop_radius=1.5, mean_actions=True)}
    # 0.0 is left at state 2: actions 1 and 2; its goal 1.0 is reached before, after action 1.
    assert found[0.0, 1.0] == 1.0
    assert found[0.0, 2.0] == 1.5
    # 2.0 is left at state 4, after 4 and 8.
    assert found[2.0, 1.1] == 4.0
    assert found[2.0, 0.2] == 6.0
    # 1.1 is left at the last state; 7.0 never is, and its trajectory ends after 32 and 64.
    assert found[1.1, 0.2] == 8.0
    assert found[1.1, 3.0] == 12.0
    assert found[7.0, 8.0] == 32.0
    assert found[7.0, 7.0] == 48.0


def test_means_need_a_radius():
    with pytest.raises(ValueError, match=r"data\.mean_actions needs data\.loop_radius"):
        RecordedDataConfig(mean_actions=True)
