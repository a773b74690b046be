"""A world whose observations say where they are from, and walks of a batch of them.

Everything goes through ``GoalVector``, as in training.
"""

from dataclasses import dataclass
from functools import partial

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from langrl.envs.goal_engine import GoalSpaces, Seen
from langrl.envs.goal_vector import GoalVector

NUMBERS = spaces.Box(-np.inf, np.inf, (3,), np.float32)
SPACES = GoalSpaces(NUMBERS, NUMBERS, spaces.Box(-1e6, 1e6, (2,), np.float32), 9)
"""Episodes have 1 to 9 steps."""


class CountingWorld(gym.Env):
    """Observes (environment, episode, step); even episodes terminate, odd ones are cut off."""

    observation_space = spaces.Dict(
        dict.fromkeys(("observation", "achieved_goal", "desired_goal"), NUMBERS)
    )
    action_space = SPACES.action

    def __init__(self, number, first=0):
        self.number, self.episode = number, first - 1

    @property
    def length(self):
        """Steps of the present episode."""
        return 1 + (5 * self.episode + 3 * self.number) % SPACES.max_episode_steps

    def observe(self):
        now = np.array([self.number, self.episode, self.step_number], np.float32)
        return {"observation": now, "achieved_goal": now.copy(), "desired_goal": now.copy()}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.episode, self.step_number = self.episode + 1, 0
        return self.observe(), {}

    def step(self, action):
        np.testing.assert_array_equal(action, action_in(self.observe()["observation"]))
        self.step_number += 1
        ended, even = self.step_number == self.length, self.episode % 2 == 0
        return self.observe(), 0.0, ended and even, ended and not even, {}


def action_in(observation):
    """Return the action [..., 2] that is taken in observations [..., 3], another one in each."""
    return np.stack([100 * observation[..., 0] + observation[..., 1], observation[..., 2]], -1)


@dataclass
class Walk:
    """Steps N counting worlds in one of Gymnasium's modes, and says what each step led to."""

    num_envs: int
    mode: AutoresetMode
    first: int = 0  # number of the first episodes

    def __post_init__(self):
        makers = [partial(CountingWorld, number, self.first) for number in range(self.num_envs)]
        env = SyncVectorEnv(makers, autoreset_mode=self.mode)
        self.vector = GoalVector(env, max_episode_steps=SPACES.max_episode_steps)
        self.reset()

    def reset(self):
        self.now = self.vector.reset()

    def step(self):
        """Return what was seen, the actions, and what they led to."""
        before, actions = self.now, action_in(self.now.observation)
        moved = self.vector.step(actions)
        self.now = moved.seen
        return before, actions, moved


def seen(observations):
    """Return what agents act on: what is achieved is the observation."""
    return Seen(observations, observations, observations)
