"""Grid-world runs: from a config to rooms, experts, a critic and a learner."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from langrl.agents.grid_contrastive import GridContrastiveLearner
from langrl.checkpoint import digest
from langrl.data.config import ExplorationDataConfig, GridDataConfig
from langrl.data.grid.experts import GridReplay, GridTrajectories, grid_experts
from langrl.envs.grid.rooms import GRID_WORLDS, draw_rooms
from langrl.errors import ConfigError
from langrl.tasks.grid.agent import (
    GridAgentDescription,
    agent_maker,
    build_grid_critic,
    for_level,
    image_language,
)
from langrl.tasks.grid.config import GridRunConfig
from langrl.tasks.run import Run
from langrl.training.learner import OfflineReplay
from langrl.training.run_folder import REPLAY

if TYPE_CHECKING:
    from langrl.data.grid.levels import LevelWalks


def build(config: GridRunConfig, folder: Path) -> Run:
    """Build everything that a run trains. The same config gives the same bits.

    Raises:
        ConfigError: if there is no such language-image model.
    """
    _check_language(config)  # refused before the training, not after
    data_seed, torch_seed = np.random.SeedSequence(config.seed).spawn(2)
    trajectories = draw_trajectories(config, data_seed, folder)
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
        level=config.env,
        critic=config.critic,
        language=config.language,
        grounding=config.grounding,
    )
    make = agent_maker(critic, config.language, config.grounding, config.device)
    return Run(
        config,
        learner,
        description,
        _digest(trajectories),
        agent=for_level(make, config.env),
        compared=("critic",),
    )


def _check_language(config: GridRunConfig) -> None:
    """Raise ConfigError if there is no such model, or it cannot be compared as the config asks."""
    language = image_language(config.language, config.device)
    if config.grounding.compare_separate:
        width, own = language.encode_text(["go to a ball"]).shape[-1], config.critic.embedding
        if width != own:
            raise ConfigError(
                f"grounding.compare_separate compares embeddings of one size: critic.embedding is"
                f" {own}, and {config.language} has {width} numbers; set critic.embedding {width}"
            )


def draw_trajectories(
    config: GridRunConfig, seed: np.random.SeedSequence, folder: Path
) -> list[GridTrajectories]:
    """Return experts in rooms of each world of the config, or in its level.

    What is walked in a level is kept in the run folder.
    """
    data = config.data
    if config.env is not None:
        return [level_walks(config.env, data, seed).trajectories(folder / REPLAY)]
    generator = np.random.default_rng(seed)
    return [
        grid_experts(
            draw_rooms(GRID_WORLDS[world], data.rooms, generator),
            data.trajectories_per_room,
            generator,
            action_noise=data.action_noise,
        )
        for world in config.world.worlds
    ]


def level_walks(
    env: str,
    data: GridDataConfig | ExplorationDataConfig,
    seed: np.random.SeedSequence,
    view: int | None = None,
) -> "LevelWalks":
    """Return which trajectories there are to be in a level, of which a ``view`` is seen, or all."""
    from langrl.data.grid.levels import LevelWalks  # minigrid takes half a second

    return LevelWalks(
        env, data.rooms, data.trajectories_per_room, getattr(data, "segments", 1),
        data.action_noise, data.walkers == "bot", view,
        int(seed.generate_state(1, np.uint64)[0]),
    )  # fmt: skip


def _digest(trajectories: list[GridTrajectories]) -> str:
    arrays = [
        array
        for part in trajectories
        for array in (part.rooms, part.room, part.poses, part.actions, part.terminals)
    ]
    return digest(*arrays)
