"""What reproductions share: changed settings, runs that are trained once, and the report."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from langrl.plots.base import save
from langrl.settings import S
from langrl.tasks.config import RunConfig
from langrl.tasks.run import is_begun, is_trained, train_or_resume
from langrl.training.logs import console, write_results


def with_given(settings: S, **values: object) -> S:
    """Return settings with those of the values that are not None."""
    given = {name: value for name, value in values.items() if value is not None}
    return settings.model_copy(update=given)


def train_once(config: RunConfig, folder: Path, label: str) -> None:
    """Train a run in ``folder`` unless it is finished; ConfigError if it holds anything else."""
    if is_trained(folder, config):
        console.print(f"{label}: using the run in {folder}")
    else:
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
    kept: float | None = json.loads(file.read_text())["rows"][0]["train_seconds"]
    return kept


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
