"""Runs of agents that see a part of a grid world: from a config to explorations and a learner."""

from pathlib import Path

import numpy as np
import torch

from langrl.agents.recurrent_contrastive import RecurrentContrastiveLearner
from langrl.checkpoint import digest, fill
from langrl.data.grid.exploration import ExplorationReplay, GridExplorations
from langrl.data.grid.explorer import explorer_trajectories
from langrl.envs.grid.rooms import ACTIONS, GRID_WORLDS, draw_rooms
from langrl.errors import ConfigError
from langrl.models.cpc import CPC, CpcDescription, load_cpc
from langrl.tasks.grid.agent import for_level
from langrl.tasks.grid.run import level_walks
from langrl.tasks.grid_partial.agent import (
    GridPartialAgentDescription,
    agent_maker,
    build_recurrent_critic,
    language_for_kind,
)
from langrl.tasks.grid_partial.config import GridPartialRunConfig
from langrl.tasks.run import Run
from langrl.training.learner import OfflineReplay
from langrl.training.run_folder import REPLAY


def build(config: GridPartialRunConfig, folder: Path) -> Run:
    """Build everything that a run trains. The same config gives the same bits.

    Raises:
        ConfigError, CheckpointError: if there is no such model to start from.
    """
    language_for_kind(config.language, config.device)  # refused before the training, not after
    start = _start(config)
    data_seed, torch_seed = np.random.SeedSequence(config.seed).spawn(2)
    explorations = draw_explorations(config, data_seed, folder)
    device = torch.device(config.device)
    seed = int(torch_seed.generate_state(1, np.uint64)[0] >> 1)
    description = GridPartialAgentDescription(
        level=config.env,
        world=config.world.worlds[0],
        history=_describe(config) if start is None else start.description,
        memory=config.history.memory,
        critic=config.critic,
        language=config.language,
        grounding=config.grounding,
    )
    critic = build_recurrent_critic(description, seed)
    if start is not None:
        fill(dict(critic.history.named_parameters()), dict(start.named_parameters()))
    data = config.data
    replay = ExplorationReplay(
        explorations,
        view=config.world.view,
        length=data.length,
        discount=data.discount,
        tail=data.tail,
        device=device,
    )
    generator = torch.Generator(device).manual_seed(seed)
    sizes = config.learner.explorations, config.learner.states
    experience = OfflineReplay(replay.sample, *sizes, generator)
    learner = RecurrentContrastiveLearner(
        critic.to(device), experience, config.learner, generator, config.history.frozen
    )
    make = agent_maker(critic, description.doors, config.language, config.grounding, config.device)
    return Run(
        config,
        learner,
        description,
        _digest(explorations),
        agent=for_level(make, config.env),
        compared=("critic", "history"),
    )


def _describe(config: GridPartialRunConfig) -> CpcDescription:
    view = config.world.view
    return CpcDescription(
        observation=(view, view, 3), actions=len(ACTIONS), config=config.history.model
    )


def _start(config: GridPartialRunConfig) -> CPC | None:
    """Return the model that histories start from.

    Raises:
        ConfigError: if it is of other views, or of other actions.
    """
    if config.history.start is None:
        return None
    model = load_cpc(config.history.start)
    asked = _describe(config)
    if model.description.observation != asked.observation or model.actions not in (
        0,
        asked.actions,
    ):
        raise ConfigError(
            f"history.start: {config.history.start} reads observations"
            f" {list(model.description.observation)} and {model.actions} actions, not"
            f" {list(asked.observation)} and {asked.actions}; pre-train one in grid worlds with"
            f" views of {config.world.view}"
        )
    return model


def draw_explorations(
    config: GridPartialRunConfig, seed: np.random.SeedSequence, folder: Path
) -> list[GridExplorations]:
    """Return explorations in rooms of each world of the config, or in its level.

    What is walked in a level is kept in the run folder.
    """
    data, view = config.data, config.world.view
    if config.env is not None:
        return [level_walks(config.env, data, seed, view).explorations(folder / REPLAY)]
    generator = np.random.default_rng(seed)
    return [
        explorer_trajectories(
            draw_rooms(GRID_WORLDS[world], data.rooms, generator),
            data.trajectories_per_room,
            data.segments,
            generator,
            view=view,
            action_noise=data.action_noise,
        )
        for world in config.world.worlds
    ]


def _digest(explorations: list[GridExplorations]) -> str:
    arrays = [
        array
        for part in explorations
        for array in (
            part.segments.rooms, part.exploration, part.segments.poses, part.segments.actions,
            part.segments.terminals,
            *(() if part.recorded is None else (part.recorded,)),
        )
    ]  # fmt: skip
    return digest(*arrays)
