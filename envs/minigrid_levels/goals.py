"""Goals of levels: poses, and what is done there.

Axes: ``N`` episodes, ``H`` rows, ``W`` columns.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.random import Generator

from langrl.envs.grid.rooms import FORWARD, list_poses, read_observation
from langrl.envs.minigrid_levels.planning import steps_to
from langrl.envs.minigrid_levels.reading import ACTIONS, DONE, as_rooms
from langrl.protocols import Array, Mask


class LevelGoals:
    """Goals (row, column, direction, action) of levels; the last is 0 where the agent only moved.

    ``options`` are empty: a level always has its own mission.
    """

    options: Mapping[str, Any] = {}

    def __init__(self, height: int, width: int) -> None:
        high = np.array([height - 1, width - 1, 3, len(ACTIONS) - 1], np.float32)
        self.space = spaces.Box(np.zeros(4, np.float32), high, dtype=np.float32)
        self.observation_space = spaces.Box(0, 255, (height, width, 3), np.uint8)

    def achieved(self, observations: Array, actions: Array | None = None) -> Array:
        """Return goals [N, 4] of observations [N, H, W, 3] and of what was done just before."""
        _, poses = read_observation(as_rooms(np.asarray(observations)))
        acts = np.zeros(len(poses)) if actions is None else np.asarray(actions)
        return np.column_stack([poses, np.where(acts > FORWARD, acts, 0)]).astype(np.float32)

    def draw(self, observations: Array, generator: Generator) -> Array:
        """Return poses [N, 4] that can be reached, with ``done`` as what is done there."""
        goals = np.full((len(observations), 4), DONE, np.float32)
        for n, observation in enumerate(np.asarray(observations)):
            poses = reachable_poses(observation)
            goals[n, :3] = poses[generator.integers(len(poses))]
        return goals

    def reached(self, achieved: Array, desired: Array) -> Mask:
        """Return whether goals [..., 4] are the same."""
        return np.asarray((np.asarray(achieved) == np.asarray(desired)).all(-1))


def reachable_poses(observation: Array) -> Array:
    """Return the poses [M, 3] that can be reached in a whole level [H, W, 3]."""
    _, poses = read_observation(as_rooms(observation[None]))
    here = np.zeros((*observation.shape[:2], 4), bool)
    here[tuple(poses[0])] = True
    # A way back is as good: doors that were opened stay open.
    cells: Mask = np.isfinite(steps_to(observation, here).min(-1))
    return list_poses(cells)
