"""The engine of one machine: processes, which end with the process that started them."""

import contextlib
import multiprocessing
import os
import pickle
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any

from langrl.errors import CellError
from langrl.training.engines.base import Failed, Job, Parcel, attempt, pack, run_parcel
from langrl.training.jobs import cores

_TRIES = 2  # of a job whose process was ended from outside, for example for lack of memory
_INTERRUPT = frozenset({signal.SIGINT})
_LOOK_EVERY = 1.0  # seconds, at processes that ended without a word


class LocalEngine:
    """Runs jobs in processes of this machine.

    Args:
        workers: processes, one per core if None; with 1, everything runs in this process.
    """

    def __init__(self, workers: int | None = None) -> None:
        self._workers = workers

    def map(self, function: Callable[..., Any], jobs: Sequence[Job]) -> Iterator[tuple[int, Any]]:
        """Yield (number of the job, its result or ``Failed``) as jobs end; see ``Engine``."""
        workers = min(self._workers or cores(), len(jobs))
        if workers <= 1:
            for number, job in enumerate(jobs):
                yield number, attempt(function, job)
            return
        waiting = deque((number, pack(function, job), 1) for number, job in enumerate(jobs))
        pool = [_Worker() for _ in range(workers)]
        try:
            while waiting or any(worker.task for worker in pool):
                for worker in pool:
                    if waiting and worker.task is None:
                        worker.give(*waiting.popleft())
                wait([worker.connection for worker in pool if worker.task], _LOOK_EVERY)
                for place, worker in enumerate(pool):
                    for number, result in worker.finished(waiting):
                        yield number, result
                    if worker.lost:
                        worker.end()
                        worker.join()
                        pool[place] = _Worker()
        finally:
            for worker in pool:
                worker.end()
            for worker in pool:  # a second interrupt here leaves none at work
                worker.join()


class _Worker:
    """A process that does one job at a time; ``task`` is its number, parcel and try."""

    def __init__(self) -> None:
        # not fork: torch's threads do not survive it
        context = multiprocessing.get_context("spawn")
        self.connection, other = context.Pipe()
        self.task: tuple[int, Parcel, int] | None = None
        self.lost = False
        # No daemon: a job may start processes of its own, such as those of AsyncVectorEnv.
        self._process = context.Process(target=_serve, args=(other,))
        with _uninterrupted():
            self._process.start()
        other.close()

    def give(self, number: int, parcel: Parcel, tries: int) -> None:
        """Send a job."""
        self.task = number, parcel, tries
        with contextlib.suppress(OSError):  # it has ended, which ``finished`` sees
            self.connection.send(parcel)

    def finished(self, waiting: deque[tuple[int, Parcel, int]]) -> Iterator[tuple[int, Any]]:
        """Yield the result of the task, if there is one; the task of a lost process waits again."""
        if self.task is None:
            return
        number, parcel, tries = self.task
        try:
            if self.connection.poll():
                content = self.connection.recv_bytes()
                self.task = None
                yield number, pickle.loads(content)
                return
            self.lost = not self._process.is_alive() and not self.connection.poll()
        except (EOFError, OSError):
            self.lost = True
        if self.lost:
            self.task = None
            self._process.join()
            if tries < _TRIES:
                waiting.append((number, parcel, tries + 1))
            else:
                yield number, Failed(CellError(_lost(self._process.exitcode)))

    def end(self) -> None:
        """Let the process end: at once if it is at work, else when it sees that nothing comes."""
        if self.task is not None:
            self._process.kill()
        self.connection.close()

    def join(self) -> None:
        """Wait until the process has ended."""
        self._process.join()


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold interrupts back, from this process and from those that it starts.

    Ctrl-C reaches every process of a terminal, and those that are starting would print where.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # its start would let interrupts through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _INTERRUPT)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _lost(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        return (
            f"its process was ended by signal {-exitcode}, {_TRIES} times; if memory is short, use"
            " fewer --workers"
        )
    return (
        f"its process ended by itself, {_TRIES} times; a script that starts workers does so under"
        ' `if __name__ == "__main__":`, since they import it'
    )


def _serve(connection: Connection) -> None:
    """Do jobs until no more come."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one ends it
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _INTERRUPT)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        try:
            parcel = connection.recv()
        except EOFError:
            return
        connection.send_bytes(run_parcel(parcel))


def _end_with_parent() -> None:
    """End this process when the one that started it has ended, however that was."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])  # a pipe that the system closes, at kill -9 as well
    os._exit(1)
