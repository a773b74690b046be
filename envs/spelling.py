"""Slips of spelling: making them, and what a misspelt word may have been.

A slip drops, doubles or replaces a letter, or swaps two neighbours; the first and the last letter
stay, as they mostly do when people mistype.
"""

from collections.abc import Collection

from numpy.random import Generator

SHORTEST = 4  # letters of words that are misspelt and corrected; shorter ones are too much alike
_LONGEST = 20  # letters; longer words are not corrected
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def misspell(word: str, known: Collection[str], generator: Generator) -> str:
    """Return a word of at least ``SHORTEST`` letters with one slip; none of the known ones."""
    wrong = _slip(word, generator)
    while wrong == word or wrong in known:
        wrong = _slip(word, generator)
    return wrong


def _slip(word: str, generator: Generator) -> str:
    i = 1 + int(generator.random() * (len(word) - 2))
    before, letter, after = word[:i], word[i], word[i + 1 :]
    other = _LETTERS[int(generator.random() * 26)]
    options = [before + after, before + 2 * letter + after, before + other + after]
    if len(after) > 1:
        options.append(before + after[0] + letter + after[1:])
    return options[int(generator.random() * len(options))]


def one_edit_away(word: str) -> set[str]:
    """Return what a word becomes by dropping, inserting or replacing a letter, or swapping two.

    Nothing for words of more than 20 letters.
    """
    if len(word) > _LONGEST:
        return set()
    halves = [(word[:i], word[i:]) for i in range(len(word) + 1)]
    edits = {a + b[1:] for a, b in halves} | {a + c + b for a, b in halves for c in _LETTERS}
    edits |= {a + c + b[1:] for a, b in halves for c in _LETTERS}
    return edits | {a + b[1] + b[0] + b[2:] for a, b in halves if len(b) > 1}
