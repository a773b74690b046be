"""What reproductions share: changed settings, runs that are trained once, and the report."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from langrl.plots.base import save
from langrl.settings import S
from langrl.tasks.config import RunConfig
from langrl.tasks.run import is_trained, train_or_resume
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
