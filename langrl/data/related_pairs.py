"""Related pairs of grid worlds: what an agent faces, as a small image, and an instruction for it.

A crop is the image of the one cell that the agent faces; an instruction is the counts of its
words. Two observations are related if the instruction denotes what the crop shows.

Axes: ``N`` pairs, ``R`` rooms, ``H`` x ``W`` cells, ``V`` words.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from langrl.envs.grid.grammar import ANYTHING, COLOURS, LEVELS, TYPES, write
from langrl.envs.grid.rendering import TILE, render_rooms
from langrl.envs.grid.rooms import Poses, Rooms, ahead
from langrl.envs.phrasing import Meaning, Phrasing
from langrl.errors import DomainError, ShapeError, lookup
from langrl.protocols import Floats, Integers
from langrl.words import WordTokeniser

KINDS = tuple((name, colour) for name in ("key", "ball", "box") for colour in COLOURS)
"""What can be faced; the labels 0 to 17 of ``WorldPairs.kinds`` count these."""
KIND_CELLS = np.array([(TYPES[name], COLOURS[colour]) for name, colour in KINDS], np.uint8)
"""Type and colour of each of ``KINDS`` in minigrid's numbers [18, 2]."""
CROP_SIZE = TILE * TILE * 3
PAIR_LEVELS = LEVELS[:3]  # a colour and a type, or one of them
CLAUSE_LEVELS = ("negation", "conjunction", "disjunction")
"""Further levels of instructions, of two clauses each."""
_DRAWS = 40  # texts of each meaning from which the words are learned


@dataclass(frozen=True, eq=False)
class WorldPairs:
    """Related pairs.

    Attributes:
        crops: float32 in [0, 1] [N, 192], 8 x 8 pixels of 3 colours each.
        counts: of the words of each text, float32 [N, V].
        kinds: what each crop shows, int64 [N]; numbers of ``KINDS``.
        texts: N of them.
        words: the numbers of the words; V is its length.
    """

    crops: Floats
    counts: Floats
    kinds: Integers
    texts: list[str]
    words: WordTokeniser


def crops_ahead(rooms: Rooms, poses: Poses, generator: Generator | None = None) -> Floats:
    """Return images of the cells that agents face, as ``draw_crops``.

    Args:
        rooms: one for each pose, uint8 [N, H, W, 2].
        poses: row, column and direction [N, 3], not facing out of the room.
        generator: source of brightness and noise; without it, the plain image.

    Raises:
        ShapeError: if the shapes do not fit.
        DomainError: if a pose faces out of its room.
    """
    if rooms.ndim != 4 or rooms.shape[-1] != 2 or poses.shape != (len(rooms), 3):
        raise ShapeError(
            f"crops_ahead needs rooms [N, H, W, 2] and poses [N, 3], got {list(rooms.shape)} and"
            f" {list(poses.shape)}; repeat a room for each of its poses"
        )
    row, column = ahead(poses)
    height, width = rooms.shape[1:3]
    outside = (row < 0) | (row >= height) | (column < 0) | (column >= width)
    if outside.any():
        raise DomainError(
            f"pose {poses[outside.argmax()].tolist()} faces out of its room; give reachable poses"
        )
    return draw_crops(rooms[np.arange(len(rooms)), row, column], generator)


def draw_crops(cells: NDArray[np.uint8], generator: Generator | None = None) -> Floats:
    """Return images, float32 in [0, 1] [N, 192], of cells: types and colours [N, 2].

    The generator adds brightness and noise; without it, images are plain. Raises ShapeError if
    ``cells`` is not [N, 2].
    """
    if cells.ndim != 2 or cells.shape[1] != 2:
        raise ShapeError(f"draw_crops needs cells [N, 2], got {list(cells.shape)}; one per crop")
    rendered = render_rooms(cells[:, None, None]).reshape(len(cells), CROP_SIZE)
    crops = (rendered / np.float32(255)).astype(np.float32)
    if generator is None:
        return crops
    brightness = generator.uniform(0.7, 1.0, (len(cells), 1))
    ground = generator.uniform(0.0, 0.2, (len(cells), 1))
    noise = 0.05 * generator.standard_normal(crops.shape)
    return np.clip(brightness * crops + ground + noise, 0, 1).astype(np.float32)


def learn_words(phrasing: Phrasing = "seen", levels: Sequence[str] = PAIR_LEVELS) -> WordTokeniser:
    """Return numbers for all words with which the grammar names kinds, the same in every call.

    Raises UnknownNameError if there is no such level here.
    """
    generator = np.random.default_rng(0)
    meanings: list[Meaning] = [("thing", colour, name) for name, colour in KINDS]
    meanings += [("thing", colour, None) for colour in COLOURS]
    meanings += [("thing", None, name) for name in TYPES if name != "door"]
    for level in [level for level in levels if level not in PAIR_LEVELS]:
        meanings += [draw_kind_meaning(kind, level, generator) for kind in range(len(KINDS))]
    texts = [write(meaning, generator, phrasing) for meaning in meanings for _ in range(_DRAWS)]
    return WordTokeniser.learn(texts)


def draw_kind_meaning(kind: int, level: str, generator: Generator) -> Meaning:
    """Draw what denotes a kind, by its number in ``KINDS``, and is of a level of instructions.

    What an exception or an alternative names is at random: another colour, type, or both.

    Raises:
        UnknownNameError: if there is no such level here.
    """
    _check_levels([level])
    name, colour = KINDS[kind]
    by_level: dict[str, Meaning] = {
        "full": ("thing", colour, name), "colour": ("thing", colour, None),
        "type": ("thing", None, name),
    }  # fmt: skip
    if level in by_level:
        return by_level[level]
    if level == "conjunction":
        return ("both", by_level["colour"], by_level["type"])
    others = [number for number in range(len(KINDS)) if number != kind]
    other_name, other_colour = KINDS[generator.choice(others)]
    ways: list[Meaning] = [("thing", other_colour, other_name)]
    ways += [("thing", other_colour, None)] * (other_colour != colour)
    ways += [("thing", None, other_name)] * (other_name != name)
    other = ways[generator.integers(len(ways))]
    if level == "disjunction":
        return ("either", by_level[PAIR_LEVELS[generator.integers(len(PAIR_LEVELS))]], other)
    included = [
        meaning for meaning in (by_level["colour"], by_level["type"]) if _meet(meaning, other)
    ]
    wholes: list[Meaning] = [ANYTHING, *included]
    return ("except", wholes[generator.integers(len(wholes))], other)


def _check_levels(levels: Sequence[str]) -> None:
    for level in levels:
        lookup(dict.fromkeys((*PAIR_LEVELS, *CLAUSE_LEVELS)), level, "level of pairs")


def _meet(first: Meaning, second: Meaning) -> bool:
    """Return whether some object is of both things, so that an exception says something."""
    pairs = zip(first[1:], second[1:], strict=True)
    return all(a is None or b is None or a == b for a, b in pairs)


def count_words(texts: Sequence[str], words: WordTokeniser) -> Floats:
    """Return how often each word occurs in N texts, float32 [N, V].

    Column 1 counts the unknown words, column 0 (padding) is 0. Raises InstructionError if a text
    cannot be an instruction.
    """
    counts = np.zeros((len(texts), len(words)), np.float32)
    for row, text in zip(counts, texts, strict=True):
        np.add.at(row, words(text), 1)
    return counts


def kinds_of(cells: NDArray[np.uint8]) -> Integers:
    """Return the number in ``KINDS`` of cells' type and colour [N, 2]; -1 of anything else."""
    number = np.full((256, 256), -1, np.int64)
    for label, (name, colour) in enumerate(KINDS):
        number[TYPES[name], COLOURS[colour]] = label
    return number[cells[:, 0], cells[:, 1]]


def draw_world_pairs(
    count: int,
    generator: Generator,
    *,
    levels: Sequence[str] = PAIR_LEVELS,
    phrasing: Phrasing = "seen",
    words: WordTokeniser | None = None,
) -> WorldPairs:
    """Draw crops of all kinds equally often, each with an instruction that denotes it.

    Args:
        count: how many, N.
        generator: the only source of randomness.
        levels: of the instructions, of ``PAIR_LEVELS`` and ``CLAUSE_LEVELS``, equally often.
        phrasing: of the texts.
        words: their numbers; those of ``learn_words`` by default.

    Raises:
        DomainError: if the count is below 1 or there is no level.
        UnknownNameError: if there is no such level here.
    """
    if count < 1 or not levels:
        raise DomainError(f"draw_world_pairs got count {count}, levels {levels}; ask for some")
    _check_levels(levels)
    words = learn_words(phrasing, levels) if words is None else words
    kinds = generator.permutation(np.arange(count) % len(KINDS))
    texts = []
    for kind, place in zip(kinds, generator.integers(len(levels), size=count), strict=True):
        meaning = draw_kind_meaning(kind, levels[place], generator)
        texts.append(write(meaning, generator, phrasing))
    crops, counts = draw_crops(KIND_CELLS[kinds], generator), count_words(texts, words)
    return WorldPairs(crops, counts, kinds.astype(np.int64), texts, words)
