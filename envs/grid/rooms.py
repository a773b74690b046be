"""Rooms of the grid worlds: drawing them, moving in them, and distances, batched over rooms.

A room is uint8 [H, W, 2], the type and the colour of each cell in minigrid's numbers. A pose is
(row, column, direction), the direction 0 to 3 clockwise from east, as in minigrid.

Axes: ``N`` rooms, ``H`` rows, ``W`` columns, ``M`` poses.
"""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from langrl.envs.grid.grammar import COLOURS, EMPTY, LEVELS, TYPES, WALL, beside
from langrl.errors import LayoutError, ShapeError
from langrl.protocols import Integers, Mask

Rooms = NDArray[np.uint8]
Poses = Integers

LEFT, RIGHT, FORWARD, DONE = range(4)
ACTIONS = ("left", "right", "forward", "done")
AHEAD = np.array([[0, 1], [1, 0], [0, -1], [-1, 0]])  # (row, column) of each direction
UNREACHABLE = np.int16(10_000)
DOOR = TYPES["door"]
_THINGS = np.array([TYPES["key"], TYPES["ball"], TYPES["box"]], np.uint8)
_DRAWS = 1000  # rounds of drawing before a world is called impossible


@dataclass(frozen=True)
class RoomSpec:
    """What the rooms of a world look like.

    Args:
        size: cells along a side of the whole world, walls included.
        objects: fewest and most objects, doors not counted.
        kinds: fewest and most distinct (type, colour) among them; any if not given.
        rooms: rooms along a side, joined by doors.
        pairs: how many pairs of objects are put side by side.
        levels: the instruction types that are drawn here by default.
    """

    size: int
    objects: tuple[int, int]
    kinds: tuple[int, int] | None = None
    rooms: int = 1
    pairs: int = 0
    levels: tuple[str, ...] = tuple(level for level in LEVELS if level != "relation")


GRID_WORLDS = {
    "goto": RoomSpec(8, (4, 6)),
    "crowded": RoomSpec(8, (8, 10), kinds=(3, 4)),
    "rooms": RoomSpec(11, (6, 8), rooms=2),
    "relations": RoomSpec(8, (5, 6), kinds=(3, 4), pairs=2, levels=("relation",)),
    "nine_rooms": RoomSpec(16, (4, 6), rooms=3),
}


# -- drawing ----------------------------------------------------------------------------------


def draw_rooms(spec: RoomSpec, count: int, generator: Generator) -> Rooms:
    """Draw rooms [count, H, W, 2] whose free cells hang together and whose objects can be faced."""
    rooms = np.zeros((count, spec.size, spec.size, 2), np.uint8)
    missing = np.arange(count)
    for _ in range(_DRAWS):
        drawn = _furnish(spec, len(missing), generator)
        good = is_sound(drawn)
        rooms[missing[good]] = drawn[good]
        missing = missing[~good]
        if not len(missing):
            return rooms
    raise LayoutError(f"no sound room of size {spec.size} with {spec.objects[1]} objects; ask less")


def _furnish(spec: RoomSpec, count: int, generator: Generator) -> Rooms:
    """Return walls, doors and objects, not yet checked [count, H, W, 2]."""
    rooms = np.zeros((count, spec.size, spec.size, 2), np.uint8)
    rooms[..., 0] = EMPTY
    step = (spec.size - 1) // spec.rooms
    for line in range(0, spec.size, step):
        rooms[:, line] = rooms[:, :, line] = (WALL, COLOURS["grey"])
    _put_doors(rooms, spec, step, generator)
    inside = np.flatnonzero(rooms[0, :, :, 0] == EMPTY)  # walls are the same in all of them
    numbers = generator.integers(spec.objects[0], spec.objects[1] + 1, size=count)
    order = generator.permuted(np.tile(inside, (count, 1)), axis=1)[:, : spec.objects[1]]
    for pair in range(spec.pairs):  # the second of each pair moves beside the first
        turn = AHEAD[generator.integers(4, size=count)] @ [spec.size, 1]
        order[:, 2 * pair + 1] = order[:, 2 * pair] + turn
    each = np.arange(count)[:, None]
    present = np.arange(order.shape[1]) < numbers[:, None]
    kinds = _draw_kinds(spec, order.shape, generator)  # [count, objects, 2]
    flat = rooms.reshape(count, -1, 2)
    where = (each.repeat(order.shape[1], 1)[present], order[present])
    flat[where] = kinds[present]
    # An object on a wall or on another one: there are too few, and the room is drawn again.
    outside = np.ones(spec.size**2, bool)
    outside[inside] = False
    twice = (flat[..., 0] >= _THINGS.min()).sum(1) != numbers
    flat[(outside[order] & present).any(1) | twice] = 0
    return rooms


def _put_doors(rooms: Rooms, spec: RoomSpec, step: int, generator: Generator) -> None:
    lines, starts = range(step, spec.size - 1, step), range(0, spec.size - 1, step)
    count = len(rooms)
    each = np.arange(count)
    # Drawn door by door, as it always was: runs that were stored before resume on the same rooms.
    for line, start, across in itertools.product(lines, starts, (False, True)):
        at = start + generator.integers(1, step, size=count)
        row, column = (line, at) if across else (at, line)
        rooms[each, row, column, 0] = DOOR
        rooms[each, row, column, 1] = generator.integers(len(COLOURS), size=count)


def _draw_kinds(spec: RoomSpec, shape: tuple[int, ...], generator: Generator) -> NDArray[np.uint8]:
    """Return a type and a colour for each object [count, objects, 2]."""
    every = len(_THINGS) * len(COLOURS)
    if spec.kinds is None:
        number = generator.integers(every, size=shape)
    else:
        pool = generator.permuted(np.tile(np.arange(every), (shape[0], 1)), axis=1)
        size = generator.integers(spec.kinds[0], spec.kinds[1] + 1, size=(shape[0], 1))
        pick = generator.integers(size, size=shape)
        pick = np.where(np.arange(shape[1]) < size, np.arange(shape[1]), pick)  # each at least once
        number = np.take_along_axis(pool, pick, 1)
    return np.stack([_THINGS[number // len(COLOURS)], number % len(COLOURS)], -1).astype(np.uint8)


def is_free(rooms: Rooms) -> Mask:
    """Return the cells that can be stood on: empty ones and doorways [..., H, W]."""
    return (rooms[..., 0] == EMPTY) | (rooms[..., 0] == DOOR)


def is_object(rooms: Rooms) -> Mask:
    """Return the cells that hold an object, doors included [..., H, W]."""
    return rooms[..., 0] >= DOOR


def is_sound(rooms: Rooms) -> Mask:
    """Return which rooms [N] hang together, with every object facing a free cell."""
    free = is_free(rooms)
    first = free.reshape(len(free), -1).argmax(1)
    seed = np.zeros_like(free)
    seed.reshape(len(free), -1)[np.arange(len(free)), first] = True
    whole = (connected(free, seed) == free).all((1, 2))
    faced = beside(free) | free
    return whole & (faced | ~is_object(rooms)).all((1, 2)) & free.any((1, 2))


def _in_a_row(masks: Mask) -> Mask:
    """Return the cells of masks [..., N, H, W] in one row, [..., cells].

    A False follows each line and each mask, so that cells that share an edge are 1 or ``W + 1``
    places apart, nothing else is, and all masks are moved by one slice.
    """
    *rest, count, height, width = masks.shape
    padded = np.zeros((*rest, count, height + 1, width + 1), bool)
    padded[..., :height, :width] = masks
    return padded.reshape(*rest, -1)


def connected(free: Mask, seed: Mask) -> Mask:
    """Return the free cells [N, H, W] that hang together with those of ``seed``."""
    count, height, width = free.shape
    passable, reached = _in_a_row(free), _in_a_row(seed & free)
    while True:
        grown = reached.copy()
        for step in (1, width + 1):
            grown[step:] |= reached[:-step]
            grown[:-step] |= reached[step:]
        grown &= passable
        if np.count_nonzero(grown) == np.count_nonzero(reached):
            return reached.reshape(count, height + 1, width + 1)[:, :height, :width]
        reached = grown


# -- poses ------------------------------------------------------------------------------------


def ahead(poses: Poses) -> tuple[Integers, Integers]:
    """Return the row and the column of the cell that each pose [..., 3] faces."""
    vector = AHEAD[poses[..., 2]]
    return poses[..., 0] + vector[..., 0], poses[..., 1] + vector[..., 1]


def move(free: Mask, poses: Poses, actions: Integers) -> Poses:
    """Turn or go forward; what is not free stops a step, and ``done`` changes nothing.

    Args:
        free: [N, H, W].
        poses: [N, 3], inside the outer walls.
        actions: [N] of ``LEFT``, ``RIGHT``, ``FORWARD``, ``DONE``.
    """
    moved = poses.copy()
    turn = np.where(actions == LEFT, -1, np.where(actions == RIGHT, 1, 0))
    moved[:, 2] = (poses[:, 2] + turn) % 4
    row, column = ahead(poses)
    goes = (actions == FORWARD) & free[np.arange(len(poses)), row, column]
    moved[goes, 0], moved[goes, 1] = row[goes], column[goes]
    return moved


def facing(cells: Mask, free: Mask) -> Mask:
    """Return the poses, bool [N, H, W, 4], that stand on a free cell and face one of ``cells``."""
    faces = np.zeros((*cells.shape, 4), bool)
    faces[:, :, :-1, 0] = cells[:, :, 1:]
    faces[:, :-1, :, 1] = cells[:, 1:]
    faces[:, :, 1:, 2] = cells[:, :, :-1]
    faces[:, 1:, :, 3] = cells[:, :-1]
    return faces & free[..., None]


def pose_distances(free: Mask, targets: Mask) -> NDArray[np.int16]:
    """Return the fewest turns and steps from each pose to a target, int16 [N, H, W, 4].

    Args:
        free: cells that can be stood on [N, H, W].
        targets: poses [N, H, W, 4].

    Returns:
        ``UNREACHABLE`` where there is no way, and on cells that are not free.
    """
    count, height, width = free.shape
    passable = _in_a_row(free)
    reached = _in_a_row(np.moveaxis(targets & free[..., None], -1, 0))  # [4, cells]
    distances = np.zeros(reached.shape, np.int16)
    recent = np.zeros(reached.shape, np.uint8)  # added up later: small numbers are fast
    size = np.count_nonzero(reached)
    for step in itertools.count(1):
        recent += (~reached).view(np.uint8)
        if step % 255 == 0:
            distances += recent
            recent[:] = 0
        grown = reached.copy()
        for turn, shift in enumerate((1, width + 1)):  # east and west, south and north
            grown[turn, :-shift] |= reached[turn, shift:]
            grown[turn + 2, shift:] |= reached[turn + 2, :-shift]
            grown[turn::2] |= reached[1 - turn] | reached[3 - turn]
        grown &= passable
        before, size = size, np.count_nonzero(grown)
        if size == before:
            break
        reached = grown
    distances = np.where(reached, distances + recent, UNREACHABLE)
    padded = distances.reshape(4, count, height + 1, width + 1)[..., :height, :width]
    return np.ascontiguousarray(np.moveaxis(padded, 0, -1))


def best_actions(
    free: Mask, distances: NDArray[np.int16], poses: Poses
) -> tuple[Integers, Integers]:
    """Return an action towards the target [N], and how far it still is [N]; ``DONE`` at 0."""
    each = np.arange(len(poses))
    here = distances[each, *poses.T]
    after = []
    for action in (LEFT, RIGHT, FORWARD):
        moved = move(free, poses, np.full(len(poses), action))
        after.append(distances[each, *moved.T])
    chosen = np.argmin(np.stack(after, 1), 1)
    return np.where(here == 0, DONE, chosen), here.astype(np.int64)


def list_poses(free: Mask) -> Poses:
    """Return every pose on a free cell of one room [H, W], in the order of the cells [M, 3]."""
    cells = np.argwhere(free)
    turns = np.tile(np.arange(4), len(cells))[:, None]
    return np.concatenate([cells.repeat(4, 0), turns], 1)


# -- observations -----------------------------------------------------------------------------


def observe(rooms: Rooms, poses: Poses) -> NDArray[np.uint8]:
    """Return observations [N, H, W, 3]: type, colour, and direction + 1 where the agent stands."""
    seen = np.concatenate([rooms, np.zeros_like(rooms[..., :1])], -1)
    seen[np.arange(len(poses)), poses[:, 0], poses[:, 1], 2] = poses[:, 2] + 1
    return seen


def read_observation(observations: NDArray[np.uint8]) -> tuple[Rooms, Poses]:
    """Return the rooms [N, H, W, 2] and the poses [N, 3] of observations [N, H, W, 3].

    Raises:
        ShapeError: if an observation does not show exactly one agent.
    """
    if observations.ndim != 4 or observations.shape[-1] != 3:
        raise ShapeError(
            f"got observations {list(observations.shape)}, not [N, H, W, 3];"
            " give observations of a grid world"
        )
    agents = observations[..., 2]
    flat = agents.reshape(len(agents), agents.shape[1] * agents.shape[2])
    if not ((flat > 0).sum(1) == 1).all() or flat.max(initial=0) > 4:
        raise ShapeError(
            "an observation shows the agent in one cell, as direction + 1 in its third channel;"
            " give observations of a grid world"
        )
    at = flat.argmax(1)
    row, column = np.divmod(at, agents.shape[2])
    turns = flat[np.arange(len(flat)), at].astype(np.int64) - 1
    return observations[..., :2], np.stack([row, column, turns], 1)


def reachable_poses(observations: NDArray[np.uint8]) -> list[Poses]:
    """Return every pose [M, 3] that can be reached, for each of observations [N, H, W, 3]."""
    rooms, poses = read_observation(observations)
    here = np.zeros(rooms.shape[:3], bool)
    here[np.arange(len(rooms)), poses[:, 0], poses[:, 1]] = True
    return [list_poses(cells) for cells in connected(is_free(rooms), here)]
