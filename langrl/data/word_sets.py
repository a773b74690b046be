"""Texts that people might write, with what they denote: to develop on, and blind ones.

Four groups of texts are disjoint. *Seen* phrasings are trained on; *held-out* ones are templates
and synonyms of the grammars that never are. *Development* texts were written by hand and may be
looked at. *Blind* texts were written by hand without sight of any template, and are only scored: by
``langrl reproduce words``, which never prints them. No text tower is chosen by its blind scores.

A *denotation* is a mapping with one entry. Of objects: ``thing`` (type and colour, None for any),
``beside`` (two denotations), ``at`` (a denotation, and ``wall``, ``corner`` or ``open``). Of cells:
``row``, ``column``, ``cell``, ``half``, ``corner``. Of both: ``not``, ``and``, ``or``.

Axes: ``N`` rooms, ``H`` rows, ``W`` columns.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib import resources
from typing import Any, Literal

import numpy as np

from langrl.envs.grid import grammar
from langrl.envs.grid.rooms import Rooms, is_object
from langrl.errors import DomainError, InstructionError, lookup
from langrl.protocols import Mask

Denotation = Mapping[str, Any]
Family = Literal["grid", "maze"]
WrittenGroup = Literal["development", "blind"]
WRITTEN_GROUPS: tuple[WrittenGroup, ...] = ("development", "blind")

SHA256 = {
    "development-grid": "21987ddc80aec0f9f89d35cfe1badd0b2ec5be608b401d446706ec554348c0c8",
    "development-maze": "4d6d033539cb2244f6cc8fb9a9b3e3b267ef4e3968143795b3ac006db9f51931",
    "development-meaningless": "6ef4bf05569da9d8247abb1defc84a784f99079a29cc7a77aa75b11c38a6364b",
    "grid": "cc7e25996435bb6522d859a184bafe2153704d962ead14d734d52754f2d99b9a",
    "maze": "4c6159e69c92e1f38a98da5551815e0abc3653d6fbce0fc2c861be0ba5d8cec8",
    "meaningless": "ea0b065389a27084a7e5f3eb57b6022c0ccf13df3581866b87fc3e1dcb659867",
}
"""Of the files of hand-written texts: numbers are of these and no others."""

_SIDES = {"top": (0, False), "bottom": (0, True), "left": (1, False), "right": (1, True)}


@dataclass(frozen=True)
class WrittenText:
    """A hand-written text.

    Args:
        text: the instruction.
        group: what is hard about it, such as "negation"; of a meaningless text, its class.
        denotation: what it denotes, as JSON has it; None if it means nothing here.
    """

    text: str
    group: str
    denotation: Denotation | None


@cache
def read_written(family: Family, group: WrittenGroup) -> tuple[WrittenText, ...]:
    """Return the hand-written instructions of a family of worlds, in the order of their file.

    Raises:
        DomainError: if the file is not the one whose digest is in ``SHA256``.
    """
    return _read(family if group == "blind" else f"{group}-{family}")


@cache
def read_meaningless(group: WrittenGroup) -> tuple[WrittenText, ...]:
    """Return texts that mean nothing in any of the worlds; errors as ``read_written``."""
    return _read("meaningless" if group == "blind" else f"{group}-meaningless")


def _read(name: str) -> tuple[WrittenText, ...]:
    data = resources.files("langrl.data.words").joinpath(f"{name}.json").read_bytes()
    if sha256(data).hexdigest() != SHA256[name]:
        raise DomainError(
            f"langrl/data/words/{name}.json is not the file that numbers are of; reinstall langrl"
        )
    return tuple(
        WrittenText(each["text"], each.get("group") or each["class"], each["denotation"])
        for each in json.loads(data)
    )


# -- denoting ------------------------------------------------------------------------------


def denoted_cells(denotation: Denotation, shape: Sequence[int]) -> Mask:
    """Return the cells that a denotation of mazes covers, bool [H, W]; walls count as cells.

    A corner is what ``langrl.envs.maze.grammar`` calls one: a third of the rows and columns.

    Raises:
        InstructionError: if it is no denotation.
    """
    kind, value = _entry(denotation)
    rows, columns = np.indices(tuple(shape))
    if kind in ("row", "column"):
        cells: Mask = (rows if kind == "row" else columns) == value
        return cells
    if kind == "cell":
        return (rows == value[0]) & (columns == value[1])
    if kind in ("half", "corner"):
        share = 2 if kind == "half" else 3
        sides = [_side(rows, columns, side, share) for side in value.split(" ")]
        return np.logical_and.reduce(sides)
    return _combined(kind, value, lambda part: denoted_cells(part, shape))


def _side(rows: Any, columns: Any, side: str, share: int) -> Mask:
    axis, last = lookup(_SIDES, side, "side")
    index = (rows, columns)[axis]
    length = index.shape[axis]
    counted = length - 1 - index if last else index
    part: Mask = (counted + 0.5 * (share == 2)) * share < length  # a middle line is in no half
    return part


def denoted_objects(denotation: Denotation, rooms: Rooms) -> Mask:
    """Return the cells of the objects of rooms [N, H, W, 2] that a denotation covers [N, H, W].

    Raises:
        InstructionError: if it is no denotation.
    """
    kind, value = _entry(denotation)
    if kind == "thing":
        return grammar.denoted(("thing", value["colour"], value["type"]), rooms)
    if kind == "beside":
        first, second = (denoted_objects(part, rooms) for part in value)
        return first & grammar.beside(second)
    if kind == "at":
        place = lookup(_PLACES, value[1], "place")
        return denoted_objects(value[0], rooms) & place(rooms[..., 0] == grammar.WALL)
    return is_object(rooms) & _combined(kind, value, lambda part: denoted_objects(part, rooms))


def _is_in_corner(walls: Mask) -> Mask:
    upright, flat = np.zeros_like(walls), np.zeros_like(walls)
    flat[..., 1:, :], upright[..., 1:] = walls[..., :-1, :], walls[..., :-1]
    flat[..., :-1, :] |= walls[..., 1:, :]
    upright[..., :-1] |= walls[..., 1:]
    return upright & flat


_PLACES = {
    "wall": grammar.beside,
    "corner": _is_in_corner,
    "open": lambda walls: ~grammar.beside(walls),
}


def _entry(denotation: Denotation) -> tuple[str, Any]:
    if not isinstance(denotation, Mapping) or len(denotation) != 1:
        raise InstructionError(f"a denotation is a mapping with one entry, got {denotation!r}")
    return next(iter(denotation.items()))


def _combined(kind: str, value: Any, denote: Any) -> Mask:
    if kind == "not":
        mask: Mask = ~denote(value)
        return mask
    if kind not in ("and", "or"):
        raise InstructionError(f"no denotation {kind!r}; see langrl.data.word_sets")
    join = np.logical_and if kind == "and" else np.logical_or
    return np.asarray(join.reduce([denote(part) for part in value]))
