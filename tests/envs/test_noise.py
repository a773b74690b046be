import numpy as np
import pytest

from langrl.envs.grid import grammar
from langrl.envs.grid.meanings import draw_meanings
from langrl.envs.grid.rooms import GRID_WORLDS, draw_rooms
from langrl.envs.maze.grammar import DRAWN_KINDS, VOCABULARY, corrected
from langrl.envs.maze.world import StreetMaze
from langrl.envs.noise import POLITE, add_noise, with_words_corrected, without_politeness
from langrl.envs.regions import RegionGrammar
from langrl.envs.spelling import misspell, one_edit_away

MAZE = StreetMaze("fork").grammar


def test_a_noisy_text_is_read_as_what_it_was_in_mazes():
    generator = np.random.default_rng(0)
    for _ in range(200):
        meaning = MAZE.draw_meaning(generator, DRAWN_KINDS)
        read = MAZE.parse(MAZE.write(meaning, generator, "noisy"))
        np.testing.assert_array_equal(MAZE.mask(read), MAZE.mask(meaning))


def test_a_noisy_text_is_read_as_what_it_was_in_grid_worlds():
    generator = np.random.default_rng(1)
    rooms = draw_rooms(GRID_WORLDS["crowded"], 100, generator)
    meanings, denoted = draw_meanings(rooms, generator)
    for meaning, room, cells in zip(meanings, rooms, denoted, strict=True):
        read = grammar.parse(grammar.write(meaning, generator, "noisy"))
        np.testing.assert_array_equal(grammar.denoted(read, room), cells)


def test_a_noisy_text_is_read_as_what_it_was_about_regions():
    generator, regions = np.random.default_rng(4), RegionGrammar(("left-right", "near-far"))
    texts = []
    for meaning in regions.meanings * 2:
        texts.append(regions.write(meaning, generator, "noisy"))
        read = regions.parse(texts[-1])
        np.testing.assert_array_equal(regions.mask(read), regions.mask(meaning))
    assert all(len(list(without_politeness(text))) == 2 for text in texts)


def test_noise_is_politeness_and_up_to_two_slips():
    generator, text = np.random.default_rng(2), "walk over to the corner at the lower left please"
    slips = []
    for _ in range(100):
        noisy = add_noise(text, VOCABULARY, corrected, generator)
        (plain,) = [each for each in without_politeness(noisy) if each != noisy]
        slips.append(sum(a != b for a, b in zip(plain.split(), text.split(), strict=True)))
        assert with_words_corrected(plain, corrected) == text
    assert set(slips) == {2}


def test_text_with_short_words_only_gets_politeness_only():
    noisy = add_noise("go to row 3", VOCABULARY, corrected, np.random.default_rng(0))
    assert noisy in [template.format("go to row 3") for template in POLITE]


@pytest.mark.parametrize("template", POLITE)
def test_politeness_comes_off_whatever_the_case(template):
    said = template.format("go to row 3")
    assert list(without_politeness(said.capitalize())) == [said.capitalize(), "go to row 3"]
    assert MAZE.parse(said.upper()) == ("row", 3)
    assert grammar.parse(template.format("find the red ball")) == ("thing", "red", "ball")


def test_the_same_seed_gives_the_same_noise():
    texts = {MAZE.write(("column", 4), np.random.default_rng(5), "noisy") for _ in range(3)}
    assert len(texts) == 1


def test_a_slip_keeps_the_ends_of_a_word_and_makes_no_known_one():
    generator = np.random.default_rng(3)
    for _ in range(200):
        wrong = misspell("column", {"colum", "coulmn"}, generator)
        assert wrong != "column"
        assert wrong not in {"colum", "coulmn"}
        assert (wrong[0], wrong[-1]) == ("c", "n")
        assert "column" in one_edit_away(wrong)


def test_words_are_corrected_only_where_one_known_word_is_near():
    assert corrected("colmun") == "column"
    assert corrected("row") == "row"
    assert corrected("xyzzy") is None
    assert corrected("c" * 50) is None
    assert with_words_corrected("Go to Colmun 12", corrected) == "go to column 12"


def test_what_is_no_instruction_with_noise_stays_unread():
    for text in ("hi, dance, please", "um, , thanks", "hi, , please", "cheers"):
        assert MAZE.parse(text) is None
        assert grammar.parse(text) is None
