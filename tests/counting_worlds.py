"""A world whose observations say where they are from, and steps of a batch of them, by hand."""

from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

SPACES = SimpleNamespace(
    observation=spaces.Box(-np.inf, np.inf, (3,), np.float32),
    goal=spaces.Box(-np.inf, np.inf, (3,), np.float32),
    action=spaces.Box(-np.inf, np.inf, (2,), np.float32),
    max_episode_steps=9,
)


class CountingWorld(gym.Env):
    """Observes (environment, episode, step); even episodes terminate, odd ones are cut off."""

    observation_space = SPACES.observation
    action_space = SPACES.action

    def __init__(self, number, first=0):
        self.number, self.episode = number, first - 1

    @property
    def length(self):
        """Steps of the present episode: 1 to 9."""
        return 1 + (5 * self.episode + 3 * self.number) % SPACES.max_episode_steps

    def observe(self):
        return np.array([self.number, self.episode, self.step_number], np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.episode, self.step_number = self.episode + 1, 0
        return self.observe(), {}

    def step(self, action):
        np.testing.assert_array_equal(action, action_in(self.observe()))
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
        self.env = SyncVectorEnv(makers, autoreset_mode=self.mode)
        self.now, _ = self.env.reset(seed=0)
        self.ended = np.zeros(self.num_envs, bool)

    def step(self):
        """Return what was seen, the actions, and what they led to."""
        before, waits = self.now, self.ended & (self.mode == AutoresetMode.NEXT_STEP)
        actions = action_in(before)
        after, _, terminated, truncated, info = self.env.step(actions)
        ended, final, started = terminated | truncated, after.copy(), waits
        if self.mode == AutoresetMode.SAME_STEP and ended.any():
            final[ended] = np.stack(list(info["final_obs"][ended]))
            started = ended
        elif self.mode == AutoresetMode.DISABLED and ended.any():
            after, _ = self.env.reset(options={"reset_mask": ended})
            started = ended
        self.now, self.ended = after.copy(), ended
        moved = SimpleNamespace(
            seen=seen(self.now),
            acted=~waits,
            terminated=terminated,
            truncated=truncated,
            final_observation=final,
            final_achieved=final,
            started=started,
        )
        return seen(before), actions, moved


def seen(observations):
    """Return what agents act on: what is achieved is the observation."""
    return SimpleNamespace(observation=observations, achieved=observations, desired=observations)
