"""Layouts of a level, drawn as the level draws them, and as rooms of grid worlds.

Axes: ``N`` layouts, ``H`` rows, ``W`` columns.
"""

import numpy as np
from minigrid.minigrid_env import MiniGridEnv
from numpy.random import Generator
from numpy.typing import NDArray

from langrl.envs.grid.episodes import TRIES
from langrl.envs.grid.grammar import COLOURS, EMPTY, WALL, beside
from langrl.envs.grid.rooms import Rooms, connected, is_free, is_object, read_observation
from langrl.envs.minigrid_levels.reading import Cells, as_rooms, begin, observe, read_cells
from langrl.errors import ConfigError


def draw_layouts(level: MiniGridEnv, count: int, generator: Generator, name: str) -> Cells:
    """Draw layouts uint8 [N, H, W, 3], observations of a whole level, each with an object to go to.

    Args:
        level: see ``make_level``; it is reset.
        count: how many.
        generator: source of the level's seeds.
        name: of the level, for errors.

    Raises:
        ConfigError: if no layout has an object that can be gone to.
    """
    found: list[Cells] = []
    tries = 0
    while len(found) < count:
        begin(level, int(generator.integers(2**31)))
        layout = observe(level, read_cells(level, name))
        if is_object(rooms_of(layout[None])).any():
            found.append(layout)
            tries = 0
        elif (tries := tries + 1) == TRIES:
            raise ConfigError(
                f"{TRIES} layouts of {name} have no object that can be gone to from the start, so"
                " that there is nothing to learn; choose another level"
            )
    return np.stack(found)


def rooms_of(layouts: Cells) -> Rooms:
    """Return layouts [N, H, W, 3] as rooms of grid worlds [N, H, W, 2].

    Doors open to whoever walks. Locked doors, and what cannot be reached or faced from where the
    agent stands, are walls.
    """
    plain = as_rooms(layouts, locked=WALL)
    rooms, poses = read_observation(plain)
    rooms = rooms.copy()
    here = np.zeros(rooms.shape[:3], bool)
    here[np.arange(len(rooms)), poses[:, 0], poses[:, 1]] = True
    reached = connected(is_free(rooms), here)
    kept = reached | (is_object(rooms) & beside(reached))
    rooms[~kept] = (WALL, COLOURS["grey"])
    return rooms


def start_at(layout: Cells, pose: NDArray[np.int64]) -> Cells:
    """Return a layout [H, W, 3] whose agent is at another pose, on an empty cell."""
    _, poses = read_observation(as_rooms(layout[None]))
    moved = layout.copy()
    moved[poses[0, 0], poses[0, 1], 2] = 0
    row, column, turn = pose.tolist()
    moved[row, column] = (EMPTY, 0, turn + 1)
    return moved
