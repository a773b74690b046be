"""Names of what is in cells of grid worlds."""

from typing import Any

from langrl.envs.grid.grammar import COLOURS, EMPTY, TYPES, WALL
from langrl.envs.grid.rooms import Rooms

THINGS = {"wall": WALL, "free": EMPTY, **TYPES}
NAMES = {number: name for name, number in THINGS.items()}
COLOUR_NAMES = {number: name for name, number in COLOURS.items()}


def things_in(room: Rooms) -> list[list[Any]]:
    """Return row, column, thing and colour of each cell of a room [H, W, 2] that is not free."""
    return [
        [row, column, NAMES[kind], COLOUR_NAMES[colour]]
        for row, line in enumerate(room.tolist())
        for column, (kind, colour) in enumerate(line)
        if kind != EMPTY
    ]
