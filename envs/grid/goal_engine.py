"""Grid worlds as goal worlds, N of them in arrays; see ``langrl.envs.goal_engine``.

Axes: ``N`` environments, ``n`` some of them, ``H`` rows, ``W`` columns.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from langrl.envs.draws import KeyedDraws, keys_of
from langrl.envs.engine_checks import check_state, refuse_unknown
from langrl.envs.goal_engine import GoalSpaces, Seen, Stepped
from langrl.envs.grid import rooms as grid
from langrl.envs.grid.goals import PoseGoals
from langrl.envs.grid.rooms import Rooms, RoomSpec
from langrl.errors import CheckpointError, LayoutError, lookup
from langrl.protocols import Array, Floats, Integers, Mask

_TRIES = 8  # cells that are tried at once for one that is free
_ROOM, _START, _GOAL = range(3)  # what is drawn for an episode, each with keys of its own
_NAME = 16  # letters of a world's name that are stored, so that all states are alike
_TURNS = np.array([3, 1, 0, 0])  # by which each action turns; 3 and -1 are the same


class GridGoalEngine:
    """N agents in rooms of their own, each to say ``done`` at a pose; a ``GoalEngine``.

    Rooms, actions and observations are those of ``GridGoToEnv``, goals those of ``PoseGoals``:
    (row, column, direction, 1). Starts and goals are uniform over the poses of a room. Saying
    ``done`` ends the episode; it is success, and the reward 1, at the goal's pose alone.

    Args:
        num_envs: how many, N.
        max_episode_steps: steps after which an episode is cut off.
        world: one of ``langrl.envs.grid.rooms.GRID_WORLDS``.
        unknown: any other argument is refused.

    Raises:
        UnknownNameError, ConfigError: naming the argument and the repair.
    """

    def __init__(
        self,
        num_envs: int,
        max_episode_steps: int = 100,
        world: str = "goto",
        **unknown: Any,
    ) -> None:
        refuse_unknown(unknown, "world")
        self.spec: RoomSpec = lookup(grid.GRID_WORLDS, world, "grid world")
        self.world, self.num_envs, self._limit = world, num_envs, max_episode_steps
        size = self.spec.size
        goals = PoseGoals(size)
        self.spaces = GoalSpaces(
            goals.observation_space,
            goals.space,
            spaces.Discrete(len(grid.ACTIONS)),
            max_episode_steps,
        )
        # A goal is a number: cells one after the other, four directions each, said or not.
        self._goals_by_number = np.indices((size, size, 4, 2), np.float32).reshape(4, -1).T.copy()
        self._ahead = grid.AHEAD @ [size, 1]
        self._first = np.arange(num_envs) * size**2  # where each room begins in arrays of cells
        self._shown = np.zeros((num_envs, size, size, 3), np.uint8)
        self._free = np.zeros(num_envs * size**2, bool)
        self._cells, self._turns, self._goals, self._elapsed = np.zeros((4, num_envs), np.int64)
        self._said = np.zeros(num_envs, bool)

    def reset(self, rows: Integers, seeds: Integers) -> Seen:
        """Start new episodes in some rows [n], functions of their numbers and seeds [n]."""
        rooms = grid.draw_keyed_rooms(self.spec, keys_of(rows, seeds, _ROOM))
        free = self._furnish(rows, rooms)
        self._cells[rows], self._turns[rows] = _draw_poses(free, keys_of(rows, seeds, _START))
        cell, turn = _draw_poses(free, keys_of(rows, seeds, _GOAL))
        self._goals[rows] = 8 * cell + 2 * turn + 1
        self._said[rows], self._elapsed[rows] = False, 0
        self._show(self._first[rows] + self._cells[rows], self._turns[rows] + 1)
        return self._seen()

    def _furnish(self, rows: Integers, rooms: Rooms) -> Mask:
        """Put rooms [n, H, W, 2] into some rows; returns which of their cells are free."""
        shown = np.zeros((len(rows), *self._shown.shape[1:]), np.uint8)
        shown[..., 0], shown[..., 1] = rooms[..., 0], rooms[..., 1]
        self._shown[rows] = shown
        free = grid.is_free(rooms)
        self._free.reshape(self._shown.shape[:3])[rows] = free
        return free

    def _show(self, places: Integers, numbers: Integers | int) -> None:
        """Write numbers where agents are, or were, in arrays of all cells."""
        self._shown.reshape(-1, 3)[places, 2] = numbers

    def step(self, actions: Array) -> Stepped:
        """Act once in all rows, by actions int64 [N]."""
        before = self._first + self._cells
        self._turns = (self._turns + _TURNS[actions]) & 3
        ahead = self._ahead[self._turns]
        goes = (actions == grid.FORWARD) & self._free[before + ahead]
        self._cells = self._cells + ahead * goes
        self._said = actions == grid.DONE
        self._show(before, 0)
        self._show(self._first + self._cells, self._turns + 1)
        self._elapsed += 1
        terminated = self._said.copy()
        success = self._number() == self._goals
        truncated = (self._elapsed >= self._limit) & ~terminated
        return Stepped(self._seen(), success.astype(np.float32), terminated, truncated, success)

    def _number(self) -> Integers:
        return 8 * self._cells + 2 * self._turns + self._said

    def _seen(self) -> Seen:
        goals = self._goals_by_number
        return Seen(self._shown.copy(), goals[self._number()], goals[self._goals])

    def shortest_steps(self) -> Floats:
        """Return the turns and steps from poses to goals [N], and one to say ``done``."""
        free = self._free.reshape(self._shown.shape[:3])
        targets = np.zeros((*free.shape, 4), bool)
        each, shape = np.arange(self.num_envs), (self.num_envs, -1)
        targets.reshape(shape)[each, self._goals // 2] = True
        distances = grid.pose_distances(free, targets).reshape(shape)
        return (distances[each, self._number() // 2] + 1).astype(np.float32)

    def state(self) -> dict[str, Array]:
        """Return copies of everything that decides what follows."""
        return {
            "world": np.frombuffer(self.world.encode().ljust(_NAME), np.uint8).copy(),
            "rooms": self._shown[..., :2].copy(),
            "cells": self._cells.copy(),
            "turns": self._turns.copy(),
            "goals": self._goals.copy(),
            "said": self._said.copy(),
            "elapsed": self._elapsed.copy(),
        }

    def load_state(self, state: Mapping[str, Array]) -> Seen:
        """Restore what ``state()`` returned; raises CheckpointError if it is of other worlds."""
        own = self.state()
        check_state(state, own)
        if not np.array_equal(state["world"], own["world"]):
            name = bytes(state["world"]).decode().strip()
            raise CheckpointError(
                f"the state is of the world {name!r} and not {self.world!r}; make the engine with"
                f" world={name!r}"
            )
        for name in ("cells", "turns", "goals", "said", "elapsed"):
            setattr(self, f"_{name}", np.array(state[name]))
        self._furnish(np.arange(self.num_envs), np.asarray(state["rooms"]))
        self._show(self._first + self._cells, self._turns + 1)
        return self._seen()

    def close(self) -> None:
        """Do nothing: arrays need no closing."""


def _draw_poses(free: Mask, keys: NDArray[np.uint64]) -> tuple[Integers, Integers]:
    """Return a cell and a direction [n] each, uniform over the free cells [n, H, W] of each row."""
    draws, size = KeyedDraws(keys), free.shape[1]
    flat, cells, missing = free.reshape(-1), np.zeros(len(free), np.int64), np.arange(len(free))
    turns = draws.integers(0, 4, 1)[0]
    for _ in range(1000):
        row, column = draws.integers(1, size - 1, 2 * _TRIES).reshape(2, _TRIES, -1)
        tried = row * size + column  # [tries, n], of those that are missing
        taken = flat[missing * size**2 + tried]
        cells[missing] = tried[taken.argmax(0), np.arange(len(missing))]
        left = ~taken.any(0)
        missing, draws = missing[left], draws.take(left)
        if not len(missing):
            return cells, turns
    raise LayoutError("a room has no free cell inside its walls; draw rooms with fewer objects")
