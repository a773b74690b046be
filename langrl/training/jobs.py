"""Many independent jobs over the cores of one machine."""

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from typing import Any, TypeVar

import torch

from langrl.training.logs import progress

R = TypeVar("R")


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_jobs(
    function: Callable[..., R], jobs: Sequence[Sequence[Any]], workers: int | None, label: str
) -> list[R]:
    """Call a function once per job, on one thread each, and return the results in order.

    Results do not depend on the number of workers.

    Args:
        function: a function of a module, so that other processes can find it.
        jobs: its arguments, one tuple a job.
        workers: processes, one per core if None; with 1, everything runs in this one.
        label: for the progress bar.
    """
    results: dict[int, R] = {}
    workers = min(workers or cores(), len(jobs))
    with progress(label, len(jobs)) as bar:
        for number, result in _finished(function, jobs, workers):
            results[number] = result
            bar.update(len(results), "jobs")
    return [results[number] for number in range(len(jobs))]


def _finished(
    function: Callable[..., R], jobs: Sequence[Sequence[Any]], workers: int
) -> Iterator[tuple[int, R]]:
    if workers <= 1:
        for number, job in enumerate(jobs):
            yield number, _on_one_thread(function, *job)
        return
    # not fork: torch's threads do not survive it
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        futures = {pool.submit(_on_one_thread, function, *job): n for n, job in enumerate(jobs)}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _on_one_thread(function: Callable[..., R], *job: Any) -> R:
    with one_thread():
        return function(*job)


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
