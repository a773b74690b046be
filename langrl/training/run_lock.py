"""One process at a time trains in a run folder.

A lock file says which process on which machine. Of a process that has ended, however that was, the
lock is stale and is taken over: on this machine that is seen at once, and of another machine it is
seen by the time at which its file was touched last, on the clock of the file system.
"""

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from langrl.checkpoint import write_atomically
from langrl.errors import ConfigError, quoted

LOCK = ".lock"  # in a run folder
_TOUCH = 10.0  # seconds between two signs of life
_STALE = 45.0  # seconds without one, of a process on another machine
_LOOK = 1.0  # seconds between two looks at another machine's lock


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a run folder, which is made if it is not there.

    Raises:
        ConfigError: if another process trains in the folder; names it.
    """
    made = _make(folder)
    try:
        _acquire(folder)
    except BaseException:
        _remove_empty(made)
        raise
    ended, owner = threading.Event(), os.getpid()
    threading.Thread(target=_sign, args=(folder / LOCK, ended), daemon=True).start()
    try:
        yield
    finally:
        ended.set()
        if os.getpid() == owner:  # not in a process that was forked from this one
            with contextlib.suppress(OSError):
                (folder / LOCK).unlink(missing_ok=True)
            _remove_empty(made)


def _acquire(folder: Path) -> None:
    file = folder / LOCK
    ours = json.dumps(_identity(folder))
    for _ in range(3):  # another process may take a stale lock over at the same time
        with contextlib.suppress(FileExistsError), file.open("x", encoding="utf-8") as stream:
            stream.write(ours)
            return
        _wait_for(folder)
        with contextlib.suppress(FileNotFoundError):
            stale = file.with_name(f"{LOCK}.{os.getpid()}.writing")
            file.rename(stale)  # of two that rename it, one fails
            stale.unlink()
    raise ConfigError(f"{file} cannot be taken; delete it if nothing trains in {folder}")


def _wait_for(folder: Path) -> None:
    """Return when the lock of a folder is stale or gone; raise ConfigError if it is held."""
    began = time.monotonic()
    while (holder := _read(folder / LOCK)) is not None:
        held = _is_held(holder, folder)
        if held is False or (held is None and _age(folder / LOCK) > _STALE):
            return
        if held or time.monotonic() - began > _STALE + _TOUCH:
            who = f"process {quoted(holder.get('process'))} on {quoted(holder.get('host'))}"
            raise ConfigError(
                f"{folder} is in use by {who}, which trains there; wait for it or end it (if it has"
                f" ended, delete {folder / LOCK})"
            )
        time.sleep(_LOOK)


def _identity(folder: Path) -> dict[str, Any]:
    """Return which process this is, and the folder: a copy of a folder is not in use."""
    about = {"process": os.getpid(), "host": socket.gethostname()}
    return about | {"started": _started(os.getpid()), "folder": str(folder.resolve())}


def _is_held(holder: dict[str, Any], folder: Path) -> bool | None:
    """Whether the process that wrote a lock trains in the folder; None if it cannot be said."""
    process = holder.get("process")
    if holder.get("folder") != str(folder.resolve()) or not isinstance(process, int):
        return False
    if holder.get("host") != socket.gethostname():
        return None
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # another user's
    started = holder.get("started")
    return started is None or started == _started(process)  # numbers of processes come again


def _started(process: int) -> str | None:
    """Return when a process was started, where the system says so."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return fields[19]
    except (OSError, IndexError):
        return None


def _read(file: Path) -> dict[str, Any] | None:
    """Return what a lock says, {} if it is damaged, and None if there is none."""
    try:
        holder = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError):
        return {}
    return holder if isinstance(holder, dict) else {}


def _age(file: Path) -> float:
    """Return how long ago a lock was touched, on the clock of its file system."""
    now = file.with_name(f"{LOCK}.{os.getpid()}.writing")
    try:
        write_atomically(now, b"")
        return now.stat().st_mtime - file.stat().st_mtime
    except OSError:
        return 0.0
    finally:
        now.unlink(missing_ok=True)


def _sign(file: Path, ended: threading.Event) -> None:
    while not ended.wait(_TOUCH):
        with contextlib.suppress(OSError):
            os.utime(file)


def _make(folder: Path) -> list[Path]:
    """Make a folder, and return what was made of it, the outermost first."""
    made = []
    for place in reversed((folder, *folder.parents)):
        if not place.exists():
            with contextlib.suppress(FileExistsError):
                place.mkdir()
                made.append(place)
    return made


def _remove_empty(folders: list[Path]) -> None:
    for place in reversed(folders):
        with contextlib.suppress(OSError):
            place.rmdir()
