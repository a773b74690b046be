"""Cells: long computations, each with one result file, on any engine, resumed where they stopped.

A cell calls a function of a module, which returns a dict of JSON values. The dict is written to the
cell's file, whole or not at all. A file that is there is used again if it is of the same function
and arguments. Nothing else is kept: a cell that failed is computed again by the next start.
"""

import contextlib
import dataclasses
import json
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from langrl.checkpoint import digest, write_atomically
from langrl.errors import OF_THE_MACHINE, CellError, LangRLError
from langrl.training.engines.base import Engine, Failed
from langrl.training.engines.local import LocalEngine
from langrl.training.logs import console, progress

R = TypeVar("R")
Result = dict[str, Any]  # JSON values
STAMP = "cell"  # entry of a result file: the label and the key of its cell


@dataclass(frozen=True)
class Cell:
    """One computation and its result file.

    Args:
        function: a function of a module; returns a dict of JSON values without an entry ``cell``.
        arguments: of the function.
        output: the result file, JSON; of this cell alone.
        label: what the cell is, for messages.
        key: what the result depends on, where that is not the arguments: JSON values, paths,
            dataclasses, configs, and lists and mappings of these.
    """

    function: Callable[..., Result]
    arguments: tuple[Any, ...]
    output: Path
    label: str
    key: Any = None

    @property
    def digest(self) -> str:
        """The sha256 of the function's name and the key."""
        name = f"{self.function.__module__}.{self.function.__qualname__}"
        key = self.arguments if self.key is None else self.key
        return digest(json.dumps([name, plain(key)], sort_keys=True).encode())

    @property
    def trace(self) -> Path:
        """The file with the traceback of a cell that failed."""
        return self.output.with_suffix(".error.txt")


def plain(value: Any) -> Any:
    """Return a key as JSON values.

    Raises:
        TypeError: if it holds anything else.
    """
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Path):
        return value.as_posix()
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name)) for each in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    raise TypeError(f"a cell does not know by {type(value).__name__} what it is; give it a key")


def stored_result(cell: Cell) -> Result | None:
    """Return the result in a cell's file; None if there is none, or it is damaged or another's."""
    try:
        content = json.loads(cell.output.read_text(encoding="utf-8"))
        stamp = content.pop(STAMP)
        return content if stamp["key"] == cell.digest else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def run_cell(cell: Cell) -> Result:
    """Compute a cell and store its result; of an error, the traceback is beside the file.

    Returns:
        The result as it is read back: tuples are lists.
    """
    cell.output.parent.mkdir(parents=True, exist_ok=True)
    try:
        result = cell.function(*cell.arguments)
        if STAMP in result:
            raise TypeError(f"a result has no entry {STAMP!r} of its own; name it otherwise")
        stamp = {STAMP: {"label": cell.label, "key": cell.digest}}
        write_atomically(cell.output, json.dumps(result | stamp) + "\n")
    except Exception:
        with contextlib.suppress(OSError):  # the disk may be full
            cell.trace.write_text(traceback.format_exc(), encoding="utf-8")
        raise
    cell.trace.unlink(missing_ok=True)
    stored = stored_result(cell)
    assert stored is not None
    return stored


def run_cells(cells: Sequence[Cell], engine: Engine, label: str) -> list[Result]:
    """Return the results of cells in order, computed where they are not stored.

    Results do not depend on the engine. A cell that fails does not stop the others, but an error
    of the machine does, such as a full disk.

    Args:
        cells: what to compute; no two with the same output.
        engine: where to compute it.
        label: for the progress bar.

    Raises:
        CellError: when the others are done, if cells failed; names the first and its error.
        OSError: as soon as a cell meets one of ``OF_THE_MACHINE``.
    """
    if len({cell.output for cell in cells}) < len(cells):
        raise ValueError("two cells have the same output; give each a file of its own")
    found = {number: stored_result(cell) for number, cell in enumerate(cells)}
    results = {number: result for number, result in found.items() if result is not None}
    missing = [number for number in found if number not in results]
    if results:
        console.print(f"{label}: {len(results)} of {len(cells)} cells are there already")
    failed: dict[int, Exception] = {}
    with progress(label, len(cells), len(results)) as bar:
        for place, result in engine.map(run_cell, [(cells[number],) for number in missing]):
            if isinstance(result, Failed):
                if isinstance(result.error, OSError) and result.error.errno in OF_THE_MACHINE:
                    raise result.error
                failed[missing[place]] = result.error
            else:
                results[missing[place]] = result
            bar.update(len(results) + len(failed), "cells")
    if failed:
        number = min(failed)
        raise CellError(_failure(cells[number], failed[number], len(failed), len(cells))) from (
            failed[number]
        )
    return [results[number] for number in range(len(cells))]


def _failure(cell: Cell, error: Exception, failed: int, count: int) -> str:
    where = f" (traceback: {cell.trace})" if cell.trace.exists() else ""
    # What langrl says is a sentence; other errors may be a word, such as a missing key.
    said = "" if isinstance(error, LangRLError) else f"{type(error).__name__}: "
    return (
        f"{failed} of {count} cells failed; the same command computes them again."
        f" {cell.label}: {said}{error}{where}"
    )


def run_jobs(
    function: Callable[..., R],
    jobs: Sequence[Sequence[Any]],
    workers: int | None,
    label: str,
) -> list[R]:
    """Call a function once per job, on one thread each, and return the results in order.

    Nothing is stored: for short computations on one machine. Results do not depend on the number
    of workers.

    Args:
        function: a function of a module, so that other processes can find it.
        jobs: its arguments, one tuple a job.
        workers: processes, one per core if None; with 1, everything runs in this one.
        label: for the progress bar.
    """
    results: dict[int, R] = {}
    with progress(label, len(jobs)) as bar:
        for number, result in LocalEngine(workers).map(function, jobs):
            if isinstance(result, Failed):
                raise result.error
            results[number] = result
            bar.update(len(results), "jobs")
    return [results[number] for number in range(len(jobs))]
