"""What a model of contrastive predictive coding is evaluated on: linear probes in unseen rooms.

The model of a finished run is stored here too.
"""

import time
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from langrl.checkpoint import MODEL_FOLDER
from langrl.models.cpc import build_cpc, load_cpc
from langrl.plots.cpc import probes_figure, training_figure
from langrl.tasks.cpc.config import CpcRunConfig
from langrl.tasks.cpc.exploration_probes import ExplorationStates, probe_explorations
from langrl.tasks.cpc.run import FIT, TEST, draw_explorations
from langrl.tasks.run import Run
from langrl.tasks.suite import Report, Row
from langrl.training.logs import read_metrics

_COLUMNS = ("world", "variable", "offset", "measure", "chance")


class CpcSuite:
    """Stores and probes the model of a run; see ``Suite``."""

    def report(self, run: Run, folder: Path, command: str, seconds: float) -> Report:
        """Store the model in ``folder/model`` and probe it; see ``Suite.report``."""
        start = time.perf_counter()
        config = run.config
        run.learner.model.save(folder / MODEL_FOLDER)
        rows = measure(config, folder / MODEL_FOLDER)
        results = {"evaluation_seconds": round(time.perf_counter() - start, 1)}
        shown, columns = probe_table(rows)
        title = "predicted by a linear map, in unseen rooms"
        notes = [f"model: {folder / MODEL_FOLDER}"]
        draw = partial(_figures, config, rows, folder)
        return Report(title, rows, columns, draw, shown, results, notes)


def _figures(config: CpcRunConfig, rows: list[Row], folder: Path) -> dict[str, Figure]:
    records = read_metrics(folder / "metrics.jsonl")
    probed = {
        f"probes-{world}": probes_figure(
            [row for row in rows if row["world"] == world],
            f"linear probes in unseen rooms: {world}",
        )
        for world in config.worlds
    }
    known = [record for record in records if {"loss", "ceiling"} <= record.keys()]
    if not known:  # the record is lost, which is no reason to lose the results
        return probed
    return {"curves": training_figure(known, "information on the codes k steps ahead")} | probed


def of(config: CpcRunConfig) -> CpcSuite:
    """Return the suite of a run."""
    return CpcSuite()


def measure(config: CpcRunConfig, folder: Path) -> list[dict[str, Any]]:
    """Return what probes read off the model in a folder, a row for each variable and offset."""
    model = load_cpc(folder, config.device)
    untrained = build_cpc(model.description, config.seed).to(config.device).eval()
    rows = []
    for world in config.worlds:
        fit, test = (
            ExplorationStates(
                draw_explorations(config, world, purpose),
                config.view,
                config.length,
                model.horizon,
            )
            for purpose in (FIT, TEST)
        )
        rows += [{"world": world} | row for row in probe_explorations(model, untrained, fit, test)]
    return rows


def probe_table(rows: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """Return a row for each variable at offsets of interest, features beside each other."""
    furthest = max(row["offset"] for row in rows)
    shown: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        if row["offset"] in (-furthest, -furthest // 2, 0, 1, furthest // 2, furthest):
            key = tuple(row[name] for name in _COLUMNS[:3])
            entry = shown.setdefault(key, {name: row[name] for name in _COLUMNS})
            entry[row["features"]] = row["score"]
    names = tuple(dict.fromkeys(row["features"] for row in rows))
    return [shown[key] for key in sorted(shown)], (*_COLUMNS, *names)
