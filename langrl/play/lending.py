"""Environments that sessions use by turns: they take long to make, and an episode does not."""

import weakref
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

E = TypeVar("E")
T = TypeVar("T")


class Lending(Generic[E]):
    """Makes environments where none is idle; safe to use from several threads.

    Args:
        make: makes one.
    """

    def __init__(self, make: Callable[[], E]) -> None:
        self._make = make
        self._idle: deque[E] = deque()

    def lend(self, owner: Any) -> E:
        """Return an environment that is idle again when its owner is forgotten."""
        env = self._take()
        weakref.finalize(owner, self._idle.append, env).atexit = False
        return env

    @contextmanager
    def borrowed(self) -> Iterator[E]:
        """Give an environment for a while."""
        env = self._take()
        try:
            yield env
        finally:
            self._idle.append(env)

    def _take(self) -> E:
        try:
            return self._idle.pop()
        except IndexError:
            return in_one_thread(self._make)


_ONE = ThreadPoolExecutor(1, "environments")


def in_one_thread(work: Callable[[], T]) -> T:
    """Return what a function returns that is run in the one thread of environments of others.

    MuJoCo draws pictures in the thread that drew the first. OGBench draws from NumPy's global
    generator, and what levels print is kept from the output of all: one at a time can do so.
    """
    return _ONE.submit(work).result()
