"""A level of minigrid's own classes with the rooms of our grid worlds, to measure against."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from minigrid.core.actions import Actions
from minigrid.core.constants import IDX_TO_COLOR
from minigrid.core.grid import Grid
from minigrid.core.mission import MissionSpace
from minigrid.core.world_object import Ball, Box, Door, Key, Wall
from minigrid.minigrid_env import MiniGridEnv

from langrl.envs.grid.grammar import EMPTY, TYPES, WALL
from langrl.envs.grid.rooms import DONE, Rooms

_MOVES = (Actions.left, Actions.right, Actions.forward, Actions.done)  # of our four actions
_THINGS = {TYPES["key"]: Key, TYPES["ball"]: Ball, TYPES["box"]: Box, WALL: Wall}


def _mission() -> str:
    return "say done at the pose"


class MinigridLevel(MiniGridEnv):
    """Rooms uint8 [H, W, 2] one after the other, with open doors; ``done`` ends an episode.

    Actions are those of ``langrl.envs.grid.rooms``. Starts and goals are poses that minigrid draws.

    Args:
        rooms: one is taken at every reset.
        size: cells along a side.
        max_steps: steps after which an episode is cut off.
    """

    def __init__(self, rooms: Iterator[Rooms], size: int, max_steps: int = 100) -> None:
        self._rooms = rooms
        space = MissionSpace(mission_func=_mission)
        super().__init__(space, grid_size=size, max_steps=max_steps)

    def _gen_grid(self, width: int, height: int) -> None:
        self.grid, self.mission = Grid(width, height), _mission()
        room = next(self._rooms)
        for row, column in np.argwhere(room[..., 0] != EMPTY).tolist():
            kind, colour = room[row, column].tolist()
            if kind == TYPES["door"]:
                thing = Door(IDX_TO_COLOR[colour], is_open=True)
            else:
                thing = _THINGS[kind](IDX_TO_COLOR[colour])
            self.grid.set(column, row, thing)
        self.place_agent()
        self._goal = (*self.agent_pos, self.agent_dir)
        self.place_agent()

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take one of our four actions; the reward is 1 for ``done`` at the goal."""
        observation, _, terminated, truncated, info = super().step(_MOVES[action])
        said = bool(action == DONE)
        reached = said and (*self.agent_pos, self.agent_dir) == self._goal
        return observation, float(reached), terminated or said, truncated, info
