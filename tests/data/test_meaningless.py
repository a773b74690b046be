import numpy as np
import pytest

from langrl.data import meaningless
from langrl.data.meaningless import SLOTS, TEMPLATES, draw_meaningless
from langrl.data.word_sets import WRITTEN_GROUPS, read_meaningless, read_written
from langrl.envs.grid.grammar import HELD_OUT_WORDS, TYPES
from langrl.errors import DomainError
from langrl.words import split_words


def draw(count, seed=0, known=()):
    return draw_meaningless(count, np.random.default_rng(seed), known)


def test_texts_are_distinct_and_the_same_for_the_same_seed():
    texts = draw(300)
    assert len(set(texts)) == 300
    assert texts == draw(300)
    assert texts != draw(300, seed=1)
    assert all("{" not in text or "}" not in text or "print" in text for text in texts)


def test_every_slot_of_a_template_can_be_filled():
    for templates in TEMPLATES.values():
        for template in templates:
            assert template.format(**{name: values[0] for name, values in SLOTS.items()})


def test_no_text_names_a_thing_of_grid_worlds():
    named = {word for text in draw(2000) for word in split_words(text)}
    assert not named & set(TYPES)
    assert not named & set(HELD_OUT_WORDS)


def test_no_text_is_a_development_or_blind_one():
    ours = {text.lower() for text in draw(3000)}
    written = [each for group in WRITTEN_GROUPS for each in read_meaningless(group)]
    for group in WRITTEN_GROUPS:
        written += [*read_written("grid", group), *read_written("maze", group)]
    shared = sum(each.text.lower() in ours for each in written)  # a count: nothing is printed
    assert shared == 0


def test_words_that_a_world_knows_leave_texts_out():
    known = {"elephant", "purple", "going", "weather", "like"}
    for text in draw(400, known=known):
        longer = [word for word in split_words(text) if len(word) >= 4]
        assert not longer or sum(word in known for word in longer) <= len(longer) / 2


def test_too_few_texts_are_refused(monkeypatch):
    monkeypatch.setattr(meaningless, "_draw", lambda kind, generator: "the weather")
    with pytest.raises(DomainError, match=r"there are 1 .* and 3 are needed; leave words out"):
        draw(3)
