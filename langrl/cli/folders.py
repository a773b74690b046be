"""Folders that commands read and write, checked before anything heavy is imported."""

import contextlib
import json
import re
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain, count
from pathlib import Path

from langrl.checkpoint import MANIFEST, write_atomically
from langrl.errors import ConfigError
from langrl.settings import CONFIG_FILE
from langrl.tasks.registry import run_of

EVALUATION = "evaluation"  # of a run folder: a folder for each evaluation
OWN_EVALUATIONS = Path("runs") / "evaluate"
DIAGNOSES = Path("runs") / "diagnose"
INDEX = "index.json"
RESULTS = "results.json"
_TRIES = 10  # of making a folder
_PAUSE = 0.001  # seconds before the second try, twice as long before each later one: 0.5 in all
_LONGEST_NAME = 60  # characters of a folder that is named after a text


def check_folder(path: Path, flag: str = "--out") -> Path:
    """Refuse a folder that cannot be made or written to; nothing is left of the try.

    Raises:
        ConfigError: naming the flag, the folder and what is wrong with it.
    """
    for failed in range(_TRIES):
        try:
            _try_to_write(path)
            return path
        except (OSError, ValueError) as error:
            if isinstance(error, FileNotFoundError) and failed + 1 < _TRIES:
                # a command beside this one has removed a folder that it made for a try
                time.sleep(_PAUSE * 2**failed)
                continue
            reason = (getattr(error, "strerror", None) or "it cannot be made").lower()
            break
    name = str(path) if len(str(path)) < 200 else f"...{str(path)[-80:]}"
    raise ConfigError(f"{flag} {name}: {reason}; name a folder that can be made and written to")


def _try_to_write(path: Path) -> None:
    """Make a folder and a file in it, and remove what was made."""
    made: list[Path] = []
    try:
        for folder in reversed((path, *path.parents)):
            if not folder.exists():
                with contextlib.suppress(FileExistsError):  # made by a command beside this one
                    folder.mkdir()
                    made.append(folder)
        with tempfile.TemporaryFile(dir=path):
            pass
    finally:
        for folder in reversed(made):
            with contextlib.suppress(OSError):
                folder.rmdir()


def check_results_folder(path: Path) -> Path:
    """Refuse a folder for results, as ``check_folder`` does, and one that has others' in it."""
    check_folder(path)
    if (path / CONFIG_FILE).is_file():
        raise ConfigError(f"--out {path} is a run folder, with results of its own; name another")
    if (path / RESULTS).exists() and _command_of(path / RESULTS) is None:
        raise ConfigError(f"--out {path} has a {RESULTS} that is not of langrl; name another")
    return path


def evaluations_of(run: Path) -> Path:
    """Return where evaluations of a run folder go that have no ``--out``.

    Those of a checkpoint go beside its run's own: checkpoints are replaced and removed.
    """
    owner = run_of(run)
    if owner is None or owner == run:
        return run / EVALUATION
    return owner / f"{EVALUATION}-{run.resolve().name}"


def clear_figures(folder: Path) -> None:
    """Remove the figures of earlier results, so that none of them is taken for a new one."""
    if _command_of(folder / RESULTS) is not None:
        for path in (folder / "figures").glob("*"):
            if path.suffix in (".png", ".gif", ".mp4"):
                path.unlink()


def _command_of(results: Path) -> str | None:
    """Return the command that wrote a ``results.json``; None if it is not of langrl."""
    try:
        command = json.loads(results.read_text(encoding="utf-8"))["command"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return command if isinstance(command, str) else None


def new_folder(parent: Path, text: str) -> Path:
    """Make a folder of its own for results, named after a text, with a number if there is one."""
    words = "-".join(re.findall(r"\w+", text.lower()))
    name = words[:_LONGEST_NAME].rstrip("-") or "text"
    parent.mkdir(parents=True, exist_ok=True)
    for candidate in _numbered(name):
        with contextlib.suppress(FileExistsError):
            (parent / candidate).mkdir()
            return parent / candidate
    raise AssertionError("numbers do not end")


def _numbered(name: str) -> Iterator[str]:
    return chain((name,), (f"{name}-{number}" for number in count(2)))


def write_index(folder: Path) -> Path:
    """List the results in the folders below, oldest first, in ``index.json``; return its path."""
    entries = [
        {
            "folder": path.parent.name,
            "command": command,
            "written": datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat("T", "seconds"),
        }
        for path in sorted(folder.glob(f"*/{RESULTS}"), key=lambda path: path.stat().st_mtime)
        if (command := _command_of(path)) is not None
    ]
    write_atomically(folder / INDEX, json.dumps(entries, indent=1) + "\n")
    return folder / INDEX


def find_run(folder: Path) -> Path:
    """Return a run folder: the one that was named, or the only one in it, which is said.

    Raises:
        ConfigError: if there are several.
    """
    if _is_run(folder) or not folder.is_dir():
        return folder
    below = sorted(path for path in folder.iterdir() if _is_run(path))
    if len(below) > 1:
        names = ", ".join(path.name for path in below)
        raise ConfigError(f"{folder} holds {len(below)} runs; name one of them: {names}")
    if below:
        print(f"{folder} holds one run, which is used: {below[0]}", flush=True)
    return below[0] if below else folder


def _is_run(folder: Path) -> bool:
    names = (CONFIG_FILE, MANIFEST, "checkpoints")
    return folder.is_dir() and any((folder / name).exists() for name in names)
