"""Agents from run folders and checkpoints; each task family restores its own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import ValidationError

from langrl.checkpoint import Checkpoint, find_checkpoint, no_larger_than
from langrl.envs.maze.world import StreetMaze
from langrl.errors import CheckpointError, ConfigError, MissingExtraError
from langrl.settings import Settings, describe_invalid
from langrl.tasks.config import RunConfig
from langrl.tasks.hub import local_folder
from langrl.tasks.references import check_references
from langrl.tasks.registry import TASKS, task_of_agent
from langrl.training.run_folder import read_or_name_sound

S = TypeVar("S", bound=Settings)
AgentMaker = Callable[..., Any]
"""Makes an agent; fields of its grounding config, such as ``strategy="max_goal"``, change it."""


def load_agent(
    folder: str | Path, *, world: StreetMaze | None = None, device: str = "cpu", **grounding: object
) -> Any:
    """Load an agent from a run folder (its newest checkpoint) or from a checkpoint folder.

    Args:
        folder: the run or checkpoint, or a shared agent as ``hf:user/name@revision``.
        world: the maze it will act in, checked against the one it was trained in.
        device: where to put the weights.
        **grounding: fields of the grounding config to change, such as ``strategy="log_sum_exp"``.

    Raises:
        CheckpointError: if the checkpoint is missing, damaged, of another format or maze.
    """
    return agents_of(folder, world=world, device=device)(**grounding)


def agents_of(
    folder: str | Path, *, world: StreetMaze | None = None, device: str = "cpu"
) -> AgentMaker:
    """Read a checkpoint once and return what makes its agents; see ``load_agent``."""
    path = find_checkpoint(local_folder(folder))
    checkpoint = read_or_name_sound(path)
    check_finite_goals(checkpoint, path)
    task = task_of_agent(checkpoint.documents.get("agent"), path)
    check_references(checkpoint.documents.get("state"), path)
    try:
        load: Callable[..., AgentMaker] = task.module("agent").load
        with no_larger_than(checkpoint.tensors["weights"]):
            return load(checkpoint, path, device=device, world=world)
    except KeyError as error:
        raise CheckpointError(f"{path} is no agent's checkpoint: it lacks {error}") from error
    except CheckpointError as error:
        named = str(error) if str(path) in str(error) else f"{path}: {error}"
        raise CheckpointError(named) from error
    except (ConfigError, MissingExtraError):  # of what is beside it, such as a model that it names
        raise
    except (ValueError, TypeError, LookupError, AttributeError, RuntimeError) as error:
        raise CheckpointError(f"{path} is no agent's checkpoint: {error}") from error


def check_finite_goals(checkpoint: Checkpoint, path: Path) -> None:
    """Raise CheckpointError if goals, or densities of them, are not finite; weights are checked."""
    for name, values in checkpoint.tensors.get("goals", {}).items():
        if values.is_floating_point() and not values.isfinite().all():
            raise CheckpointError(
                f"{path}: goals.safetensors: {name!r} holds NaN or infinite numbers; copy it again"
            )


def read_description(model: type[S], checkpoint: Checkpoint, path: Path) -> S:
    """Return the description of a checkpoint's agent; raises CheckpointError if it is none."""
    try:
        return model.model_validate(checkpoint.documents["agent"])
    except ValidationError as error:
        detail = describe_invalid(error, model)
        raise CheckpointError(f"{path} is no agent that this version knows: {detail}") from error


def refuse_layout(world: StreetMaze | None) -> None:
    """Raise CheckpointError if agents that know no mazes are asked to act in one."""
    if world is not None:
        raise CheckpointError("it was trained in grid worlds; leave the layout out")


def agents_of_run(
    folder: Path,
    config: RunConfig,
    *,
    world: StreetMaze | None = None,
    policy: Path | None = None,
    trust_pickle: bool = False,
) -> AgentMaker:
    """Return what makes the agents of a run, of which ``config`` is the config.

    Args:
        folder: the run folder, or a checkpoint in it.
        config: of the run.
        world: the maze that the agents are to act in, if one was asked for.
        policy: a zip of Stable-Baselines3 to use in the place of the run's own policy.
        trust_pickle: whether that library is to read it, which runs code that is in it.

    Raises:
        CheckpointError, ConfigError: naming the file and the repair.
    """
    module = TASKS[config.task].module("agent")
    if not hasattr(module, "load_run"):
        if policy is not None or trust_pickle:
            raise ConfigError(
                f"{folder} is no run of Stable-Baselines3; leave out --policy and --trust-pickle"
            )
        return agents_of(folder, world=world)
    if trust_pickle and policy is None:
        raise ConfigError("--trust-pickle is for --policy: a run's checkpoint has no pickle")
    made = module.load_run(folder, config, world=world, policy=policy, trust_pickle=trust_pickle)
    return cast(AgentMaker, made)
