"""Drawing situations in which an instruction is ambiguous, with a twin that is not.

A *situation* is a start in a room or maze, an instruction's meaning, the intents that it denotes,
the one that is meant, and another meaning that denotes that one alone. The intended intent is
uniform over the denoted ones, whatever they are, so that nobody can do better than 1/n without
asking: situations are chosen before it is known, and only those are in which each denoted intent
has a meaning of its own.

Axes: ``n`` intents that a meaning denotes, ``R`` rows, ``C`` columns.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from langrl.envs.maze.grammar import MOST_WORDS
from langrl.envs.phrasing import Meaning, TaskPhrasing
from langrl.errors import ConfigError
from langrl.protocols import Integers, Mask
from langrl.words import split_words

T = TypeVar("T")
MOST_BITS = 4  # the last level of ambiguity: so many bits, or more
_TRIES = 1000  # texts that are written for a meaning
_GOLDEN = (5**0.5 - 1) / 2


class Situation(NamedTuple):
    """One situation; see the module.

    Args:
        kind: instruction type of the meaning.
        meaning: what is said.
        start: position (row, column) in a maze, else a pose (row, column, direction).
        room: type and colour of each cell, uint8 [R, C, 2]; a level's whole observation
            [R, C, 3]; None in a maze.
        denoted: row and column of each intent that the meaning denotes [n, 2].
        intended: the place in ``denoted`` of the one that is meant.
        steps: fewest steps from the start to each of them [n].
        twin_kind: instruction type of the twin.
        twin: a meaning that denotes the intended one alone.
    """

    kind: str
    meaning: Meaning
    start: tuple[float, ...]
    room: NDArray[np.uint8] | None
    denoted: Integers
    intended: int
    steps: NDArray[np.float64]
    twin_kind: str
    twin: Meaning


def level_of(count: int) -> int:
    """Return the level of ambiguity of n denoted intents: log2 n rounded, at most 4."""
    return min(MOST_BITS, round(float(np.log2(count))))


def spread_choices(count: int, generator: Generator) -> Iterator[float]:
    """Yield ``count`` numbers in [0, 1), each uniform, that are spread evenly together.

    A Kronecker sequence with a random shift: of any few of them in a row, about half are below 1/2,
    and so on. An agent that always walks to the nearest intent is then right as often as it should.
    """
    shift = generator.random()
    for number in range(count):
        yield (shift + number * _GOLDEN) % 1


def choose_intended(steps: NDArray[np.float64], choice: float, generator: Generator) -> int:
    """Return which of n intents is meant; a number in [0, 1) says how far away it is.

    Args:
        steps: to each of them [n].
        choice: 0 for the nearest, almost 1 for the farthest.
        generator: orders those that are equally far away.
    """
    shuffled = generator.permutation(len(steps))
    order = shuffled[np.argsort(steps[shuffled], kind="stable")]
    return int(order[int(choice * len(steps))])


def take_in_turns(pool: Mapping[str, list[T]], count: int, generator: Generator) -> list[T]:
    """Return ``count`` entries of a pool, of its instruction types in turn, in random order.

    Args:
        pool: by instruction type, at least so many together.
        count: how many.
        generator: source of randomness.
    """
    kinds = sorted(pool)
    taken: list[T] = []
    generator.shuffle(kinds)
    left = {kind: iter(pool[kind]) for kind in kinds}
    while len(taken) < count:
        taken += [each for kind in kinds if (each := next(left[kind], None)) is not None]
    return [taken[n] for n in generator.permutation(count)]


class Language(Protocol):
    """A grammar: what writes and reads the texts of a world."""

    def write(self, meaning: Meaning, generator: Generator, phrasing: TaskPhrasing) -> str:
        """Return a text for a meaning."""

    def parse(self, text: str) -> Meaning | None:
        """Return the meaning of a text; None if it cannot be read."""


def write_readable(
    language: Language,
    meaning: Meaning,
    denote: Callable[[Meaning], Mask],
    phrasing: TaskPhrasing,
    generator: Generator,
) -> str:
    """Return a text of at most 32 words for a meaning, which is read back as the same intents.

    A slip of spelling may leave open which word was meant, and then another text is written.

    Args:
        language: writes and reads.
        meaning: what to write.
        denote: returns which intents a meaning denotes, bool [R, C].
        phrasing: of ``langrl.envs.phrasing.TASK_PHRASINGS``.
        generator: source of randomness.

    Raises:
        ConfigError: if there is no such text.
    """
    denoted = denote(meaning)
    for _ in range(_TRIES):
        text = language.write(meaning, generator, phrasing)
        read = language.parse(text) if len(split_words(text)) <= MOST_WORDS else None
        if read is not None and np.array_equal(denote(read), denoted):
            return text
    raise ConfigError(f"no readable text for an instruction such as {text!r}; use another phrasing")
