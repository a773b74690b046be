"""The most memory of this process since a moment, where the system tells it."""

import contextlib
from pathlib import Path

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def _resident(field: str) -> int:
    if not _STATUS.exists():
        return 0
    lines = _STATUS.read_text().splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(field)), 0)


def reset_peak() -> int:
    """Begin anew with the peak; return the resident memory of now, in bytes, or 0 if unknown."""
    with contextlib.suppress(OSError):  # else the growth is that of the peak of the whole process
        _CLEAR.write_text("5")
    return _resident("VmHWM")


def peak_since(before: int) -> int:
    """Return by how many bytes the resident memory was larger than ``reset_peak`` has returned."""
    return _resident("VmHWM") - before
