"""What an agent sees of a grid world from where it stands: MiniGrid's egocentric view.

The view is a square of cells in front of the agent, turned so that the agent looks up from the
middle of the bottom row. Walls and closed doors hide what is behind them; what is hidden, and only
that, is 0 in every channel.

Axes: ``N`` views, ``V`` cells along a side of a view, ``H`` rows, ``W`` columns of a room.
"""

import numpy as np
from numpy.typing import NDArray

from langrl.envs.grid.grammar import COLOURS, EMPTY, WALL
from langrl.envs.grid.rooms import AHEAD, DOOR, Poses, Rooms, ahead
from langrl.errors import LayoutError
from langrl.protocols import Integers, Mask

UNSEEN = 0  # minigrid's number of a cell that is hidden
VIEW_SIZE = 7  # MiniGrid's
_CLOSED = 1  # minigrid's number of the state of a door that is shut


def check_view(size: int) -> int:
    """Return the size of a view; raises LayoutError unless it is odd and at least 3."""
    if isinstance(size, bool) or not isinstance(size, int) or size < 3 or size % 2 == 0:
        raise LayoutError(
            f"view is {size!r}; give an odd number of cells from 3 on, as 7, so that the agent is"
            " in the middle of its bottom row"
        )
    return size


def egocentric_views(rooms: Rooms, poses: Poses, size: int = VIEW_SIZE) -> NDArray[np.uint8]:
    """Return what agents see, uint8 [N, V, V, 3]: type, colour and state (1: a closed door).

    MiniGrid's ``gen_obs``, with rows before columns, and its compass in the image: the state of
    the agent's own cell is its direction + 1, as in observations of whole rooms. Doors are shut
    except the one that an agent stands in, whose cell, as in MiniGrid, shows as empty.

    Args:
        rooms: [N, H, W, 2].
        poses: of the agents [N, 3].
        size: cells along a side, V; odd.

    Raises:
        LayoutError: for a size that is even or below 3.

    Source: Chevalier-Boisvert et al. 2023, arXiv:2306.13831.
    """
    cells, outside = _cells_ahead(rooms, poses, size)
    row, column = cells
    seen = rooms[np.arange(len(rooms))[:, None, None], row, column]  # [N, V, V, 2]
    seen[outside] = (WALL, COLOURS["grey"])
    seen[:, size - 1, size // 2] = (EMPTY, 0)
    shut = seen[..., :1] == DOOR
    views = np.concatenate([seen, shut.astype(np.uint8) * np.uint8(_CLOSED)], -1)
    views[~visible((seen[..., 0] == WALL) | shut[..., 0])] = UNSEEN
    views[:, size - 1, size // 2, 2] = poses[:, 2] + 1
    return views


def seen_cells(rooms: Rooms, poses: Poses, size: int = VIEW_SIZE) -> Mask:
    """Return which cells of the rooms agents see, bool [N, H, W]; as ``egocentric_views``."""
    views = egocentric_views(rooms, poses, size)
    (row, column), outside = _cells_ahead(rooms, poses, size)
    seen = np.zeros(rooms.shape[:3], bool)
    which, *place = np.nonzero((views[..., 0] != UNSEEN) & ~outside)
    seen[which, row[which, *place], column[which, *place]] = True
    return seen


def _cells_ahead(rooms: Rooms, poses: Poses, size: int) -> tuple[tuple[Integers, Integers], Mask]:
    """Return row and column of each place of a view [N, V, V], and which are outside the room."""
    depth = size - 1 - np.arange(check_view(size))[:, None]  # [V, 1], cells ahead
    aside = np.arange(size)[None] - size // 2  # [1, V], cells to the right
    front = AHEAD[poses[:, 2]][:, None, None]  # [N, 1, 1, 2]
    right = AHEAD[(poses[:, 2] + 1) % 4][:, None, None]
    cells = poses[:, None, None, :2] + depth[..., None] * front + aside[..., None] * right
    limits = np.array(rooms.shape[1:3])
    outside = ((cells < 0) | (cells >= limits)).any(-1)  # [N, V, V]
    row, column = np.moveaxis(np.clip(cells, 0, limits - 1), -1, 0)
    return (row, column), outside


def visible(opaque: Mask) -> Mask:
    """Return which cells are not hidden by opaque ones, bool [N, V, V]; MiniGrid's rule.

    From the agent's row on, sight spreads to the side, and from there to the next row.
    """
    size = opaque.shape[1]
    seen = np.zeros_like(opaque)
    seen[:, size - 1, size // 2] = True
    for row in range(size - 1, -1, -1):
        for columns, step in ((range(size - 1), 1), (range(size - 1, 0, -1), -1)):
            for column in columns:
                through = seen[:, row, column] & ~opaque[:, row, column]
                seen[:, row, column + step] |= through
                if row:
                    seen[:, row - 1, column + step] |= through
                    seen[:, row - 1, column] |= through
    return seen


def faced_cells(rooms: Rooms, poses: Poses) -> NDArray[np.uint8]:
    """Return the type and the colour of the cell that each agent faces, uint8 [N, 2]."""
    return rooms[np.arange(len(rooms)), *ahead(poses)]
