"""The grounded agent as a description and weights: how it is composed, stored and loaded."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, ValidationError
from torch import Tensor

from langrl.agents.grid_saved import GridAgentDescription, restore_grid_agent
from langrl.agents.grounded import GroundedAgent
from langrl.agents.partial_saved import PartialAgentDescription, restore_partial_agent
from langrl.checkpoint import Checkpoint, fill, find_checkpoint, read_checkpoint
from langrl.envs.layouts import parse_layout
from langrl.envs.maze_world import StreetMaze
from langrl.errors import CheckpointError, LayoutError
from langrl.grounding.candidates import CellWeights, SampledCandidates
from langrl.grounding.config import GroundingConfig
from langrl.grounding.strategies import GROUNDINGS
from langrl.models.build import CriticsDescription, build_critics
from langrl.models.critics import GoalCritic, LanguageCritic, named_weights
from langrl.settings import Settings, describe_invalid, with_changes


class AgentDescription(Settings):
    """All that makes up a maze agent, apart from its weights and its goal density."""

    layout: str = Field(description="the maze as an ASCII map")
    critics: CriticsDescription
    grounding: GroundingConfig


_OTHERS: dict[Any, tuple[type[Settings], Callable[..., GroundedAgent]]] = {
    "grid": (GridAgentDescription, restore_grid_agent),
    "grid-partial": (PartialAgentDescription, restore_partial_agent),
}
"""Descriptions of agents of other sorts of world, and how they are built, by their kind."""


def directions(count: int) -> NDArray[np.float32]:
    """Return evenly spaced unit vectors [count, 2]."""
    angles = np.arange(count) * 2 * np.pi / count
    return np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)


def compose_agent(
    world: StreetMaze,
    critic: GoalCritic,
    language: LanguageCritic,
    config: GroundingConfig,
    density: Tensor,
    device: torch.device | str = "cpu",
) -> GroundedAgent:
    """Put an agent together from trained critics.

    Args:
        world: the maze the critics were trained in.
        critic: f(s, a, g).
        language: h(g, l).
        config: strategy, candidates and directions.
        density: the data's density of goals over cells [R, C], for ``weighting: data``.
        device: where the critics are.
    """
    weights = CellWeights(density.double().numpy()) if config.weighting == "data" else None
    candidates = SampledCandidates(world.sample_states, config.candidates, weights)
    return GroundedAgent(
        critic,
        language,
        GROUNDINGS[config.strategy],
        candidates,
        actions=directions(config.directions),
        device=device,
    )


def load_agent(
    folder: str | Path, *, world: StreetMaze | None = None, device: str = "cpu", **grounding: object
) -> GroundedAgent:
    """Load an agent from a run folder (its newest checkpoint) or from a checkpoint folder.

    Args:
        folder: the run or checkpoint.
        world: the maze it will act in, checked against the one it was trained in.
        device: where to put the weights.
        **grounding: fields of ``GroundingConfig`` to change, such as ``strategy="log_sum_exp"``.

    Raises:
        CheckpointError: if the checkpoint is missing, damaged, of another format or maze.
    """
    path = find_checkpoint(Path(folder))
    return restore_agent(read_checkpoint(path), path, world=world, device=device, **grounding)


def restore_agent(
    checkpoint: Checkpoint,
    path: Path,
    *,
    world: StreetMaze | None = None,
    device: str = "cpu",
    **grounding: object,
) -> GroundedAgent:
    """Build the agent of a checkpoint that was read from ``path``; see ``load_agent``."""
    document = checkpoint.documents.get("agent")
    if isinstance(document, dict) and document.get("kind") == "sb3":
        raise CheckpointError(
            f"{path} is a policy of Stable-Baselines3, which has no critic; give the run folder of"
            " a contrastive agent, or, to evaluate the policy, the folder with its config.yaml"
        )
    kind = document.get("kind") if isinstance(document, dict) else None
    model, restore = _OTHERS.get(kind, (AgentDescription, None))
    try:
        if restore is not None:
            if world is not None:
                raise CheckpointError("it was trained in grid worlds; leave the layout out")
            return restore(checkpoint, path, device, grounding)
        return _restore_maze_agent(checkpoint, path, world, device, grounding)
    except ValidationError as error:
        detail = describe_invalid(error, model)
        raise CheckpointError(f"{path} is no agent that this version knows: {detail}") from error
    except KeyError as error:
        raise CheckpointError(f"{path} is no agent's checkpoint: it lacks {error}") from error
    except CheckpointError as error:
        named = str(error) if str(path) in str(error) else f"{path}: {error}"
        raise CheckpointError(named) from error


def _restore_maze_agent(
    checkpoint: Checkpoint,
    path: Path,
    world: StreetMaze | None,
    device: str,
    grounding: Mapping[str, object],
) -> GroundedAgent:
    description = AgentDescription.model_validate(checkpoint.documents["agent"])
    # Parsed as a map and nothing else: a shared checkpoint must not name files of ours.
    try:
        home = StreetMaze(parse_layout(description.layout, "its layout"))
    except LayoutError as error:
        raise CheckpointError(str(error)) from error
    critic, language = build_critics(description.critics, seed=0)
    fill(named_weights(critic, language), checkpoint.tensors["weights"])
    density = _check_density(checkpoint.tensors["goals"]["density"], home)
    if world is not None:
        check_same_maze(home, world, path)
    config = with_changes(description.grounding, grounding, "grounding")
    return compose_agent(home, critic.to(device), language.to(device), config, density, device)


def _check_density(density: Tensor, world: StreetMaze) -> Tensor:
    if (
        density.shape != world.walls.shape
        or not (density[~torch.from_numpy(world.walls)] > 0).all()
    ):
        raise CheckpointError("its density of goals does not fit its layout; copy it again")
    return density


def check_same_maze(trained: StreetMaze, asked: StreetMaze, path: Path) -> None:
    """Raise CheckpointError unless both mazes have the same walls."""
    if trained.layout != asked.layout:
        sizes = ["x".join(map(str, maze.walls.shape)) for maze in (trained, asked)]
        raise CheckpointError(
            f"{path} was trained in another maze ({sizes[0]}) than the one asked for"
            f" ({sizes[1]}); train one there, or leave the layout out"
        )
