"""Comparisons leave no environment open, and no agent with what others have computed."""

import gymnasium as gym
import numpy as np
import pytest

from langrl.errors import ConfigError
from langrl.evaluation.comparison import compare


class Still:
    shared = None

    def reset(self, generator, mask=None):
        pass

    def act(self, observation, instructions):
        return np.zeros((len(instructions), 2))


class Broken(Still):
    def act(self, observation, instructions):
        raise RuntimeError("no action")


class Counted:
    """Makes mazes and counts those that are closed."""

    def __init__(self):
        self.closed = 0

    def __call__(self):
        env = gym.make_vec("langrl/StreetMaze-Fork-v0", 2, max_episode_steps=3)
        close = env.close

        def count():
            self.closed += 1
            close()

        env.close = count
        return env


def test_the_environments_are_closed():
    make = Counted()
    results = compare({"still": Still}, make, seed=0, label="test")
    assert len(results["still"].success) == 2
    assert make.closed == 1


def test_the_environments_are_closed_when_an_agent_fails():
    make, agent = Counted(), Broken()
    with pytest.raises(RuntimeError, match="no action"):
        compare({"still": Still, "broken": lambda: agent}, make, seed=0, label="test")
    assert make.closed == 1
    assert agent.shared is None


def test_the_environments_are_closed_when_they_are_refused():
    class Silent(gym.vector.VectorEnv):
        metadata = {}
        closed = 0

        def close(self, **_):
            Silent.closed += 1

    with pytest.raises(ConfigError, match="autoreset_mode"):
        compare({"still": Still}, Silent, seed=0, label="test")
    assert Silent.closed == 1
