import json
from functools import partial

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.wrappers import RescaleAction, TransformObservation

from langrl.envs.wrappers.goals import GoalEnv
from langrl.envs.wrappers.instructions import AddInstruction, EmbedInstruction, TokenizeInstruction
from langrl.errors import ConfigError
from langrl.evaluation.rollouts import follow
from langrl.words import WordTokeniser

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


def test_a_folder_that_cannot_be_made_is_refused_before_training(tmp_path):
    (tmp_path / "file").touch()
    for folder in ("file", "file/run", "a" * 300):
        with pytest.raises(ConfigError, match=r"cannot be made .*; give one that can"):
            InstructionEvaluation({"a": task}, every=10, folder=tmp_path / folder)


def test_an_environment_where_a_function_belongs_is_refused():
    with pytest.raises(ConfigError, match="give a function"):
        follow(Stays(), task(), episodes=1, seed=0)


# -- tasks that do not fit the policy ------------------------------------------------------------


def embedded(size, **options):
    env = corridor(max_episode_steps=8, **options)
    return EmbedInstruction(env, lambda texts: np.ones((len(texts), size)))


def tokens(texts):
    return TokenizeInstruction(corridor(), WordTokeniser.learn(texts), 8)


def silent():
    env = AddInstruction(gym.make("MountainCarContinuous-v0"), ["go up"])
    return TokenizeInstruction(env, WordTokeniser.learn(["go up"]), 4)


def vectors():
    return gym.make_vec(MAZE, num_envs=2)


MISFITS = {
    "another encoder": (task, partial(embedded, 3), r"'instruction' is \(3,\).*reads \(2,\)"),
    "goals": (task, lambda: GoalEnv(corridor()), "no 'instruction', only 'achieved_goal'"),
    "no wrapper": (task, corridor, "instructions are text.*EmbedInstruction"),
    "another world": (
        task,
        lambda: EmbedInstruction(gym.make("langrl/GridGoTo-v0"), lambda texts: np.ones((1, 2))),
        r"'observation' is \(8, 8, 3\)",
    ),
    "many environments": (task, vectors, "no single environment"),
    "more words": (
        partial(tokens, ["row 1"]),
        partial(tokens, ["go to row 1 or column 2"]),
        "'instruction' goes up to 8.*up to 3; give it the same tokeniser",
    ),
    "no success": (silent, silent, "reports no info.'is_success'.; give AddInstruction a deno"),
    "another policy's actions": (
        silent,
        lambda: RescaleAction(silent(), np.float32([-2]), np.float32([2])),
        "its actions are Box.-2",
    ),
}


@pytest.mark.parametrize("name", MISFITS)
def test_a_task_that_does_not_fit_is_told_before_the_first_step(name):
    make, other, told = MISFITS[name]
    model = stable_baselines3.PPO("MultiInputPolicy", make(), n_steps=32, batch_size=32, seed=0)
    with pytest.raises(ConfigError, match=f"task 'b' does not fit the policy: .*{told}"):
        model.learn(64, callback=InstructionEvaluation({"b": other}, every=2000, episodes=2))
    assert model.num_timesteps == 0


def test_an_environment_that_fails_is_told_before_the_first_step():
    def fails():
        return TransformObservation(embedded(2), lambda seen: 1 / 0, None)

    def is_not_made():
        return 1 / 0

    model = stable_baselines3.PPO("MultiInputPolicy", task(), n_steps=32, batch_size=32)
    for wrong in (fails, is_not_made):
        with pytest.raises(ConfigError, match="task 'b' does not fit the policy: division by zero"):
            model.learn(64, callback=InstructionEvaluation({"a": task, "b": wrong}, every=2000))
        assert model.num_timesteps == 0


def test_a_task_that_is_no_function_is_refused_when_the_evaluation_is_made():
    with pytest.raises(ConfigError, match="task 'a' is EmbedInstruction; give a function"):
        InstructionEvaluation({"a": task()}, every=10)
