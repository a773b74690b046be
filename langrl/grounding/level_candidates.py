"""Candidate goals in levels of MiniGrid: poses, and what can be done there.

Axes: ``N`` episodes, ``M`` candidates, ``H`` rows, ``W`` columns.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from langrl.envs.grid.rooms import DOOR, ahead, is_object, read_observation
from langrl.envs.minigrid_levels.goals import reachable_poses
from langrl.envs.minigrid_levels.reading import DONE, PICKUP, SHUT, TOGGLE, as_rooms
from langrl.protocols import Array, Floats


@dataclass(frozen=True)
class LevelPoses:
    """Every pose that can be reached when an episode begins, and what can be done there.

    That is ``done`` anywhere, ``pickup`` in front of an object, and ``toggle`` in front of a door
    that is shut or locked. M is eight times the number of cells within the outer walls: four poses,
    and four that face a cell.
    """

    def draw(self, observations: Array, generator: Generator) -> tuple[Array, Floats]:
        """Return goals [N, M, 4] and log weights [N, M], 0 or -inf; levels [N, H, W, 3]."""
        _, starts = read_observation(as_rooms(observations))
        height, width = observations.shape[1:3]
        count = 8 * (height - 2) * (width - 2)
        goals = np.repeat(np.insert(starts, 3, DONE, 1)[:, None], count, 1)
        log_weights = np.full((len(starts), count), -np.inf, np.float32)
        for n, observation in enumerate(observations):
            listed = goals_of_level(observation)
            goals[n, : len(listed)], log_weights[n, : len(listed)] = listed, 0
        return goals, log_weights


def goals_of_level(observation: Array) -> Array:
    """Return the goals [any, 4] of one level [H, W, 3]."""
    poses = reachable_poses(observation)
    # The agent's cell shows what it carries, which is not there to be picked up.
    faced = as_rooms(observation[None])[0][ahead(poses)]  # [M, 3]
    state = observation[..., 2][ahead(poses)]
    door = faced[:, 0] == DOOR
    things = is_object(faced) & ~door
    closed = door & (state >= SHUT)
    parts = ((poses, DONE), (poses[things], PICKUP), (poses[closed], TOGGLE))
    return np.concatenate([np.insert(part, 3, act, 1) for part, act in parts])


def kinds_with_acts(kinds: Array) -> Array:
    """Return goals [M, 3] of types and colours [K, 2]: to go there, to pick up, or to open."""
    door = kinds[:, 0] == DOOR
    parts = ((kinds, DONE), (kinds[~door], PICKUP), (kinds[door], TOGGLE))
    return np.concatenate([np.insert(part, 2, act, 1) for part, act in parts])
