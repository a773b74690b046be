import itertools

import numpy as np
import pytest
from grid_rooms_by_hand import LETTERED_ROOM as ROOM
from grid_rooms_by_hand import random_room, room_of_objects

from langrl.envs.grid import templates as grid_templates
from langrl.envs.grid import words as grid_words
from langrl.envs.grid.grammar import (
    COLOURS,
    HELD_OUT_WORDS,
    LEVELS,
    SYNONYMS,
    TYPES,
    WALL,
    ambiguity,
    denoted,
    level_of,
    parse,
    synonyms_in,
    write,
)
from langrl.envs.grid.meanings import draw_meaning, draw_meanings
from langrl.envs.phrasing import PHRASINGS
from langrl.errors import DomainError, InstructionError, ShapeError, UnknownNameError


def thing(colour=None, name=None):
    return ("thing", colour, name)


ANYTHING, RED, BLUE = thing(), thing("red"), thing("blue")
BALL, KEY, BOX, DOOR = (thing(None, name) for name in ("ball", "key", "box", "door"))
RED_BALL, BLUE_BOX = thing("red", "ball"), thing("blue", "box")
EXAMPLES = {
    "full": RED_BALL,
    "colour": RED,
    "type": KEY,
    "any": ANYTHING,
    "negation": ("except", ANYTHING, RED),
    "conjunction": ("both", RED, BALL),
    "disjunction": ("either", RED_BALL, KEY),
    "relation": ("next_to", BALL, BLUE_BOX),
}


AT = {
    "R": (1, 2), "K": (1, 4), "B": (2, 2), "S": (3, 2), "T": (3, 4), "C": (3, 6), "A": (5, 4),
    "D": (5, 7),
}  # fmt: skip


def random_thing(generator):
    colour = generator.choice([None, *COLOURS])
    return thing(colour, generator.choice([None, *TYPES]))


def random_meaning(generator):
    kind = generator.choice(["thing", "except", "both", "either", "next_to", "nearest_wall"])
    if kind == "thing":
        return random_thing(generator)
    parts = [random_thing(generator) for _ in range(1 if kind == "nearest_wall" else 2)]
    return (str(kind), *parts)


# -- denoting ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("meaning", "expected"),
    [
        (RED_BALL, "R"),
        (RED, "RK"),
        (BALL, "RSA"),
        (DOOR, "D"),
        (ANYTHING, "RBSKTACD"),
        (thing("grey"), "T"),  # the walls are grey too, and no objects
        (thing("green", "key"), ""),
        (("except", ANYTHING, RED), "BSTACD"),
        (("except", BALL, RED), "SA"),
        (("except", RED, KEY), "R"),
        (("except", ANYTHING, ANYTHING), ""),
        (("both", RED, BALL), "R"),
        (("either", RED_BALL, KEY), "RKT"),
        (("either", BLUE, BOX), "BSC"),
        (("next_to", BALL, BLUE_BOX), "RS"),
        (("next_to", BLUE_BOX, BALL), "B"),
        (("next_to", BLUE, BLUE), "BS"),
        (("next_to", BALL, BALL), ""),  # an object is not next to itself; two steps are too far
        (("next_to", ANYTHING, KEY), ""),
        (("nearest_wall", KEY), "K"),
        (("nearest_wall", BLUE), "BS"),  # both two cells from the left wall
        (("nearest_wall", BALL), "RA"),
        (("nearest_wall", BOX), "BC"),
        (("nearest_wall", thing("green", "key")), ""),
        (("nearest_wall", ANYTHING), "RKAD"),
        (("except", ("either", BALL, BOX), ("nearest_wall", BALL)), "BSC"),  # compounds nest
    ],
)
def test_denotation_in_a_hand_made_room(meaning, expected):
    mask = denoted(meaning, ROOM)
    assert mask.shape == ROOM.shape[:2]
    assert mask.dtype == bool
    assert {tuple(cell) for cell in np.argwhere(mask).tolist()} == {AT[key] for key in expected}
    assert ambiguity(meaning, ROOM) == len(expected)


def test_without_walls_everything_is_nearest_to_one():
    room = room_of_objects("R.. .B. ..R", {"R": "red ball", "B": "blue ball"})
    assert ambiguity(("nearest_wall", RED), room) == 2
    assert ambiguity(("nearest_wall", BALL), room) == 3


def oracle(meaning, room):
    """The denoted cells as a set, by loops over the definitions."""
    kind, *parts = meaning
    cells = list(itertools.product(range(room.shape[0]), range(room.shape[1])))
    if kind == "thing":
        colour, name = parts
        return {
            (r, c)
            for r, c in cells
            if room[r, c, 0] in TYPES.values()
            and (name is None or room[r, c, 0] == TYPES[name])
            and (colour is None or room[r, c, 1] == COLOURS[colour])
        }
    first = oracle(parts[0], room)
    if kind == "nearest_wall":
        walls = [cell for cell in cells if room[cell][0] == WALL]
        steps = {(r, c): min(abs(r - y) + abs(c - x) for y, x in walls) for r, c in first}
        return {cell for cell in first if steps[cell] == min(steps.values())}
    second = oracle(parts[1], room)
    if kind == "next_to":
        return {(r, c) for r, c in first if any(abs(r - y) + abs(c - x) == 1 for y, x in second)}
    return {"except": first - second, "both": first & second, "either": first | second}[kind]


def test_denotation_agrees_with_brute_force():
    generator = np.random.default_rng(0)
    for _ in range(150):
        meaning = random_meaning(generator)
        rooms = np.stack([random_room(generator, size=7, walls=3) for _ in range(3)])
        masks = denoted(meaning, rooms)
        for mask, room in zip(masks, rooms, strict=True):
            assert {tuple(cell) for cell in np.argwhere(mask).tolist()} == oracle(meaning, room)
            np.testing.assert_array_equal(mask, denoted(meaning, room))


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 3), (2, 2, 8, 8, 2)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ShapeError, match="stack type and colour"):
        denoted(RED, np.zeros(shape, np.uint8))


@pytest.mark.parametrize(
    ("meaning", "message"),
    [
        (thing("rde"), "no colour named 'rde'; did you mean 'red'"),
        (thing(None, "bal"), "no type named 'bal'; did you mean 'ball'"),
        (("excepd", RED, BALL), "no kind of meaning named 'excepd'; did you mean 'except'"),
    ],
)
def test_unknown_names_in_meanings_are_refused(meaning, message):
    with pytest.raises(UnknownNameError, match=message):
        denoted(meaning, ROOM)


@pytest.mark.parametrize(("level", "meaning"), EXAMPLES.items())
def test_level_of_every_kind(level, meaning):
    assert level_of(meaning) == level


def test_levels_cover_both_relations_and_refuse_unknown_kinds():
    assert tuple(EXAMPLES) == LEVELS
    assert level_of(("nearest_wall", KEY)) == "relation"
    with pytest.raises(UnknownNameError, match="kind of meaning"):
        level_of(("neither", RED, BLUE))


# -- refusals -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "message", "call"),
    [
        (UnknownNameError, "no level named 'ful'; did you mean 'full'",
         lambda rng: draw_meaning(ROOM, rng, ["any", "ful"])),
        (InstructionError, "none given", lambda rng: draw_meaning(ROOM, rng, [])),
        (InstructionError, "fits the 0 objects",
         lambda rng: draw_meaning(np.ones((4, 4, 2), np.uint8), rng)),
        (InstructionError, r"no object at \(4, 4\); the objects are at: \(1, 2\), \(1, 4\)",
         lambda rng: draw_meanings(ROOM[None], rng, cells=np.array([(4, 4)]))),
        (ShapeError, "one room", lambda rng: draw_meaning(ROOM[None], rng)),
        (DomainError, "colour 9; use 0 to 5",
         lambda rng: draw_meaning(np.full((1, 1, 2), (6, 9)), rng)),
        (UnknownNameError, "no phrasing named 'heldout'; did you mean 'held_out'",
         lambda rng: write(RED, rng, "heldout")),
        (UnknownNameError, "kind of meaning", lambda rng: write(("neither", RED), rng, "seen")),
        (UnknownNameError, "no colour or type named 'rde'",
         lambda rng: write(thing("rde"), rng, "seen")),
        (InstructionError, "combine only such things",
         lambda rng: write(("either", RED, ("both", RED, BALL)), rng, "seen")),
        (InstructionError, "no text says",
         lambda rng: write(("except", RED, ANYTHING), rng, "seen")),
    ],
)  # fmt: skip
def test_refusals_name_the_repair(error, message, call):
    with pytest.raises(error, match=message):
        call(np.random.default_rng(0))


# -- writing -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def written():
    """Some thousands of (meaning, phrasing, text), all levels alike."""
    generator = np.random.default_rng(6)
    rows = []
    for _ in range(3000):
        meaning = draw_meaning(random_room(generator, objects=6), generator)
        rows += [(meaning, phrasing, write(meaning, generator, phrasing)) for phrasing in PHRASINGS]
    return rows


@pytest.mark.parametrize("level", LEVELS)
def test_seen_phrasings_are_many(level):
    phrases = {
        (lead, text)
        for meaning in (EXAMPLES[level], *[("except", ANYTHING, KEY)] * (level == "negation"))
        for choices, _ in grid_templates.phrases_of(
            meaning[0],
            tuple(map(grid_templates.shape_of, meaning[1:] if level in LEVELS[4:] else [meaning])),
            "seen",
        )
        for text in choices
        for lead in grid_words.LEADS["seen"]
    }
    assert len(phrases) >= 40


def test_seen_and_held_out_templates_are_disjoint():
    tables = [grid_words.NOUNS, grid_words.CLAUSES, grid_words.COMPOUNDS, grid_words.SENTENCES]
    for templates in (grid_words.LEADS, *itertools.chain(*(table.values() for table in tables))):
        texts = [
            {text for template in templates[phrasing] for text in grid_templates.expand(template)}
            for phrasing in PHRASINGS
        ]
        assert not texts[0] & texts[1]


def test_template_words_name_no_colour_or_type():
    split = [*grid_templates.LEAD_PARTS, *grid_templates.FILLER_PARTS]
    split += itertools.chain(*grid_templates.COMPOUND_PARTS.values())
    literals = {word for parts in split for text in parts[::2] for word in text.split()}
    literals |= {word for text in grid_templates.THING_TEMPLATES for word in text.split()}
    assert not literals & {*HELD_OUT_WORDS, *COLOURS, *TYPES}
    assert set(SYNONYMS) == {*COLOURS, *TYPES}
    assert len(set(HELD_OUT_WORDS)) == len(HELD_OUT_WORDS) == 30


def test_seen_texts_have_only_canonical_words(written):
    seen = [text for _, phrasing, text in written if phrasing == "seen"]
    words = {word for text in seen for word in text.replace(",", "").split()}
    assert not words & set(HELD_OUT_WORDS)
    assert not any(synonyms_in(text) for text in seen)
    assert {*COLOURS, *TYPES} <= words
    assert len(set(seen)) > 2000


def test_held_out_texts_are_new_and_mostly_use_synonyms(written):
    texts = {
        phrasing: [text for _, its_phrasing, text in written if its_phrasing == phrasing]
        for phrasing in PHRASINGS
    }
    assert not set(texts["seen"]) & set(texts["held_out"])
    held_out = texts["held_out"]
    assert 0.55 < np.mean([bool(synonyms_in(text)) for text in held_out]) < 0.85
    assert {word for text in held_out for word in synonyms_in(text)} == set(HELD_OUT_WORDS)
    misspelt = [not set(grid_templates.words_of(t)) <= grid_templates.VOCABULARY for t in held_out]
    assert 0.12 < np.mean(misspelt) < 0.21
    assert np.mean([len(text) for text in held_out]) > 1.5 * np.mean(list(map(len, texts["seen"])))


def test_articles_are_english(written):
    for _, _, text in written:
        words = text.replace(",", "").split()
        for article, word in itertools.pairwise(words):
            if article in ("a", "an"):
                assert (article == "an") == (word[0] in "aeiou"), text


def test_draws_and_texts_are_reproducible():
    def run(seed):
        generator = np.random.default_rng(seed)
        meanings = [draw_meaning(ROOM, generator) for _ in range(20)]
        meanings += draw_meanings(ROOM[None], generator, cells=np.array([AT["T"]]))[0]
        return [(m, write(m, generator, phrasing)) for m in meanings for phrasing in PHRASINGS]

    assert run(7) == run(7)
    assert run(7) != run(8)


# -- reading -------------------------------------------------------------------------------


def test_what_is_written_can_be_read(written):
    rooms = np.stack([random_room(np.random.default_rng(i), objects=12) for i in range(8)])
    unread = 0
    for meaning, _, text in written:
        understood = parse(text)
        if understood is None:
            assert not set(grid_templates.words_of(text)) <= grid_templates.VOCABULARY, text
            unread += 1
        else:
            same = denoted(understood, rooms) == denoted(meaning, rooms)
            assert same.all(), (text, meaning, understood)
    assert unread < 0.01 * len(written)  # typos that might be of several words


@pytest.mark.parametrize("phrasing", PHRASINGS)
def test_unusual_compounds_can_be_read_too(phrasing):
    generator = np.random.default_rng(9)
    rooms = np.stack([random_room(generator, objects=12) for _ in range(8)])
    for _ in range(500):
        meaning = random_meaning(generator)
        if meaning[0] == "except" and meaning[2] == ANYTHING:
            continue  # nothing says it
        text = write(meaning, generator, phrasing)
        if (understood := parse(text)) is not None:
            same = denoted(understood, rooms) == denoted(meaning, rooms)
            assert same.all(), (text, meaning, understood)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Go to the RED ball!", RED_BALL),
        ("red ball", RED_BALL),
        ("  navigate\tto a crimson\nsphere. ", RED_BALL),
        ("find the gray orb", thing("grey", "ball")),
        ("go to an ashen crate", thing("grey", "box")),
        ("something", ANYTHING),
        ("find anything but red", ("except", ANYTHING, RED)),
        ("pick out a ball that is not scarlet", ("except", BALL, RED)),
        ("anything except a key", ("except", ANYTHING, KEY)),
        ("any object other than a ball", ("except", ANYTHING, BALL)),
        ("find something red that is not a key", ("except", RED, KEY)),
        ("avoid red things, take anything else", ("except", ANYTHING, RED)),
        ("a non-red object", ("except", ANYTHING, RED)),
        ("whatever isn\u2019t red", ("except", ANYTHING, RED)),
        ("something that is both red and a ball", ("both", RED, BALL)),
        ("reach a ball, and a red one", ("both", RED, BALL)),
        ("either the red ball or a key", ("either", RED_BALL, KEY)),
        ("something blue or a box", ("either", BLUE, BOX)),
        ("the ball next to the blue box", ("next_to", BALL, BLUE_BOX)),
        ("start at the blue box and choose a ball adjoining it", ("next_to", BALL, BLUE_BOX)),
        ("the key nearest the wall", ("nearest_wall", KEY)),
        ("when you have a moment, go to the ball closest to a wall", ("nearest_wall", BALL)),
        ("go to the purpel ball", thing("purple", "ball")),  # swapped
        ("go to the emerld baall", thing("green", "ball")),  # dropped, doubled
        ("go to the geay box", thing("grey", "box")),  # replaced
        ("go to the greeb key", thing("green", "key")),
        ("go to the orange ball", None),
        ("go to the rad ball", None),  # too short to be corrected
        ("go to the gren ball", None),  # green or grey
        ("go to the red blue ball", None),
        ("go to the red ball and the key", None),
        ("anything but red or blue", None),
        ("do not go to the red ball", None),
        ("red", None),
        ("?!", None),
        ("{} {a} {c}", None),
    ],
)
def test_reading(text, expected):
    assert parse(text) == expected


@pytest.mark.parametrize("text", ["", "  \n", "go to\x00red", "x" * 1001, 7])
def test_unusable_texts_are_refused(text):
    with pytest.raises(InstructionError):
        parse(text)


@pytest.mark.parametrize(
    "piece", ["or ", "a red ball or ", "either ", "that is not ", "a ", "balll ", "x", "when "]
)
@pytest.mark.parametrize("length", [290, 1000])
def test_hostile_texts_are_not_read_and_end(piece, length):
    assert parse((piece * length)[:length]) is None


def test_synonyms_in_a_text():
    assert synonyms_in("Go to the Crimson orb, or a gray orb") == ("crimson", "orb", "gray")
    assert synonyms_in("go to the red ball") == ()
