"""Words of instructions, and numbers for them; no torch here."""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from langrl.errors import ConfigError, InstructionError
from langrl.protocols import check_instruction

PAD, UNKNOWN = 0, 1
TextLimit = Callable[[str], object]
"""Raises InstructionError for a text of which a model would read the beginning only."""

_VOCABULARY_SIZE = 8192
_CONTRACTED = re.compile(
    r"\b(is|are|was|were|do|does|did|has|have|had|must|need|should|would|could|ca|wo)n['\u2019]?t\b"
)
_PARTS_WITHOUT_MARKS = re.compile(r"[^\W\d_]+|\d+|[^\w\s]|_")
_PARTS = r"[^\W\d_](?:[^\W\d_]|[MARKS])*|\d[\dMARKS]*|(?:[^\w\s]|_)[MARKS]*"
_WHOLE = {"ca": "can", "wo": "will"}  # can't, won't


def lower_text(text: str) -> str:
    """Return a text in lower case, so that texts that look the same are the same.

    A letter and the marks on it are one character where Unicode has it (NFC). Characters that are
    not seen are left out: joiners, soft hyphens, marks of direction, variation selectors.
    """
    if text.isascii():
        return text.lower()
    seen = "".join(char for char in text if not _is_invisible(char))
    # Twice: the lower case of a composed letter may be two characters.
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", seen).lower())


def split_words(text: str) -> list[str]:
    """Return a text's words, numbers and other characters, as ``lower_text`` gives them.

    Marks belong to the letter that they stand on or beside. "isn't" is "is" and "not", so that a
    negation is one word however it is written. Words are divided by spaces: a script that has none
    between words is one word, unless it is segmented first.

    Raises:
        InstructionError: if the text cannot be an instruction, or has nothing to be seen.
    """
    lower = lower_text(check_instruction(text))
    whole = _CONTRACTED.sub(lambda found: f"{_WHOLE.get(found[1], found[1])} not", lower)
    # Listed, as no class of a regular expression has the marks.
    marks = "" if whole.isascii() else "".join(sorted(set(filter(_is_mark, whole))))
    words = re.findall(_PARTS.replace("MARKS", marks) if marks else _PARTS_WITHOUT_MARKS, whole)
    if not words:
        raise InstructionError("the instruction has no visible character; say where to go")
    return words


def _is_invisible(char: str) -> bool:
    return unicodedata.category(char) == "Cf" or "VARIATION SELECTOR" in unicodedata.name(char, "")


def _is_mark(char: str) -> bool:
    return unicodedata.category(char).startswith("M")


@dataclass(frozen=True)
class WordLimit:
    """Splits texts into words, and refuses those with more words than are read.

    Args:
        words: how many words are read.
    """

    words: int

    def __call__(self, text: str) -> list[str]:
        """Return a text's words; InstructionError if they are too many, or as ``split_words``."""
        words = split_words(text)
        check_length(len(words), self.words, "words", "raise max_words of a new model")
        return words


class TokenLimit:
    """Refuses texts with more tokens than a SentenceTransformer reads: it would cut them off.

    Args:
        model: a SentenceTransformer, such as a CLIP; a model that names no limit has none, nor
            has one whose tokeniser is of another kind than those of Hugging Face.
    """

    def __init__(self, model: Any) -> None:
        self._tokeniser = tokeniser = getattr(model, "tokenizer", None)
        most = getattr(model, "max_seq_length", None)
        # As tokenisers and processors of Hugging Face have it; others take other arguments.
        known = hasattr(tokeniser, "model_max_length") or hasattr(tokeniser, "tokenizer")
        self._most = most if isinstance(most, int) and known and callable(tokeniser) else None

    def __call__(self, text: str) -> None:
        """Raise InstructionError if a text has too many tokens."""
        if self._most is not None:
            tokens = self._tokeniser(text, truncation=False, verbose=False)["input_ids"]  # type: ignore[misc]
            check_length(
                len(tokens),
                self._most,
                "tokens (words, parts of words, and marks of begin and end)",
                "take a model that reads more",
            )


def check_longest(limit: TextLimit, words: int, texts: str) -> None:
    """Raise ConfigError if a model does not read texts of so many words; says which texts."""
    try:
        limit(" ".join(["ball"] * words))
    except InstructionError as error:
        raise ConfigError(
            f"{texts} have up to {words} words, and of such a one: {error}"
        ) from error


def check_length(given: int, read: int, of: str, repair: str) -> None:
    """Raise InstructionError if a text has more words or tokens than are read."""
    if given > read:
        raise InstructionError(
            f"the text has {given} {of}, of which the first {read} would be read; shorten it, or"
            f" {repair}"
        )


class WordTokeniser:
    """Numbers of words: 0 is padding, 1 any word outside the vocabulary.

    Args:
        vocabulary: words in the order of their numbers, from 2.

    Raises:
        ConfigError: if the vocabulary is no list of words, or has one twice.
    """

    def __init__(self, vocabulary: Sequence[str]) -> None:
        self.vocabulary = _check_texts(vocabulary, "vocabulary", "words")
        if repeated := [word for word, n in Counter(self.vocabulary).items() if n > 1]:
            raise ConfigError(f"vocabulary has {repeated[0]!r} twice; list each word once")
        self._number = {word: n for n, word in enumerate(self.vocabulary, start=2)}

    @classmethod
    def learn(cls, texts: Sequence[str], size: int = _VOCABULARY_SIZE) -> "WordTokeniser":
        """Return numbers for the most frequent words of some texts, most frequent first.

        Args:
            texts: where the words are from.
            size: how many words at most.

        Raises:
            InstructionError: if a text cannot be an instruction.
            ConfigError: if there is no list of texts, or the size is below 1.
        """
        if size < 1:
            raise ConfigError(f"size is a number of words, at least 1; got {size}")
        listed = _check_texts(texts, "texts", "texts")
        counts = Counter(word for text in listed for word in split_words(text))
        return cls(sorted(counts, key=lambda word: (-counts[word], word))[:size])

    def __len__(self) -> int:
        """Return how many numbers there are, those of padding and unknown words included."""
        return len(self.vocabulary) + 2

    def __call__(self, text: str) -> list[int]:
        """Return the numbers of a text's words; raises InstructionError as ``split_words``."""
        return self.numbers(split_words(text))

    def numbers(self, words: Iterable[str]) -> list[int]:
        """Return the numbers of words."""
        return [self._number.get(word, UNKNOWN) for word in words]


def _check_texts(given: Iterable[str], name: str, what: str) -> tuple[str, ...]:
    """Return a list of texts as a tuple; a text by itself would be taken for its letters."""
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise ConfigError(f"{name} is a list of {what}, got {type(given).__name__}; put it in one")
    return tuple(given)
