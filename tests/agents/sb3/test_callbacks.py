import json

import gymnasium as gym
import numpy as np
import pytest

from langrl.envs.wrappers.goals import GoalEnv
from langrl.envs.wrappers.instructions import EmbedInstruction
from langrl.errors import ConfigError
from langrl.evaluation.rollouts import follow

stable_baselines3 = pytest.importorskip("stable_baselines3")

from langrl.agents.sb3.callbacks import InstructionEvaluation  # noqa: E402

MAZE = "langrl/StreetMaze-v0"
CORRIDOR = "......"


def corridor(**options):
    return gym.make(MAZE, layout=CORRIDOR, kinds=("column",), **options)


class Heads:
    """Goes straight to the goal that it is given; keeps what it was shown."""

    def __init__(self):
        self.batches = []

    def predict(self, observation, *, deterministic=False):
        self.batches.append(len(observation["observation"]))
        return observation["desired_goal"] - observation["observation"], None


class Stays:
    def predict(self, observation, *, deterministic=False):
        return np.zeros((len(observation["observation"]), 2), np.float32), None


def test_follow_runs_one_episode_in_each_environment():
    policy = Heads()
    followed = follow(policy, lambda: GoalEnv(corridor()), episodes=7, seed=3)
    assert followed.success.all()
    assert policy.batches[0] == 7
    assert policy.batches == sorted(policy.batches, reverse=True)  # who is done acts no more
    assert len(policy.batches) == followed.steps.max()
    assert followed.mean_ambiguity_bits is None  # of goals, not of words


def test_follow_gives_each_episode_a_seed_of_its_own():
    one = follow(Heads(), lambda: GoalEnv(corridor()), episodes=4, seed=0)
    other = follow(Heads(), lambda: GoalEnv(corridor()), episodes=3, seed=1)
    np.testing.assert_array_equal(one.steps[1:], other.steps)


def test_follow_counts_those_who_get_nowhere_as_failures():
    def task():
        return EmbedInstruction(corridor(max_episode_steps=5), lambda texts: np.ones((1, 2)))

    followed = follow(Stays(), task, episodes=3, seed=0)
    assert not followed.success.any()
    assert followed.steps.tolist() == [5, 5, 5]
    assert followed.mean_ambiguity_bits == 0  # a corridor has one cell in a column


def test_follow_refuses_an_environment_without_success():
    class Pushes:
        def predict(self, observation, *, deterministic=False):
            return np.zeros(len(observation), int), None

    with pytest.raises(ConfigError, match="is_success"):
        follow(Pushes(), lambda: gym.make("CartPole-v1"), episodes=1, seed=0)


def train(callback, steps=96):
    env = EmbedInstruction(corridor(max_episode_steps=8), lambda texts: np.ones((len(texts), 2)))
    model = stable_baselines3.PPO("MultiInputPolicy", env, n_steps=32, batch_size=32, seed=0)
    model.learn(steps, callback=callback)


def task():
    return EmbedInstruction(corridor(max_episode_steps=8), lambda texts: np.ones((len(texts), 2)))


def test_success_by_level_is_measured_while_a_policy_trains(tmp_path):
    callback = InstructionEvaluation(
        {"near": task, "far": task}, every=40, episodes=3, folder=tmp_path
    )
    train(callback)
    steps = [row["step"] for row in callback.rows if row["level"] == "near"]
    assert steps == [40, 80, 96]  # and at the end
    assert [row["level"] for row in callback.rows[:2]] == ["near", "far"]
    assert callback.rows[0]["success"] == callback.rows[1]["success"]  # the same episodes
    stored = json.loads((tmp_path / "results.json").read_text())
    assert [row["success"] for row in stored["rows"]] == [row["success"] for row in callback.rows]


def test_evaluating_does_not_change_what_is_learned():
    weights = []
    for callback in (None, InstructionEvaluation({"a": task}, every=40, episodes=2)):
        env = task()
        model = stable_baselines3.PPO("MultiInputPolicy", env, n_steps=32, batch_size=32, seed=0)
        model.learn(64, callback=callback)
        weights.append([value.numpy() for value in model.policy.state_dict().values()])
    for plain, watched in zip(*weights, strict=True):
        np.testing.assert_array_equal(plain, watched)


@pytest.mark.parametrize("wrong", [{"tasks": {}}, {"every": 0}, {"episodes": 0}])
def test_an_evaluation_that_could_not_be_is_refused(wrong):
    with pytest.raises(ConfigError, match="needs a task"):
        InstructionEvaluation(**{"tasks": {"a": task}, "every": 10, "episodes": 2} | wrong)


def test_results_of_something_else_are_not_overwritten(tmp_path):
    (tmp_path / "results.json").write_text('{"command": "langrl train"}')
    with pytest.raises(ConfigError, match="give another folder"):
        InstructionEvaluation({"a": task}, every=10, folder=tmp_path)
    assert "langrl train" in (tmp_path / "results.json").read_text()


def test_an_environment_where_a_function_belongs_is_refused():
    with pytest.raises(ConfigError, match="give a function"):
        follow(Stays(), task(), episodes=1, seed=0)
