import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langrl.errors import ConfigError, InstructionError
from langrl.protocols import check_instruction
from langrl.words import PAD, UNKNOWN, WordTokeniser, lower_text, split_words

HOSTILE = [
    "",
    " \n\t",
    "row\x00 3",
    "row\x1b[2J",
    "row \ud800",
    "x" * 1001,
    None,
    3,
    b"row 3",
    "\xad",
]


def is_seen(text):
    """Whether a text is an instruction that has something to be seen."""
    try:
        return bool(lower_text(check_instruction(text)).strip())
    except InstructionError:
        return False


# -- words -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It isn't red", "it is not red"),
        ("DON\u2019T go", "do not go"),
        ("i cant and won't", "i can not and will not"),
        ("isnt wasn't", "is not was not"),
        ("a want, an ant, font 11", "a want , an ant , font 11"),
    ],
)
def test_a_contracted_not_is_a_word(text, words):
    assert split_words(text) == words.split()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Go to ROW 3", ["go", "to", "row", "3"]),
        ("row11", ["row", "11"]),
        ("row_3", ["row", "_", "3"]),
        ("3.5, please!", ["3", ".", "5", ",", "please", "!"]),
        ("  two\n\tlines ", ["two", "lines"]),
        ("geh zur TÜR", ["geh", "zur", "tür"]),
        ("🙂 é ½", ["🙂", "é", "½"]),
        (
            "https://example.com/x.png",
            ["https", ":", "/", "/", "example", ".", "com", "/", "x", ".", "png"],
        ),
    ],
)
def test_words_numbers_and_other_characters_are_apart(text, words):
    assert split_words(text) == words


@pytest.mark.parametrize("text", HOSTILE, ids=repr)
def test_what_is_no_instruction_has_no_words(text):
    with pytest.raises(InstructionError):
        split_words(text)


@given(st.text(max_size=60).filter(is_seen))
def test_no_word_holds_space_or_is_split_further(text):
    for word in split_words(text):
        assert word
        assert not any(character.isspace() for character in word)


# -- numbers for words -----------------------------------------------------------------------


def test_the_vocabulary_lists_frequent_words_first():
    texts = ["b b a", "Row 3, b", "row"]
    assert WordTokeniser.learn(texts).vocabulary == ("b", "row", ",", "3", "a")


def test_a_small_vocabulary_keeps_the_frequent_words():
    tokeniser = WordTokeniser.learn(["b b a", "row row row"], size=2)
    assert tokeniser.vocabulary == ("row", "b")
    assert tokeniser("row a b") == [2, UNKNOWN, 3]


def test_numbers_follow_the_vocabulary_after_padding_and_unknown():
    tokeniser = WordTokeniser(["go", "red"])
    assert (PAD, UNKNOWN) == (0, 1)
    assert tokeniser("Go red go") == [2, 3, 2]
    assert tokeniser("go green, please") == [2, UNKNOWN, UNKNOWN, UNKNOWN]
    assert len(tokeniser) == 4


def test_every_number_is_below_the_length_and_none_is_padding():
    texts = ["go to the red ball", "go to the green key, now"]
    tokeniser = WordTokeniser.learn(texts)
    numbers = {number for text in texts for number in tokeniser(text)}
    assert numbers == set(range(2, len(tokeniser)))


def test_the_order_of_texts_does_not_change_the_vocabulary():
    texts = ["go to a", "b or c", "go to c"]
    assert WordTokeniser.learn(texts).vocabulary == WordTokeniser.learn(texts[::-1]).vocabulary


def test_texts_may_come_from_a_generator():
    assert WordTokeniser.learn(text for text in ["go", "go to"]).vocabulary == ("go", "to")


def test_without_words_every_word_is_unknown():
    assert WordTokeniser([])("go to") == [UNKNOWN, UNKNOWN]
    assert len(WordTokeniser([])) == 2


def test_a_pickled_tokeniser_gives_the_same_numbers():
    tokeniser = WordTokeniser(["go", "red"])
    assert pickle.loads(pickle.dumps(tokeniser))("go red x") == tokeniser("go red x")


@pytest.mark.parametrize("text", HOSTILE, ids=repr)
def test_what_is_no_instruction_has_no_numbers(text):
    with pytest.raises(InstructionError):
        WordTokeniser(["go"])(text)
    with pytest.raises(InstructionError):
        WordTokeniser.learn(["go", text])


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: WordTokeniser("go"), r"vocabulary is a list of words, got str"),
        (lambda: WordTokeniser(None), r"vocabulary is a list of words, got NoneType"),
        (lambda: WordTokeniser(["go", "to", "go"]), r"'go' twice"),
        (lambda: WordTokeniser.learn("go to"), r"texts is a list of texts, got str"),
        (lambda: WordTokeniser.learn(["go"], size=0), r"at least 1; got 0"),
    ],
)
def test_wrong_vocabulary_is_refused(make, says):
    with pytest.raises(ConfigError, match=says) as caught:
        make()
    assert "\n" not in str(caught.value)
