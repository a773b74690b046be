"""Rooms of the grid worlds: drawing them, moving in them, and distances, batched over rooms.

A room is uint8 [H, W, 2], the type and the colour of each cell in minigrid's numbers. A pose is
(row, column, direction), the direction 0 to 3 clockwise from east, as in minigrid.

Axes: ``N`` rooms, ``H`` rows, ``W`` columns, ``M`` poses.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from langrl.envs.draws import Draws, GeneratorDraws, KeyedDraws, Words, keys_of
from langrl.envs.grid.bits import flood, one_of, pack, spread, unpack
from langrl.envs.grid.grammar import COLOURS, EMPTY, LEVELS, TYPES, WALL
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
# Types with colours, two numbers of 8 bits as one of 16: objects, those of a type together; doors.
_KINDS, _DOORS = (
    np.array(list(itertools.product(types, COLOURS.values())), np.uint8).view(np.uint16)[:, 0]
    for types in (_THINGS, [DOOR])
)
_DRAWS = 1000  # rounds of drawing before a world is called impossible
_TOGETHER = 256  # rooms that are drawn in about the time of one


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
        drawn = _furnish(spec, len(missing), GeneratorDraws(generator, len(missing)))
        rooms[missing] = drawn  # those that are not sound are drawn again
        missing = missing[~is_sound(drawn)]
        if not len(missing):
            return rooms
    raise _impossible(spec)


def draw_keyed_rooms(spec: RoomSpec, keys: Words) -> Rooms:
    """Draw rooms [n, H, W, 2] as ``draw_rooms``, each of them a function of its key alone [n]."""
    rooms = np.zeros((len(keys), spec.size, spec.size, 2), np.uint8)
    missing, begin = np.arange(len(keys)), 0
    while begin < _DRAWS and len(missing):
        # A room is the first sound one of a key's; where few are missing, several are tried at once
        tries = np.arange(begin, begin + max(1, _TOGETHER // len(missing)))
        each = keys_of(keys[missing, None], tries).reshape(-1)
        drawn = _furnish(spec, len(each), KeyedDraws(each))
        sound = is_sound(drawn).reshape(len(missing), len(tries))
        rooms[missing] = drawn[np.arange(len(missing)) * len(tries) + sound.argmax(1)]
        missing, begin = missing[~sound.any(1)], begin + len(tries)
    if len(missing):
        raise _impossible(spec)
    return rooms


def _impossible(spec: RoomSpec) -> LayoutError:
    return LayoutError(
        f"no sound room of size {spec.size} with {spec.objects[1]} objects; ask less"
    )


def _furnish(spec: RoomSpec, count: int, draws: Draws) -> Rooms:
    """Return walls, doors and objects, not yet checked [count, H, W, 2]."""
    empty, inside = _walls(spec)
    cells = np.repeat(empty[None], count, 0)  # [count, H * W], type and colour in one number
    each = np.arange(count)
    for door, colour in _draw_doors(spec, draws):
        cells[each, door] = _DOORS[colour]
    numbers = draws.integers(spec.objects[0], spec.objects[1] + 1, 1)[0]
    order = draws.choose(inside, spec.objects[1])  # [objects, count]
    for pair in range(spec.pairs):  # the second of each pair moves beside the first
        turn = AHEAD[draws.integers(0, 4, 1)[0]] @ [spec.size, 1]
        order[2 * pair + 1] = order[2 * pair] + turn
    kinds = _KINDS[_draw_kinds(spec, len(order), draws)]  # [objects, count]
    present = np.arange(len(order))[:, None] < numbers
    cells.reshape(-1)[(order + each * empty.size)[present]] = kinds[present]
    rooms = cells.view(np.uint8).reshape(count, spec.size, spec.size, 2)
    if spec.pairs:
        # An object on a wall or on another one: there are too few, and the room is drawn again.
        outside = np.ones(spec.size**2, bool)
        outside[inside] = False
        twice = (rooms[..., 0] >= _THINGS.min()).sum((1, 2)) != numbers
        rooms[(outside[order] & present).any(0) | twice] = 0
    return rooms


@lru_cache
def _walls(spec: RoomSpec) -> tuple[NDArray[np.uint16], Integers]:
    """Return the cells of a world without doors and objects [H * W], and which are inside."""
    room = np.zeros((spec.size, spec.size, 2), np.uint8)
    room[..., 0] = EMPTY
    for line in range(0, spec.size, _side(spec)):
        room[line] = room[:, line] = (WALL, COLOURS["grey"])
    return room.view(np.uint16).reshape(-1), np.flatnonzero(room[..., 0] == EMPTY)


def _side(spec: RoomSpec) -> int:
    """Return how far apart the walls of neighbouring rooms are."""
    return (spec.size - 1) // spec.rooms


def _draw_doors(spec: RoomSpec, draws: Draws) -> Iterator[tuple[Integers, Integers]]:
    """Yield the cell [count] and the colour [count] of each door."""
    step = _side(spec)
    lines, starts = range(step, spec.size - 1, step), range(0, spec.size - 1, step)
    # Drawn door by door, as it always was: runs that were stored before resume on the same rooms.
    for line, start, across in itertools.product(lines, starts, (False, True)):
        at = start + draws.integers(1, step, 1)[0]
        cell = line * spec.size + at if across else at * spec.size + line
        yield cell, draws.integers(0, len(COLOURS), 1)[0]


def _draw_kinds(spec: RoomSpec, most: int, draws: Draws) -> Integers:
    """Return a place in ``_KINDS`` for each of the objects [most, count]."""
    if spec.kinds is None:
        return draws.integers(0, len(_KINDS), most)
    pool = draws.choose(np.arange(len(_KINDS)), spec.kinds[1])
    size = draws.integers(spec.kinds[0], spec.kinds[1] + 1, 1)[0]
    pick = draws.integers(0, size, most)
    places = np.arange(most)[:, None]
    return np.take_along_axis(pool, np.where(places < size, places, pick), 0)  # each at least once


def is_free(rooms: Rooms) -> Mask:
    """Return the cells that can be stood on: empty ones and doorways [..., H, W]."""
    types = np.ascontiguousarray(rooms[..., 0])
    return (types == EMPTY) | (types == DOOR)


def is_object(rooms: Rooms) -> Mask:
    """Return the cells that hold an object, doors included [..., H, W]."""
    return rooms[..., 0] >= DOOR


def is_sound(rooms: Rooms) -> Mask:
    """Return which rooms [N] hang together, with every object facing a free cell."""
    free, objects = pack(is_free(rooms)), pack(is_object(rooms))
    whole = (flood(free, one_of(free, rooms.shape[2])) == free).all(0)
    faced = ((objects & ~spread(free)) == 0).all(0)
    sound: Mask = whole & faced & free.any(0)
    return sound


def connected(free: Mask, seed: Mask) -> Mask:
    """Return the free cells [N, H, W] that hang together with those of ``seed``."""
    passable = pack(free)
    return unpack(flood(passable, passable & pack(seed)), free.shape[2])


def _in_a_row(masks: Mask) -> Mask:
    """Return the cells of masks [..., N, H, W] in one row, [..., cells].

    A False follows each line and each mask, so that cells that share an edge are 1 or ``W + 1``
    places apart, nothing else is, and all masks are moved by one slice.
    """
    *rest, count, height, width = masks.shape
    padded = np.zeros((*rest, count, height + 1, width + 1), bool)
    padded[..., :height, :width] = masks
    return padded.reshape(*rest, -1)


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
