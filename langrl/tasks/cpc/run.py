"""Contrastive predictive coding on grid worlds: from a config to a model's folder.

Names and files become objects here; everything below receives objects.
"""

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from langrl.agents.predictive import PredictiveLearner
from langrl.checkpoint import Checkpoint
from langrl.data.grid.exploration import ExplorationReplay, GridExplorations, planner_trajectories
from langrl.envs.grid.rooms import ACTIONS, GRID_WORLDS, draw_rooms
from langrl.errors import CheckpointError
from langrl.models.cpc import MODEL_FOLDER, CpcDescription, build_cpc, load_cpc
from langrl.plots.base import save
from langrl.plots.cpc import probes_figure, training_figure
from langrl.tasks.cpc.config import CpcRunConfig
from langrl.tasks.cpc.exploration_probes import ExplorationStates, probe_explorations
from langrl.tasks.presets import load_config
from langrl.training.jobs import flushed_subnormals
from langrl.training.learner import OfflineReplay
from langrl.training.logs import console, print_table, read_metrics, write_results
from langrl.training.loop import Training, run_state
from langrl.training.run_folder import (
    CONFIG_FILE,
    check_empty,
    read_newest,
    take_up,
    use_device,
    write_config,
)

_COLUMNS = ("world", "variable", "offset", "measure", "chance")
_TRAINING, _FIT, _TEST = range(3)  # purposes that keep seeds apart


@dataclass(frozen=True, eq=False)
class CpcRun:
    """A run in the making."""

    config: CpcRunConfig
    learner: PredictiveLearner
    data_sha256: str

    def check(self, checkpoint: Checkpoint, path: Path) -> None:
        """Raise CheckpointError unless a checkpoint is of such a model."""
        mine = self.learner.model.description.model_dump(mode="json")
        if checkpoint.documents["description"] != mine:
            raise CheckpointError(f"{path} is of a model of another shape than {CONFIG_FILE} names")

    def snapshot(self) -> Checkpoint:
        """Return a checkpoint of the present state, from which training goes on bit for bit."""
        description = self.learner.model.description.model_dump(mode="json")
        state = run_state(self.learner, self.config.threads, self.data_sha256)
        return Checkpoint({"description": description, "state": state}, self.learner.state())


@flushed_subnormals()
def pretrain(config: CpcRunConfig, out: Path, command: str) -> list[dict[str, Any]]:
    """Train a model in a new run folder; it is in ``out/model``.

    Returns:
        The rows of ``results.json``: what linear probes read off it.

    Raises:
        ConfigError: if ``out`` holds something, or there is no such device.
        NonFiniteError: if training diverges.
    """
    check_empty(out)
    run = build_cpc_pretraining(config)
    write_config(out, config)
    return _finish(run, out, command)


@flushed_subnormals()
def resume(out: Path, command: str) -> list[dict[str, Any]]:
    """Go on with a run from its newest checkpoint, to the bits of an uninterrupted one.

    Raises:
        CheckpointError: if there is no sound checkpoint, or it is not of the config beside it.
        ConfigError: if ``config.yaml`` is missing or wrong.
    """
    path, checkpoint = read_newest(out)
    run = build_cpc_pretraining(load_config(str(out / CONFIG_FILE), CpcRunConfig))
    take_up(run, checkpoint, path)
    return _finish(run, out, command)


def build_cpc_pretraining(config: CpcRunConfig) -> CpcRun:
    """Build everything that a run trains. The same config gives the same bits.

    Raises:
        ConfigError: if there is no such device.
    """
    use_device(config.device, config.threads)
    device = torch.device(config.device)
    explorations = [_draw_explorations(config, world, _TRAINING) for world in config.worlds]
    replay = ExplorationReplay(
        explorations,
        view=config.view,
        length=config.length,
        discount=0.0,
        tail="clip",
        device=device,
    )
    generator = torch.Generator(device).manual_seed(config.seed)
    learner = PredictiveLearner(
        build_cpc(_describe(config), config.seed).to(device),
        OfflineReplay(replay.sample, config.trajectories_per_batch, 1, generator),
        generator,
        anchors=config.anchors,
        negatives=config.negatives,
        steps=config.steps,
        learning_rate=config.learning_rate,
    )
    return CpcRun(config, learner, _digest(explorations))


def _describe(config: CpcRunConfig) -> CpcDescription:
    return CpcDescription(
        observation=(config.view, config.view, 3),
        actions=len(ACTIONS) if config.actions else 0,
        config=config.model,
    )


def _draw_explorations(config: CpcRunConfig, world: str, purpose: int) -> GridExplorations:
    """Return explorations of a world, for a purpose; probes have one exploration a room."""
    number = list(GRID_WORLDS).index(world)
    generator = np.random.default_rng([config.seed, number, purpose])
    rooms, per_room = config.rooms, config.trajectories_per_room
    if purpose != _TRAINING:
        rooms, per_room = config.probe_rooms // (2 if purpose == _TEST else 1), 1
    return planner_trajectories(
        draw_rooms(GRID_WORLDS[world], rooms, generator),
        per_room,
        config.segments,
        generator,
        action_noise=config.action_noise,
        object_share=config.object_share,
    )


def _digest(explorations: list[GridExplorations]) -> str:
    digest = hashlib.sha256()
    for part in explorations:
        segments = part.segments
        for array in (
            segments.rooms,
            segments.room,
            segments.poses,
            segments.actions,
            segments.terminals,
            part.exploration,
        ):
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


# -- finishing -------------------------------------------------------------------------------


def _finish(run: CpcRun, out: Path, command: str) -> list[dict[str, Any]]:
    config = run.config
    training = Training(run.learner, config.steps, out, config.logging, run.snapshot)
    seconds = training.run("pretrain")
    start = time.perf_counter()
    run.learner.model.save(out / MODEL_FOLDER)
    rows = measure(config, out / MODEL_FOLDER)
    for row in rows:
        row["train_seconds"] = round(seconds, 1)
    seconds_after = round(time.perf_counter() - start, 1)
    write_results(
        out, command, config.model_dump(mode="json"), rows, evaluation_seconds=seconds_after
    )
    records = read_metrics(out / "metrics.jsonl")
    figures = {
        "curves": training_figure(records, "information on the codes k steps ahead"),
    } | {
        f"probes-{world}": probes_figure(
            [row for row in rows if row["world"] == world],
            f"linear probes in unseen rooms: {world}",
        )
        for world in config.worlds
    }
    for name, figure in figures.items():
        save(figure, out / "figures" / f"{name}.png")
    print_table("read off by a linear map, in unseen rooms", *probe_table(rows))
    console.print(f"model: {out / MODEL_FOLDER}; figures: {out / 'figures'}")
    return rows


def measure(config: CpcRunConfig, folder: Path) -> list[dict[str, Any]]:
    """Return what probes read off the model in a folder, a row for each variable and offset."""
    model = load_cpc(folder, config.device)
    untrained = build_cpc(model.description, config.seed).to(config.device).eval()
    rows = []
    for world in config.worlds:
        fit, test = (
            ExplorationStates(
                _draw_explorations(config, world, purpose),
                config.view,
                config.length,
                model.horizon,
            )
            for purpose in (_FIT, _TEST)
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
