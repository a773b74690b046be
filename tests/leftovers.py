"""Processes that another one started, and whether they live; for systems with ``/proc``."""

import time
from pathlib import Path

PATIENCE = 240.0  # seconds; machines are busy


def below(process):
    """Return the ids of the processes that a process started, and of those that these started."""
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(folder.name)] = int(fields[1])
    found, pending = set(), {process}
    while pending:
        pending = {child for child, parent in parents.items() if parent in pending} - found
        found |= pending
    return found


def lives(process):
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def wait_until(is_so, what):
    end = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < end, what
        time.sleep(0.05)
