"""Goals of environments whose observations are no float32, such as those of MuJoCo."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.wrappers import FilterObservation, FlattenObservation
from wrapped_environments import PlaceLanguage, RowLanguage, is_there

from langrl.envs.goals import BoxGoals
from langrl.envs.wrappers.goals import GoalEnv
from langrl.envs.wrappers.instructions import AddInstruction
from langrl.grounding.candidates import ListedCandidates
from langrl.grounding.instruction_to_goal import InstructionToGoal

TEXTS = ["go left", "go right"]
SIZES = {"observation": 2, "achieved_goal": 1, "desired_goal": 1}


class Point(gym.Env):
    """A point on a line with goals of its own, as PointMaze has them."""

    action_space = spaces.Box(-1, 1, (1,), np.float32)

    def __init__(self, dtype=np.float64):
        self.dtype, self.state = dtype, np.zeros(2, dtype)
        self.observation_space = spaces.Dict(
            {name: spaces.Box(-np.inf, np.inf, (n,), dtype) for name, n in SIZES.items()}
        )

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state = self.np_random.uniform(-0.3, 0.3, 2).astype(self.dtype)
        self.goal = self.np_random.uniform(-0.5, 0.5, 1).astype(self.dtype)
        return self.observe(), {}

    def observe(self):
        return {
            "observation": self.state.copy(),
            "achieved_goal": self.state[:1],
            "desired_goal": self.goal,
        }

    def step(self, action):
        self.state[0] += 0.1 * action[0]
        seen = self.observe()
        reward = self.compute_reward(seen["achieved_goal"], seen["desired_goal"], {})
        return seen, float(reward), False, False, {}

    def compute_reward(self, achieved_goal, desired_goal, info):
        return (np.abs(achieved_goal - desired_goal)[..., 0] < 0.1).astype(np.float32)


def plain(env):
    return FlattenObservation(FilterObservation(env, ["observation"]))


def told(env):
    goals = BoxGoals([-0.5], [0.5], 0.1)
    places = ListedCandidates(np.linspace(-0.5, 0.5, 9, dtype=np.float32)[:, None])
    instructed = AddInstruction(plain(env), TEXTS, goals, is_there)
    return InstructionToGoal(instructed, PlaceLanguage(), "max_goal", places)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_goals_take_the_dtype_of_the_observations(dtype):
    for env in (told(Point(dtype)), GoalEnv(plain(Point(dtype)), BoxGoals([-0.5], [0.5], 0.1))):
        assert env.observation_space == Point(dtype).observation_space
        seen, _ = env.reset(seed=0)
        assert all(part.dtype == dtype for part in seen.values())
        seen = env.step(np.ones(1, np.float32))[0]
        assert seen in env.observation_space
        assert seen["achieved_goal"] == seen["observation"][:1]  # to the last bit


def test_goals_of_whole_numbers_stay_as_they_are():
    goals = BoxGoals([0], [15], 0.5)
    env = gym.wrappers.TransformObservation(
        plain(Point()), lambda seen: seen.astype(np.int64), spaces.Box(-9, 9, (2,), np.int64)
    )
    assert GoalEnv(env, goals).goals.space.dtype == np.float32


def test_the_given_goals_are_not_changed():
    goals = BoxGoals([-0.5], [0.5], 0.1)
    GoalEnv(plain(Point()), goals)
    assert goals.space.dtype == np.float32
    assert goals.draw(np.zeros((2, 2)), np.random.default_rng(0)).dtype == np.float32


def loads(stock, task, tmp_path, buffer_size=100):
    sb3 = pytest.importorskip("stable_baselines3")
    options = {"replay_buffer_class": sb3.HerReplayBuffer, "buffer_size": buffer_size}
    policy = sb3.SAC("MultiInputPolicy", stock, policy_kwargs={"net_arch": [8]}, **options)
    policy.save(tmp_path / "policy")
    loaded = sb3.SAC.load(tmp_path / "policy", env=task, device="cpu")
    seen, _ = task.reset(seed=0)
    return loaded.predict(seen, deterministic=True)[0] in task.action_space


def test_a_policy_of_an_environment_with_its_own_goals_loads_where_it_is_told(tmp_path):
    assert loads(Point(), told(Point()), tmp_path)


def test_a_policy_of_pointmaze_loads_where_it_is_told(tmp_path):
    robotics = pytest.importorskip("gymnasium_robotics")
    gym.register_envs(robotics)

    def maze():
        return gym.make("PointMaze_UMaze-v3")

    goals = BoxGoals([-1.4, -1.4], [1.4, 1.4], 0.3)
    instructed = AddInstruction(plain(maze()), TEXTS, goals, is_there)
    places = ListedCandidates(np.zeros((1, 2), np.float32))
    task = InstructionToGoal(instructed, RowLanguage(), "max_goal", places)
    assert loads(maze(), task, tmp_path)
