"""Goal environments by id: what they observe, and what is refused."""

import gymnasium as gym
import numpy as np
import pytest
import toy_goal_worlds
from gymnasium import spaces

from langrl.envs import registered
from langrl.envs.goal_adapters import is_success
from langrl.envs.goal_parts import GOAL_KEYS
from langrl.envs.goal_worlds import make_goal_env, spaces_of
from langrl.errors import (
    ConfigError,
    GroundingError,
    LangRLError,
    MissingExtraError,
    ShapeError,
    UnknownNameError,
)

LINE, TASKS = "toys/Line-v0", "toys/TaskLine-v0"
OWN = {
    "langrl/StreetMaze-Fork-v0": ((2,), np.float32, (2,)),
    "langrl/GridGoTo-v0": ((8, 8, 3), np.uint8, (4,)),
}
ROBOTS = {
    "FetchReach-v4": ((10,), (3,), (4,), 50),
    "PointMaze_UMaze-v3": ((4,), (2,), (2,), 300),
    "AntMaze_UMaze-v5": ((105,), (2,), (8,), 700),
}
OGBENCH = {"pointmaze-medium-v0": ((2,), (2,), 1000), "antmaze-medium-v0": ((29,), (8,), 1000)}


def act(env, steps=3, seed=0):
    """Observations of a few random steps."""
    env.action_space.seed(seed)
    seen = [env.reset(seed=seed)[0]]
    for _ in range(steps):
        seen.append(env.step(env.action_space.sample())[0])
    return seen


def equal(one, two):
    return all(
        np.array_equal(a[key], b[key]) for a, b in zip(one, two, strict=True) for key in GOAL_KEYS
    )


@pytest.mark.parametrize("name", OWN)
def test_worlds_of_langrl_are_goal_worlds(name):
    env = make_goal_env(name)
    shape, dtype, goal = OWN[name]
    found = spaces_of(env)
    assert (found.observation.shape, found.observation.dtype) == (shape, dtype)
    assert found.goal.shape == goal
    assert found.max_episode_steps == 100
    for seen in act(env):
        assert env.observation_space.contains(seen)
    assert "is_success" in env.step(env.action_space.sample())[-1]


@pytest.mark.parametrize("name", ROBOTS)
def test_robots_are_goal_worlds(name):
    pytest.importorskip("gymnasium_robotics")
    env = make_goal_env(name)
    seen, goal, action, limit = ROBOTS[name]
    found = spaces_of(env)
    assert (found.observation.shape, found.goal.shape, found.action.shape) == (seen, goal, action)
    assert found.max_episode_steps == limit
    assert all(env.observation_space.contains(each) for each in act(env))
    env.close()


@pytest.mark.parametrize("name", OGBENCH)
def test_ogbench_is_adapted(name):
    pytest.importorskip("ogbench")
    env = make_goal_env(name)
    seen, action, limit = OGBENCH[name]
    found = spaces_of(env)
    assert (found.observation.shape, found.goal.shape, found.action.shape) == (seen, seen, action)
    assert found.max_episode_steps == limit
    goals = []
    for task in (1, 2):
        start, _ = env.reset(seed=task, options={"task_id": task})
        goals.append(start["desired_goal"][:2])
        np.testing.assert_array_equal(start["achieved_goal"], start["observation"])
    assert np.linalg.norm(goals[0] - goals[1]) > 5  # cells are 4 apart, and goals noisy by 1
    env.close()


def test_dicts_become_numbers_in_the_order_of_gymnasium():
    env = make_goal_env(LINE, seen="dict")
    source = env.unwrapped.observation_space["observation"]
    seen = act(env)[-1]["observation"]
    expected = spaces.flatten(source, env.unwrapped._observe()["observation"])
    np.testing.assert_array_equal(seen, expected.astype(np.float32))
    assert seen.shape == (2 * toy_goal_worlds.LIMIT + 2,)
    assert seen.dtype == np.float32


def test_images_stay_images():
    env = make_goal_env(LINE, seen="image")
    assert spaces_of(env).observation == spaces.Box(0, 255, (4, 5, 1), np.uint8)
    assert (act(env)[-1]["observation"] == 3).all()


def test_observations_are_new_arrays():
    env = make_goal_env(LINE)
    first = env.reset(seed=0)[0]
    second = env.step(env.action_space.low)[0]
    assert not any(np.shares_memory(first[key], second[key]) for key in GOAL_KEYS)
    for key in GOAL_KEYS:
        assert second[key].dtype == np.float32


@pytest.mark.parametrize(
    ("actions", "space"),
    [
        ("box", spaces.Box(np.float32([-1, 0]), np.float32([1, 4]))),
        ("square", spaces.Box(-1, 1, (2,), np.float32)),
        ("discrete", spaces.Discrete(3)),
    ],
)
def test_actions_are_flat_and_discrete_ones_begin_at_0(actions, space):
    env = make_goal_env(LINE, actions=actions)
    assert spaces_of(env).action == env.action_space == space
    assert len(act(env)) == 4  # the toy checks that actions are its own


def test_the_highest_discrete_action_is_the_environments_highest():
    env = make_goal_env(LINE, actions="discrete")
    places = []
    for action in range(3):
        before = env.reset(seed=1)[0]["achieved_goal"]
        places.append(float((env.step(action)[0]["achieved_goal"] - before)[0]))
    np.testing.assert_allclose(np.diff(places), 0.5, rtol=1e-5)


def test_actions_are_scaled_to_the_bounds_and_back():
    found = spaces_of(make_goal_env(LINE))
    unit = np.array([[-1, -1], [0, 0], [1, 0.5], [2, -3]])
    actions = found.to_action(unit)
    np.testing.assert_allclose(actions, [[-1, 0], [0, 2], [1, 3], [1, 0]])
    assert actions.dtype == np.float32
    np.testing.assert_allclose(found.to_unit(actions), np.clip(unit, -1, 1))
    assert all(found.action.contains(each) for each in actions)


def test_discrete_actions_are_not_scaled():
    found = spaces_of(make_goal_env(LINE, actions="discrete"))
    assert found.to_action(np.array([0, 2])).tolist() == [0, 2]
    assert found.to_unit(np.array([0, 2])).dtype == np.int64


@pytest.mark.parametrize(
    ("info", "reward", "terminated", "expected"),
    [
        ({"is_success": 1.0, "success": 0.0}, 0, False, True),
        ({"is_success": False}, 1, True, False),
        ({"success": np.bool_(True)}, -1, False, True),
        ({}, 1, True, True),
        ({}, 0, True, False),
        ({}, 1, False, False),
    ],
)
def test_success_is_what_is_reported_or_else_an_end_with_a_reward(
    info, reward, terminated, expected
):
    assert is_success(info, reward, terminated) is expected


def test_a_time_limit_is_the_users_or_the_environments():
    assert spaces_of(make_goal_env(LINE)).max_episode_steps == toy_goal_worlds.LIMIT
    env = make_goal_env("toys/Endless-v0", 3, terminates=False)
    assert spaces_of(env).max_episode_steps == 3
    env.reset(seed=0)
    ends = [env.step(env.action_space.low)[3] for _ in range(3)]
    assert ends == [False, False, True]


class TestGoalsInInfo:
    def test_achieved_is_what_is_observed_and_desired_is_in_info(self):
        env = make_goal_env(TASKS)
        start, _ = env.reset(seed=0, options={"task_id": 4})
        np.testing.assert_array_equal(start["desired_goal"], [4, 0])
        np.testing.assert_array_equal(start["achieved_goal"], start["observation"])
        seen, *_, info = env.step(np.float32([1, 0]))
        np.testing.assert_array_equal(seen["desired_goal"], [4, 0])
        assert info["is_success"] is False

    def test_a_seed_decides_everything(self):
        one, two = make_goal_env(TASKS), make_goal_env(TASKS)
        first = act(one, seed=3)
        np.random.seed(5)  # noqa: NPY002
        assert equal(first, act(two, seed=3))
        assert not equal(first, act(two, seed=4))

    def test_numpys_global_generator_is_left_alone(self):
        np.random.seed(7)  # noqa: NPY002
        expected = np.random.random(3)  # noqa: NPY002
        np.random.seed(7)  # noqa: NPY002
        act(make_goal_env(TASKS))
        np.testing.assert_array_equal(np.random.random(3), expected)  # noqa: NPY002

    def test_goals_that_are_no_observations_are_refused(self):
        with pytest.raises(ShapeError, match=r"info\['goal'\] of .* is \[3\]"):
            make_goal_env(TASKS, wide_goal=True)


@pytest.mark.parametrize(
    ("name", "kwargs", "error", "told"),
    [
        ("CartPole-v1", {}, GroundingError, r"has no goals.*GoalEnv.*BoxGoals"),
        (LINE, {"seen": "text"}, ShapeError, "observation has a Text in it"),
        (LINE, {"actions": "many"}, ShapeError, r"actions of .* are MultiDiscrete \[2\]"),
        (LINE, {"actions": "whole"}, ShapeError, "Box of float numbers or Discrete"),
        (LINE, {"actions": "infinite"}, ShapeError, "infinite bounds"),
        (LINE, {"colour": 1}, ConfigError, "cannot make 'toys/Line-v0' .*colour"),
        ("langrl/StreetMaze-v0", {"layout": "frok"}, LangRLError, "^no layout named 'frok'"),
        ("toys/Endless-v0", {}, ConfigError, "max_episode_steps: toys/Endless-v0 has no time"),
        (LINE, {"max_episode_steps": 0}, ConfigError, "a whole number from 1, got 0"),
        ("langrl/StreetMaze-Frok-v0", {}, UnknownNameError, "'langrl/StreetMaze-Fork-v0'"),
        ("toys/Line-v9", {}, UnknownNameError, "mean 'toys/Line-v0'.*--import-module PACKAGE"),
        ("xyzzy", {}, UnknownNameError, "no environment named 'xyzzy'; `gymnasium.pprint_reg"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(name, kwargs, error, told):
    with pytest.raises(error, match=told) as caught:
        make_goal_env(name, **kwargs)
    assert "\n" not in str(caught.value)


def test_a_missing_package_is_named_by_its_extra(monkeypatch):
    monkeypatch.setattr(registered, "PROVIDERS", {"absent_package": ("robotics", "Robot")})
    with pytest.raises(MissingExtraError, match=r'pip install "langrl\[robotics\]"'):
        make_goal_env("RobotReach-v1")


class TestImportModules:
    def test_a_users_module_registers_its_environments(self, tmp_path, monkeypatch):
        (tmp_path / "my_lines.py").write_text(
            "import gymnasium, toy_goal_worlds\n"
            "gymnasium.register('mine/Line-v0', toy_goal_worlds.Line, max_episode_steps=4)\n"
        )
        monkeypatch.syspath_prepend(tmp_path)
        registered.import_modules(["my_lines"])
        assert spaces_of(make_goal_env("mine/Line-v0")).max_episode_steps == 4
        del gym.registry["mine/Line-v0"]

    def test_an_id_can_name_its_module(self):
        assert registered.spec_of("toy_goal_worlds:toys/Line-v0").id == LINE

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            (None, r"cannot import 'my_broken' \(ModuleNotFoundError: .*; install it, or put"),
            ("import not_there_either", r"not_there_either'\); python -c 'import my_broken' shows"),
            ("1 / 0", r"\(ZeroDivisionError: division by zero\)"),
            ("raise ValueError('two\\nlines')", r"\(ValueError: two lines\)"),
        ],
    )
    def test_a_module_that_cannot_be_imported_is_one_line(self, text, told, tmp_path, monkeypatch):
        if text is not None:
            (tmp_path / "my_broken.py").write_text(text)
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.raises(ConfigError, match=told) as caught:
            registered.import_modules(["my_broken"])
        assert "\n" not in str(caught.value)


def test_packages_are_imported_only_where_their_environments_are_used(monkeypatch):
    monkeypatch.setattr(registered, "_register", lambda package: pytest.fail(f"needs {package}"))
    assert registered.spec_of("langrl/StreetMaze-v0").max_episode_steps == 100
    assert registered.spec_of("CartPole-v1").max_episode_steps == 500
