"""A policy cloned from experts that are shown with their instructions, in grid worlds.

It trains what agents of grid worlds are compared with: as many trajectories, and their texts.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from langrl.agents.cloning import ClonedPolicy, CloningAgent, CloningLearner
from langrl.checkpoint import Checkpoint, fill, step_folder, weights_digest
from langrl.data.grid.experts import GridTrajectories, grid_experts
from langrl.envs.grid import grammar as grid_grammar
from langrl.envs.grid.meanings import draw_meaning
from langrl.envs.grid.rooms import ACTIONS, GRID_WORLDS, Rooms, draw_rooms, facing, is_free
from langrl.errors import InstructionError
from langrl.models.language_image.model import LanguageImageModel
from langrl.protocols import Agent
from langrl.tasks.config import RunConfig
from langrl.tasks.grid.agent import image_language
from langrl.tasks.grid.config import GridRunConfig
from langrl.training.learner import GradientLearner
from langrl.training.logs import console
from langrl.training.loop import Training
from langrl.training.run_folder import check_empty, read_newest
from langrl.training.seeding import seeded

_ALIKE = 4  # trajectories of a room with one meaning, each in words of its own


def clone(config: GridRunConfig, folder: Path) -> Callable[[], Agent]:
    """Return the maker of a policy of as many trajectories as the agent's, with their texts.

    It is trained for half as many steps as the critic, unless it was trained before. A training
    that was cut off goes on from its newest checkpoint, to the same bits.

    Raises:
        ConfigError: if the folder holds something else.
    """
    data_seed, torch_seed = np.random.SeedSequence([config.seed, 1]).spawn(2)
    model = image_language(config.language, config.device).model
    seed = int(torch_seed.generate_state(1, np.uint64)[0] >> 1)
    settings = config.learner.model_copy(update={"steps": max(1, config.learner.steps // 2)})
    with seeded(seed):
        width = model.encode_text(["go to a ball"]).shape[1]
        policy = ClonedPolicy(width, len(ACTIONS), config.critic)

    def learner() -> CloningLearner:
        parts, texts = _paired(config, model, np.random.default_rng(data_seed))
        draw = torch.Generator().manual_seed(seed)
        return CloningLearner(policy, parts, texts, settings, draw)

    train_policy(policy, learner, _cloning_key(config), settings.steps, folder, config)
    temperature = config.grounding.temperature
    return lambda: CloningAgent(policy, model.encode_text, temperature)


def train_policy(
    policy: nn.Module,
    make: Callable[[], GradientLearner],
    key: dict[str, Any],
    steps: int,
    folder: Path,
    config: RunConfig,
) -> None:
    """Train a cloned policy, or go on with one in ``folder``, unless it was trained before.

    Args:
        policy: what is trained.
        make: returns its learner; called where there is something to train.
        key: what the policy depends on.
        steps: of the training.
        folder: of its checkpoints.
        config: whose seed is named and whose logging is used.

    Raises:
        ConfigError: if the folder holds something else.
    """
    newest = read_newest(folder)
    if newest is not None and newest[1].documents.get("state") != key:
        check_empty(folder)
    if newest is not None and newest[0] == step_folder(folder, steps):
        console.print(f"seed {config.seed}: using the cloned policy in {folder}")
        fill(dict(policy.named_parameters()), newest[1].tensors["weights"])
        return
    folder.mkdir(parents=True, exist_ok=True)
    learner = make()
    if newest is not None and "optimizer" in newest[1].tensors:  # earlier versions' have none
        learner.load_state(newest[1].tensors)
    Training(
        learner,
        steps,
        folder,
        config.logging,
        lambda: Checkpoint({"state": key}, learner.state()),
    ).run(f"seed {config.seed}, behaviour cloning")


def _cloning_key(config: GridRunConfig) -> dict[str, Any]:
    """Return what a cloned policy depends on, the texts' embeddings included."""
    parts = {"world", "data", "critic", "learner", "seed"}
    return config.model_dump(mode="json", include=parts) | language_fingerprint(config)


def _paired(
    config: GridRunConfig, model: LanguageImageModel, generator: np.random.Generator
) -> tuple[list[GridTrajectories], list[Tensor]]:
    """Return trajectories in each world of the config, and embeddings of their instructions."""
    parts, texts = [], []
    for world in config.world.worlds:
        part, written = _instructed_experts(config, world, generator)
        parts.append(part)
        texts.append(embed_each(model, written))
    return parts, texts


def embed_each(model: LanguageImageModel, texts: Sequence[str]) -> Tensor:
    """Embed texts [K, D], of which many are the same."""
    distinct = {text: n for n, text in enumerate(dict.fromkeys(texts))}
    return model.encode_text(list(distinct))[[distinct[text] for text in texts]]


def _instructed_experts(
    config: GridRunConfig, world: str, generator: np.random.Generator
) -> tuple[GridTrajectories, list[str]]:
    """Return trajectories of experts that follow instructions, and their texts, one each."""
    data, spec = config.data, GRID_WORLDS[world]
    rooms = draw_rooms(spec, data.rooms, generator)
    meanings = [
        _meanings(room, data.trajectories_per_room, generator, spec.levels) for room in rooms
    ]
    pairs = [(m, room) for part, room in zip(meanings, rooms, strict=True) for m in part]
    cells = np.stack([grid_grammar.denoted(meaning, room) for meaning, room in pairs])
    texts = [grid_grammar.write(meaning, generator, "seen") for meaning, _ in pairs]
    free = is_free(rooms).repeat(data.trajectories_per_room, 0)
    experts = grid_experts(
        rooms,
        data.trajectories_per_room,
        generator,
        targets=facing(cells, free),
        action_noise=data.action_noise,
    )
    return experts, texts


def _meanings(
    room: Rooms, count: int, generator: np.random.Generator, levels: tuple[str, ...]
) -> list[grid_grammar.Meaning]:
    """Draw meanings of these levels, or of any where none of them fits the room; four alike."""
    different = []
    for _ in range(-(-count // _ALIKE)):
        try:
            different.append(draw_meaning(room, generator, levels))
        except InstructionError:
            different.append(draw_meaning(room, generator))
    return [meaning for meaning in different for _ in range(_ALIKE)][:count]


def language_fingerprint(config: Any) -> dict[str, str]:
    """Return the digest of the weights of a config's language-image model."""
    model = image_language(config.language, config.device).model
    return {"language_sha256": weights_digest(model.state_dict())}
