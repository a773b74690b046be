"""Instructions for goals that are numbers: "high on the left", "to the far right or the top".

Each number that has words runs along an *axis* with a word for either end, and the range in which
goals are found is cut into quarters. An instruction denotes some of the boxes of quarters: a half
is two quarters of an axis, an end ("far left", "very high") the outermost one, and the middle the
two inner ones of every axis.

A *meaning* is a nested tuple: ``("half", "left")``, ``("end", "low")``, ``("middle",)``,
``("either", a, b)`` (union), ``("both", a, b)`` (intersection).

Axes: ``M`` goals, ``G`` numbers in a goal, ``P`` meanings. Boxes are bool [Q, ..., Q], an axis for
each number of a goal: 4 quarters where it has words, else 1.
"""

from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import combinations
from typing import Any, Self

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from langrl.envs.noise import add_noise, corrector, read_noisy
from langrl.envs.phrasing import Meaning, TaskPhrasing
from langrl.envs.region_words import AXES, KIND_WEIGHTS, KINDS, TEMPLATES, VOCABULARY
from langrl.errors import DomainError, InstructionError, ShapeError, lookup
from langrl.protocols import Array, Integers, Mask

_INNER = (False, True, True, False)
_corrected = corrector(VOCABULARY)
_LEAST_SPAN = 0.01  # of the longest axis; a shorter one tells no goals apart


@dataclass(frozen=True)
class RegionGrammar:
    """Writes and reads instructions for goals along some axes.

    Args:
        axes: for each number of a goal, the name of its axis, of ``AXES``, or None.

    Raises:
        UnknownNameError: if there is no such axis.
        DomainError: if no number has words, or two have the same.
    """

    axes: tuple[str | None, ...]

    def __post_init__(self) -> None:
        named = [lookup(AXES, axis, "axis") for axis in self.axes if axis is not None]
        if not named:
            raise DomainError("no number of a goal has words; name an axis, such as 'left-right'")
        if len({frozenset(ends) for ends in named}) < len(named):
            raise DomainError(f"two of the axes {self.axes} have the same words; name each once")

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """The instruction types; along a single axis, nothing is on two sides."""
        there = {meaning[0] for meaning in self.meanings}
        return tuple(kind for kind in KINDS if kind in there)

    @property
    def drawn_kinds(self) -> tuple[str, ...]:
        """The same: none is drawn only where it is asked for."""
        return self.kinds

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """How many quarters there are for each number of a goal."""
        return tuple(1 if axis is None else len(_INNER) for axis in self.axes)

    @cached_property
    def sides(self) -> dict[str, tuple[int, bool]]:
        """Each word of a side, with the number of a goal that it is of, and whether it is high."""
        return {
            side: (number, bool(high))
            for number, axis in enumerate(self.axes)
            if axis is not None
            for high, side in enumerate(AXES[axis])
        }

    def mask(self, meaning: Meaning) -> Mask:
        """Return the boxes that a meaning denotes, bool [Q, ..., Q]; possibly none.

        Raises:
            InstructionError: if it names a side that no axis here has.
        """
        kind, *slots = meaning
        if kind in ("either", "both"):
            first, second = map(self.mask, slots)
            return first | second if kind == "either" else first & second
        if kind == "middle":
            every = np.ones(self.shape, bool)
            for number, count in enumerate(self.shape):
                if count > 1:
                    every &= self._along(number, _INNER)
            return every
        side = slots[0]
        if side not in self.sides:
            known = ", ".join(self.sides)
            raise InstructionError(f"nothing is {side} here; the words for sides are {known}")
        number, high = self.sides[side]
        quarters = [True, kind == "half", False, False]
        return np.ones(self.shape, bool) & self._along(number, quarters[::-1] if high else quarters)

    def _along(self, number: int, quarters: Sequence[bool]) -> Mask:
        shape = [-1 if n == number else 1 for n in range(len(self.axes))]
        return np.asarray(quarters).reshape(shape)

    # -- writing ---------------------------------------------------------------------------

    @cached_property
    def meanings(self) -> tuple[Meaning, ...]:
        """Everything that is drawn: what tells some goals from others, in words that differ."""
        sides = [(kind, side) for side in self.sides for kind in ("half", "end")]
        pairs = [
            pair
            for pair in combinations(sides, 2)
            if self.sides[pair[0][1]][0] != self.sides[pair[1][1]][0]  # of two axes
        ]
        opposite = [
            pair
            for pair in combinations([side for side in sides if side[0] == "end"], 2)
            if pair not in pairs
        ]
        either = [("either", *pair) for pair in pairs + opposite]
        return (*sides, ("middle",), *(("both", *pair) for pair in pairs), *either)

    @cached_property
    def _masks(self) -> Mask:
        """What each of the meanings denotes, bool [Q, ..., Q, P]."""
        return np.stack([self.mask(meaning) for meaning in self.meanings], -1)

    def draw_meaning(
        self,
        generator: Generator,
        kinds: Sequence[str] = KINDS,
        cell: tuple[int, ...] | None = None,
    ) -> Meaning:
        """Draw a meaning; those of a kind are equally likely.

        Args:
            generator: source of randomness.
            kinds: which kinds may be drawn, with the relative frequencies ``KIND_WEIGHTS``.
            cell: quarters [G] that the meaning has to be true of.

        Raises:
            InstructionError: if no meaning of these kinds is true there.
        """
        numbers, sums = _chances(self, tuple(kinds), cell)
        drawn = bisect(sums, generator.random() * sums[-1])
        meaning = self.meanings[numbers[min(drawn, len(numbers) - 1)]]
        if meaning[0] in ("either", "both") and generator.random() < 0.5:
            return (meaning[0], meaning[2], meaning[1])
        return meaning

    def write(self, meaning: Meaning, generator: Generator, phrasing: TaskPhrasing) -> str:
        """Return one of the texts for a meaning, drawn from a set of phrasings."""
        if phrasing != "noisy":
            return TEMPLATES.write(meaning, generator, phrasing)
        text = TEMPLATES.write(meaning, generator, "seen")
        return add_noise(text, VOCABULARY, _corrected, generator)

    # -- reading ---------------------------------------------------------------------------

    def parse(self, text: str) -> Meaning | None:
        """Return the meaning of a text, or None if the grammar cannot read it.

        The noise of ``langrl.envs.noise`` may be on it.

        Raises:
            InstructionError: if the text cannot be an instruction (see ``check_instruction``).
        """
        return read_noisy(text, TEMPLATES.parse, _corrected)

    def denotation(self, text: str) -> Mask | None:
        """Return the boxes that satisfy a text, bool [Q, ..., Q]; None if it cannot be read.

        Raises:
            InstructionError: if the text denotes nothing; says why.
        """
        meaning = self.parse(text)
        if meaning is None:
            return None
        mask = self.mask(meaning)
        if not mask.any():
            raise InstructionError(
                f"{text.strip()!r} denotes nothing: its parts exclude each other; use 'or' for"
                " alternatives"
            )
        return mask


@lru_cache(maxsize=4096)
def _chances(
    grammar: RegionGrammar, kinds: tuple[str, ...], cell: tuple[int, ...] | None
) -> tuple[list[int], list[float]]:
    """Return which meanings may be drawn, and the sums of their weights up to each."""
    for kind in kinds:
        lookup(KIND_WEIGHTS, kind, "instruction type")
    counts = {kind: sum(m[0] == kind for m in grammar.meanings) for kind in kinds}
    true = np.ones(len(grammar.meanings), bool) if cell is None else grammar._masks[cell]
    numbers = [n for n, m in enumerate(grammar.meanings) if true[n] and m[0] in counts]
    if not numbers:
        raise InstructionError(
            f"no instruction of type {' or '.join(kinds)} fits here; add 'half' to the kinds"
        )
    weights = [KIND_WEIGHTS[m[0]] / counts[m[0]] for m in (grammar.meanings[n] for n in numbers)]
    return numbers, np.cumsum(weights).tolist()


@dataclass(frozen=True)
class RegionFrame:
    """Where goals are found, and the words for it; plain numbers, which a checkpoint stores.

    Args:
        axes: for each number of a goal, the name of its axis, of ``AXES``, or None.
        low: where the first quarter begins [G].
        high: where the last one ends [G]; goals beyond are in the outermost quarters.

    Raises:
        ShapeError: if they are not of one length.
        DomainError: if a range is empty or not finite, or axes are none of a grammar.
        UnknownNameError: if there is no such axis.
    """

    axes: tuple[str | None, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    def __post_init__(self) -> None:
        if not len(self.axes) == len(self.low) == len(self.high):
            raise ShapeError(
                "axes, low and high have a value for each number of a goal, got"
                f" {len(self.axes)}, {len(self.low)} and {len(self.high)}"
            )
        ends = np.array([self.low, self.high])
        if not (np.isfinite(ends).all() and (ends[0] < ends[1]).all()):
            raise DomainError("low and high must be finite, and low below high")
        self.grammar  # noqa: B018  # or an error

    @classmethod
    def of(cls, goals: Array, axes: Sequence[str | None], tail: float = 0.01) -> Self:
        """Return the frame of goals [M, G] that were achieved.

        Args:
            goals: some that can be reached.
            axes: see the class. One along which goals hardly differ loses its words.
            tail: share of the goals that is left out at either end of each range.

        Raises:
            ShapeError: if goals are not [M, G] with an axis for each number.
            DomainError: if the goals are all the same, or not finite.
        """
        goals = np.asarray(goals, np.float64)
        if goals.ndim != 2 or not len(goals) or goals.shape[1] != len(axes):
            raise ShapeError(f"goals are [M, {len(axes)}], as there are axes, got {goals.shape}")
        low, high = np.quantile(goals, [tail, 1 - tail], 0)
        span = high - low
        if not (np.isfinite(span).all() and span.max() > 0):
            raise DomainError("the goals are all the same, or not finite; give others")
        differs = span > _LEAST_SPAN * span.max()
        named = tuple(axis if tells else None for axis, tells in zip(axes, differs, strict=True))
        high = np.where(span > 0, high, low + span.max())
        return cls(named, tuple(low.tolist()), tuple(high.tolist()))

    @cached_property
    def grammar(self) -> RegionGrammar:
        """What writes and reads the words."""
        return RegionGrammar(self.axes)

    def cells(self, goals: Array) -> Integers:
        """Return the quarters that goals [M, G] are in, int [M, G]; NaN is in the first."""
        low, high = np.asarray(self.low), np.asarray(self.high)
        count = np.asarray(self.grammar.shape)
        share = np.nan_to_num((np.asarray(goals, np.float64) - low) / (high - low))
        return np.clip(np.floor(share * count), 0, count - 1).astype(np.int64)

    def shortest_steps(self, goals: Array, masks: Mask) -> NDArray[np.float64]:
        """Return nan [M]: nothing is known of ways here."""
        return np.full(len(goals), np.nan)


_FETCH: tuple[Any, ...] = ("near-far", "right-left", "low-high")  # as the robot sees it
RECIPES: dict[str, tuple[str | None, ...]] = {
    "FetchReach": _FETCH, "FetchPush": _FETCH, "FetchSlide": _FETCH, "FetchPickAndPlace": _FETCH,
}  # fmt: skip
"""The axes of environments, by how their ids begin after the namespace."""

_BY_SIZE: dict[int, tuple[str | None, ...]] = {
    1: ("low-high",),
    2: ("left-right", "bottom-top"),
    3: ("left-right", "near-far", "low-high"),
}


def axes_of(env_id: str, size: int) -> tuple[str | None, ...] | None:
    """Return the axes for an environment's goals of some numbers; None if there are no words.

    Without a recipe, goals of one to three numbers have the words of positions.
    """
    name = env_id.rpartition("/")[2]
    found = next((axes for start, axes in RECIPES.items() if name.startswith(start)), None)
    if found is not None and len(found) == size:
        return found
    return _BY_SIZE.get(size)
