"""Draws the next batches in other processes, while the learner trains on this one."""

import signal
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

from langrl.training.forks import end_with_parent

T = TypeVar("T")


class _Steps(Dataset[Any]):
    def __init__(self, draw: Callable[[int], Any]) -> None:
        self._draw = draw

    def __getitem__(self, step: int) -> Any:
        return self._draw(step)


def _start_worker(_: int) -> None:
    """Let a worker end with the process that started it, and leave the terminal's SIGINT to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()


class Prefetcher(Generic[T]):
    """Returns what ``draw`` does, step after step, whichever process drew it.

    Processes, not threads: a training step is many short operations, and each of them would wait
    for Python's lock.

    Args:
        draw: returns the batch of a step; can be pickled, if there are workers.
        steps: there are batches for steps below this one.
        workers: processes that draw; with 0, this process draws each batch when it is needed.
    """

    def __init__(self, draw: Callable[[int], T], steps: int, workers: int) -> None:
        self._draw, self._steps, self._workers = draw, steps, workers
        self._next = -1
        self._batches: Iterator[T] = iter(())

    def __call__(self, step: int) -> T:
        """Return the batch of a step; quick if it is the step after that of the previous call."""
        if step != self._next:
            self._batches = self._start(step)
        self._next = step + 1
        batch: T = next(self._batches)
        return batch

    def _start(self, step: int) -> Iterator[T]:
        loader: DataLoader[T] = DataLoader(
            _Steps(self._draw),
            batch_size=None,
            sampler=range(step, self._steps),
            num_workers=self._workers,
            # not fork: torch's threads do not survive it
            multiprocessing_context="spawn" if self._workers else None,
            generator=torch.Generator(),  # workers' seeds: not from the global generator
            worker_init_fn=_start_worker,
        )
        return iter(loader)
