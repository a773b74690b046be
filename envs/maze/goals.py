"""Goals of mazes: positions."""

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.random import Generator

from langrl.envs.goals import NO_TASK
from langrl.envs.maze.world import StreetMaze
from langrl.protocols import Array, Mask


class MazeGoals:
    """Positions in a maze; one is reached in its cell."""

    options = NO_TASK

    def __init__(self, world: StreetMaze) -> None:
        self.world = world
        size = np.array(world.walls.shape, np.float32)
        self.space = spaces.Box(np.zeros(2, np.float32), size, dtype=np.float32)
        self.observation_space = self.space  # the observations that the goals are of

    def achieved(self, observations: Array, actions: Array | None = None) -> Array:
        """Return positions [N, 2]: the observations themselves."""
        return np.array(observations, np.float32)

    def achieved_one(self, observation: Array, action: Any = None) -> Array:
        """Return the position [2] of one observation, as wrappers ask for at every step."""
        return np.array(observation, np.float32)

    def draw(self, observations: Array, generator: Generator) -> Array:
        """Return positions [N, 2], uniform over the free area."""
        return self.world.sample_states(len(observations), generator)

    def reached(self, achieved: Array, desired: Array) -> Mask:
        """Return whether positions [..., 2] are in the same cell."""
        if type(achieved) is type(desired) is np.ndarray and achieved.ndim == desired.ndim == 1:
            # At every step of a single environment: lists are quicker than arrays of this size.
            here, there = achieved.tolist(), desired.tolist()
            return np.asarray([x // 1 for x in here] == [x // 1 for x in there])
        return np.asarray((np.floor(achieved) == np.floor(desired)).all(-1))
