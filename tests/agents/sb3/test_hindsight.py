"""SAC with hindsight, beside which contrastive agents are measured."""

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

from small_goal_runs import MAZE, tiny

from langrl.agents.sb3.hindsight import HindsightSettings, learn_with_hindsight
from langrl.envs.goal_worlds import make_goal_env, spaces_of
from langrl.tasks.goal_reaching.held_out import HeldOutGoals

ENV, LIMIT = MAZE["env"], MAZE["max_episode_steps"]
SMALL = {"batch_size": 4, "buffer_size": 200, "learning_starts": 10}


def learn(evaluate, steps=40, seconds=1e9, every=15, on_row=lambda _: None, **changes):
    env = make_goal_env(ENV, LIMIT)
    return learn_with_hindsight(
        lambda: make_goal_env(ENV, LIMIT),
        spaces_of(env),
        evaluate,
        settings=HindsightSettings(**SMALL | changes),
        seed=0,
        every=every,
        steps=steps,
        seconds=seconds,
        on_row=on_row,
    )


def test_it_is_measured_as_often_as_asked_and_at_the_end():
    told = []
    rows = learn(lambda policy: 0.5, on_row=told.append)
    assert [row["steps"] for row in rows] == [15, 30, 40]
    assert told == rows
    assert {row["success"] for row in rows} == {0.5}
    seconds = [row["seconds"] for row in rows]
    assert seconds == sorted(seconds)
    assert [row["steps"] for row in learn(lambda policy: 0.5, every=20)] == [20, 40]  # none twice


def test_it_stops_when_its_seconds_are_over():
    (row,) = learn(lambda policy: 0.0, seconds=0.0, steps=10_000)
    assert row["steps"] == 1


def test_evaluations_take_none_of_its_seconds(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("langrl.agents.sb3.hindsight.time.perf_counter", lambda: clock[0])

    def slow(policy):
        clock[0] += 1000
        return 0.0

    rows = learn(slow, seconds=500.0)
    assert [row["seconds"] for row in rows] == [0.0, 0.0, 0.0]
    assert clock == [3000.0]


@pytest.mark.parametrize("normalize", [True, False])
def test_its_policy_reaches_for_held_out_goals_as_ours(normalize):
    goals = HeldOutGoals(tiny(MAZE))
    policies = []

    def evaluate(policy):
        policies.append(policy)
        return goals.watch(policy)["evaluation/success"]

    rows = learn(evaluate, normalize=normalize, every=40)
    assert 0 <= rows[-1]["success"] <= 1
    generator = np.random.default_rng(0)
    sizes = {"observation": 2, "achieved_goal": 2, "desired_goal": 2}
    seen = {n: generator.normal(size=(5, size)).astype(np.float32) for n, size in sizes.items()}
    actions = policies[-1](seen)
    assert actions.shape == (5, 2)
    assert np.abs(actions).max() <= 1
    assert np.array_equal(actions, policies[-1](seen))  # its best actions, none is drawn
