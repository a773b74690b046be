"""Random numbers of many rows at once: of one generator, or each row's a function of its key alone.

Episodes that start one by one in a batch need keys: a generator for each of them would be made and
asked in a loop, and one generator for all would make an episode depend on when the others end.

Axes: ``n`` rows, ``k`` numbers of a row, ``M`` things to choose from.
"""

import math
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from langrl.protocols import Array, Floats, Integers, Mask

Words = NDArray[np.uint64]

_STEP = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_HALF = np.uint64(32)
_BLOCK = 16  # numbers of 64 bits that are made together: few calls of NumPy, few in vain


def mix(words: Words) -> Words:
    """Return 64 bits for each of other 64, in which every bit of these matters.

    Source: SplitMix64's; Steele, Lea & Flood, "Fast splittable pseudorandom number generators",
    OOPSLA 2014.
    """
    mixed = words >> np.uint64(30)
    mixed ^= words
    mixed *= _FIRST
    mixed ^= mixed >> np.uint64(27)
    mixed *= _SECOND
    mixed ^= mixed >> np.uint64(31)
    return mixed


def keys_of(*numbers: Array | int) -> Words:
    """Return a key for each row [n] of whole numbers, such as a seed, a row and an episode."""
    keys = np.zeros(1, np.uint64)
    for each in numbers:
        keys = mix((keys ^ np.asarray(each).astype(np.uint64)) + _STEP)
    return keys


def normal(keys: Words, counters: Integers) -> Floats:
    """Return a number of the standard normal distribution for each key and counter, [n]."""
    words = mix(keys + counters.astype(np.uint64) * _STEP)
    radius = np.sqrt(-2 * np.log(((words >> _HALF) + np.uint64(1)) * 2.0**-32))
    return radius * np.cos((words & np.uint64(0xFFFFFFFF)) * (2 * math.pi * 2.0**-32))


def pick_each(allowed: Mask, generator: Generator) -> Integers:
    """Return the number of one True of each row of bool [n, M], uniformly; no row is without."""
    counts = np.count_nonzero(allowed, 1)
    chosen = np.cumsum(counts) - counts + generator.integers(counts)
    number: Integers = np.flatnonzero(allowed)[chosen] % allowed.shape[1]
    return number


class GeneratorDraws:
    """Random numbers of one generator for n rows; methods as those of ``KeyedDraws``."""

    def __init__(self, generator: Generator, count: int) -> None:
        self._generator, self._count = generator, count

    def integers(self, low: int, high: Array | int, count: int) -> Integers:
        """Return whole numbers from low to below high [n] or [], int64 [count, n]."""
        below = high[:, None] if isinstance(high, np.ndarray) else high
        drawn: Integers = self._generator.integers(low, below, size=(self._count, count)).T
        return drawn

    def choose(self, values: Integers, count: int) -> Integers:
        """Return distinct values in random order, [count, n]; all of them if they are fewer."""
        order = self._generator.permuted(np.tile(values, (self._count, 1)), axis=1)
        return order[:, :count].T


class KeyedDraws:
    """A stream of random numbers for each of n keys, of which all n take the next one together.

    Bounded numbers are uniform up to a share of 2**-32 of the bound.

    Args:
        keys: of the rows, uint64 [n].
    """

    def __init__(self, keys: Words) -> None:
        self._keys, self._blocks, self._taken = keys, 0, 0
        self._ready = np.zeros((0, len(keys)), np.uint64)

    def take(self, rows: Any) -> "KeyedDraws":
        """Return what is left of the streams of some rows, by a mask or by their numbers."""
        part = KeyedDraws(self._keys[rows])
        part._blocks, part._taken, part._ready = self._blocks, 0, self._ready[self._taken :, rows]
        return part

    def _next(self, count: int) -> Words:
        """Return the next numbers of 32 bits, uint64 [count, n]."""
        missing = count - (len(self._ready) - self._taken)
        if missing > 0:
            size = -(-missing // (2 * _BLOCK)) * _BLOCK
            counters = np.arange(self._blocks + 1, self._blocks + size + 1, dtype=np.uint64)
            words = mix(counters[:, None] * _STEP + self._keys)
            self._blocks += size
            left = self._ready[self._taken :]
            self._ready = np.concatenate([left, words >> _HALF, words & np.uint64(0xFFFFFFFF)])
            self._taken = 0
        self._taken += count
        return self._ready[self._taken - count : self._taken]

    def integers(self, low: int, high: Array | int, count: int) -> Integers:
        """Return whole numbers from low to below high [n] or [], int64 [count, n]."""
        return self._below(np.asarray(high - low, np.uint64), count) + low

    def _below(self, bounds: Words, count: int) -> Integers:
        """Return whole numbers from 0 to below bounds, which broadcast to [count, n]."""
        drawn: Words = self._next(count) * bounds
        drawn >>= _HALF
        return drawn.view(np.int64)

    def random(self, count: int) -> Floats:
        """Return numbers from 0 to below 1, float32 [count, n]."""
        return (self._next(count) >> np.uint64(8)).astype(np.float32) * np.float32(2.0**-24)

    def choose(self, values: Integers, count: int) -> Integers:
        """Return distinct values in random order, [count, n]; all of them if they are fewer."""
        count = min(count, len(values))
        rows, places = np.arange(len(self._keys)), np.arange(count)
        left = np.repeat(values[:, None], len(rows), 1)  # [values, n]
        flat = left.reshape(-1)
        others = self._below((len(values) - places[:, None]).astype(np.uint64), count)
        others += places[:, None]
        others *= len(rows)
        others += rows
        for place, other in enumerate(others):  # the beginning of Fisher and Yates's shuffle
            chosen = flat.take(other)
            flat[other] = left[place]
            left[place] = chosen
        return left[:count]


Draws = GeneratorDraws | KeyedDraws
