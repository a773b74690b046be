"""Runs that go on bit for bit in the middle of their episodes, in every world and engine."""

import gymnasium as gym
import pytest
from small_goal_runs import merged, resumes_exactly, tiny
from toy_goal_worlds import LIMIT, Line

from langrl.checkpoint import read_checkpoint, step_folder
from langrl.tasks.goal_reaching.config import GoalRunConfig
from langrl.tasks.run import train_run

CHOICES = "toys/ThreeChoices-v0"
ROOMS = {
    "env": "langrl/GridGoTo-v0",
    "max_episode_steps": 9,
    "collect": {"envs": 3, "unroll": 2, "warmup": 40},
    "rooms": {"embedding": 64, "channels": 4, "depth": 1, "width": 6},
    "replay": {"capacity": 300},
    "learner": {"env_steps": 80, "updates": 2, "batch_size": 8},
    "actor": {"kind": "compare"},
    "evaluation": {"every": 12, "episodes": 4, "episodes_during": 4, "deterministic": False},
    "logging": {"log_every": 2, "checkpoint_every": 3, "keep": 0},
}
RUNS = {
    "rooms": ROOMS,
    "rooms that are partly seen": merged(ROOMS, {"env": "langrl/GridGoTo-Rooms-v0"}),
    "choices of an actor": {"env": CHOICES},
    "choices that are compared": {"env": CHOICES, "actor": {"kind": "compare"}},
    "random actions": {"collect": {"random_actions": 0.5}},
    "processes": {"collect": {"engine": "async", "envs": 2}},
}


@pytest.fixture(scope="module", autouse=True)
def choices():
    gym.register(CHOICES, Line, max_episode_steps=LIMIT, kwargs={"actions": "discrete"})
    yield
    del gym.registry[CHOICES]


def config_of(name):
    changes = RUNS[name]
    return GoalRunConfig.model_validate(changes) if "rooms" in changes else tiny(changes)


@pytest.mark.parametrize("name", RUNS)
def test_a_run_that_was_cut_off_goes_on_bit_for_bit(name, tmp_path):
    resumes_exactly(config_of(name), tmp_path, step=3)


@pytest.mark.parametrize("name", RUNS)
def test_its_checkpoint_is_in_the_middle_of_a_round_and_of_episodes(name, tmp_path):
    config = config_of(name)
    train_run(config, tmp_path / "run", "train")
    state = read_checkpoint(step_folder(tmp_path / "run", 3)).tensors["experience"]
    assert state["counters"][1] == 1  # a batch of the round is left
    elapsed = next(values for key, values in state.items() if key.endswith(("elapsed", "steps")))
    limit = config.max_episode_steps or LIMIT
    assert (elapsed > 0).any()
    assert (elapsed < limit).all()
