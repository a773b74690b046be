"""Explorers: experts of grid worlds that see as little as the agent does.

An explorer searches for one object of the room. Until it has seen the object, it goes to the
nearest cell that it has not seen yet; then it walks to the object and takes ``done`` in front of
it. That is a segment; several segments are an exploration trajectory (``GridExplorations``). Its
actions depend on its history alone, so that an agent with a memory can learn them.

Axes: ``E`` explorers, ``H`` rows, ``W`` columns, ``R`` rooms, ``T`` states of all explorations.
"""

import itertools

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from langrl.data.grid.experts import GridTrajectories, draw_cells, draw_poses
from langrl.data.grid.exploration import GridExplorations
from langrl.data.trajectories import by_walker
from langrl.envs.grid import rooms as grid
from langrl.envs.grid.grammar import beside
from langrl.envs.grid.rooms import Poses, Rooms
from langrl.envs.grid.views import seen_cells
from langrl.protocols import Integers, Mask

_EXPLORERS_AT_ONCE = 4096
_PATIENCE = 4  # steps between plans while nothing changes


def explorer_trajectories(
    rooms: Rooms,
    per_room: int,
    segments: int,
    generator: Generator,
    *,
    view: int,
    action_noise: float = 0.1,
) -> GridExplorations:
    """Search for ``segments`` objects of a room, one after another, from a random pose.

    Args:
        rooms: [R, H, W, 2].
        per_room: explorations in each room.
        segments: objects that are searched for on each, drawn with replacement.
        generator: source of randomness.
        view: cells along a side of what an explorer sees.
        action_noise: chance of a random turn or step instead of the best action.
    """
    every = rooms.repeat(per_room, 0)  # [E, H, W, 2]
    parts = []
    for start in range(0, len(every), _EXPLORERS_AT_ONCE):
        some = every[start : start + _EXPLORERS_AT_ONCE]
        walkers, poses, actions = _search(some, segments, generator, view, action_noise)
        parts.append((walkers + start, poses, actions))
    walkers, poses, actions = (np.concatenate(part) for part in zip(*parts, strict=True))
    ends = actions == grid.DONE
    return GridExplorations(
        GridTrajectories(rooms, walkers // per_room, poses, actions, ends), walkers
    )


def _search(
    rooms: Rooms, segments: int, generator: Generator, view: int, action_noise: float
) -> tuple[Integers, Poses, Integers]:
    """Return walkers, poses and actions of explorations in rooms [E, H, W, 2], in order."""
    free, objects = grid.is_free(rooms), grid.is_object(rooms)
    poses, targets = draw_poses(free, generator), draw_cells(objects, generator)
    seen, left = np.zeros_like(free), np.full(len(rooms), segments)
    distances = np.zeros(free.shape, np.int16)
    age = np.full(len(rooms), _PATIENCE)  # of the plan that ``distances`` is
    to_target = np.zeros(len(rooms), bool)  # whether the plan leads to the object itself
    record, walker = [], np.arange(len(rooms))
    while len(walker):
        seen[walker] |= seen_cells(rooms[walker], poses[walker], view)
        located = seen[walker, *targets[walker].T]
        arrived = distances[walker, *poses[walker, :2].T] == 0
        stale = (located != to_target[walker]) | (~located & ((age[walker] >= _PATIENCE) | arrived))
        plan = walker[stale]
        if len(plan):
            distances[plan] = _plan(free[plan], seen[plan], targets[plan], located[stale])
            age[plan], to_target[plan] = 0, located[stale]
        here = poses[walker]
        actions = _steps(distances[walker], here, targets[walker], located)
        random = (generator.random(len(walker)) < action_noise) & (actions != grid.DONE)
        actions = np.where(random, generator.integers(3, size=len(walker)), actions)
        record.append((walker, here, actions))
        poses[walker] = grid.move(free[walker], here, actions)
        age[walker] += 1
        over = walker[actions == grid.DONE]
        left[over] -= 1
        targets[over] = draw_cells(objects[over], generator)
        age[over], to_target[over] = _PATIENCE, False
        walker = walker[left[walker] > 0]
    walkers, states, acted = by_walker(record)
    return walkers, states, acted


def _plan(free: Mask, seen: Mask, targets: Integers, located: Mask) -> NDArray[np.int16]:
    """Return steps from each cell to the object, or to the nearest unseen cell [E, H, W].

    Where every cell is seen, though the object was not, it is to the object.
    """
    unknown = free & ~seen
    at = np.zeros_like(free)
    at[np.arange(len(free)), *targets.T] = True
    to_object = located | ~unknown.any((1, 2))
    return _cell_distances(free, np.where(to_object[:, None, None], beside(at) & free, unknown))


def _cell_distances(free: Mask, targets: Mask) -> NDArray[np.int16]:
    """Return the fewest steps from each cell to a target, int16 [E, H, W]."""
    distances = np.where(targets, np.int16(0), grid.UNREACHABLE)
    new = targets
    for step in itertools.count(1):
        new = beside(new) & free & (distances == grid.UNREACHABLE)
        if not new.any():
            break
        distances[new] = step
    return distances


def _steps(
    distances: NDArray[np.int16], poses: Poses, targets: Integers, located: Mask
) -> Integers:
    """Return the next action of each explorer [E]."""
    each = np.arange(len(poses))
    height, width = distances.shape[1:]
    sides = poses[:, None, :2] + grid.AHEAD  # [E, 4, 2]
    rows, columns = sides[..., 0].clip(0, height - 1), sides[..., 1].clip(0, width - 1)
    near = distances[each[:, None], rows, columns].astype(np.int64)  # [E, 4]
    # Of sides that are as near, the one that takes the fewest turns.
    turns = (np.arange(4) - poses[:, 2:]) % 4  # to the right
    cost = 4 * near + np.minimum(turns, 4 - turns)
    is_target = (sides == targets[:, None]).all(-1)  # [E, 4]
    way = np.where(located & is_target.any(1), is_target.argmax(1), cost.argmin(1))
    turn = (way - poses[:, 2]) % 4
    moves = np.select(
        [turn == 0, turn == 1, turn == 2], [grid.FORWARD, grid.RIGHT, grid.RIGHT], grid.LEFT
    )
    facing = (np.stack(grid.ahead(poses), 1) == targets).all(1)
    return np.where(located & facing, grid.DONE, moves)
