"""What an engine is: it calls one function for many jobs, in this process, others or elsewhere."""

import os
import pickle
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from langrl.errors import ConfigError
from langrl.training.jobs import one_thread

Job = Sequence[Any]  # the arguments of one call


@dataclass(frozen=True)
class Failed:
    """What a job without a result gives instead; the traceback is a note of the error."""

    error: Exception


class Engine(Protocol):
    """Calls a function once per job, each on one thread of torch."""

    def map(self, function: Callable[..., Any], jobs: Sequence[Job]) -> Iterator[tuple[int, Any]]:
        """Yield (number of the job, its result or ``Failed``) as jobs end, in any order.

        Jobs that have not ended are stopped when the iterator is closed.

        Args:
            function: a function of a module, so that other processes can find it.
            jobs: its arguments, one sequence a job; they are pickled to reach other processes.
        """
        ...


def attempt(function: Callable[..., Any], job: Job) -> Any:
    """Call a function on one thread; an exception is returned as ``Failed``."""
    try:
        with one_thread():
            return function(*job)
    except Exception as error:
        return _failed(error)


def _failed(error: Exception) -> Failed:
    """Return an error that can be sent to another process, with its traceback as a note."""
    trace = "".join(traceback.format_exception(error))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # whatever an error's own pickling raises
        error = RuntimeError(f"{type(error).__name__}: {error}")
    error.add_note(trace)
    return Failed(error)


@dataclass(frozen=True)
class Parcel:
    """A job on its way to another process, perhaps on another machine that shares the files.

    Args:
        folder: working directory, so that relative paths mean the same there.
        path: where modules are found, so that the function's module is.
        content: the function and its arguments, pickled.
    """

    folder: str
    path: tuple[str, ...]
    content: bytes


def pack(function: Callable[..., Any], job: Job) -> Parcel:
    """Return a job as it is sent."""
    return Parcel(os.getcwd(), tuple(sys.path), pickle.dumps((function, tuple(job))))


def run_parcel(parcel: Parcel) -> bytes:
    """Do the job of a parcel and return its result, or ``Failed``, pickled."""
    try:
        _enter(parcel)
        function, job = pickle.loads(parcel.content)
        return pickle.dumps(attempt(function, job))
    except Exception as error:  # a module that is not there, a result that cannot be pickled
        return pickle.dumps(_failed(error))


def _enter(parcel: Parcel) -> None:
    """Use the working directory and the module path of the process that sent the parcel."""
    if not Path(parcel.folder).is_dir():
        raise ConfigError(
            f"a worker has no folder {parcel.folder}; start the command in a folder that all"
            " machines share, and name one of these with --out"
        )
    os.chdir(parcel.folder)
    sys.path += [place for place in parcel.path if place not in sys.path]
