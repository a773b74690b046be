"""What text towers know of words before they are trained: rows of a table distilled from a model.

The table is that of the bundled language-image model: most English words, each with numbers that
are near for words of near meaning, memberships in colours and in kinds of things. Text towers
look words up in the same way: the word itself, else the first word that it may be a misspelling
of.

Axes: ``V`` words, ``P`` numbers in a row.
"""

import string
from collections.abc import Collection, Mapping
from functools import cached_property, lru_cache
from hashlib import sha256
from importlib import resources
from pathlib import Path

from torch import Tensor

from langrl.checkpoint import read_checkpoint
from langrl.errors import CheckpointError

SHORTEST, LONGEST = 4, 24  # letters of words whose spelling is corrected
_TABLE, _SCALE = "pair.text.table", "pair.text.table_scale"
_CORRECTED = 10_000  # corrections kept


def spelling_neighbours(word: str) -> set[str]:
    """Return every word that is one edit away from a lower-case word.

    An edit removes a letter, adds one, replaces one or swaps two neighbours.
    """
    cuts = [(word[:place], word[place:]) for place in range(len(word) + 1)]
    words = {head + tail[1:] for head, tail in cuts if tail}
    words |= {head + tail[1] + tail[0] + tail[2:] for head, tail in cuts if len(tail) > 1}
    for letter in string.ascii_lowercase:
        words |= {head + letter + tail for head, tail in cuts}
        words |= {head + letter + tail[1:] for head, tail in cuts if tail}
    return words


class SpellingCorrector:
    """Finds the first of some words that a misspelt word may be.

    Args:
        numbers: of the known words; the least number is the first word.
    """

    def __init__(self, numbers: Mapping[str, int]) -> None:
        self._numbers = numbers
        self._corrected: dict[str, int | None] = {}

    def __call__(self, word: str) -> int | None:
        """Return the number of the first word one edit away; None if there is none.

        Words of fewer than 4 or more than 24 letters are not corrected.
        """
        if word not in self._corrected:
            if len(self._corrected) >= _CORRECTED:
                self._corrected.clear()
            likely: Collection[str] = ()
            if SHORTEST <= len(word) <= LONGEST:
                likely = spelling_neighbours(word)
            found = [self._numbers[other] for other in likely if other in self._numbers]
            self._corrected[word] = min(found, default=None)
        return self._corrected[word]


class DistilledWords:
    """A table of words as it is stored: whole numbers, and a scale for each row.

    Args:
        words: V of them, lower-case.
        table: int8 [V, P].
        scale: float16 [V].
    """

    def __init__(self, words: tuple[str, ...], table: Tensor, scale: Tensor) -> None:
        self.words, self.table, self.scale = words, table, scale
        self.number = {word: n for n, word in enumerate(words)}
        self.correct = SpellingCorrector(self.number)

    @property
    def width(self) -> int:
        """Numbers in a row, P."""
        return self.table.shape[1]

    @cached_property
    def digest(self) -> str:
        """The sha256 of words and numbers: a tower is of no use with others than it learned on."""
        stored = self.table.numpy().tobytes() + self.scale.numpy().tobytes()
        return sha256(" ".join(self.words).encode() + stored).hexdigest()

    def look_up(self, word: str) -> int | None:
        """Return the row of a word, or of the first that it may be a misspelling of."""
        return self.number[word] if word in self.number else self.correct(word)


@lru_cache(maxsize=1)
def distilled_words() -> DistilledWords:
    """Return the table of the bundled language-image model, read once.

    Raises:
        CheckpointError: if this langrl carries no such model, or it is damaged.
    """
    checkpoint = read_checkpoint(Path(str(resources.files("langrl.models") / "bundled")))
    try:
        words = checkpoint.documents["model"]["vocabulary"]
        table, scale = (checkpoint.tensors["weights"][name] for name in (_TABLE, _SCALE))
    except KeyError as error:
        raise CheckpointError(
            "the bundled language-image model has no word table; set text.words to own"
        ) from error
    if not words:
        raise CheckpointError(
            "the word table of the bundled language-image model is empty; set text.words to own"
        )
    return DistilledWords(tuple(words), table, scale)


def rows_of(table: Tensor, scale: Tensor, numbers: Tensor, like: Tensor) -> Tensor:
    """Return rows [..., P] of a table int8 [V, P] in the dtype of ``like``; 0 where numbers < 0."""
    row = numbers.clamp(min=0)
    known = (numbers >= 0).unsqueeze(-1)
    return table[row] * scale[row].to(like.dtype).unsqueeze(-1) * known
