"""What jobs share that run beside each other: cores, threads, lists of results."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch

R = TypeVar("R")


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def flushed_subnormals() -> Iterator[None]:
    """Flush subnormal numbers to 0 in computations, which are many times slower with them."""
    flushed = (torch.full((), 1e-40) * 1.0).item() == 0.0  # torch has no getter for it
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(flushed)


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread, with subnormal numbers flushed to 0."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with flushed_subnormals():
            yield
    finally:
        torch.set_num_threads(threads)


def chained(results: Iterable[list[R]]) -> list[R]:
    """Return the results of jobs that return lists, as one list."""
    return [item for result in results for item in result]
