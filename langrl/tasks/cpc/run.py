"""Contrastive predictive coding on grid worlds: from a config to explorations and a learner."""

from pathlib import Path

import numpy as np
import torch

from langrl.agents.predictive import PredictiveLearner
from langrl.data.grid.exploration import ExplorationReplay, GridExplorations, planner_trajectories
from langrl.envs.grid.rooms import ACTIONS, GRID_WORLDS, draw_rooms
from langrl.models.cpc import CpcDescription, build_cpc
from langrl.tasks.cpc.config import CpcRunConfig
from langrl.tasks.run import Run, digest

TRAINING, FIT, TEST = range(3)  # purposes that keep seeds apart


def build(config: CpcRunConfig, folder: Path) -> Run:
    """Build everything that a run trains. The same config gives the same bits."""
    device = torch.device(config.device)
    explorations = [draw_explorations(config, world, TRAINING) for world in config.worlds]
    replay = ExplorationReplay(
        explorations,
        view=config.view,
        length=config.length,
        discount=0.0,
        tail="clip",
        device=device,
    )
    learner = PredictiveLearner(
        build_cpc(_describe(config), config.seed).to(device),
        replay,
        torch.Generator(device).manual_seed(config.seed),
        explorations=config.trajectories_per_batch,
        anchors=config.anchors,
        negatives=config.negatives,
        steps=config.steps,
        learning_rate=config.learning_rate,
    )
    data = _digest(explorations)
    return Run(config, learner, learner.model.description, data, document="description")


def _describe(config: CpcRunConfig) -> CpcDescription:
    return CpcDescription(
        observation=(config.view, config.view, 3),
        actions=len(ACTIONS) if config.actions else 0,
        config=config.model,
    )


def draw_explorations(config: CpcRunConfig, world: str, purpose: int) -> GridExplorations:
    """Return explorations of a world, for a purpose; probes have one exploration a room."""
    number = list(GRID_WORLDS).index(world)
    generator = np.random.default_rng([config.seed, number, purpose])
    rooms, per_room = config.rooms, config.trajectories_per_room
    if purpose != TRAINING:
        rooms, per_room = config.probe_rooms // (2 if purpose == TEST else 1), 1
    return planner_trajectories(
        draw_rooms(GRID_WORLDS[world], rooms, generator),
        per_room,
        config.segments,
        generator,
        action_noise=config.action_noise,
        object_share=config.object_share,
    )


def _digest(explorations: list[GridExplorations]) -> str:
    return digest(
        array
        for part in explorations
        for array in (
            part.segments.rooms, part.segments.room, part.segments.poses, part.segments.actions,
            part.segments.terminals, part.exploration,
        )
    )  # fmt: skip
