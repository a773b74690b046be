"""Goals of mazes: positions."""

import numpy as np
from gymnasium import spaces
from numpy.random import Generator

from langrl.envs.goals import NO_TASK, _same
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

    def draw(self, observations: Array, generator: Generator) -> Array:
        """Return positions [N, 2], uniform over the free area."""
        return self.world.sample_states(len(observations), generator)

    def reached(self, achieved: Array, desired: Array) -> Mask:
        """Return whether positions [..., 2] are in the same cell."""
        return _same(np.floor(achieved), np.floor(desired))
