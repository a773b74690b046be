"""Runs of agents that see a part of a grid world: from a config to explorations and a learner."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import VectorEnv

from langrl.agents.grounded import GroundedAgent
from langrl.agents.recurrent_contrastive import RecurrentContrastiveLearner
from langrl.checkpoint import Checkpoint, fill
from langrl.data.grid.exploration import ExplorationReplay, GridExplorations
from langrl.data.grid.explorer import explorer_trajectories
from langrl.envs.grid.rooms import ACTIONS, GRID_WORLDS, draw_rooms
from langrl.envs.phrasing import Phrasing
from langrl.errors import CheckpointError, ConfigError
from langrl.models.cpc import CPC, CpcDescription, load_cpc
from langrl.settings import with_changes
from langrl.tasks.grid_partial.agent import (
    GridPartialAgentDescription,
    build_recurrent_critic,
    compose_grid_partial_agent,
    language_for_kind,
)
from langrl.tasks.grid_partial.config import GridPartialRunConfig
from langrl.training.learner import OfflineReplay
from langrl.training.loop import run_state


@dataclass(frozen=True, eq=False)
class GridPartialRun:
    """A run in the making: its learner, and how to describe it."""

    config: GridPartialRunConfig
    learner: RecurrentContrastiveLearner
    description: GridPartialAgentDescription
    data_sha256: str

    def snapshot(self) -> Checkpoint:
        """Return a checkpoint of the present state, from which training goes on bit for bit."""
        documents = {
            "agent": self.description.model_dump(mode="json"),
            "state": run_state(self.learner, self.config.threads, self.data_sha256),
        }
        return Checkpoint(documents, self.learner.state())

    def check(self, checkpoint: Checkpoint, path: Path) -> None:
        """Raise CheckpointError unless a checkpoint is of such an agent."""
        stored = GridPartialAgentDescription.model_validate(checkpoint.documents["agent"])
        mine = self.description
        if (stored.critic, stored.history) != (mine.critic, mine.history):
            raise CheckpointError(f"{path} has a critic of other sizes than config.yaml names")

    def agent(self, **grounding: Any) -> GroundedAgent:
        """Return an agent on the learner's critic; fields of ``GridGroundingConfig`` change it."""
        config = with_changes(self.config.grounding, grounding, "grounding")
        return compose_grid_partial_agent(
            self.learner.critic,
            self.description.world,
            self.config.language,
            config,
            self.config.device,
        )


def build_grid_partial_run(config: GridPartialRunConfig) -> GridPartialRun:
    """Build everything that a run trains. The same config gives the same bits.

    Raises:
        ConfigError, CheckpointError: if there is no such model to start from.
    """
    language_for_kind(config.language, config.device)  # refused before the training, not after
    start = _start(config)
    data_seed, torch_seed = np.random.SeedSequence(config.seed).spawn(2)
    explorations = draw_explorations(config, np.random.default_rng(data_seed))
    device = torch.device(config.device)
    seed = int(torch_seed.generate_state(1, np.uint64)[0] >> 1)
    description = GridPartialAgentDescription(
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
    return GridPartialRun(config, learner, description, _digest(explorations))


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
    config: GridPartialRunConfig, generator: np.random.Generator
) -> list[GridExplorations]:
    """Return explorations in rooms of each world of the config."""
    data = config.data
    return [
        explorer_trajectories(
            draw_rooms(GRID_WORLDS[world], data.rooms, generator),
            data.trajectories_per_room,
            data.segments,
            generator,
            view=config.world.view,
            action_noise=data.action_noise,
        )
        for world in config.world.worlds
    ]


def _digest(explorations: list[GridExplorations]) -> str:
    digest = hashlib.sha256()
    for part in explorations:
        segments = part.segments
        for array in (
            segments.rooms,
            part.exploration,
            segments.poses,
            segments.actions,
            segments.terminals,
        ):
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def make_partial_tasks(
    world: str,
    view: int,
    episodes: int,
    levels: tuple[str, ...] | None = None,
    phrasing: Phrasing = "seen",
) -> VectorEnv[Any, Any, Any]:
    """Return the vector environment that agents are evaluated in."""
    return gym.make_vec(
        "langrl/GridGoTo-v0",
        num_envs=episodes,
        world=world,
        view=view,
        levels=levels,
        phrasing=phrasing,
    )
