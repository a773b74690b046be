"""Drawing meanings of ``langrl.envs.grid.grammar`` that fit rooms, batched over the rooms.

A set of objects of a room is a number with one bit for each object. A *plan* is one way to build
meanings: a kind, and which of colour and type each of its parts names.

Axes: ``N`` rooms, ``H`` rows, ``W`` columns, ``A`` and ``B`` things of one shape, ``K`` objects.
"""

import itertools
from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from langrl.envs.draws import pick_each
from langrl.envs.grid.grammar import (
    ANYTHING,
    COLOURS,
    KIND_LEVELS,
    LEVELS,
    TYPES,
    WALL,
    Room,
    denoted,
    wall_distance,
)
from langrl.envs.phrasing import Meaning
from langrl.errors import DomainError, InstructionError, ShapeError, lookup
from langrl.protocols import Array, Integers, Mask

Sets = Array  # of objects: uint64, or Python's integers where there are more than 64

_THINGS: dict[str, list[Meaning]] = {
    "full": [("thing", colour, name) for name in TYPES for colour in COLOURS],
    "colour": [("thing", colour, None) for colour in COLOURS],
    "type": [("thing", None, name) for name in TYPES],
    "any": [ANYTHING],
}
_DRAWN_SHAPES: dict[str, Sequence[tuple[str, ...]]] = {
    "except": [
        ("any", "colour"), ("any", "type"), ("any", "full"), ("type", "colour"),
        ("colour", "type"),
    ],
    "both": [("colour", "type")],
    "either": [(a, b) for a in ("full", "colour", "type") for b in ("full", "colour", "type")],
    "next_to": [(a, b) for a in LEVELS[:4] for b in LEVELS[:3]],
    "nearest_wall": [(a,) for a in LEVELS[:4]],
}  # fmt: skip


class _Plan(NamedTuple):
    """One way to build meanings; ``narrows`` asks for fewer objects than the first part has."""

    kind: str
    shapes: tuple[str, ...]
    level: int  # its place among the levels that are asked for
    narrows: bool


@lru_cache(maxsize=64)
def _plans(levels: tuple[str, ...]) -> list[_Plan]:
    """Return every plan for some levels."""
    plans = []
    for place, level in enumerate(levels):
        if level in _THINGS:
            plans.append(_Plan("thing", (level,), place, False))
        for kind in (kind for kind, its_level in KIND_LEVELS.items() if its_level == level):
            for narrows in (True, False) if level == "relation" else (False,):
                plans += [_Plan(kind, shapes, place, narrows) for shapes in _DRAWN_SHAPES[kind]]
    return plans


def _priorities(levels: tuple[str, ...], count: int, generator: Generator) -> NDArray[np.float64]:
    """Return in which order each of N rooms tries the plans, least first [N, plans].

    Levels come in random order; of a level, relations that narrow come first, then kinds in random
    order, then shapes in random order.
    """
    plans = _plans(levels)
    place = np.array([plan.level for plan in plans], np.int64)
    late = np.array([not plan.narrows for plan in plans], bool)
    wall = np.array([plan.kind == "nearest_wall" for plan in plans], bool)
    level = generator.random((count, len(levels))).argsort(1).argsort(1)[:, place]
    first = generator.random((count, 2))[:, late.astype(int)] < 0.5
    return 4 * level + 2 * late + (wall ^ first) + generator.random((count, len(plans)))


class _Objects:
    """The objects of N rooms."""

    def __init__(self, rooms: Room) -> None:
        self.rooms = rooms
        self.which, self.row, self.column = np.nonzero(denoted(ANYTHING, rooms))
        kinds, colours = rooms[self.which, self.row, self.column].T.astype(np.int64)
        if len(colours) and colours.max() >= len(COLOURS):
            raise DomainError(f"an object has colour {colours.max()}; use 0 to {len(COLOURS) - 1}")
        self.counts = np.bincount(self.which, minlength=len(rooms))
        most = int(self.counts.max(initial=0))
        self.dtype: Any = np.uint64 if most <= 64 else object
        self.slot = np.arange(len(self.which)) - (np.cumsum(self.counts) - self.counts)[self.which]
        self.bits = np.array([1 << k for k in range(most)], self.dtype)
        self.bit = self.bits[self.slot]
        self.everything = np.array([(1 << k) - 1 for k in range(most + 1)], self.dtype)[self.counts]
        full = np.zeros((len(rooms), len(TYPES), len(COLOURS)), self.dtype)
        np.add.at(full, (self.which, kinds - min(TYPES.values()), colours), self.bit)
        self.things: dict[str, Sets] = {
            "full": full.reshape(len(rooms), -1),
            "colour": full.sum(1),
            "type": full.sum(2),
            "any": self.everything[:, None],
        }

    @cached_property
    def _neighbours(self) -> Sets:
        """The objects that share an edge with each object [N, K]."""
        count, height, width = self.rooms.shape[:3]
        board = np.zeros((count, height + 2, width + 2), self.dtype)
        board[self.which, self.row + 1, self.column + 1] = self.bit
        near = np.zeros((count, len(self.bits)), self.dtype)
        for down, right in ((0, 1), (2, 1), (1, 0), (1, 2)):
            near[self.which, self.slot] |= board[self.which, self.row + down, self.column + right]
        return near

    @cached_property
    def _rings(self) -> Sets:
        """The objects at each distance from the wall, the nearest first [N, distances]."""
        distance = wall_distance(self.rooms[..., 0] == WALL)[self.which, self.row, self.column]
        known, ring = np.unique(distance, return_inverse=True)
        rings = np.zeros((len(self.rooms), len(known)), self.dtype)
        np.add.at(rings, (self.which, ring), self.bit)
        return rings

    def beside(self, sets: Sets, rows: Integers) -> Sets:
        """Return the objects next to one of a set, for sets [n, B] of some rooms [n]."""
        found = np.zeros_like(sets)
        for bit, near in zip(self.bits, self._neighbours[rows].T, strict=True):
            found |= (near[:, None] & sets != 0).astype(self.dtype) * bit
        return found

    def nearest_wall(self, sets: Sets, rows: Integers) -> Sets:
        """Return the objects of a set that are nearest to a wall, for sets [n, A]."""
        found = np.zeros_like(sets)
        for ring in self._rings[rows].T:
            found = np.where(found == 0, sets & ring[:, None], found)
        return found

    def cells(self, sets: Sets) -> Mask:
        """Return the cells of one set of objects for each room, bool [N, H, W]."""
        mask = np.zeros(self.rooms.shape[:3], bool)
        mask[self.which, self.row, self.column] = sets[self.which] & self.bit != 0
        return mask

    def options(self, plan: _Plan, rows: Integers, wanted: Sets) -> tuple[Sets, Mask]:
        """Return what each meaning of a plan denotes in some rooms, and which may be drawn.

        Both are [n, A * B]; of two parts, the second is the one that changes fastest.
        """
        first = self.things[plan.shapes[0]][rows][..., None]  # [n, A, 1]
        if plan.kind == "thing":
            sets = first
        elif plan.kind == "nearest_wall":
            sets = self.nearest_wall(first[..., 0], rows)[..., None]
        else:
            second = self.things[plan.shapes[1]][rows]
            if plan.kind == "next_to":
                second = self.beside(second, rows)
            sets = _combined(plan.kind, first, second[:, None])  # [n, A, B]
        allowed = sets & wanted[rows, None, None] != 0
        if plan.shapes != ("any",) or plan.kind != "thing":
            allowed &= sets != self.everything[rows, None, None]
        if plan.narrows:
            allowed &= sets != first
        return sets.reshape(len(rows), -1), allowed.reshape(len(rows), -1)


def _combined(kind: str, first: Sets, second: Sets) -> Sets:
    """Return the sets that compounds denote; empty where a part would not matter."""
    both = first & second
    if kind == "except":
        return np.where(both != 0, first & ~second, both)
    if kind == "either":
        return np.where((both != first) & (both != second), first | second, both ^ both)
    return both


def draw_meanings(
    rooms: Room,
    generator: Generator,
    levels: Sequence[str] = LEVELS,
    cells: Integers | None = None,
    alone: bool = False,
) -> tuple[list[Meaning | None], Mask]:
    """Draw, for each of some rooms, a meaning that denotes some of its objects.

    It denotes at least one object and, unless its level is "any", not all of them. The level is
    uniform over ``levels``, or over the rest of them if one cannot be had in this room. Names
    and parts are of objects in the room, and every part matters: what is excepted would else
    be denoted, alternatives do not contain each other, and where the room allows it a relation
    denotes fewer objects than its first part.

    Args:
        rooms: [N, H, W, 2].
        generator: source of randomness.
        levels: instruction types, of ``LEVELS``.
        cells: a (row, column) for each room [N, 2], whose object the meaning has to denote.
        alone: the meaning denotes that object and no other.

    Returns:
        The meanings, None where no level can be had, and the cells that they denote [N, H, W].

    Raises:
        UnknownNameError: if a level is not in ``LEVELS``.
        ShapeError: if ``rooms`` has another shape.
        DomainError: if an object has no known colour.
        InstructionError: if there is no object at one of the cells.
    """
    for level in levels:
        lookup(dict.fromkeys(LEVELS), level, "level")
    objects, count = _Objects(rooms), len(rooms)
    wanted = objects.everything if cells is None else _wanted(objects, cells)
    meanings: list[Meaning | None] = [None] * count
    drawn = np.zeros(count, objects.dtype)
    plans = _plans(tuple(levels))
    priorities = _priorities(tuple(levels), count, generator)
    pending = np.flatnonzero(objects.counts) if plans else np.zeros(0, np.int64)
    while len(pending):
        choice, failed = priorities[pending].argmin(1), []
        for number in np.unique(choice):
            rows, plan = pending[choice == number], plans[number]
            sets, allowed = objects.options(plan, rows, wanted)
            if alone:
                allowed &= sets == wanted[rows, None]
            some = allowed.any(1)
            picked = pick_each(allowed[some], generator)
            drawn[rows[some]] = sets[some, picked]
            known = _meanings_of(plan.kind, plan.shapes)
            for row, option in zip(rows[some].tolist(), picked.tolist(), strict=True):
                meanings[row] = known[option]
            failed.append(rows[~some])
            priorities[rows, number] = np.inf
        pending = np.concatenate(failed)
        pending = pending[(priorities[pending] < np.inf).any(1)]
    return meanings, objects.cells(drawn)


def cells_denoted_alone(rooms: Room, levels: Sequence[str] = LEVELS) -> Mask:
    """Return the objects [N, H, W] of rooms [N, H, W, 2] that some meaning denotes, and no other.

    Errors as ``draw_meanings``.
    """
    objects, rows = _Objects(rooms), np.arange(len(rooms))
    found = np.zeros(len(rooms), objects.dtype)
    for plan in _plans(tuple(levels)):
        sets, allowed = objects.options(plan, rows, objects.everything)
        # A power of two has no bit in common with the number below it.
        single = allowed & (sets != 0) & (sets & (sets - sets.dtype.type(1)) == 0)
        found |= np.bitwise_or.reduce(np.where(single, sets, sets ^ sets), 1)
    return objects.cells(found)


@lru_cache(maxsize=64)
def _meanings_of(kind: str, shapes: tuple[str, ...]) -> list[Meaning]:
    """Return every meaning of a plan, in the order of ``_Objects.options``."""
    parts = itertools.product(*(_THINGS[shape] for shape in shapes))
    return [each[0] if kind == "thing" else (kind, *each) for each in parts]


def _wanted(objects: _Objects, cells: Integers) -> Sets:
    """Return the object at one cell of each room, as a set [N]."""
    board = np.zeros(objects.rooms.shape[:3], objects.dtype)
    board[objects.which, objects.row, objects.column] = objects.bit
    inside = ((cells >= 0) & (cells < board.shape[1:])).all(1)
    found = board[np.arange(len(cells)), *np.where(inside[:, None], cells, 0).T]
    found[~inside] = 0
    if (missing := np.flatnonzero(found == 0)).size:
        room = int(missing[0])
        there = np.argwhere(board[room]).tolist()
        known = ", ".join(str(tuple(cell)) for cell in there) or "nowhere"
        raise InstructionError(
            f"there is no object at {tuple(cells[room].tolist())}; the objects are at: {known}"
        )
    return found


def check_drawn(
    meanings: list[Meaning | None], rooms: Room, levels: Sequence[str]
) -> list[Meaning]:
    """Return the meanings; raises InstructionError if there is none for one of the rooms."""
    for meaning, room in zip(meanings, rooms, strict=True):
        if meaning is None:
            raise InstructionError(
                f"no meaning of level {' or '.join(levels) or '(none given)'} fits the"
                f" {np.count_nonzero(denoted(ANYTHING, room))} objects of this room; add 'any' to"
                " the levels, or objects that differ"
            )
    return [meaning for meaning in meanings if meaning is not None]


def draw_meaning(room: Room, generator: Generator, levels: Sequence[str] = LEVELS) -> Meaning:
    """Draw a meaning for one room [H, W, 2]; see ``draw_meanings``.

    Raises:
        InstructionError: if none of the levels can be had in this room.
        UnknownNameError, ShapeError, DomainError: as ``draw_meanings``.
    """
    if room.ndim != 3:
        raise ShapeError(f"need one room [H, W, 2], got {list(room.shape)}; pass one of them")
    meanings, _ = draw_meanings(room[None], generator, levels)
    return check_drawn(meanings, room[None], levels)[0]
