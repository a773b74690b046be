import re

import numpy as np
import pytest

from langrl.data.images import composed_clauses as words
from langrl.data.maze import composed_clauses
from langrl.data.maze.composed_texts import say_exclusion, say_inclusion
from langrl.envs.grid.templates import expand
from langrl.envs.maze.grammar import GOALS, LEADS


def lead(text):
    return f"go to {text}"


def drawn(write, count=400, seed=0):
    generator = np.random.default_rng(seed)
    return [write(generator) for _ in range(count)]


@pytest.mark.parametrize(
    ("included", "excluded"),
    [
        (None, ["row 3"]),
        (None, ["row 3", "column 2"]),
        ("the top half", ["row 3"]),
        ("the top half", ["row 3", "column 2"]),
    ],
)
def test_an_exclusion_names_every_place_once_and_no_other(included, excluded):
    texts = drawn(lambda generator: say_exclusion(included, excluded, "cell", generator, lead))
    assert len(set(texts)) > 0.8 * len(texts)
    for text in texts:
        for place in (*excluded, *([included] if included else [])):
            assert text.count(place) == 1, text
        assert not re.search(r"[{}]|  ", text), text
        assert len(re.findall(r"\b(row|column|half)\b \d", text)) <= 2, text


def test_an_inclusion_names_its_place_once():
    texts = drawn(lambda generator: say_inclusion("row 3", "row", generator, lead))
    assert len(set(texts)) > 0.6 * len(texts)
    for text in texts:
        assert text.count("row 3") == 1, text
        assert not re.search(r"[{}]|  ", text), text


def test_words_of_exclusion_stand_in_inclusions_too():
    excluding = " ".join(
        drawn(lambda generator: say_exclusion(None, ["row 3"], "row", generator, lead))
    )
    including = " ".join(drawn(lambda generator: say_inclusion("row 3", "row", generator, lead)))
    for word in ("but", "except", "not", "outside", "forbidden", "any row", "anywhere", "must"):
        assert word in excluding, word
        assert word in including, word


def test_no_text_has_the_word_no_which_stands_for_number_too():
    for text in (
        *drawn(lambda generator: say_exclusion(None, ["row 3", "row 4"], "row", generator, lead)),
        *drawn(lambda generator: say_inclusion("row 3", "row", generator, lead)),
    ):
        assert "no" not in text.split(), text


def test_no_clause_is_a_held_out_one():
    held_out = {*LEADS["held_out"], *(t for forms in GOALS.values() for t in forms["held_out"])}
    own = [pool for name, pool in vars(composed_clauses).items() if name.isupper()]
    used = (
        words.NOT,
        words.JOINED,
        words.OUT_JOINED,
        words.IS_NOT_ONE,
        words.PASS_BY,
        words.NEITHER,
    )
    for pool in (*own, *used):
        clauses = {re.sub(r"\{\w+\}", "{}", text) for t in pool for text in expand(t)}
        assert not clauses & held_out, pool
