"""Held-out goals: those that a seed draws, in tasks that an environment numbers."""

import numpy as np
import pytest
from small_goal_runs import MAZE, tiny

from langrl.tasks.goal_reaching.held_out import HeldOutGoals

SEED = 5


def still(config, seen=None):
    """Return a policy that stays where it is, as well as it can, and notes the goals it sees."""
    spaces = HeldOutGoals(config).spaces
    zero = spaces.to_unit(np.zeros(spaces.action.shape, np.float32))

    def act(observations):
        if seen is not None:
            seen.append(observations["desired_goal"].copy())
        return np.tile(zero, (len(observations["observation"]), 1))

    return act


@pytest.mark.parametrize("changes", [[], [MAZE]], ids=["one by one", "arrays"])
def test_a_seed_draws_the_goals(changes):
    config = tiny(*changes)
    goals = []
    for seed in (SEED, SEED, SEED + 1):
        seen = []
        episodes = HeldOutGoals(config).reach(still(config, seen), 4, seed)
        assert len(episodes.success) == 4
        goals.append(seen[0])
    assert np.array_equal(goals[0], goals[1])
    assert not np.array_equal(goals[0], goals[2])


def test_episodes_are_shared_among_rows_and_tasks():
    config = tiny({"env": "toys/TaskLine-v0", "evaluation": {"tasks": 3}, "words": {"axes": []}})
    seen = []
    episodes = HeldOutGoals(config).reach(still(config, seen), 7, SEED)
    assert len(episodes.success) == 9  # seven and up: three of each task
    assert {tuple(goal) for goals in seen for goal in goals.tolist()} == {
        (1.0, 0.0),
        (2.0, 0.0),
        (3.0, 0.0),
    }


def test_training_is_watched_on_other_goals_than_the_last_ones():
    config = tiny({"evaluation": {"episodes": 3, "episodes_during": 2, "seed": SEED}})
    during, last = [], []
    found = HeldOutGoals(config).watch(still(config, during))
    assert set(found) == {"evaluation/success", "evaluation/return"}  # no shortest way is known
    rows = HeldOutGoals(config).rows(still(config, last), with_random=True)
    assert [(row["method"], row["episodes"]) for row in rows] == [("given goals", 3), ("random", 3)]
    assert len(during[0]) == 2
    assert len(last[0]) == 3
    assert not np.isin(during[0], last[0]).any()


def test_shortest_ways_are_known_in_mazes():
    config = tiny(MAZE)
    assert "evaluation/spl" in HeldOutGoals(config).watch(still(config))
