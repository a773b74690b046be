"""Counting episodes that reach their goals: by scripts of what environments report."""

import numpy as np
import pytest
from gymnasium import spaces
from toy_goal_worlds import LIMIT

from langrl.envs.goal_engine import GoalSpaces, Moved, Seen
from langrl.envs.goal_vector import GoalVector
from langrl.evaluation.goal_reaching import (
    GoalEpisodes,
    concatenate,
    reach_goals,
    summarise_goals,
)

BOX = spaces.Box(-1, 1, (1,), np.float32)


class Scripted:
    """Rows that run through episodes: lists of (success, reward), one of each step.

    With ``waits``, a row shows a new episode one step after its end, and ignores that action.
    """

    def __init__(self, rows, shortest=4.0, waits=False):
        self.rows, self.num_envs, self.waits = rows, len(rows), waits
        self.spaces = GoalSpaces(BOX, BOX, BOX)
        self.at = np.zeros((self.num_envs, 2), int)  # episode, step
        self.over = np.zeros(self.num_envs, bool)
        self.shortest = shortest

    def reset(self):
        return self._seen()

    def _seen(self):
        zeros = np.zeros((self.num_envs, 1), np.float32)
        return Seen(zeros, zeros, zeros)

    def shortest_steps(self):
        return self.shortest + self.at[:, 0]

    def step(self, actions):
        count = self.num_envs
        acted, started = ~self.over, self.over.copy()
        reward, success = np.zeros(count), np.zeros(count, bool)
        ended = np.zeros(count, bool)
        for row in range(count):
            if self.over[row]:
                self.over[row] = False
                continue
            episodes = self.rows[row]
            episode = episodes[self.at[row, 0] % len(episodes)]
            success[row], reward[row] = episode[self.at[row, 1]]
            self.at[row, 1] += 1
            if self.at[row, 1] == len(episode):
                ended[row] = True
                self.at[row] = self.at[row, 0] + 1, 0
        if self.waits:
            self.over |= ended
        else:
            started = ended
        seen = self._seen()
        none = np.zeros(count, bool)
        return Moved(
            seen, acted, reward, none, ended, success, seen.observation, seen.achieved, started
        )


def still(observations):
    assert set(observations) == {"observation", "achieved_goal", "desired_goal"}
    return np.zeros((len(observations["observation"]), 1), np.float32)


NO, YES = (False, -1.0), (True, 2.0)
ROWS = [
    [[NO, YES, NO, YES], [NO]],  # reached in the second of four steps; then not at all
    [[YES], [NO, NO, YES]],
]


@pytest.mark.parametrize("waits", [False, True])
def test_episodes_are_counted_by_hand(waits):
    found = reach_goals(Scripted(ROWS, waits=waits), still, 4)
    assert found.success.tolist() == [True, False, True, True]
    assert found.steps.tolist() == [2, 1, 1, 3]
    assert found.returns.tolist() == [2.0, -1.0, 2.0, 0.0]
    assert found.shortest_steps.tolist() == [4, 5, 4, 5]


def test_short_episodes_do_not_count_more_often():
    rows = [[[NO] * 9], [[YES]]]  # one row is over nine times as often
    for episodes in (3, 4):  # rounded up to a multiple of the rows
        found = reach_goals(Scripted(rows), still, episodes)
        assert found.success.tolist() == [False, False, True, True]


def test_finished_episodes_are_reported():
    told = []
    reach_goals(Scripted(ROWS), still, 4, lambda done, count: told.append((done, count)))
    assert [count for _, count in told] == [4] * len(told)
    done = [done for done, _ in told]
    assert done == sorted(done)
    assert done[-1] == 4


def test_rows_and_seeds_decide_the_episodes_of_a_world():
    vectors = [GoalVector("toys/Line-v0", 2, seed=seed) for seed in (3, 3, 4)]
    unit = np.zeros((2, 2), np.float32)
    found = [reach_goals(vector, lambda _: unit, 6) for vector in vectors]
    assert found[0].steps.tolist() == found[1].steps.tolist()
    assert found[0].steps.tolist() != found[2].steps.tolist()
    assert found[0].steps.max() <= LIMIT
    assert np.isnan(found[0].shortest_steps).all()


def episodes_of(success, steps, shortest):
    return GoalEpisodes(
        success=np.array(success, bool),
        steps=np.array(steps),
        returns=np.arange(len(success), dtype=float),
        shortest_steps=np.array(shortest, float),
    )


def test_spl_weighs_success_by_the_shortest_way():
    found = episodes_of([1, 1, 0, 1], [4, 8, 4, 2], [4, 4, 4, 3])
    assert found.spl.tolist() == [1.0, 0.5, 0.0, 1.0]


def test_a_summary_has_means_and_errors_and_none_for_what_is_unknown():
    row = summarise_goals(episodes_of([1, 0, 1, 1], [4, 4, 8, 8], [4, 4, 4, np.nan]))
    assert row["episodes"] == 4
    assert row["success"] == 0.75
    assert row["success_sem"] == pytest.approx(0.25)  # of 4, with n - 1
    assert row["spl"] == pytest.approx((1 + 0 + 0.5) / 3)
    assert row["return"] == 1.5
    unknown = summarise_goals(episodes_of([1], [4], [np.nan]))
    assert unknown["spl"] is None
    assert unknown["spl_sem"] is None


def test_batches_are_joined_in_order():
    parts = [episodes_of([1, 0], [1, 2], [1, 1]), episodes_of([1], [3], [3])]
    whole = concatenate(parts)
    assert whole.steps.tolist() == [1, 2, 3]
    assert whole.success.tolist() == [True, False, True]
