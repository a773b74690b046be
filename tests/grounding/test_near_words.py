import numpy as np
import pytest

from langrl.data.related_pairs import count_words, learn_words
from langrl.errors import InstructionError
from langrl.grounding.near_words import NearWords
from langrl.words import UNKNOWN, WordTokeniser

WORDS = learn_words()


@pytest.fixture(scope="module")
def near():
    return NearWords(WORDS)


def most(counts):
    return WORDS.vocabulary[counts.argmax() - 2]


def test_known_words_count_as_they_always_do(near):
    texts = ("go to the red ball", "find something blue", "go go go")
    np.testing.assert_array_equal(near(texts), count_words(texts, WORDS))


@pytest.mark.parametrize(
    ("word", "known"),
    [("crimson", "red"), ("sphere", "ball"), ("crate", "box"), ("violet", "purple")],
)
def test_an_unknown_word_counts_as_what_it_means(near, word, known):
    (counts,) = near([word])
    assert most(counts) == known
    assert counts[UNKNOWN] == 0
    assert counts.sum() == pytest.approx(1)
    assert (counts >= 0).all()


def test_a_misspelt_word_is_the_one_that_it_may_be(near):
    np.testing.assert_array_equal(near(["sphree"]), near(["sphere"]))


def test_a_word_of_no_meaning_is_unknown(near):
    (counts,) = near(["qzxqzxqz ball"])
    assert counts[UNKNOWN] == 1
    assert counts.sum() == 2


def test_words_that_the_table_lacks_are_known_all_the_same():
    words = WordTokeniser(["qzxqzxqz", "ball"])
    np.testing.assert_allclose(NearWords(words)(["qzxqzxqz sphere"]), [[0, 0, 1, 1]], atol=1e-6)


def test_without_a_known_word_that_has_a_meaning_all_others_are_unknown():
    np.testing.assert_array_equal(NearWords(WordTokeniser(["qzxqzxqz"]))(["sphere"]), [[0, 1, 0]])


def test_a_text_without_words_is_refused(near):
    with pytest.raises(InstructionError):
        near([" "])
