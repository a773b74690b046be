"""Counts of words where an unknown word counts as the known ones of near meaning.

Axes: ``N`` texts, ``V`` known words, ``P`` numbers in a row of the table of words.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from langrl.models.word_front import distilled_words, rows_of
from langrl.protocols import Floats
from langrl.words import UNKNOWN, WordTokeniser, split_words

_SPREAD = 0.05  # of cosines: the smaller, the more the nearest word counts alone


class NearWords:
    """Counts known words; an unknown one counts as known ones, by how near its meaning is.

    Meanings are rows of the table of the bundled language-image model. A word that is not in it,
    and is no misspelling of one that is, counts as the unknown word.

    Args:
        words: the numbers of the known words.

    Raises:
        CheckpointError: if this langrl carries no table of words.
    """

    def __init__(self, words: WordTokeniser) -> None:
        self._table = distilled_words()
        self._columns = len(words)
        self._number = dict(zip(words.vocabulary, words.numbers(words.vocabulary), strict=True))
        in_table = [word for word in words.vocabulary if word in self._table.number]
        self._near = np.array(words.numbers(in_table), np.int64)
        self._meanings = self._meanings_of([self._table.number[word] for word in in_table])
        self._shares: dict[int, Floats] = {}

    def __call__(self, texts: Sequence[str]) -> Floats:
        """Return how often each word occurs in N texts, float32 [N, V].

        Raises InstructionError if a text cannot be an instruction.
        """
        counts = np.zeros((len(texts), self._columns), np.float32)
        for row, text in zip(counts, texts, strict=True):
            for word in split_words(text):
                self._add(row, word)
        return counts

    def _add(self, row: Floats, word: str) -> None:
        """Add a word to the counts [V] of its text."""
        if word in self._number:
            row[self._number[word]] += 1
        elif (number := self._table.look_up(word)) is None or not len(self._near):
            row[UNKNOWN] += 1
        else:
            if number not in self._shares:
                cosines = self._meanings @ self._meanings_of([number])[0]
                self._shares[number] = (cosines / _SPREAD).softmax(0).numpy()
            row[self._near] += self._shares[number]

    def _meanings_of(self, numbers: Sequence[int]) -> Tensor:
        """Return rows of the table as unit vectors [V, P]."""
        rows = rows_of(
            self._table.table,
            self._table.scale,
            torch.tensor(numbers, dtype=torch.long),
            torch.zeros(()),
        )
        return functional.normalize(rows, dim=-1)
