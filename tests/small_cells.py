"""Functions of cells and jobs that tests run in other processes."""

import os
import signal
import time
from pathlib import Path

import torch

from langrl.errors import ConfigError
from langrl.training.cells import Cell


def draws(seed, count=3):
    """Return numbers whose last bits depend on how they are computed."""
    values = torch.randn(count, 64, generator=torch.Generator().manual_seed(seed))
    return {"seed": seed, "means": values.softmax(1).log().mean(1).tolist(), "nan": float("nan")}


def draw_cells(folder, seeds=range(4)):
    """Return a cell of ``draws`` for each seed."""
    return [Cell(draws, (seed,), Path(folder) / f"{seed}.json", f"seed {seed}") for seed in seeds]


def counted(folder, name):
    """Say in a file that this was computed."""
    with (Path(folder) / "computed.txt").open("a") as file:
        file.write(f"{name}\n")
    return {"name": name}


def fails_without(path):
    """Fail until there is a file."""
    if not Path(path).exists():
        raise ConfigError(f"no {path}; write it")
    return {"ok": True}


def read_lines(path):
    """Read a file."""
    return {"lines": Path(path).read_text().splitlines()}


def fill_disk():
    """Fail as on a full disk."""
    raise OSError(28, "No space left on device")


def end_process(marker, times):
    """End this process as a lack of memory does, the first so many times."""
    ended = len(list(Path(marker).glob("*")))
    if ended < times:
        (Path(marker) / str(ended)).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return {"ended": ended}


def sleep_for_ever(folder):
    """Say which process this is, and sleep."""
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(600)


class NeedsTwo(Exception):
    """An error that cannot be unpickled."""

    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


def raises_needs_two():
    """Fail with an error that cannot be unpickled."""
    raise NeedsTwo("salt", "pepper")


def working_folder():
    """Return where relative paths lead."""
    return os.getcwd()


def stamped():
    """Return a result that says of itself what only its file says."""
    return {"cell": 3}


def sleep_unless(folder, sleeps):
    """Sleep, or not."""
    if sleeps:
        sleep_for_ever(folder)
    return {"slept": sleeps}
