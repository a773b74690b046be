"""Composition: from a run config to a run, and a run's way through its folder.

Names and files become objects here, in the modules ``compose_*`` and in the command line;
everything below receives objects.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, cast

import torch

from langrl.agents.grounded import GroundedAgent
from langrl.checkpoint import Checkpoint, find_checkpoint, read_checkpoint, step_folder
from langrl.compose_grid import build_grid_run
from langrl.compose_maze import build_maze_run, resolve_layout
from langrl.compose_partial import build_partial_run
from langrl.config import (
    OWN_RUN_CONFIGS,
    RUN_CONFIGS,
    AnyRunConfig,
    OwnRunConfig,
    PartialRunConfig,
    RunConfig,
    dump_config,
    load_config,
)
from langrl.errors import CheckpointError, ConfigError
from langrl.experiment.logs import console, versions
from langrl.experiment.training import Training
from langrl.protocols import Learner
from langrl.settings import Settings

CONFIG_FILE = "config.yaml"


class Trainable(Protocol):
    """A run in the making: what trains, and what it is stored as."""

    @property
    def config(self) -> Any:
        """The run's config."""
        ...

    @property
    def learner(self) -> Learner:
        """What is trained."""
        ...

    @property
    def data_sha256(self) -> str:
        """Digest of the training data."""
        ...

    def snapshot(self) -> Checkpoint:
        """Return a checkpoint of the present state, from which training goes on bit for bit."""
        ...

    def check(self, checkpoint: Checkpoint, path: Path) -> None:
        """Raise CheckpointError unless a checkpoint is of this run's world or model."""
        ...


class Run(Trainable, Protocol):
    """A run that an agent comes of."""

    def agent(self, **grounding: Any) -> GroundedAgent:
        """Return an agent on the learner's own critics, with changes to its grounding."""
        ...


def build_run(config: OwnRunConfig) -> Run:
    """Build everything that a run trains. The same config gives the same bits.

    Raises:
        LayoutError, TrajectoryError, ConfigError: naming the field or file and the repair.
    """
    use_device(config.device, config.threads)
    if isinstance(config, PartialRunConfig):
        return build_partial_run(config)
    return build_maze_run(config) if isinstance(config, RunConfig) else build_grid_run(config)


def use_device(device: str, threads: int) -> None:
    """Set the number of CPU threads; raises ConfigError if there is no such device here."""
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(f"device {device!r} is not available here; use 'cpu'")
    torch.set_num_threads(threads)


def resolve(config: OwnRunConfig) -> OwnRunConfig:
    """Return the config with files replaced by what they hold, so that the run is portable."""
    return resolve_layout(config) if isinstance(config, RunConfig) else config


def load_run_config(source: str) -> AnyRunConfig:
    """Read a preset or a file of a run in any sort of world; see ``load_config``."""
    return cast(AnyRunConfig, load_config(source, *RUN_CONFIGS))


def load_own_config(file: Path) -> OwnRunConfig:
    """Read the config file of a run that langrl trains itself; see ``load_config``."""
    return cast(OwnRunConfig, load_config(str(file), *OWN_RUN_CONFIGS))


def train_run(config: OwnRunConfig, folder: Path, label: str) -> tuple[Run, float]:
    """Train a new run in ``folder`` and return it with the seconds of training.

    Raises:
        ConfigError: if the folder holds something already; what ``build_run`` raises, too.
    """
    config = resolve(config)
    check_empty(folder)
    run = build_run(config)
    write_config(folder, config)
    return run, _train(run, folder, label)


def check_empty(folder: Path) -> None:
    """Raise ConfigError if there is something in a folder for a new run."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(
            f"{folder} is not empty; choose another --out, or go on with --resume {folder}"
        )


def write_config(folder: Path, config: Settings) -> None:
    """Write a new run's config, from which it is rerun and resumed."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG_FILE).write_text(dump_config(config))


def is_trained(folder: Path, config: OwnRunConfig) -> bool:
    """Whether the folder holds a finished run of this config, however it was evaluated."""
    done = step_folder(folder, config.learner.steps)
    file = folder / CONFIG_FILE
    if not (done.is_dir() and file.is_file()):
        return False
    stored = load_own_config(file)
    return stored.model_copy(update={"evaluation": config.evaluation}) == resolve(config)


def resume_run(folder: Path, label: str) -> tuple[Run, float]:
    """Go on with a run from its newest checkpoint, to the bits of an uninterrupted one.

    Raises:
        CheckpointError: if there is no sound checkpoint, or it is not of the config beside it.
        ConfigError: if ``config.yaml`` is missing or wrong.
    """
    path, checkpoint = read_newest(folder)
    run = build_run(load_own_config(folder / CONFIG_FILE))
    take_up(run, checkpoint, path)
    return run, _train(run, folder, label)


def read_newest(folder: Path) -> tuple[Path, Checkpoint]:
    """Return a run folder's newest checkpoint, and where it is.

    Raises:
        CheckpointError: if there is none, it is damaged, or the folder is that of a checkpoint.
    """
    path = find_checkpoint(folder)
    if path.parent.parent != folder:
        raise CheckpointError(f"{folder} is no run folder; give the one that has {CONFIG_FILE}")
    return path, read_checkpoint(path)


def take_up(run: Trainable, checkpoint: Checkpoint, path: Path) -> None:
    """Put a run's learner into the state of a checkpoint that was read from ``path``.

    Raises:
        CheckpointError: if the checkpoint is of another world, model or data.
    """
    beside = path.parent.parent / CONFIG_FILE
    try:
        run.check(checkpoint, path)
        state: Mapping[str, Any] = checkpoint.documents["state"]
        if state["data_sha256"] != run.data_sha256:
            raise CheckpointError(
                f"{path} was trained on other data than {beside} gives now; put the data and the"
                " config back as they were"
            )
        if state["versions"] != versions():
            console.print("this run was begun with other versions; its last bits may differ")
        run.learner.load_state(checkpoint.tensors)
    except (KeyError, ValueError, RuntimeError) as error:
        if isinstance(error, CheckpointError):
            raise
        detail = str(error).splitlines()[0]
        raise CheckpointError(f"{path} does not fit {beside}: {detail}") from error


def _train(run: Run, folder: Path, label: str) -> float:
    config = run.config
    training = Training(run.learner, config.learner.steps, folder, config.logging, run.snapshot)
    return training.run(label)
