"""Folders that commands read and write, checked before anything heavy is imported."""

import contextlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain, count
from pathlib import Path

from langrl.checkpoint import MANIFEST, write_atomically
from langrl.errors import ConfigError
from langrl.settings import CONFIG_FILE

EVALUATION = "evaluation"  # of a run folder: a folder for each evaluation
DIAGNOSES = Path("runs") / "diagnose"
INDEX = "index.json"
_LONGEST_NAME = 60  # characters of a folder that is named after a text


def check_folder(path: Path, flag: str = "--out") -> Path:
    """Refuse a folder that cannot be made or written to; nothing is left of the try.

    Raises:
        ConfigError: naming the flag, the folder and what is wrong with it.
    """
    made: list[Path] = []
    try:
        for folder in reversed((path, *path.parents)):
            if not folder.exists():
                folder.mkdir()
                made.append(folder)
        if not path.is_dir():
            raise FileExistsError(0, "file exists")
        with tempfile.TemporaryFile(dir=path):
            pass
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or "it cannot be made").lower()
        name = str(path) if len(str(path)) < 200 else f"...{str(path)[-80:]}"
        raise ConfigError(
            f"{flag} {name}: {reason}; name a folder that can be made and written to"
        ) from None
    finally:
        for folder in reversed(made):
            with contextlib.suppress(OSError):
                folder.rmdir()
    return path


def check_results_folder(path: Path) -> Path:
    """Refuse a folder for results, as ``check_folder`` does, and a run folder too."""
    check_folder(path)
    if (path / CONFIG_FILE).is_file():
        raise ConfigError(f"--out {path} is a run folder, with results of its own; name another")
    return path


def clear_figures(folder: Path) -> None:
    """Remove the figures of earlier results, so that none of them is taken for a new one."""
    if (folder / "results.json").is_file():
        shutil.rmtree(folder / "figures", ignore_errors=True)


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
    stored = sorted(folder.glob("*/results.json"), key=lambda path: path.stat().st_mtime)
    entries = [
        {
            "folder": path.parent.name,
            "command": json.loads(path.read_text(encoding="utf-8"))["command"],
            "written": datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat("T", "seconds"),
        }
        for path in stored
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
