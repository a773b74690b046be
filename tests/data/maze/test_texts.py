import re

import numpy as np
import pytest

from langrl.data.maze import phrases
from langrl.data.maze.texts import MazeTextWriter
from langrl.data.state_text_pairs import maze_pairs
from langrl.data.word_sets import read_written
from langrl.envs.maze.grammar import GOALS, KINDS, LEADS, MazeGrammar
from langrl.envs.maze.layouts import load_layout
from langrl.envs.maze.world import StreetMaze
from langrl.words import split_words


@pytest.fixture(params=["blank", "fork"])
def grammar(request):
    return MazeGrammar(load_layout(request.param))


def test_every_text_is_true_of_its_cell_and_short_enough_to_be_read(grammar):
    writer, generator = MazeTextWriter(grammar), np.random.default_rng(0)
    cells = grammar.layout.free_cells
    kinds = set()
    for n in generator.integers(len(cells), size=400):
        cell = tuple(cells[n].tolist())
        text, mask = writer.draw(cell, generator)
        assert mask[cell]
        assert not (mask & grammar.layout.walls).any()
        assert len(split_words(text)) <= 24
        kinds.add(writer.draw_meaning(cell, generator)[0])
    assert {"row", "column", "both", "any", "not", "half", "corner"} <= kinds


def test_meanings_by_hand():
    writer = MazeTextWriter(MazeGrammar(load_layout("blank")))
    row, left = ("row", 3), ("half", "left")
    assert writer.mask(("not", row)).sum() == 90
    assert writer.mask(("both", row, ("not", left))).sum() == 5
    assert writer.mask(("any", row, left, ("column", 9))).sum() == 50 + 5 + 10 - 1
    assert writer.mask(("beyond", "bottom", 7)).sum() == 20
    assert writer.mask(("beyond", "left", 2)).sum() == 20
    assert writer.mask(("outer", ("row", 0))).sum() == 10


def test_lines_are_counted_from_both_sides_and_named_in_words():
    writer, generator = MazeTextWriter(MazeGrammar(load_layout("blank"))), np.random.default_rng(0)
    names = {writer._name(("row", 2), generator) for _ in range(600)}
    assert "row 2" in names
    assert "row two" in names
    assert "the third row from the top" in names
    assert "the eighth row from the bottom" in names
    assert not any("third row from the bottom" in name for name in names)
    columns = {writer._name(("column", 9), generator) for _ in range(600)}
    assert {"the rightmost column", "the last column"} <= columns


def test_what_is_excluded_may_be_two_places():
    writer, generator = MazeTextWriter(MazeGrammar(load_layout("blank"))), np.random.default_rng(0)
    rows = ("any", ("row", 3), ("row", 5))
    assert writer.mask(("not", rows)).sum() == 80
    assert writer.mask(("both", ("column", 2), ("not", rows))).sum() == 8
    texts = [writer._say(("not", rows), generator) for _ in range(200)]
    assert any("rows 3 and 5" in text for text in texts)
    third, fifth = r"\b(3|three|fourth|seventh)\b", r"\b(5|five|sixth|fifth)\b"
    named = [bool(re.search(third, text) and re.search(fifth, text)) for text in texts]
    assert np.mean(named) > 0.9  # all, but for slips
    drawn = [writer.draw_meaning((4, 5), generator) for _ in range(400)]
    assert any(each[0] == "not" and each[1][0] == "any" for each in drawn)


def test_only_asked_kinds_are_written():
    writer, generator = (
        MazeTextWriter(MazeGrammar(load_layout("blank")), ("row", "column")),
        np.random.default_rng(0),
    )
    meanings = {writer.draw_meaning((4, 5), generator) for _ in range(50)}
    assert meanings == {("row", 4), ("column", 5)}


def test_no_training_template_is_a_held_out_one():
    held_out = {*LEADS["held_out"], *(t for forms in GOALS.values() for t in forms["held_out"])}
    written = set()
    for name in dir(phrases):
        table = getattr(phrases, name)
        if name.isupper():
            listed = table if isinstance(table, tuple) else [t for ts in table.values() for t in ts]
            written |= {re.sub(r"\{\d\}", "{}", text) for text in listed}
    assert not written & held_out


def test_few_hand_written_texts_are_training_texts():
    grammar = MazeGrammar(load_layout("blank"))
    writer, generator = MazeTextWriter(grammar), np.random.default_rng(0)
    drawn = {
        writer.draw((int(row), int(column)), generator)[0]
        for row, column in generator.integers(10, size=(3000, 2))
    }
    for group in ("development", "blind"):
        texts = [each.text.lower().strip(".!") for each in read_written("maze", group)]
        share = sum(text in drawn for text in texts) / len(texts)
        assert share <= 0.05


def test_pairs_have_what_each_text_denotes():
    world = StreetMaze("fork")
    for paraphrases in (0.0, 0.8):
        generator = np.random.default_rng(0)
        pairs = maze_pairs(world, 200, generator, KINDS, paraphrases=paraphrases)
        rows, columns = pairs.states.astype(int).T
        true = pairs.denoted[pairs.text_index, rows, columns]
        assert true.mean() > 0.99  # a slip may turn one text into another
        assert len(pairs.texts) == len(pairs.denoted) == len(set(pairs.texts))
    read = [world.grammar.parse(text) is None for text in pairs.texts]
    assert np.mean(read) > 0.4  # the grammar knows none of the paraphrases
