"""Images of grid worlds, put together from minigrid's tiles.

Axes: ``N`` images, ``H`` rows, ``W`` columns of cells.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from langrl.envs.grid.grammar import COLOURS, EMPTY, TYPES, WALL
from langrl.envs.grid.rooms import Poses, Rooms
from langrl.envs.grid.views import UNSEEN

TILE = 8  # pixels along a side of a cell in goal images
_DARK = 40  # the brightness of what a view does not show
_AGENTS = 5  # the agent is absent or looks one of four ways
_COLOUR_NAMES = {number: name for name, number in COLOURS.items()}


@lru_cache(maxsize=4096)
def _tile(kind: int, colour: int, agent: int, pixels: int) -> NDArray[np.uint8]:
    """Return minigrid's drawing of a cell [pixels, pixels, 3], with an agent or without (0)."""
    from minigrid.core.grid import Grid
    from minigrid.core.world_object import Ball, Box, Door, Key, Wall

    makers = {TYPES["key"]: Key, TYPES["ball"]: Ball, TYPES["box"]: Box, WALL: Wall}
    name = _COLOUR_NAMES[colour]
    if kind == UNSEEN:
        return np.full((pixels, pixels, 3), _DARK, np.uint8)
    if kind == EMPTY:
        thing = None
    elif kind == TYPES["door"]:
        thing = Door(name, is_open=agent > 0)
    else:
        thing = makers[kind](name)
    return Grid.render_tile(thing, None if agent == 0 else agent - 1, False, pixels)


def render_rooms(rooms: Rooms, poses: Poses | None = None, pixels: int = TILE) -> NDArray[np.uint8]:
    """Draw rooms or views [N, H, W, 2], with the agent at poses [N, 3] if there are any.

    Returns:
        uint8 [N, H * pixels, W * pixels, 3].
    """
    agents = np.zeros(rooms.shape[:3], np.int64)
    if poses is not None:
        agents[np.arange(len(poses)), poses[:, 0], poses[:, 1]] = poses[:, 2] + 1
    count, height, width = rooms.shape[:3]
    codes = (rooms[..., 0].astype(np.int64) * len(COLOURS) + rooms[..., 1]) * _AGENTS + agents
    distinct, places = np.unique(codes, return_inverse=True)
    tiles = np.zeros((len(distinct), pixels, pixels, 3), np.uint8)
    for tile, code in zip(tiles, distinct.tolist(), strict=True):
        kind, colour = divmod(code // _AGENTS, len(COLOURS))
        tile[:] = _tile(kind, colour, code % _AGENTS, pixels)
    drawn = tiles[places.reshape(agents.shape)]  # [N, H, W, pixels, pixels, 3]
    return drawn.transpose(0, 1, 3, 2, 4, 5).reshape(count, height * pixels, width * pixels, 3)
