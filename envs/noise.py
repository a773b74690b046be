"""Noise on instructions: politeness around them and slips of spelling in them.

A *noisy* text is one of a grammar's texts with both. Nobody is trained on it.
"""

import re
from collections.abc import Callable, Collection, Iterator
from functools import lru_cache

from numpy.random import Generator

from langrl.envs.phrasing import Meaning
from langrl.envs.spelling import SHORTEST, misspell, one_edit_away
from langrl.words import lower_text

Corrector = Callable[[str], str | None]
"""Returns the word that a word was meant to be; None if that is unknown."""
Reader = Callable[[str], Meaning | None]
"""Returns the meaning of a text; None if it cannot be read."""

POLITE = (
    "hi, {}, please", "um, {}, thanks", "sorry to bother you, {}", "{}, if you do not mind",
    "{}, cheers", "good morning! {}", "{}, much appreciated", "well, {}, i guess",
    "ok so {}, thank you so much", "hey robot, {}", "if it is all right with you, {}",
    "{}, and sorry for the trouble",
)  # fmt: skip
"""What is said around an instruction; ``{}`` is the instruction."""

_MOST_SLIPS = 2
_TRIES = 20  # slips of a word; some words have none that can be corrected
_WORD = re.compile(r"\b[a-z]+\b")


def add_noise(text: str, known: Collection[str], correct: Corrector, generator: Generator) -> str:
    """Return a text with politeness, and with slips in up to two words.

    Args:
        text: of a grammar, in lower case.
        known: the grammar's words; a slip makes none of them.
        correct: only slips are made that it corrects.
        generator: source of randomness.
    """
    words = [match for match in _WORD.finditer(text) if match[0] in known]
    places = [match.span() for match in words if len(match[0]) >= SHORTEST]
    generator.shuffle(places)
    for start, end in sorted(places[:_MOST_SLIPS], reverse=True):  # the last first: places stay
        word = text[start:end]
        slips = (misspell(word, known, generator) for _ in range(_TRIES))
        wrong = next((slip for slip in slips if correct(slip) == word), word)
        text = text[:start] + wrong + text[end:]
    return POLITE[int(generator.integers(len(POLITE)))].format(text)


def corrector(known: frozenset[str]) -> Corrector:
    """Return what corrects words by those of a grammar.

    A known word stays; any other is the one known word of at least ``SHORTEST`` letters within one
    edit of it, where there is just one.
    """

    @lru_cache(maxsize=4096)
    def correct(word: str) -> str | None:
        if word in known:
            return word
        near = {edit for edit in one_edit_away(word) & known if len(edit) >= SHORTEST}
        return near.pop() if len(near) == 1 else None

    return correct


def read_noisy(text: str, read: Reader, correct: Corrector) -> Meaning | None:
    """Return the meaning of a text that may have noise on it; None if it cannot be read."""
    if meaning := read(text):
        return meaning
    plain = (with_words_corrected(each, correct) for each in without_politeness(text))
    return next((meaning for each in plain if (meaning := read(each))), None)


def without_politeness(text: str) -> Iterator[str]:
    """Yield the text, and what it is without politeness around it, if it has any."""
    yield text
    for pattern in _POLITE_PATTERNS:
        if match := pattern.fullmatch(lower_text(text).strip()):
            yield match[1]


def with_words_corrected(text: str, correct: Corrector) -> str:
    """Return a text in lower case in which every word that can be corrected is."""

    def corrected(match: re.Match[str]) -> str:
        return correct(match[0]) or match[0]

    return _WORD.sub(corrected, lower_text(text))


_POLITE_PATTERNS = [
    re.compile("(.+)".join(map(re.escape, template.split("{}")))) for template in POLITE
]
