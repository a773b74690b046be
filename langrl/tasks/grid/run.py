"""Composition for grid worlds: from a run config to rooms, experts, the critic and agents."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import VectorEnv

from langrl import GRID_IDS
from langrl.agents.grid_contrastive import GridContrastiveLearner
from langrl.agents.grounded import GroundedAgent
from langrl.checkpoint import Checkpoint
from langrl.data.grid.experts import GridReplay, GridTrajectories, grid_experts
from langrl.envs.grid.rooms import GRID_WORLDS, draw_rooms
from langrl.envs.phrasing import Phrasing
from langrl.errors import CheckpointError
from langrl.settings import with_changes
from langrl.tasks.grid.agent import (
    GridAgentDescription,
    build_grid_critic,
    compose_grid_agent,
    image_language,
)
from langrl.tasks.grid.config import GridRunConfig
from langrl.training.learner import OfflineReplay
from langrl.training.loop import run_state


@dataclass(frozen=True, eq=False)
class GridRun:
    """A run in the making: its learner, and how to describe it."""

    config: GridRunConfig
    learner: GridContrastiveLearner
    description: GridAgentDescription
    data_sha256: str

    def snapshot(self) -> Checkpoint:
        """Return a checkpoint of the present state, from which training goes on bit for bit."""
        documents = {
            "agent": self.description.model_dump(mode="json"),
            "state": run_state(self.learner, self.config.threads, self.data_sha256),
        }
        return Checkpoint(documents, self.learner.state())

    def check(self, checkpoint: Checkpoint, path: Path) -> None:
        """Raise CheckpointError unless a checkpoint is of an agent of grid worlds."""
        stored = GridAgentDescription.model_validate(checkpoint.documents["agent"])
        if stored.critic != self.description.critic:
            raise CheckpointError(f"{path} has a critic of other sizes than config.yaml names")

    def agent(self, **grounding: Any) -> GroundedAgent:
        """Return an agent on the learner's critic; fields of ``GridGroundingConfig`` change it."""
        config = with_changes(self.config.grounding, grounding, "grounding")
        return compose_grid_agent(
            self.learner.critic, self.config.language, config, self.config.device
        )


def build_grid_run(config: GridRunConfig) -> GridRun:
    """Build everything that a run trains. The same config gives the same bits.

    Raises:
        ConfigError: if there is no such language-image model.
    """
    image_language(config.language, config.device)  # refused before the training, not after
    data_seed, torch_seed = np.random.SeedSequence(config.seed).spawn(2)
    trajectories = draw_trajectories(config, np.random.default_rng(data_seed))
    device = torch.device(config.device)
    seed = int(torch_seed.generate_state(1, np.uint64)[0] >> 1)
    critic = build_grid_critic(config.critic, seed).to(device)
    replay = GridReplay(
        trajectories, discount=config.data.discount, tail=config.data.tail, device=device
    )
    generator = torch.Generator(device).manual_seed(seed)
    sizes = config.learner.rooms, config.learner.states
    experience = OfflineReplay(replay.sample, *sizes, generator)
    learner = GridContrastiveLearner(critic, experience, config.learner, generator)
    description = GridAgentDescription(
        critic=config.critic, language=config.language, grounding=config.grounding
    )
    return GridRun(config, learner, description, _digest(trajectories))


def draw_trajectories(
    config: GridRunConfig, generator: np.random.Generator
) -> list[GridTrajectories]:
    """Return experts in rooms of each world of the config."""
    data = config.data
    return [
        grid_experts(
            draw_rooms(GRID_WORLDS[world], data.rooms, generator),
            data.trajectories_per_room,
            generator,
            action_noise=data.action_noise,
        )
        for world in config.world.worlds
    ]


def _digest(trajectories: list[GridTrajectories]) -> str:
    digest = hashlib.sha256()
    for part in trajectories:
        for array in (part.rooms, part.room, part.poses, part.actions, part.terminals):
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def make_grid_tasks(
    world: str,
    episodes: int,
    levels: tuple[str, ...] | None = None,
    phrasing: Phrasing = "seen",
) -> VectorEnv[Any, Any, Any]:
    """Return the vector environment that agents are evaluated in."""
    ids = {name: number for number, name in GRID_IDS.items()}
    return gym.make_vec(ids[world], num_envs=episodes, levels=levels, phrasing=phrasing)
