"""Counted checks: a check tries many cases, and a row of a table says how many of them passed."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from peak_memory import peak_since, reset_peak

ROWS: dict[str, tuple[int, int, str]] = {}  # by name of the check: passed, tried, what they took
_SHOWN = 12  # failures that a message lists


def counted(short: int, long: int) -> pytest.MarkDecorator:
    """Try a check on few cases in every test run, and on many in ``make torture``."""
    return pytest.mark.parametrize(
        "many", [short, pytest.param(long, marks=pytest.mark.torture)], ids=["few", "many"]
    )


class Tally:
    """Counts the cases of a check.

    Args:
        name: of the check, for the table.
        most: bytes of memory that a case may take; if given, what the cases took is in the table.
    """

    def __init__(self, name: str, most: int | None = None) -> None:
        self.name, self.tried, self.failures = name, 0, list[str]()
        self.most, self.slowest, self.memory = most, (0.0, ""), 0

    @contextmanager
    def case(self, label: str) -> Iterator[None]:
        """Count what is done in here as one case; an error is a failure, and the next case goes on.

        Args:
            label: says which case it is.
        """
        self.tried += 1
        try:
            with self._measured(label):
                yield
        except (Exception, SystemExit, pytest.fail.Exception) as error:
            text = " ".join(str(error).split())[:300]
            self.failures.append(f"{label}: {type(error).__name__}: {text}")

    @contextmanager
    def _measured(self, label: str) -> Iterator[None]:
        if self.most is None:
            yield
            return
        before, begin = reset_peak(), time.monotonic()
        try:
            yield
        finally:
            self.slowest = max(self.slowest, (time.monotonic() - begin, label))
            took = peak_since(before)
            self.memory = max(self.memory, took)
        assert took <= self.most, f"{took >> 20} MB of memory"

    def costs(self) -> str:
        """Return what the slowest and the largest case took, if that was measured."""
        if self.most is None:
            return ""
        seconds, label = self.slowest
        return f"; slowest {seconds:.1f} s ({label}), most memory {self.memory >> 20} MB"


@contextmanager
def tally(name: str, most: int | None = None) -> Iterator[Tally]:
    """Count cases, note the row of the table, and fail if a case failed; ``most`` as in Tally."""
    check = Tally(name, most)
    yield check
    if check.tried > ROWS.get(name, (0, 0))[1]:
        ROWS[name] = check.tried - len(check.failures), check.tried, check.costs()
    assert check.tried, "no case was tried"
    shown = "\n".join(check.failures[:_SHOWN])
    assert not check.failures, f"{len(check.failures)} of {check.tried} failed:\n{shown}"
