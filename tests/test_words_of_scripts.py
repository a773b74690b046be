"""Words of texts that are not plain ASCII: one text, however it is typed, has one list of words."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langrl.envs.grid import grammar as grid
from langrl.envs.maze.grammar import MazeGrammar
from langrl.envs.maze.layouts import parse_layout
from langrl.errors import InstructionError
from langrl.protocols import check_instruction
from langrl.words import WordTokeniser, lower_text, split_words


def test_a_composed_and_a_decomposed_letter_have_the_same_number():
    tokeniser = WordTokeniser.learn(["geh zur Tür"])
    composed, decomposed = "geh zur Tür", unicodedata.normalize("NFD", "geh zur Tür")
    assert composed != decomposed
    assert tokeniser(composed) == tokeniser(decomposed)
    assert len(tokeniser(composed)) == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("q\u0303a weg", ["q\u0303a", "weg"]),  # no composed form
        ("हिन्दी में", ["हिन्दी", "में"]),  # vowel signs and a virama
        ("שָׁלוֹם", ["שָׁלוֹם"]),
        ("ไปที่ ลูกบอล", ["ไปที่", "ลูกบอล"]),
        ("3\u20e3 a", ["3\u20e3", "a"]),
        ("re\u00add b\u200dall", ["red", "ball"]),
        ("\ufeffgo \u200eleft\u200f", ["go", "left"]),
        ("\u2764\ufe0f", ["\u2764"]),
        ("İSTANBUL", ["i\u0307stanbul"]),
    ],
)
def test_marks_belong_to_their_letter_and_unseen_characters_to_none(text, words):
    assert split_words(text) == words


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=40))
def test_normal_forms_of_a_text_have_the_same_words(text):
    try:
        check_instruction(text)
        words = split_words(text)
    except InstructionError:
        return
    for form in ("NFC", "NFD"):
        assert split_words(unicodedata.normalize(form, text)) == words


@given(st.text(alphabet=st.characters(max_codepoint=127), max_size=60))
def test_plain_ascii_is_only_put_in_lower_case(text):
    assert lower_text(text) == text.lower()


@pytest.mark.parametrize("text", ["\u200b", "\ufeff \u200d", "\u00ad"])
def test_a_text_of_which_nothing_is_seen_is_refused(text):
    with pytest.raises(InstructionError, match="no visible character"):
        split_words(text)


def test_grammars_read_texts_with_unseen_characters():
    maze = MazeGrammar(parse_layout("...\n...\n...", "a maze"))
    assert maze.parse("go to ro\u00adw 2\ufeff") == maze.parse("go to row 2") is not None
    assert grid.parse("go to the r\u200ded ball") == grid.parse("go to the red ball")
