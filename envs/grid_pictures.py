"""Pictures of grid worlds, put together from minigrid's tiles.

Axes: ``N`` pictures, ``H`` rows, ``W`` columns of cells.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from langrl.envs.grid_grammar import COLOURS, EMPTY, TYPES, WALL
from langrl.envs.grid_rooms import Poses, Rooms

TILE = 8  # pixels along a side of a cell in goal pictures
_TYPES, _AGENTS = 8, 5  # numbers of types; the agent is absent or looks one of four ways


@lru_cache(maxsize=8)
def _tiles(pixels: int) -> NDArray[np.uint8]:
    """Return minigrid's drawing of every cell [type * colour * agent, pixels, pixels, 3]."""
    from minigrid.core.grid import Grid
    from minigrid.core.world_object import Ball, Box, Door, Key, Wall

    makers = {TYPES["key"]: Key, TYPES["ball"]: Ball, TYPES["box"]: Box}
    tiles = np.zeros((_TYPES, len(COLOURS), _AGENTS, pixels, pixels, 3), np.uint8)
    for colour, number in COLOURS.items():
        for agent in range(_AGENTS):
            things = {kind: make(colour) for kind, make in makers.items()}
            things[TYPES["door"]] = Door(colour, is_open=agent > 0)
            for kind, thing in (things | {EMPTY: None, WALL: Wall(colour)}).items():
                way = None if agent == 0 else agent - 1
                tiles[kind, number, agent] = Grid.render_tile(thing, way, False, pixels)
    return tiles


def render_rooms(rooms: Rooms, poses: Poses | None = None, pixels: int = TILE) -> NDArray[np.uint8]:
    """Draw rooms [N, H, W, 2], with the agent at poses [N, 3] if there are any.

    Returns:
        uint8 [N, H * pixels, W * pixels, 3].
    """
    agents = np.zeros(rooms.shape[:3], np.int64)
    if poses is not None:
        agents[np.arange(len(poses)), poses[:, 0], poses[:, 1]] = poses[:, 2] + 1
    drawn = _tiles(pixels)[rooms[..., 0], rooms[..., 1], agents]  # [N, H, W, pixels, pixels, 3]
    count, height, width = agents.shape
    return drawn.transpose(0, 1, 3, 2, 4, 5).reshape(count, height * pixels, width * pixels, 3)
