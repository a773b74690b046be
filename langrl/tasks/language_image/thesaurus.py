"""What kind of thing a noun means, by a thesaurus: the files of WordNet.

Axes: ``K`` kinds of things.

Source: WordNet 3.0, Fellbaum 1998, of Princeton University (its own free licence); Debian has it as
``wordnet-base``. The format is that of its manual page ``wndb``.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from langrl.errors import ConfigError

_ARTIFACT, _ATTRIBUTE, _SHAPE = 6, 7, 25  # numbers of files that synsets are in
THINGS = {_ARTIFACT: 2, _SHAPE: 1}
"""Of names of things, how many meanings of each file count, the most frequent ones."""
COLOURS = {_ATTRIBUTE: 1}
"""The same of names of colours."""
_BROADER, _BESIDE = 0.7, 0.5  # membership of what is just above a kind, or under the same as it
_WIDE, _NARROW = 100, 12  # things directly under what is above: broader ones are too broad
_RARER = 0.85  # factor on a membership by the next most frequent meaning of a word


@dataclass(frozen=True)
class _Synset:
    """A meaning: the file that it is in, and the meanings just above it."""

    file: int
    above: tuple[str, ...]


class Thesaurus:
    """Nouns of WordNet, and the meanings that they have.

    Args:
        folder: of ``data.noun`` and ``index.noun``.

    Raises:
        ConfigError: if they are not there, or hold something else.
    """

    def __init__(self, folder: Path) -> None:
        try:
            self._synsets = dict(map(_read_synset, _lines(folder / "data.noun")))
            self._senses = dict(map(_read_word, _lines(folder / "index.noun")))
            meant = {sense for senses in self._senses.values() for sense in senses}
            above = {up for synset in self._synsets.values() for up in synset.above}
            if not (meant | above) <= self._synsets.keys():
                raise ValueError("meanings that are not there")
        except FileNotFoundError as error:
            raise ConfigError(
                f"thesaurus: {folder} has no {Path(error.filename).name}; give the folder of"
                " WordNet's files, such as /usr/share/wordnet of Debian's wordnet-base"
            ) from error
        except (OSError, UnicodeDecodeError, ValueError, IndexError) as error:
            raise ConfigError(
                f"thesaurus: {folder} holds no files of WordNet 3 that can be read; install"
                " wordnet-base anew, or leave thesaurus out"
            ) from error
        self._below = Counter(up for synset in self._synsets.values() for up in synset.above)

    def memberships(
        self, kinds: Sequence[str], meant_as: Mapping[int, int]
    ) -> dict[str, NDArray[np.float64]]:
        """Return how much nouns of one word are of each kind, [K] between 0 and 1.

        Args:
            kinds: names of K kinds.
            meant_as: what they are names of, ``THINGS`` or ``COLOURS``.

        A noun is of a kind by its meanings: 1 if one is the kind or below it (a crate is a box),
        less if it is just above it (a container) or beside it (a gate is beside a door), and less
        if more frequent meanings are others. Nouns that are of no kind are left out.
        """
        meant = [self._meanings(kind, dict(meant_as)) for kind in kinds]
        found = {}
        for word, senses in self._senses.items():
            if not word.isalpha():
                continue
            shares = np.array(
                [
                    max(
                        _RARER**rank * self._share(sense, meanings)
                        for rank, sense in enumerate(senses)
                    )
                    for meanings in meant
                ]
            )
            if shares.any():
                found[word] = shares
        for place, kind in enumerate(kinds):
            found[kind] = np.eye(len(kinds))[place]
        return found

    def _meanings(self, kind: str, left: dict[int, int]) -> list[str]:
        """Return the meanings of a kind that count; ``left`` of each file."""
        meanings = []
        for sense in self._senses.get(kind, ()):
            file = self._synsets[sense].file
            if left.get(file, 0):
                left[file] -= 1
                meanings.append(sense)
        return meanings

    def _share(self, sense: str, meanings: Sequence[str]) -> float:
        """Return how much a meaning is of a kind that has these meanings."""
        above = self._synsets[sense].above
        if not self._all_above(sense).isdisjoint(meanings):
            return 1.0
        over = {up for meaning in meanings for up in self._synsets[meaning].above}
        if sense in over and self._below[sense] <= _WIDE:
            return _BROADER
        close = {up for up in over if self._below[up] <= _NARROW}
        return _BESIDE if close.intersection(above) else 0.0

    def _all_above(self, sense: str) -> set[str]:
        """Return a meaning and every one that it is below."""
        found, new = set[str](), [sense]
        while new:
            one = new.pop()
            if one not in found:
                found.add(one)
                new += self._synsets[one].above
        return found


def _lines(path: Path) -> list[str]:
    """Return the lines of a file of WordNet but for the licence, whose lines begin with blanks."""
    text = path.read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("  ")]
    if not lines:
        raise ValueError("empty")
    return lines


def _read_synset(line: str) -> tuple[str, _Synset]:
    """Read: offset, file, type, words in hexadecimal, (word, id)s, pointers, (pointer of 4)s."""
    fields = line.partition("|")[0].split()
    first = 4 + 2 * int(fields[3], 16)
    count = int(fields[first])
    pointers = [fields[first + 1 + 4 * n : first + 5 + 4 * n] for n in range(count)]
    above = tuple(to for symbol, to, part, _ in pointers if symbol in ("@", "@i") and part == "n")
    return fields[0], _Synset(int(fields[1]), above)


def _read_word(line: str) -> tuple[str, tuple[str, ...]]:
    """Read: word, type, meanings, ..., their offsets, the most frequent one first."""
    fields = line.split()
    count = int(fields[2])
    senses = tuple(fields[-count:])
    if not count or not all(sense.isdigit() for sense in senses):
        raise ValueError("no offsets")
    return fields[0], senses
