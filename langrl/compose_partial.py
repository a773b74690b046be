"""Composition for agents that see a part of a grid world: from a run config to tours and agents."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import VectorEnv

from langrl.agents.grounded import GroundedAgent
from langrl.agents.history_learner import HistoryLearner
from langrl.agents.partial_saved import (
    PartialAgentDescription,
    build_history_critic,
    compose_partial_agent,
    kind_language,
)
from langrl.checkpoint import Checkpoint, fill
from langrl.config import PartialRunConfig
from langrl.data.grid_search import search_tours
from langrl.data.grid_tours import GridTours, TourReplay
from langrl.envs.grammar import Phrasing
from langrl.envs.grid_rooms import ACTIONS, GRID_WORLDS, draw_rooms
from langrl.errors import CheckpointError, ConfigError
from langrl.experiment.training import run_state
from langrl.models.cpc import CPC, CpcDescription, load_cpc
from langrl.settings import with_changes


@dataclass(frozen=True, eq=False)
class PartialRun:
    """A run in the making: its learner, and how to describe it."""

    config: PartialRunConfig
    learner: HistoryLearner
    description: PartialAgentDescription
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
        stored = PartialAgentDescription.model_validate(checkpoint.documents["agent"])
        mine = self.description
        if (stored.critic, stored.history) != (mine.critic, mine.history):
            raise CheckpointError(f"{path} has a critic of other sizes than config.yaml names")

    def agent(self, **grounding: Any) -> GroundedAgent:
        """Return an agent on the learner's critic; fields of ``GridGroundingConfig`` change it."""
        config = with_changes(self.config.grounding, grounding, "grounding")
        return compose_partial_agent(
            self.learner.critic,
            self.description.world,
            self.config.language,
            config,
            self.config.device,
        )


def build_partial_run(config: PartialRunConfig) -> PartialRun:
    """Build everything that a run trains. The same config gives the same bits.

    Raises:
        ConfigError, CheckpointError: if there is no such model to start from.
    """
    kind_language(config.language, config.device)  # refused before the training, not after
    start = _start(config)
    data_seed, torch_seed = np.random.SeedSequence(config.seed).spawn(2)
    tours = draw_tours(config, np.random.default_rng(data_seed))
    device = torch.device(config.device)
    seed = int(torch_seed.generate_state(1, np.uint64)[0] >> 1)
    description = PartialAgentDescription(
        world=config.world.worlds[0],
        history=_describe(config) if start is None else start.description,
        memory=config.history.memory,
        critic=config.critic,
        language=config.language,
        grounding=config.grounding,
    )
    critic = build_history_critic(description, seed)
    if start is not None:
        fill(dict(critic.history.named_parameters()), dict(start.named_parameters()))
    data = config.data
    replay = TourReplay(
        tours,
        view=config.world.view,
        length=data.length,
        discount=data.discount,
        tail=data.tail,
        device=device,
    )
    generator = torch.Generator(device).manual_seed(seed)
    frozen = config.history.frozen
    learner = HistoryLearner(critic.to(device), replay, config.learner, generator, frozen)
    return PartialRun(config, learner, description, _digest(tours))


def _describe(config: PartialRunConfig) -> CpcDescription:
    view = config.world.view
    return CpcDescription(
        observation=(view, view, 3), actions=len(ACTIONS), config=config.history.model
    )


def _start(config: PartialRunConfig) -> CPC | None:
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


def draw_tours(config: PartialRunConfig, generator: np.random.Generator) -> list[GridTours]:
    """Return tours in rooms of each world of the config."""
    data = config.data
    return [
        search_tours(
            draw_rooms(GRID_WORLDS[world], data.rooms, generator),
            data.tours_per_room,
            data.legs,
            generator,
            view=config.world.view,
            action_noise=data.action_noise,
        )
        for world in config.world.worlds
    ]


def _digest(tours: list[GridTours]) -> str:
    digest = hashlib.sha256()
    for part in tours:
        legs = part.legs
        for array in (legs.rooms, part.tour, legs.poses, legs.actions, legs.terminals):
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
