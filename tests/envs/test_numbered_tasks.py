"""Environments that number their tasks: a number that they do not have is one clear error."""

import gymnasium as gym
import pytest
from small_goal_runs import tiny
from toy_goal_worlds import LIMIT, TaskLine

from langrl.envs.goal_vector import GoalVector
from langrl.envs.goal_worlds import make_goal_env
from langrl.errors import ConfigError
from langrl.tasks.run import build_run

NAME = "toys/Numbered-v0"
WRONG = [0, 6, -1, 1.5, "one", None]


class Numbered(TaskLine):
    """Five tasks, as OGBench's environments have."""

    num_tasks = 5

    def reset(self, *, seed=None, options=None):
        if "task_id" in (options or {}):
            assert 1 <= options["task_id"] <= self.num_tasks
        return super().reset(seed=seed, options=options)


@pytest.fixture(scope="module", autouse=True)
def numbered():
    gym.register(NAME, Numbered, max_episode_steps=LIMIT)
    yield
    del gym.registry[NAME]


def check(name):
    env = make_goal_env(name)
    for task in WRONG:
        with pytest.raises(ConfigError, match=rf"^task_id: {name} has tasks 1 to 5, got"):
            env.reset(options={"task_id": task})
    observed, _ = env.reset(options={"task_id": 5})
    assert set(observed) == {"observation", "achieved_goal", "desired_goal"}
    env.close()
    with pytest.raises(ConfigError, match="has tasks 1 to 5, got 6"):
        GoalVector(name, 2, options={"task_id": 6}).reset()


def test_a_task_that_there_is_not_is_refused():
    check(NAME)


def test_a_task_that_ogbench_does_not_have_is_refused():
    pytest.importorskip("ogbench", reason='needs "langrl[ogbench]"')
    check("pointmaze-medium-v0")


@pytest.mark.parametrize(
    ("env", "words"),
    [
        (NAME, "task_id: toys/Numbered-v0 has tasks 1 to 5, got 6"),
        ("langrl/StreetMaze-Fork-v0", "no reset option 'task_id'"),
    ],
)
def test_tasks_of_evaluations_are_checked_before_the_training(env, words, tmp_path):
    changes = {"env": env, "words": {"axes": []}, "replay": {"capacity": 10_000}}
    with pytest.raises(ConfigError, match=rf"^evaluation\.tasks: {words}"):
        build_run(tiny(changes, {"evaluation": {"tasks": 6}}), tmp_path)
    if env == NAME:
        build_run(tiny(changes, {"evaluation": {"tasks": 5}}), tmp_path)
