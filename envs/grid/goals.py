"""Goals of grid worlds: poses."""

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.random import Generator

from langrl.envs.goals import NO_TASK
from langrl.envs.grid.rooms import DONE, reachable_poses, read_observation
from langrl.protocols import Array, Mask


class PoseGoals:
    """Poses in a room, and whether ``done`` was the action: (row, column, direction, 0 or 1)."""

    options = NO_TASK

    def __init__(self, size: int) -> None:
        high = np.array([size - 1, size - 1, 3, 1], np.float32)
        self.space = spaces.Box(np.zeros(4, np.float32), high, dtype=np.float32)
        # The observations that the goals are of.
        self.observation_space = spaces.Box(0, 255, (size, size, 3), np.uint8)
        self._shape = (size, size, 3)
        # Every goal there is, one after the other [., 4]: the last number changes first.
        self._goals = np.indices((size, size, 4, 2), np.float32).reshape(4, -1).T.copy()

    def achieved(self, observations: Array, actions: Array | None = None) -> Array:
        """Return the poses [N, 4] of observations [N, H, W, 3]."""
        _, poses = read_observation(observations)
        acted = np.zeros(len(poses)) if actions is None else np.asarray(actions) == DONE
        return np.column_stack([poses, acted]).astype(np.float32)

    def scene_changed(self, before: Array, now: Array) -> Mask:
        """Return bool [N]: which observations [N, H, W, 3] show another room than ``before``."""
        if before.shape != now.shape:
            return np.ones(len(now), bool)
        changed: Mask = (before[..., :2] != now[..., :2]).any((1, 2, 3))
        return changed

    def achieved_one(self, observation: Array, action: Any = None) -> Array:
        """Return the pose [4] of one observation [H, W, 3], as wrappers ask for at every step.

        Bytes are quicker than arrays of this size.
        """
        if (
            type(observation) is np.ndarray
            and observation.shape == self._shape
            and observation.itemsize == 1
        ):
            agents = observation.tobytes()[2::3]
            turned = agents.lstrip(b"\0")
            if len(turned.rstrip(b"\0")) == 1 and turned[0] <= 4:
                said = action is not None and int(action) == DONE
                pose = 4 * (len(agents) - len(turned)) + turned[0] - 1
                return self._goals[2 * pose + said].copy()
        done = None if action is None else np.asarray(action)[None]
        return self.achieved(np.asarray(observation)[None], done)[0]

    def draw(self, observations: Array, generator: Generator) -> Array:
        """Return poses [N, 4] that can be reached, with ``done`` as the action."""
        goals = np.ones((len(observations), 4), np.float32)
        for n, poses in enumerate(reachable_poses(observations)):
            goals[n, :3] = poses[generator.integers(len(poses))]
        return goals

    def reached(self, achieved: Array, desired: Array) -> Mask:
        """Return whether poses [..., 4] and the actions there are the same."""
        if type(achieved) is type(desired) is np.ndarray and achieved.ndim == desired.ndim == 1:
            # At every step of a single environment: lists are quicker than arrays of this size.
            return np.asarray(achieved.tolist() == desired.tolist())
        return np.asarray((np.asarray(achieved) == np.asarray(desired)).all(-1))
