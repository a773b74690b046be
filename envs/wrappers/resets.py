"""What wrappers do at a reset: read options, seed their generator, draw tasks that are not done."""

import difflib
import zlib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.random import Generator

from langrl.errors import InstructionError

_NEARLY = 0.9  # likeness from which a name is taken for a slip: about a letter more or less
_TRIES = 100  # draws of a task before one that is satisfied already is taken
T = TypeVar("T")


def read_options(options: Any, wrapper: str, *own: str) -> dict[str, Any]:
    """Return reset options as a dict of the caller's own, after a look at their names.

    The environment below may have options of its own, so that others than the wrapper's are handed
    on; worlds of langrl refuse those that they do not know. A name that nearly is one of the
    wrapper's is a slip that the environment below would ignore.

    Args:
        options: what ``reset`` got.
        wrapper: its name, for the message.
        own: names of the options that it reads, or that it hands on as they are.

    Raises:
        InstructionError: if a name is nearly one of these, or options are no dict.
    """
    if options is None:
        return {}
    if not isinstance(options, Mapping):
        raise InstructionError(
            f"options of {wrapper} are a dict such as {{{own[0]!r}: ...}}, got"
            f" {type(options).__name__}"
        )
    for name in options:
        if name in own:
            continue
        letters = str(name).lower()
        if close := difflib.get_close_matches(letters, own, n=1, cutoff=_NEARLY):
            raise InstructionError(
                f"{wrapper} has no reset option {name!r}; did you mean {close[0]!r}?"
            )
    return dict(options)


def generator_of(wrapper: str, seed: int | None, before: Generator | None) -> Generator:
    """Return a wrapper's own generator: made from the seed, else the one from before.

    It is not the environment's, which need not be seeded, and from which nothing is taken.
    """
    if seed is not None:  # with the name, so that wrappers of one environment draw differently
        return np.random.default_rng([seed, zlib.crc32(wrapper.encode())])
    return np.random.default_rng() if before is None else before


def draw_unsatisfied(draw: Callable[[], T], is_satisfied: Callable[[T], bool]) -> tuple[T, bool]:
    """Return a task that the start does not satisfy, and whether it does where none was found."""
    for _ in range(_TRIES):
        task = draw()
        if not is_satisfied(task):
            return task, False
    return task, True
