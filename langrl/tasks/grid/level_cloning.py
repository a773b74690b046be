"""Policies cloned from demonstrations with missions, in a level of BabyAI.

They are what langrl's agents are compared with there: as many trajectories, or more, each with its
text. Where everything is seen, the policy is that of grid worlds; where a part is, it has a memory.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from langrl.agents.cloning import ClonedPolicy, CloningAgent, CloningLearner
from langrl.agents.config import GridLearnerConfig
from langrl.agents.history_cloning import (
    HistoryCloningAgent,
    HistoryCloningLearner,
    HistoryPolicy,
)
from langrl.data.grid.demonstrations import Demonstrations, draw_demonstrations
from langrl.envs.grid.rooms import read_observation
from langrl.envs.minigrid_levels.reading import ACTIONS, LOCKED, as_rooms, without_agent
from langrl.models.config import GridCriticConfig
from langrl.models.language_image.model import LanguageImageModel
from langrl.protocols import Agent, Array
from langrl.tasks.grid.agent import image_language
from langrl.tasks.grid.cloning import embed_each, language_fingerprint, train_policy
from langrl.tasks.grid.config import GridRunConfig
from langrl.tasks.grid_partial.config import GridPartialRunConfig
from langrl.training.run_folder import REPLAY
from langrl.training.seeding import seeded

_STATES = LOCKED + 1  # values of the third number of a cell


def clone_in_level(
    config: GridRunConfig | GridPartialRunConfig, count: int, folder: Path
) -> Callable[[], Agent]:
    """Return the maker of a policy that is cloned from demonstrations in the level of a config.

    It has the sizes and half the steps of the config's agent, unless it was trained before.

    Args:
        config: of an agent in a level of BabyAI.
        count: demonstrations, and missions with them.
        folder: of the policy; demonstrations are kept in it.

    Raises:
        ConfigError: if the folder holds something else, or the bot cannot act in the level.
    """
    assert config.env is not None
    own: Any = config
    view = own.world.view if config.task == "grid-partial" else None
    model = image_language(config.language, config.device).model
    sizes, learning = _settings(config)
    data_seed, torch_seed = np.random.SeedSequence([config.seed, 2]).generate_state(2, np.uint64)
    seed, level = int(torch_seed >> 1), config.env
    with seeded(seed):
        width = model.encode_text(["go to a ball"]).shape[1]
        policy = (ClonedPolicy if view is None else HistoryPolicy)(
            width, len(ACTIONS), sizes, _STATES
        )

    def learner() -> CloningLearner | HistoryCloningLearner:
        shown = draw_demonstrations(level, count, view, int(data_seed), folder / REPLAY)
        draw = torch.Generator().manual_seed(seed)
        return _learner(policy, shown, model, learning, draw)

    key: dict[str, Any] = {
        "level": level, "view": view, "count": count, "seed": config.seed,
        "sizes": sizes.model_dump(mode="json"), "learning": learning.model_dump(mode="json"),
    } | language_fingerprint(config)  # fmt: skip
    train_policy(policy, learner, key, learning.steps, folder, config)
    temperature = config.grounding.temperature
    if isinstance(policy, HistoryPolicy):
        return lambda: HistoryCloningAgent(policy, model.encode_text, temperature)
    return lambda: CloningAgent(policy, model.encode_text, temperature, _read_level)


def _settings(
    config: GridRunConfig | GridPartialRunConfig,
) -> tuple[GridCriticConfig, GridLearnerConfig]:
    """Return the sizes of a policy, and how it is trained."""
    steps = max(1, config.learner.steps // 2)
    given: Any = config
    if config.task == "grid":
        return given.critic, given.learner.model_copy(update={"steps": steps})
    sizes = GridCriticConfig(channels=32, depth=3, width=config.critic.width)
    own = given.learner
    learning = GridLearnerConfig(
        steps=steps, rooms=own.explorations, states=given.data.length,
        learning_rate=own.learning_rate, warmup=own.warmup, clip=own.clip,
    )  # fmt: skip
    return sizes, learning


def _learner(
    policy: ClonedPolicy | HistoryPolicy,
    shown: Demonstrations,
    model: LanguageImageModel,
    learning: GridLearnerConfig,
    draw: torch.Generator,
) -> CloningLearner | HistoryCloningLearner:
    if isinstance(policy, ClonedPolicy):
        part, texts = shown.by_scene()
        return CloningLearner(policy, [part], [embed_each(model, texts)], learning, draw)
    assert shown.views is not None
    first = np.searchsorted(shown.demonstration, np.arange(len(shown.missions) + 1))
    embedded = embed_each(model, shown.missions)
    return HistoryCloningLearner(
        policy, shown.views, shown.actions, first, embedded, learning, draw
    )


def _read_level(observations: Array) -> tuple[Array, Array]:
    """Return levels without the agent [N, H, W, 3], and poses [N, 3]."""
    _, poses = read_observation(as_rooms(observations))
    return without_agent(observations), poses
