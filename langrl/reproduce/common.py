"""What reproductions share: cells, changed settings, runs that are trained once, the report."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from langrl.checkpoint import content_digest, digest
from langrl.plots.base import save
from langrl.reproduce.arguments import ParallelReproduction
from langrl.settings import S
from langrl.tasks.config import RunConfig
from langrl.tasks.registry import TASKS
from langrl.tasks.run import is_begun, is_trained, train_or_resume
from langrl.training.cells import Cell, plain, run_cells
from langrl.training.engines.config import make_engine
from langrl.training.logs import console, write_results

CELLS = "cells"  # in the folder of results: a file for each part that is done


def with_given(settings: S, **values: object) -> S:
    """Return settings with those of the values that are not None."""
    given = {name: value for name, value in values.items() if value is not None}
    return settings.model_copy(update=given)


def run_parts(
    function: Callable[..., Any],
    jobs: Sequence[Sequence[Any]],
    options: ParallelReproduction,
    label: str,
    depends: Any = None,
) -> list[Any]:
    """Return a function's results in the order of its jobs, each computed once.

    A result is stored in the folder ``cells`` of ``options.out`` when it is there, and used again
    when the command is. The engine is the one that the options choose.

    Args:
        function: a function of a module, on arguments that ``langrl.training.cells.plain`` knows;
            returns JSON values, or a mapping of tuples to them.
        jobs: its arguments, one sequence a job.
        options: of the command.
        label: for the progress bar.
        depends: what the results depend on beside the arguments, as JSON values.

    Raises:
        CellError: if a job failed; the others are done.
    """
    cells = [_part(function, job, options.out, label, depends) for job in jobs]
    results = run_cells(cells, make_engine(options, options.out), label)
    return [_unpacked(result) for result in results]


def _part(
    function: Callable[..., Any], job: Sequence[Any], out: Path, label: str, depends: Any
) -> Cell:
    name = f"{function.__module__.rpartition('.')[2]}-{function.__name__.strip('_')}"
    arguments = [_inside(argument, out) for argument in job]
    key = [name, plain(arguments), depends]
    file = f"{name}-{digest(json.dumps(key, sort_keys=True).encode())[:16]}.json"
    shown = [str(argument) for argument in job if isinstance(argument, str | int | float)]
    part = ", ".join([label, *shown])
    return Cell(_packed, (function, *job), out / CELLS / file, part, key)


def _inside(argument: Any, out: Path) -> Any:
    """Return a path relative to the folder of results: the folder may be moved."""
    inside = isinstance(argument, Path) and argument.is_relative_to(out)
    return argument.relative_to(out) if inside else argument


def _packed(function: Callable[..., Any], *job: Any) -> dict[str, Any]:
    """Return a function's result as a dict of JSON values."""
    result = function(*job)
    if isinstance(result, Mapping) and any(isinstance(key, tuple) for key in result):
        return {"items": [[list(key), value] for key, value in result.items()]}
    return {"result": result}


def _unpacked(stored: Mapping[str, Any]) -> Any:
    if "items" in stored:
        return {tuple(key): value for key, value in stored["items"]}
    return stored["result"]


def digest_of(model: str | Path) -> str | None:
    """Return the sha256 of a model or data in a file or folder; None for a name."""
    return content_digest(Path(model)) if Path(model).exists() else None


def train_once(config: RunConfig, folder: Path, label: str) -> None:
    """Train a run in ``folder`` unless it is finished; ConfigError if it holds anything else.

    A run of Stable-Baselines3 that was cut off is trained anew: it would not go on to the same
    bits.
    """
    if is_trained(folder, config):
        console.print(f"{label}: using the run in {folder}")
        return
    zipped = TASKS[config.task].zip
    if zipped is not None and (folder / zipped).exists() and is_begun(folder, config):
        console.print(f"{label}: the run in {folder} was cut off, and is trained anew")
        shutil.rmtree(folder)
    train_or_resume(config, folder, label)


def train_timed(config: RunConfig, folder: Path, label: str, command: str) -> float | None:
    """Train a run once and return the seconds it took; None if it was stopped in between.

    The seconds are kept in the run folder's ``results.json``; ``command`` is for its record.
    """
    file = folder / "results.json"
    if not (is_trained(folder, config) and file.is_file()):
        resumed = is_begun(folder, config)
        _, seconds = train_or_resume(config, folder, label)
        row = {"train_seconds": None if resumed else round(seconds, 1)}
        write_results(folder, command, config.model_dump(mode="json"), [row])
    else:
        console.print(f"{label}: using the run in {folder}")
    try:
        seconds = json.loads(file.read_text(encoding="utf-8"))["rows"][0]["train_seconds"]
        return None if seconds is None else float(seconds)
    except (OSError, ValueError, KeyError, TypeError, IndexError, RecursionError):
        return None  # the file is damaged: the run is there, and how long it took is not known


def write_report(
    out: Path,
    command: str,
    config: Mapping[str, Any],
    rows: Sequence[Any],
    figures: Mapping[str, Figure],
    **tables: Any,
) -> None:
    """Write ``results.json`` to ``out`` and figures to ``out/figures``, and print where they are.

    Figures are by file name, without suffix; further tables by their key in ``results.json``.
    """
    path = write_results(out, command, config, rows, **tables)
    for name, figure in figures.items():
        save(figure, out / "figures" / f"{name}.png")
    console.print(f"results: {path}; figures: {out / 'figures'}")
