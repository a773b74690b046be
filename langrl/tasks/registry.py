"""The task families: one line of data each, and how a config finds its family.

A family is a folder with ``config``, ``run``, ``agent`` and ``suite``; those that pre-train a model
have no ``agent``. Its modules are imported when they are used, so that this one loads quickly.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Literal, cast

from langrl import GRID_IDS, MAZE_IDS
from langrl.errors import CheckpointError, ConfigError, check_extra, lookup
from langrl.settings import CONFIG_FILE
from langrl.tasks.config import RunConfig
from langrl.tasks.presets import load_config

Command = Literal["train", "pretrain"]


@dataclass(frozen=True)
class Demo:
    """What ``langrl demo --world NAME`` trains and follows, and the folder that it writes."""

    name: str
    preset: str
    instruction: str
    folder: str


@dataclass(frozen=True)
class Task:
    """A task family.

    Args:
        name: the ``task`` of its configs, and the ``kind`` of its agents' checkpoints.
        folder: the package with its modules.
        config: the class in its ``config`` module.
        command: what trains it: ``langrl train`` or ``langrl pretrain``.
        extra: a package that it needs and the extra that installs it.
        demos: its demos.
        pickle: a file of its run folders that a resumed run reads, and that may run code.
        presets: by environment, the preset that ``--env`` chooses where ``--config`` names the
            family's ``general`` one.
        general: the preset for any environment.
        recorded: the presets that learn from recorded data, and need some.
    """

    name: str
    folder: str
    config: str
    command: Command = "train"
    extra: tuple[str, str] | None = None
    demos: tuple[Demo, ...] = ()
    pickle: str | None = None
    presets: Mapping[str, str] = field(default_factory=dict)
    general: str | None = None
    recorded: tuple[str, ...] = ()

    @property
    def config_class(self) -> type[RunConfig]:
        """The model of its configs."""
        module = importlib.import_module(f"{self.folder}.config")
        return cast(type[RunConfig], getattr(module, self.config))

    def module(self, name: str) -> ModuleType:
        """Return its module ``run``, ``agent`` or ``suite``.

        Raises:
            MissingExtraError: if a package that the family needs is not installed.
        """
        if self.extra is not None:
            check_extra(*self.extra)
        return importlib.import_module(f"{self.folder}.{name}")


GOAL_PRESETS = {
    **dict.fromkeys(MAZE_IDS, "crl-street-maze"),
    **dict.fromkeys(GRID_IDS, "crl-grid-goto"),
    "FetchReach-v4": "crl-fetch-reach",
    "PointMaze_UMaze-v3": "crl-point-maze",
    "pointmaze-medium-v0": "crl-pointmaze-medium",
    "pointmaze-large-v0": "crl-pointmaze-large",
    "pointmaze-giant-v0": "crl-pointmaze-giant",
}
"""Presets of goal-reaching agents by environment."""
RECORDED_PRESETS = (
    "crl-pointmaze-medium",
    "crl-pointmaze-large",
    "crl-pointmaze-giant",
    "crl-pointmaze-waypoints",
    "ogbench-crl",
)
"""Presets of goal-reaching agents that learn from recorded data."""

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task(
            "street-maze",
            "langrl.tasks.maze",
            "MazeRunConfig",
            demos=(Demo("street", "street-fork", "go to row 3 or column 11", "demo"),),
        ),
        Task(
            "grid",
            "langrl.tasks.grid",
            "GridRunConfig",
            demos=(
                Demo("grid", "grid-goto", "go to something red or a key", "demo-grid"),
                Demo("babyai", "babyai", "go to a red ball or a key", "demo-babyai"),
            ),
        ),
        Task("grid-partial", "langrl.tasks.grid_partial", "GridPartialRunConfig"),
        Task(
            "goal-reaching",
            "langrl.tasks.goal_reaching",
            "GoalRunConfig",
            presets=GOAL_PRESETS,
            general="crl",
            recorded=RECORDED_PRESETS,
        ),
        Task(
            "sb3",
            "langrl.tasks.sb3",
            "Sb3RunConfig",
            extra=("stable_baselines3", "sb3"),
            pickle="policy.zip",
        ),
        Task(
            "language-image",
            "langrl.tasks.language_image",
            "LanguageImageRunConfig",
            command="pretrain",
        ),
        Task("cpc", "langrl.tasks.cpc", "CpcRunConfig", command="pretrain"),
    )
}


def preset_of(source: str, env: str) -> str:
    """Return the preset of an environment, where a family's general one was named; else it."""
    presets = next((task.presets for task in TASKS.values() if task.general == source), {})
    return presets.get(env, source)


def is_recorded(preset: str | None) -> bool:
    """Whether a preset learns from recorded data, and needs some."""
    return any(preset in task.recorded for task in TASKS.values())


def tasks_of(command: Command) -> dict[str, Task]:
    """Return the families that a command trains, by name."""
    return {name: task for name, task in TASKS.items() if task.command == command}


def demos() -> dict[str, tuple[Task, Demo]]:
    """Return the demos by name, each with its family."""
    return {demo.name: (task, demo) for task in TASKS.values() for demo in task.demos}


def load_run_config(source: str, *tasks: Task) -> RunConfig:
    """Read a preset or a file as a config of one of several families; see ``load_config``."""
    return load_config(source, *(task.config_class for task in tasks or TASKS.values()))


def run_of(path: Path) -> Path | None:
    """Return the run folder that a path is, or that a checkpoint is in; None if there is none."""
    folders = (path, path.parent.parent, path.resolve().parent.parent)  # of "." only when resolved
    return next((folder for folder in folders if (folder / CONFIG_FILE).is_file()), None)


def config_beside(run: Path) -> RunConfig:
    """Return the config of a run folder, or of the one that a checkpoint is in.

    Raises:
        ConfigError: if there is none, or it is of a run that trains no agent.
    """
    folder = run_of(run)
    if folder is None:
        raise ConfigError(
            f"no {CONFIG_FILE} in {run}; give a run folder that `langrl train` has written"
        )
    return load_run_config(str(folder / CONFIG_FILE), *tasks_of("train").values())


def task_of_agent(document: object, path: Path) -> Task:
    """Return the family of an agent that a checkpoint at ``path`` describes.

    Raises:
        CheckpointError: if there is no such family.
    """
    if not isinstance(document, dict):
        raise CheckpointError(f"{path} is no agent's checkpoint: it describes none")
    kind = document.get("kind", "street-maze")  # mazes' checkpoints came first, without a kind
    if not isinstance(kind, str):
        raise CheckpointError(f"{path} is of an agent of kind {kind!r}; it is damaged")
    try:
        return lookup(tasks_of("train"), kind, "kind of agent")
    except ValueError as error:
        raise CheckpointError(f"{path} is of another version: {error}") from error


def check_trust(path: Path, trust_pickle: bool) -> None:
    """Raise ConfigError unless a zip of Stable-Baselines3 may be read."""
    if not trust_pickle:
        raise ConfigError(
            f"{path} holds a pickle: reading it runs code that its author chose; add"
            " --trust-pickle if you trust where it came from"
        )
