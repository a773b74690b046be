"""Instructions for rooms of coloured objects: text with its denotation, a set of objects.

A room is uint8 [H, W, 2], the type and the colour of every cell (minigrid's numbers); N rooms
are [N, H, W, 2]. *Objects* are the cells whose type is in ``TYPES``. A *meaning* is a nested
tuple; a *thing* is one of the first kind:

* ``("thing", colour | None, type | None)``: "the red ball", "something red", "a key", "anything";
* ``("except", thing, thing)``: objects of the first that are not of the second;
* ``("both", thing, thing)``: their intersection, said separately;
* ``("either", thing, thing)``: their union;
* ``("next_to", thing, thing)``: objects of the first that share an edge with one of the second;
* ``("nearest_wall", thing)``: objects of the thing at the least Manhattan distance to a wall,
  all of them if several tie (or if the room has no wall).

Phrasings are the templates of ``langrl.envs.grid.words``. The parser reads the same templates
backwards, so whatever the grammar writes it can read; of misspelled texts it reads most.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from langrl.envs.grid.templates import (
    COMPOUND_PARTS,
    FILLER_PARTS,
    LEAD_PARTS,
    THING_TEMPLATES,
    corrected,
    fill,
    matches,
    phrases_of,
    pick,
    shape_of,
    unwrapped,
    with_typo,
    words_of,
)
from langrl.envs.grid.words import CANONICAL, FILLERS, LEADS, SYNONYMS
from langrl.envs.phrasing import PHRASINGS, Meaning, Phrasing
from langrl.errors import DomainError, InstructionError, ShapeError, lookup
from langrl.protocols import check_instruction

EMPTY, WALL = 1, 2
TYPES = {"door": 4, "key": 5, "ball": 6, "box": 7}
COLOURS = {"red": 0, "green": 1, "blue": 2, "purple": 3, "yellow": 4, "grey": 5}
LEVELS = (
    "full", "colour", "type", "any", "negation", "conjunction", "disjunction", "relation",
)  # fmt: skip

HELD_OUT_WORDS = tuple(word for synonyms in SYNONYMS.values() for word in synonyms)
"""The words of held-out texts that seen ones never have."""
SYNONYM_SHARE = (0.85, 0.85)  # of held-out texts that use synonyms; of the words in those
TYPO_SHARE = 0.21  # of held-out texts, if they have a word that is long enough

_KINDS = {
    "except": "negation", "both": "conjunction", "either": "disjunction",
    "next_to": "relation", "nearest_wall": "relation",
}  # fmt: skip
_ANYTHING: Meaning = ("thing", None, None)
_LONGEST_READ = 300  # characters; longer text is followed, but not read
_FAR = 10_000  # cells; farther than any wall

Bools = NDArray[np.bool_]
Room = NDArray[np.uint8]

# -- denoting ------------------------------------------------------------------------------


def denoted(meaning: Meaning, rooms: Room) -> Bools:
    """Return the cells of the objects that a meaning denotes, possibly none.

    Args:
        meaning: see the module; the parts of a compound may be compounds themselves.
        rooms: [N, H, W, 2], or one room [H, W, 2].

    Returns:
        bool [N, H, W], or [H, W] for one room.

    Raises:
        ShapeError: if ``rooms`` has another shape.
        UnknownNameError: if the meaning names a kind, colour or type that does not exist.
    """
    if rooms.ndim not in (3, 4) or rooms.shape[-1] != 2:
        raise ShapeError(
            f"denoted needs rooms [N, H, W, 2] or [H, W, 2], got {list(rooms.shape)};"
            " stack type and colour on the last axis"
        )
    return _denoted(meaning, rooms[..., 0], rooms[..., 1])


def ambiguity(meaning: Meaning, room: Room) -> int:
    """Return how many objects of a room [H, W, 2] a meaning denotes; errors as ``denoted``."""
    return int(np.count_nonzero(denoted(meaning, room)))


def level_of(meaning: Meaning) -> str:
    """Return the level, one of ``LEVELS``, of a meaning.

    Raises:
        UnknownNameError: if there is no such kind of meaning.
    """
    if meaning[0] == "thing":
        return shape_of(meaning)
    return lookup(_KINDS, meaning[0], "kind of meaning")


def _denoted(meaning: Meaning, types: Room, colours: Room) -> Bools:
    kind = meaning[0]
    if kind == "thing":
        return _of_thing(meaning[1], meaning[2], types, colours)
    lookup(_KINDS, kind, "kind of meaning")
    first = _denoted(meaning[1], types, colours)
    if kind == "nearest_wall":
        distance = np.where(first, _wall_distance(types == WALL), 2 * _FAR)
        return first & (distance == distance.min((-2, -1), keepdims=True))
    second = _denoted(meaning[2], types, colours)
    if kind == "except":
        return first & ~second
    if kind == "either":
        return first | second
    return first & (second if kind == "both" else _beside(second))


def _of_thing(colour: str | None, name: str | None, types: Room, colours: Room) -> Bools:
    if name is not None:
        objects = types == lookup(TYPES, name, "type")
    else:
        objects = (types >= min(TYPES.values())) & (types <= max(TYPES.values()))
    return objects if colour is None else objects & (colours == lookup(COLOURS, colour, "colour"))


def _beside(cells: Bools) -> Bools:
    """Return the cells [..., H, W] that share an edge with one of ``cells``."""
    near = np.zeros_like(cells)
    near[..., 1:, :] = cells[..., :-1, :]
    near[..., :-1, :] |= cells[..., 1:, :]
    near[..., 1:] |= cells[..., :-1]
    near[..., :-1] |= cells[..., 1:]
    return near


def _wall_distance(walls: Bools) -> NDArray[np.int64]:
    """Return the Manhattan distance [..., H, W] to the nearest wall; ``_FAR`` without walls."""
    distance = np.where(walls, 0, _FAR)
    for axis in (-2, -1):
        steps = np.arange(walls.shape[axis])[:, None] if axis == -2 else np.arange(walls.shape[-1])
        before = np.minimum.accumulate(distance - steps, axis) + steps
        after = np.flip(np.minimum.accumulate(np.flip(distance + steps, axis), axis), axis) - steps
        distance = np.minimum(before, after)
    return distance


# -- drawing -------------------------------------------------------------------------------

_COLOUR_NAMES, _TYPE_NAMES = list(COLOURS), {number: name for name, number in TYPES.items()}
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


class _Scene(NamedTuple):
    """The objects of one room; a set of them is an int with one bit each."""

    room: Room
    cells: list[list[int]]
    things: dict[str, dict[Meaning, int]]  # by shape: which objects each thing denotes
    everything: int


def draw_meaning(
    room: Room, generator: np.random.Generator, levels: Sequence[str] = LEVELS
) -> Meaning:
    """Draw a meaning that tells some objects of a room [H, W, 2] from the others.

    It denotes at least one object and, unless its level is "any", not all of them. The level is
    uniform over ``levels``, or over the rest of them if one cannot be had in this room. Names
    and parts are of objects in the room, and every part matters: what is excepted would else
    be denoted, alternatives do not contain each other, and where the room allows it a relation
    denotes fewer objects than its first part.

    Raises:
        InstructionError: if none of the levels can be had in this room.
        UnknownNameError: if a level is not in ``LEVELS``.
        ShapeError: if ``room`` is not [H, W, 2].
        DomainError: if an object has no known colour.
    """
    scene = _look(room)
    return _draw(scene, scene.everything, generator, levels)


def draw_meaning_of(
    room: Room,
    cell: Sequence[int],
    generator: np.random.Generator,
    levels: Sequence[str] = LEVELS,
) -> Meaning:
    """Draw, as ``draw_meaning`` does, a meaning that denotes the object at a (row, column).

    Raises:
        InstructionError: also if there is no object at ``cell``.
    """
    scene = _look(room)
    at = [int(number) for number in cell]
    if at not in scene.cells:
        known = ", ".join(str(tuple(other)) for other in scene.cells) or "nowhere"
        raise InstructionError(f"there is no object at {tuple(at)}; the objects are at: {known}")
    return _draw(scene, 1 << scene.cells.index(at), generator, levels)


def _look(room: Room) -> _Scene:
    if room.ndim != 3:
        raise ShapeError(f"need one room [H, W, 2], got {list(room.shape)}; pass one of them")
    cells = np.argwhere(denoted(_ANYTHING, room))
    things: dict[str, dict[Meaning, int]] = {shape: {} for shape in LEVELS[:4]}
    for i, (number, code) in enumerate(room[cells[:, 0], cells[:, 1]].tolist()):
        if code >= len(_COLOUR_NAMES):
            raise DomainError(f"an object has colour {code}; use 0 to {len(_COLOUR_NAMES) - 1}")
        colour, name = _COLOUR_NAMES[code], _TYPE_NAMES[number]
        parts = ((colour, name), (colour, None), (None, name), (None, None))
        for shape, part in zip(LEVELS[:4], parts, strict=True):
            thing = ("thing", *part)
            things[shape][thing] = things[shape].get(thing, 0) | 1 << i
    return _Scene(room, cells.tolist(), things, (1 << len(cells)) - 1)


def _draw(
    scene: _Scene, wanted: int, generator: np.random.Generator, levels: Sequence[str]
) -> Meaning:
    for level in levels:
        lookup(dict.fromkeys(LEVELS), level, "level")
    for level in _shuffled(levels, generator):
        if options := _options(level, scene, wanted, generator):
            return pick(options, generator)
    raise InstructionError(
        f"no meaning of level {' or '.join(levels) or '(none given)'} fits the"
        f" {len(scene.cells)} objects of this room; add 'any' to the levels, or objects that differ"
    )


def _options(
    level: str, scene: _Scene, wanted: int, generator: np.random.Generator
) -> list[Meaning]:
    """Return the meanings of one level and of one random shape that has any, or nothing."""
    if level == "any":
        return list(scene.things["any"])
    if level in scene.things:
        things = scene.things[level].items()
        return [m for m, bits in things if bits & wanted and bits != scene.everything]
    kinds = [kind for kind, its_level in _KINDS.items() if its_level == level]
    relations = _Relations(scene) if level == "relation" else None
    for must_narrow in (True, False) if relations else (False,):
        for kind in _shuffled(kinds, generator):
            for shapes in _shuffled(_DRAWN_SHAPES[kind], generator):
                found = _compounds(kind, [scene.things[shape] for shape in shapes], relations)
                options = [
                    meaning
                    for meaning, bits, first in found
                    if bits & wanted and bits != scene.everything
                    if not (must_narrow and bits == first)
                ]
                if options:
                    return options
    return []


def _compounds(
    kind: str, parts: list[dict[Meaning, int]], relations: "_Relations | None"
) -> Iterator[tuple[Meaning, int, int]]:
    """Yield compounds of things, the objects that each denotes, and those of its first part."""
    if len(parts) == 1:
        assert relations is not None  # only "nearest_wall" has one part
        for a, first in parts[0].items():
            yield (kind, a), relations.nearest_wall(first), first
        return
    for b, second in parts[1].items():
        if kind == "next_to":
            assert relations is not None
            second = relations.beside(second)
        for a, first in parts[0].items():
            both = first & second
            if kind == "except" and both:
                yield (kind, a, b), first & ~second, first
            elif kind == "either" and both not in (first, second):
                yield (kind, a, b), first | second, first
            elif kind in ("both", "next_to"):
                yield (kind, a, b), both, first


class _Relations:
    """Which objects of a scene are next to each other, and how far from the wall they are."""

    def __init__(self, scene: _Scene) -> None:
        at = {tuple(cell): i for i, cell in enumerate(scene.cells)}
        beside = [((r - 1, c), (r + 1, c), (r, c - 1), (r, c + 1)) for r, c in scene.cells]
        self.neighbours = [sum(1 << at[cell] for cell in four if cell in at) for four in beside]
        distance = _wall_distance(scene.room[..., 0] == WALL)
        self.distances = [int(distance[r, c]) for r, c in scene.cells]

    def beside(self, objects: int) -> int:
        return sum(1 << i for i, near in enumerate(self.neighbours) if near & objects)

    def nearest_wall(self, objects: int) -> int:
        among = [i for i in range(len(self.distances)) if objects >> i & 1]
        least = min(self.distances[i] for i in among)
        return sum(1 << i for i in among if self.distances[i] == least)


def _shuffled(options: Sequence[Any], generator: np.random.Generator) -> list[Any]:
    return [options[i] for i in generator.permutation(len(options))]


# -- writing -------------------------------------------------------------------------------


def write(meaning: Meaning, generator: np.random.Generator, phrasing: Phrasing) -> str:
    """Return one of the texts for a meaning, drawn from a set of phrasings.

    Held-out texts have leads, templates and synonyms that seen ones never have, and in about
    one of six a colour or type word has a typo.

    Raises:
        InstructionError: if a compound has a compound as a part, or no text says it.
        UnknownNameError: if there is no such phrasing, kind of meaning, colour or type.
    """
    lookup(dict.fromkeys(PHRASINGS), phrasing, "phrasing")
    level_of(meaning)
    parts = meaning[1:] if meaning[0] != "thing" else (meaning,)
    phrases = phrases_of(meaning[0], tuple(shape_of(part) for part in parts), phrasing)
    if not phrases:
        raise InstructionError(f"no text says {meaning}; leave some objects over")
    choices, is_sentence = pick(phrases, generator)
    share = 0.0
    if phrasing == "held_out" and generator.random() < SYNONYM_SHARE[0]:
        share = SYNONYM_SHARE[1]
    text = fill(pick(choices, generator), parts, generator, phrasing, share)
    if not is_sentence:
        text = pick(LEADS[phrasing], generator).format(text)
    text = pick(FILLERS[phrasing], generator).format(text)
    if phrasing == "held_out" and generator.random() < TYPO_SHARE:
        text = with_typo(text, generator)
    return re.sub(r"\ba(?= [aeiou])", "an", text)


# -- reading -------------------------------------------------------------------------------


def parse(text: str) -> Meaning | None:
    """Return the meaning of a text, or None if the grammar cannot read it.

    Reads every phrasing with any synonym, whatever the case and punctuation. A word that it
    does not know stands for the one known word of four letters or more within one edit.

    Raises:
        InstructionError: if the text cannot be an instruction (see ``check_instruction``).
    """
    words = words_of(check_instruction(text))
    if sum(map(len, words)) > _LONGEST_READ:
        return None
    known = [corrected(word) for word in words]
    said = " ".join(CANONICAL.get(word, word) for word in known if word)
    if None in known or not said:
        return None
    for asked in unwrapped(said, FILLER_PARTS):
        for goal in unwrapped(asked, LEAD_PARTS):
            if meaning := _read_thing(goal) or _read_compound(goal):
                return meaning
    return None


def _read_thing(words: str) -> Meaning | None:
    named = words.split(" ")
    colours = [word for word in named if word in COLOURS]
    types = [word for word in named if word in TYPES]
    if len(colours) > 1 or len(types) > 1:
        return None
    slots = dict.fromkeys(colours, "{c}") | dict.fromkeys(types, "{t}")
    if " ".join(slots.get(word, word) for word in named) not in THING_TEMPLATES:
        return None
    return ("thing", colours[0] if colours else None, types[0] if types else None)


def _read_compound(words: str) -> Meaning | None:
    for kind, templates in COMPOUND_PARTS.items():
        for parts in templates:
            for slots in matches(parts, words):
                if meaning := _read_slots(kind, slots):
                    return meaning
    return None


def _read_slots(kind: str, slots: dict[str, str]) -> Meaning | None:
    colour, name = slots.get("c"), slots.get("t")
    if (colour or "red") not in COLOURS or (name or "key") not in TYPES:
        return None
    if kind == "both" and "a" not in slots:
        return (kind, ("thing", colour, None), ("thing", None, name))
    first = _read_thing(slots["a"]) if "a" in slots else _ANYTHING
    if kind == "nearest_wall":
        return first and (kind, first)
    second = _read_thing(slots["b"]) if "b" in slots else ("thing", colour, name)
    return (kind, first, second) if first and second else None


def synonyms_in(text: str) -> tuple[str, ...]:
    """Return the ``HELD_OUT_WORDS`` that a text has, spelled as they are, in their order there."""
    return tuple(word for word in dict.fromkeys(words_of(text)) if word in HELD_OUT_WORDS)
