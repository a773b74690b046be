"""Goals of agents that see a part: kinds of object, a type and a colour, and their images.

Axes: ``M`` goals, ``H`` rows, ``W`` columns.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from langrl.envs.grid.grammar import COLOURS, EMPTY, TYPES, WALL
from langrl.envs.grid.rendering import render_rooms

_SHOWROOM = 8  # cells along a side of the room in which goals are drawn


def object_kinds(doors: bool) -> NDArray[np.int64]:
    """Return every type and colour [M, 2] of object that can be gone to."""
    types = [number for name, number in TYPES.items() if doors or name != "door"]
    return np.array([(kind, colour) for kind in types for colour in COLOURS.values()])


def render_kinds(_: NDArray[Any], kinds: NDArray[Any]) -> NDArray[np.uint8]:
    """Draw kinds of object [M, 2], each faced by an agent in a room of its own.

    Where in the world such an object is, and whether there is one, is not known; the room is empty.

    Returns:
        uint8 [M, height, width, 3].
    """
    rooms = np.zeros((len(kinds), _SHOWROOM, _SHOWROOM, 2), np.uint8)
    rooms[...] = (WALL, COLOURS["grey"])
    rooms[:, 1:-1, 1:-1] = (EMPTY, 0)
    middle = _SHOWROOM // 2
    rooms[:, middle, middle] = kinds
    return render_rooms(rooms, np.tile([middle, middle - 1, 0], (len(kinds), 1)))


def padding_for(observation: NDArray[Any]) -> NDArray[Any]:
    """Return what of an observation decides the images of kinds of object: nothing."""
    return observation[:0]
