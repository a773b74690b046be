"""Words of instructions, and numbers for them; no torch here."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

from langrl.errors import ConfigError, InstructionError
from langrl.protocols import check_instruction

PAD, UNKNOWN = 0, 1
_VOCABULARY_SIZE = 8192
_CONTRACTED = re.compile(
    r"\b(is|are|was|were|do|does|did|has|have|had|must|need|should|would|could|ca|wo)n['\u2019]?t\b"
)
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
    # Listed, as no class of a regular expression has the marks; at least one, as no set is empty.
    marks = "".join(sorted({"\u0300", *filter(_is_mark, whole)}))
    words = re.findall(
        rf"[^\W\d_](?:[^\W\d_]|[{marks}])*|\d[\d{marks}]*|(?:[^\w\s]|_)[{marks}]*", whole
    )
    if not words:
        raise InstructionError("the instruction has no visible character; say where to go")
    return words


def _is_invisible(char: str) -> bool:
    return unicodedata.category(char) == "Cf" or "VARIATION SELECTOR" in unicodedata.name(char, "")


def _is_mark(char: str) -> bool:
    return unicodedata.category(char).startswith("M")


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
        return [self._number.get(word, UNKNOWN) for word in split_words(text)]


def _check_texts(given: Iterable[str], name: str, what: str) -> tuple[str, ...]:
    """Return a list of texts as a tuple; a text by itself would be taken for its letters."""
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise ConfigError(f"{name} is a list of {what}, got {type(given).__name__}; put it in one")
    return tuple(given)
