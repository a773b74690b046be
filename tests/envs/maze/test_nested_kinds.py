import numpy as np
import pytest

from langrl.data.config import DataConfig
from langrl.data.state_text_pairs import maze_pairs
from langrl.envs.maze.env import StreetMazeVectorEnv
from langrl.envs.maze.grammar import KINDS, MOST_WORDS
from langrl.envs.maze.layouts import LAYOUTS
from langrl.envs.maze.world import StreetMaze
from langrl.words import split_words

NESTED = ("cells", "part")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("phrasing", ["seen", "held_out"])
def test_nested_meanings_are_written_and_read_back(layout, phrasing):
    grammar, generator = StreetMaze(layout).grammar, np.random.default_rng(0)
    for kind in NESTED * 30:
        meaning = grammar.draw_meaning(generator, (kind,))
        text = grammar.write(meaning, generator, phrasing)
        assert len(split_words(text)) <= MOST_WORDS
        read = grammar.parse(text)
        np.testing.assert_array_equal(grammar.mask(read), grammar.mask(meaning))


def test_cells_are_two_different_ones():
    grammar, generator = StreetMaze("island").grammar, np.random.default_rng(1)
    for _ in range(50):
        meaning = grammar.draw_meaning(generator, ("cells",))
        assert meaning[0] == "either"
        assert grammar.mask(meaning).sum() == 2


def test_a_part_is_less_than_its_line():
    grammar, generator = StreetMaze("blank").grammar, np.random.default_rng(2)
    for _ in range(100):
        meaning = grammar.draw_meaning(generator, ("part",))
        (line,) = [part for part in meaning[1:] if part[0] in ("row", "column")]
        inside, whole = grammar.mask(meaning), grammar.mask(line)
        assert 0 < inside.sum() < whole.sum()
        assert not (inside & ~whole).any()


@pytest.mark.parametrize("kind", NESTED)
def test_a_nested_meaning_can_be_asked_to_be_true_of_a_cell(kind):
    grammar, generator = StreetMaze("fork").grammar, np.random.default_rng(3)
    for _ in range(30):
        assert grammar.mask(grammar.draw_meaning(generator, (kind,), (0, 12)))[0, 12]


def test_nested_types_are_drawn_only_where_they_are_asked_for():
    assert not set(NESTED) & set(KINDS)
    assert DataConfig().kinds == KINDS
    assert DataConfig(kinds=("row", "cells")).kinds == ("row", "cells")
    envs = StreetMazeVectorEnv(20, "blank", ("cells",))
    _, info = envs.reset(seed=0)
    np.testing.assert_allclose(info["ambiguity_bits"], 1.0)


def test_pairs_of_a_state_and_a_text_can_be_of_nested_types():
    world = StreetMaze("blank")
    pairs = maze_pairs(world, 40, np.random.default_rng(4), NESTED)
    for state, text in zip(pairs.states, pairs.texts, strict=True):
        assert world.denotation(state[None], text).all()
        assert world.cell_mask(text).sum() <= 5
