"""Street mazes as goal worlds, N of them in arrays; see ``langrl.envs.goal_engine``.

Axes: ``N`` environments, ``n`` some of them, ``F`` free cells.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces

from langrl.envs.draws import KeyedDraws, keys_of, normal
from langrl.envs.engine_checks import check_state, refuse_unknown
from langrl.envs.goal_engine import GoalSpaces, Seen, Stepped
from langrl.envs.maze.goals import MazeGoals
from langrl.envs.maze.layouts import Layout
from langrl.envs.maze.world import STEP_SIZE, Positions, StreetMaze, move, rotate, unit
from langrl.errors import CheckpointError, ConfigError
from langrl.protocols import Array, Floats, Integers

_BELOW_ONE = np.float32(0.9999)  # a cell's corner and an offset must not round up to the next cell
_PLACES, _NOISE = range(2)  # what is drawn for an episode, each with keys of its own


class MazeGoalEngine:
    """N agents in a maze, each to reach the cell of a position; a ``GoalEngine``.

    Starts are uniform over the free area, goals over that of the other cells. The action is a
    direction (row, column), whose length is ignored; the reward is 1 at the goal, which ends the
    episode.

    Args:
        num_envs: how many, N.
        max_episode_steps: steps after which an episode is cut off.
        layout: as in ``StreetMazeEnv``.
        angle_noise: standard deviation in degrees of the noise on every direction.
        unknown: any other argument is refused.

    Raises:
        LayoutError, UnknownNameError, ConfigError: naming the argument and the repair.
    """

    def __init__(
        self,
        num_envs: int,
        max_episode_steps: int = 100,
        layout: str | Path | Layout = "fork",
        angle_noise: float = 0.0,
        **unknown: Any,
    ) -> None:
        refuse_unknown(unknown, "layout", "angle_noise")
        if not (math.isfinite(angle_noise) and angle_noise >= 0):
            raise ConfigError(f"angle_noise is in degrees, at least 0; got {angle_noise}")
        self.world, self.num_envs = StreetMaze(layout), num_envs
        goals = MazeGoals(self.world)
        action = spaces.Box(-1, 1, (2,), np.float32)
        self.spaces = GoalSpaces(goals.space, goals.space, action, max_episode_steps)
        self._limit, self._angle_noise = max_episode_steps, np.deg2rad(angle_noise)
        self._positions, self._goals = np.zeros((2, num_envs, 2), np.float32)
        self._noise_keys = np.zeros(num_envs, np.uint64)
        self._elapsed = np.zeros(num_envs, np.int64)

    def reset(self, rows: Integers, seeds: Integers) -> Seen:
        """Start new episodes in some rows [n], functions of their numbers and seeds [n]."""
        draws, cells = KeyedDraws(keys_of(rows, seeds, _PLACES)), self.world.layout.free_cells
        start = draws.integers(0, len(cells), 1)[0]
        goal = draws.integers(0, len(cells) - 1, 1)[0]
        goal += goal >= start  # one of the other cells
        for where, cell in ((self._positions, start), (self._goals, goal)):
            where[rows] = cells[cell] + draws.random(2).T * _BELOW_ONE
        self._noise_keys[rows] = keys_of(rows, seeds, _NOISE)
        self._elapsed[rows] = 0
        return self._seen()

    def step(self, actions: Array) -> Stepped:
        """Move everybody once, by actions [N, 2]."""
        directions: Floats = unit(actions)
        if self._angle_noise:
            angles = normal(self._noise_keys, self._elapsed) * self._angle_noise
            directions = rotate(directions, angles)
        self._positions = move(self.world.walls, self._positions, directions)
        self._elapsed += 1
        same = np.floor(self._positions) == np.floor(self._goals)
        success = same[:, 0] & same[:, 1]
        truncated = (self._elapsed >= self._limit) & ~success
        reward = success.astype(np.float32)
        return Stepped(self._seen(), reward, success, truncated, success.copy())

    def _seen(self) -> Seen:
        positions: Positions = self._positions.copy()
        return Seen(positions, positions.copy(), self._goals.copy())

    def shortest_steps(self) -> Floats:
        """Return the steps from positions to goals [N], two for each of 4-connected cells."""
        layout = self.world.layout
        start, goal = (
            layout.cell_index[tuple(np.floor(each).astype(np.int64).T)]
            for each in (self._positions, self._goals)
        )
        return (layout.distances[start, goal] / STEP_SIZE).astype(np.float32)

    def state(self) -> dict[str, Array]:
        """Return copies of everything that decides what follows."""
        return {
            "walls": self.world.walls.copy(),
            "positions": self._positions.copy(),
            "goals": self._goals.copy(),
            "noise_keys": self._noise_keys.view(np.int64).copy(),
            "elapsed": self._elapsed.copy(),
        }

    def load_state(self, state: Mapping[str, Array]) -> Seen:
        """Restore what ``state()`` returned; raises CheckpointError if it is of other mazes."""
        check_state(state, self.state())
        if not np.array_equal(state["walls"], self.world.walls):
            raise CheckpointError("the state is of another maze; make the engine with its layout")
        self._positions, self._goals = np.array(state["positions"]), np.array(state["goals"])
        self._noise_keys = np.array(state["noise_keys"]).view(np.uint64)
        self._elapsed = np.array(state["elapsed"])
        return self._seen()

    def close(self) -> None:
        """Do nothing: arrays need no closing."""
