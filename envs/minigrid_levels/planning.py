"""Shortest ways in levels, through doors that have to be opened.

Axes: ``H`` rows, ``W`` columns.
"""

import numpy as np
from numpy.typing import NDArray

from langrl.envs.grid.grammar import EMPTY
from langrl.envs.grid.rooms import AHEAD, DOOR, FORWARD, LEFT, RIGHT
from langrl.envs.minigrid_levels.reading import LOCKED, SHUT, TOGGLE, Cells
from langrl.protocols import Mask

_AROUND = 2  # steps into a cell with a shut door: it is opened first


def costs(observation: Cells) -> NDArray[np.float64]:
    """Return the steps that it takes to enter each cell [H, W] of a whole level [H, W, 3].

    They are inf for what cannot be entered: walls, objects and locked doors.
    """
    kind, state = observation[..., 0], observation[..., 2]
    here = (state > 0) & (state <= len(AHEAD))
    open_door = (kind == DOOR) & (state != SHUT) & (state != LOCKED)
    found = np.where((kind == EMPTY) | open_door | here, 1.0, np.inf)
    found[(kind == DOOR) & (state == SHUT)] = _AROUND
    return found


def steps_to(observation: Cells, targets: Mask) -> NDArray[np.float64]:
    """Return the fewest steps from each pose to one of some poses, inf where there is no way.

    Args:
        observation: of a whole level [H, W, 3].
        targets: poses [H, W, 4].

    Returns:
        [H, W, 4].
    """
    enter = costs(observation)
    distance = np.where(targets & np.isfinite(enter)[..., None], 0.0, np.inf)
    while True:
        grown = np.minimum(distance, 1 + np.roll(distance, 1, -1))
        grown = np.minimum(grown, 1 + np.roll(distance, -1, -1))
        for turn, (down, right) in enumerate(AHEAD.tolist()):
            onward = enter + distance[..., turn]
            there = np.roll(onward, (-down, -right), (0, 1))  # the edge is walls: nothing wraps
            grown[..., turn] = np.minimum(grown[..., turn], there)
        grown[~np.isfinite(enter)] = np.inf
        if np.array_equal(grown, distance):
            return distance
        distance = grown


def action_towards(
    observation: Cells, distance: NDArray[np.float64], pose: NDArray[np.int64]
) -> int | None:
    """Return an action on a shortest way from a pose [3]; None if it is there, or has no way.

    ``distance`` [H, W, 4] is what ``steps_to`` returns.
    """
    row, column, turn = pose.tolist()
    here = distance[row, column, turn]
    if here == 0 or not np.isfinite(here):
        return None
    down, right = AHEAD[turn].tolist()
    shut = observation[row + down, column + right, 2] == SHUT
    after = {
        LEFT: 1 + distance[row, column, (turn - 1) % 4],
        RIGHT: 1 + distance[row, column, (turn + 1) % 4],
        TOGGLE if shut else FORWARD: costs(observation)[row + down, column + right]
        + distance[row + down, column + right, turn],
    }
    return min(after, key=lambda action: float(after[action]))
