"""Drawing meanings, against their definition and exact frequencies."""

import collections
import itertools

import numpy as np
import pytest
from grid_rooms_by_hand import LETTERED_ROOM as ROOM
from grid_rooms_by_hand import random_room, room_of_objects
from scipy.stats import chisquare

from langrl.envs.draws import pick_each
from langrl.envs.grid.grammar import COLOURS, LEVELS, TYPES, ambiguity, denoted, level_of
from langrl.envs.grid.meanings import draw_meaning, draw_meanings
from langrl.envs.grid.rooms import GRID_WORLDS, draw_rooms
from langrl.errors import InstructionError


def thing(colour=None, name=None):
    return ("thing", colour, name)


ANYTHING = thing()
KINDS = {
    "negation": ("except",),
    "conjunction": ("both",),
    "disjunction": ("either",),
    "relation": ("next_to", "nearest_wall"),
}
THINGS = {
    "full": [thing(colour, name) for colour in COLOURS for name in TYPES],
    "colour": [thing(colour) for colour in COLOURS],
    "type": [thing(None, name) for name in TYPES],
    "any": [ANYTHING],
}
NAMED = ("full", "colour", "type")
SHAPES = {
    "except": [
        ("any", "colour"), ("any", "type"), ("any", "full"), ("type", "colour"), ("colour", "type"),
    ],
    "both": [("colour", "type")],
    "either": list(itertools.product(NAMED, NAMED)),
    "next_to": list(itertools.product(LEVELS[:4], NAMED)),
    "nearest_wall": [(shape,) for shape in LEVELS[:4]],
}  # fmt: skip


def every_meaning(room, kind, shapes, narrows, wanted):
    """Every meaning of a kind, of parts in the room, that may be drawn; by the definition."""
    everything = denoted(ANYTHING, room)
    present = [[t for t in THINGS[shape] if ambiguity(t, room)] for shape in shapes]
    found = []
    for parts in itertools.product(*present):
        meaning = parts[0] if kind == "thing" else (kind, *parts)
        cells, *sets = (denoted(each, room) for each in (meaning, *parts))
        if kind == "except" and not (sets[0] & sets[1]).any():
            continue
        if kind == "either" and any(((sets[0] & sets[1]) == one).all() for one in sets):
            continue
        if narrows and (cells == sets[0]).all():
            continue
        if (cells & wanted).any() and (meaning == ANYTHING or (cells != everything).any()):
            found.append(meaning)
    return found


def spread(options):
    """Mix distributions uniformly, those that are empty left out."""
    options = [option for option in options if option]
    mixed = collections.Counter()
    for option in options:
        for meaning, share in option.items():
            mixed[meaning] += share / len(options)
    return mixed


def frequencies(room, levels, wanted=None):
    """How often each meaning is to be drawn: uniform at each choice over what can be had."""
    wanted = denoted(ANYTHING, room) if wanted is None else wanted

    def uniform(*asked):
        found = every_meaning(room, *asked, wanted)
        return {meaning: 1 / len(found) for meaning in found}

    def of_level(level):
        if level in THINGS:
            return uniform("thing", (level,), False)
        for narrows in (True, False) if level == "relation" else (False,):
            kinds = [
                spread([uniform(kind, shapes, narrows) for shapes in SHAPES[kind]])
                for kind in KINDS[level]
            ]
            if any(kinds):
                return spread(kinds)
        return {}

    return spread([of_level(level) for level in levels])


def assert_drawn_as(expected, drawn):
    """Compare counts with frequencies; rare meanings are counted together."""
    counts = collections.Counter(drawn)
    assert set(counts) <= set(expected)
    assert sum(expected.values()) == pytest.approx(1)
    often = [meaning for meaning in expected if expected[meaning] * len(drawn) >= 8]
    observed = np.array([*(counts[meaning] for meaning in often), 0.0])
    wanted = np.array([*(expected[meaning] for meaning in often), 0.0]) * len(drawn)
    observed[-1], wanted[-1] = len(drawn) - observed.sum(), len(drawn) - wanted.sum()
    some = wanted > 1e-6
    assert some.sum() == 1 or chisquare(observed[some], wanted[some]).pvalue > 1e-4


# -- frequencies ---------------------------------------------------------------------------------


@pytest.mark.parametrize("levels", [*((level,) for level in LEVELS), LEVELS], ids=str)
def test_meanings_are_drawn_as_often_as_their_definition_says(levels):
    generator = np.random.default_rng(0)
    for world in ("crowded", "relations", "rooms"):
        room = draw_rooms(GRID_WORLDS[world], 1, generator)[0]
        meanings, _ = draw_meanings(np.repeat(room[None], 2000, 0), generator, levels)
        assert_drawn_as(frequencies(room, levels), meanings)


def test_meanings_of_a_cell_are_drawn_as_often_as_their_definition_says():
    generator = np.random.default_rng(1)
    room = draw_rooms(GRID_WORLDS["relations"], 1, generator)[0]
    for cell in np.argwhere(denoted(ANYTHING, room))[:2]:
        wanted = np.zeros(room.shape[:2], bool)
        wanted[tuple(cell)] = True
        cells = np.repeat(cell[None], 2000, 0)
        meanings, _ = draw_meanings(np.repeat(room[None], 2000, 0), generator, LEVELS, cells)
        assert_drawn_as(frequencies(room, LEVELS, wanted), meanings)


def test_meanings_of_a_batch_of_rooms_are_those_of_each_by_itself():
    generator = np.random.default_rng(2)
    rooms = np.stack([random_room(generator, objects=count) for count in (1, 2, 5, 9)])
    each = [frequencies(room, LEVELS) for room in rooms]
    meanings, _ = draw_meanings(np.tile(rooms, (1000, 1, 1, 1)), generator, LEVELS)
    for n, expected in enumerate(each):
        assert_drawn_as(expected, meanings[n :: len(rooms)])


@pytest.mark.parametrize("world", GRID_WORLDS)
def test_cells_are_those_that_the_meaning_denotes(world):
    generator = np.random.default_rng(3)
    rooms = draw_rooms(GRID_WORLDS[world], 200, generator)
    meanings, cells = draw_meanings(rooms, generator)
    for meaning, room, found in zip(meanings, rooms, cells, strict=True):
        np.testing.assert_array_equal(found, denoted(meaning, room))
        assert found.any()


def test_rooms_where_nothing_fits_have_no_meaning_and_no_cells():
    rooms = np.stack([room_of_objects("### #R# ###", {"R": "red ball"}), *[np.ones((3, 3, 2))] * 2])
    meanings, cells = draw_meanings(rooms.astype(np.uint8), np.random.default_rng(0))
    assert meanings == [ANYTHING, None, None]
    assert np.argwhere(cells).tolist() == [[0, 1, 1]]
    meanings, cells = draw_meanings(rooms.astype(np.uint8), np.random.default_rng(0), ("full",))
    assert meanings == [None] * 3
    assert not cells.any()


@pytest.mark.parametrize("objects", [64, 65, 144])
def test_rooms_may_have_more_objects_than_a_number_has_bits(objects):
    generator = np.random.default_rng(4)
    rooms = np.stack([random_room(generator, objects=count, size=14) for count in (3, objects)])
    for level in LEVELS[4:]:
        meanings, cells = draw_meanings(rooms, generator, (level,))
        assert level_of(meanings[1]) == level
        np.testing.assert_array_equal(cells[1], denoted(meanings[1], rooms[1]))


def test_one_of_each_row_is_picked_uniformly():
    allowed = np.tile([[True, False, True, True], [False, True, False, False]], (900, 1))
    picked = pick_each(allowed, np.random.default_rng(0)).reshape(900, 2)
    assert (picked[:, 1] == 1).all()
    counts = np.bincount(picked[:, 0], minlength=4)
    assert counts[1] == 0
    assert chisquare(counts[[0, 2, 3]]).pvalue > 1e-3


# -- drawing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", LEVELS)
def test_draws_tell_some_objects_from_others(level):
    generator = np.random.default_rng(1)
    for _ in range(100):
        room = random_room(generator, objects=8)
        meaning = draw_meaning(room, generator, [level])
        assert level_of(meaning) == level
        assert 1 <= ambiguity(meaning, room) <= (8 if level == "any" else 7)


@pytest.mark.parametrize("level", LEVELS)
def test_draws_of_a_cell_are_true_of_it(level):
    generator = np.random.default_rng(2)
    drawn = 0
    rooms = np.stack([random_room(generator, objects=8) for _ in range(100)])
    every = [np.argwhere(denoted(ANYTHING, room)) for room in rooms]
    cells = np.stack([objects[generator.integers(len(objects))] for objects in every])
    meanings, _ = draw_meanings(rooms, generator, [level], cells)
    for meaning, room, cell in zip(meanings, rooms, cells, strict=True):
        if meaning is None:
            continue
        drawn += 1
        assert level_of(meaning) == level
        assert denoted(meaning, room)[tuple(cell)]
        assert 1 <= ambiguity(meaning, room) <= (8 if level == "any" else 7)
    assert drawn > 90


def test_parts_of_drawn_compounds_matter():
    generator = np.random.default_rng(3)
    narrowed = []
    for _ in range(300):
        room = random_room(generator, objects=6)
        kind, *parts = meaning = draw_meaning(room, generator, LEVELS[4:])
        sizes = [ambiguity(part, room) for part in parts]
        if kind == "except":
            assert 0 < ambiguity(meaning, room) < sizes[0]
        elif kind == "either":
            assert ambiguity(meaning, room) > max(sizes)
        elif kind in ("next_to", "nearest_wall"):
            narrowed.append(ambiguity(meaning, room) < sizes[0])
    assert np.mean(narrowed) > 0.95


def test_levels_are_drawn_uniformly():
    generator = np.random.default_rng(4)
    drawn = [level_of(draw_meaning(ROOM, generator)) for _ in range(1600)]
    counts = [drawn.count(level) for level in LEVELS]
    assert min(counts) > 150
    assert max(counts) < 250


def test_another_level_is_drawn_if_one_cannot_be_had():
    room = room_of_objects("### #R# ###", {"R": "red ball"})
    generator = np.random.default_rng(5)
    assert draw_meaning(room, generator, ["full", "negation", "any"]) == ANYTHING
    with pytest.raises(InstructionError, match=r"level full or relation fits the 1 objects.*'any'"):
        draw_meaning(room, generator, ["full", "relation"])
