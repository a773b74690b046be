"""Counted checks: a check tries many cases, and a row of a table says how many of them passed."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

ROWS: dict[str, tuple[int, int]] = {}  # by name of the check: passed, tried; the longest run of it
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
    """

    def __init__(self, name: str) -> None:
        self.name, self.tried, self.failures = name, 0, list[str]()

    @contextmanager
    def case(self, label: str) -> Iterator[None]:
        """Count what is done in here as one case; an error is a failure, and the next case goes on.

        Args:
            label: says which case it is.
        """
        self.tried += 1
        try:
            yield
        except (Exception, SystemExit, pytest.fail.Exception) as error:
            text = " ".join(str(error).split())[:300]
            self.failures.append(f"{label}: {type(error).__name__}: {text}")


@contextmanager
def tally(name: str) -> Iterator[Tally]:
    """Count cases, note the row of the table, and fail if a case failed."""
    check = Tally(name)
    yield check
    if check.tried > ROWS.get(name, (0, 0))[1]:
        ROWS[name] = check.tried - len(check.failures), check.tried
    assert check.tried, "no case was tried"
    shown = "\n".join(check.failures[:_SHOWN])
    assert not check.failures, f"{len(check.failures)} of {check.tried} failed:\n{shown}"
