import re

import numpy as np
import pytest

from langrl.data.images import composed_clauses
from langrl.data.images.augment import NO_WORDS, NearWords, TextWriter
from langrl.data.images.composed_texts import compose
from langrl.data.images.grid_scenes import world_batch
from langrl.data.word_sets import denoted_objects, read_written
from langrl.envs.grid import words as grid_words
from langrl.envs.grid.grammar import COLOURS, TYPES, synonyms_in, write
from langrl.envs.grid.rooms import GRID_WORLDS, draw_rooms, is_object
from langrl.envs.grid.templates import expand
from langrl.words import split_words


def composed(world="goto", rooms=60, seed=0):
    """Texts about each object of some rooms: the room, the cell, the text, what it denotes."""
    generator = np.random.default_rng(seed)
    for room in draw_rooms(GRID_WORLDS[world], rooms, generator):
        for cell in np.argwhere(is_object(room)):
            found = compose(room, cell, generator)
            if found is not None:
                yield room, tuple(cell), *found


def kind_of(denotation):
    return next(iter(denotation))


@pytest.mark.parametrize("world", ["goto", "crowded", "rooms", "relations"])
def test_a_text_denotes_the_object_that_it_is_about_and_not_all(world):
    count = 0
    for room, cell, text, denotation in composed(world, 20):
        meant = denoted_objects(denotation, room[None])[0]
        assert meant[cell], text
        assert (meant != is_object(room)).any(), text
        count += 1
    assert count > 60


def test_every_sort_of_text_is_written():
    texts = [(text, denotation) for *_, text, denotation in composed(rooms=200)]
    assert len({text for text, _ in texts}) > 0.95 * len(texts)
    written = " ".join(text for text, _ in texts)
    for clause in ("must", "n't", "neither", "corner", "beside", "wall", " or ", "?"):
        assert clause in written, clause
    count = [str(denotation).count("'not'") for _, denotation in texts]
    assert {0, 1, 2, 3} == set(count)
    assert {"and", "or", "at", "beside"} <= {kind_of(denotation) for _, denotation in texts}


def test_a_text_names_all_that_is_in_its_denotation_and_nothing_else():
    for *_, text, denotation in composed():
        named = set(re.findall(r"[a-z]+", text))
        singular = {word.removesuffix("es" if word == "boxes" else "s") for word in named} | named
        meant = set(re.findall(r"'([a-z]+)'", str(denotation)))
        words = {*COLOURS, *TYPES}
        assert singular & words == meant & words, text


def test_exclusions_leave_something_out_that_was_included():
    for *_, text, denotation in composed():
        if kind_of(denotation) != "and" or "at" in str(denotation) or "beside" in str(denotation):
            continue
        first, *others = denotation["and"]
        if kind_of(first) != "thing":
            continue
        for other in others:
            if "not" in other:
                thing, left_out = first["thing"], other["not"]["thing"]
                for name in ("colour", "type"):
                    assert None in (thing[name], left_out[name]) or thing[name] == left_out[name], (
                        text
                    )
                assert left_out != thing, text


def test_no_text_has_a_clause_of_a_held_out_template_or_a_held_out_word():
    tables = (grid_words.COMPOUNDS, grid_words.SENTENCES)
    templates = [t for table in tables for kind in table.values() for t in kind["held_out"]]
    literals = {
        part.strip(" ,;:")
        for template in templates
        for text in expand(template)
        for part in re.split(r"\{\w\}", text)
    }
    clauses = {literal for literal in literals if len(literal.split()) > 2}
    assert len(clauses) > 15
    texts = [text for *_, text, _ in composed(rooms=200)]
    assert len(texts) > 800
    for text in texts:
        assert not synonyms_in(text)
        assert not [clause for clause in clauses if f" {clause} " in f" {text} "], text
        assert not re.search(r"\ba non-\w+ (thing|object|item)\b", text)


def test_no_text_is_a_hand_written_one():
    written = {
        tuple(split_words(each.text))
        for group in ("development", "blind")
        for each in read_written("grid", group)
        if len(split_words(each.text)) > 4  # shorter ones are what anybody says
    }
    texts = {tuple(split_words(text)) for *_, text, _ in composed(rooms=300)}
    assert len(written) > 400
    assert len(texts) > 1000
    shared = len(written & texts)
    assert shared == 0


def test_the_same_generator_writes_the_same():
    assert [text for *_, text, _ in composed(rooms=5)] == [
        text for *_, text, _ in composed(rooms=5)
    ]


def test_a_room_where_all_objects_are_alike_has_a_text_or_none():
    room = np.zeros((5, 5, 2), np.uint8)
    room[..., 0] = 2
    room[1:4, 1:4, 0] = 1
    room[2, 2] = TYPES["ball"], COLOURS["red"]
    assert compose(room, (2, 2), np.random.default_rng(0)) is None  # all there is is denoted


def batch(share):
    generator = np.random.default_rng(0)
    return world_batch(
        GRID_WORLDS["goto"], lambda m, g: write(m, g, "seen"), generator,
        rooms=4, images=12, texts=10, labels=True, compose=compose, composed=share,
    )  # fmt: skip


def test_a_share_of_a_batch_is_composed_and_has_no_labels():
    none, half = batch(0.0), batch(0.5)
    assert (none.meant >= 0).all()
    unlabelled = (half.meant < 0).all(1)
    assert ((half.meant < 0).any(1) == unlabelled).all()
    assert 8 <= unlabelled.sum() <= 32
    assert half.positives.any(1).all()
    assert half.positives[unlabelled].mean() < 0.5


def test_plurals_are_replaced_by_plurals_of_near_words():
    words = NearWords({"ball": (("marble",), np.ones(1))}, ())
    writer = TextWriter(words, 0.0, 1.0, 0.0, 0.0)
    generator = np.random.default_rng(0)
    assert writer.vary("the balls, not the ball", generator) == "the marbles, not the marble"
    assert TextWriter(NO_WORDS, 0.0, 1.0, 0.0, 0.0).vary("balls", generator) == "balls"


def test_pools_name_slots_that_are_filled():
    for name, pool in vars(composed_clauses).items():
        if name.isupper() and isinstance(pool, list):
            for text in pool:
                if isinstance(text, str):
                    for each in expand(text):
                        assert set(re.findall(r"\{(\w*)\}", each)) <= {
                            "x", "y", "z", "no", "out", "is_not", "t", "p", "by", "by_it", "after",
                            "the", "b", "", "a", "many", "one",
                        }, (name, each)  # fmt: skip
