"""The grounded agent as a description and weights: how it is composed, stored and loaded."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from langrl.agents.grounded import GroundedAgent
from langrl.checkpoint import Checkpoint, find_checkpoint, read_checkpoint
from langrl.envs.maze.world import StreetMaze
from langrl.errors import CheckpointError
from langrl.settings import Settings, describe_invalid
from langrl.tasks.grid.agent import GridAgentDescription, restore_grid_agent
from langrl.tasks.grid_partial.agent import GridPartialAgentDescription, restore_grid_partial_agent
from langrl.tasks.maze.agent import MazeAgentDescription, restore_maze_agent

_OTHERS: dict[Any, tuple[type[Settings], Callable[..., GroundedAgent]]] = {
    "grid": (GridAgentDescription, restore_grid_agent),
    "grid-partial": (GridPartialAgentDescription, restore_grid_partial_agent),
}
"""Descriptions of agents of other sorts of world, and how they are built, by their kind."""


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
    model, restore = _OTHERS.get(kind, (MazeAgentDescription, None))
    try:
        if restore is not None:
            if world is not None:
                raise CheckpointError("it was trained in grid worlds; leave the layout out")
            return restore(checkpoint, path, device, grounding)
        return restore_maze_agent(checkpoint, path, world, device, grounding)
    except ValidationError as error:
        detail = describe_invalid(error, model)
        raise CheckpointError(f"{path} is no agent that this version knows: {detail}") from error
    except KeyError as error:
        raise CheckpointError(f"{path} is no agent's checkpoint: it lacks {error}") from error
    except CheckpointError as error:
        named = str(error) if str(path) in str(error) else f"{path}: {error}"
        raise CheckpointError(named) from error
