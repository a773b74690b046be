"""SIGINT and SIGTERM: what is trained is stored first; a second signal ends the process at once.

A signal raises ``Stopped`` where the process is. Whoever has something to store puts its loop into
``deferred()``: there a signal is only noted, and the loop asks ``requested()`` between two steps. A
step of more than a few seconds is not waited for.

No torch here: the command line handles signals before anything heavy is imported.
"""

import atexit
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

_PATIENCE = 1.5  # seconds that a step may go on after a signal
_SAME = 0.05  # seconds; a terminal and a wrapper may both pass one signal on


class Stopped(KeyboardInterrupt):
    """The process was asked to end, by the signal ``number``; ``status`` is what it ends with."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number, self.status = number, 128 + number


@dataclass
class _State:
    """What was received, and how signals are taken at present."""

    owner: int = 0  # process that handles them
    number: int | None = None
    at: float = 0.0
    deferred: bool = False
    storing: bool = False


_state = _State()


@contextmanager
def handled(*, ignore_interrupts: bool = False) -> Iterator[None]:
    """Take SIGINT and SIGTERM as this module does; outside of the main thread, nothing is done.

    Args:
        ignore_interrupts: whether SIGINT is ignored, because the process that started this one
            gets it as well and ends this one.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _state.owner, _state.number, _state.deferred, _state.storing = os.getpid(), None, False, False
    ours = {signal.SIGTERM: _on_signal, signal.SIGINT: _on_signal}
    if hasattr(signal, "SIGALRM"):
        ours[signal.SIGALRM] = _on_alarm
    before = {number: signal.signal(number, handler) for number, handler in ours.items()}
    if ignore_interrupts:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        _set_alarm(0.0)
        _state.number = None
        for number, handler in before.items():
            signal.signal(number, handler)


def requested() -> bool:
    """Whether the process has been asked to end."""
    return _state.number is not None


def check() -> None:
    """Raise Stopped if the process has been asked to end."""
    if _state.number is not None:
        raise Stopped(_state.number)


@contextmanager
def deferred() -> Iterator[None]:
    """Note signals instead of raising, until a step has taken too long."""
    with _set(deferred=True):
        yield


@contextmanager
def immediate() -> Iterator[None]:
    """Within ``deferred``: raise, as what is done in here changes nothing that is stored."""
    with _set(deferred=False):
        check()
        yield


@contextmanager
def storing() -> Iterator[None]:
    """Within ``deferred``: note signals, however long it takes."""
    with _set(storing=True):
        yield


@contextmanager
def _set(**values: bool) -> Iterator[None]:
    before = {name: getattr(_state, name) for name in values}
    for name, value in values.items():
        setattr(_state, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(_state, name, value)


def _on_signal(number: int, _: FrameType | None) -> None:
    now = time.monotonic()
    if os.getpid() != _state.owner:  # forked from it: the other one ends this one
        if number == signal.SIGTERM:
            os._exit(128 + number)
        return
    if _state.number is not None:
        if now - _state.at > _SAME:
            os._exit(128 + number)
        return
    _state.number, _state.at = number, now
    # While Python ends, its own handler of SIGINT would print a traceback.
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_DFL)
    if not _state.deferred:
        raise Stopped(number)
    _set_alarm(_PATIENCE)


def _on_alarm(number: int, _: FrameType | None) -> None:
    if not _state.storing and os.getpid() == _state.owner:
        check()


def _set_alarm(seconds: float) -> None:
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)
