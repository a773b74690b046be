"""Composition: from a run config to a run, and a run's way through its folder.

Names and files become objects here, in the modules ``compose_*`` and in the command line;
everything below receives objects.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch

from langrl.agents.grounded import GroundedAgent
from langrl.checkpoint import Checkpoint, find_checkpoint, read_checkpoint, step_folder
from langrl.compose_grid import build_grid_run
from langrl.compose_maze import build_maze_run, resolve_layout
from langrl.config import AnyRunConfig, GridRunConfig, RunConfig, dump_config, load_config
from langrl.errors import CheckpointError, ConfigError
from langrl.experiment.logs import console, versions
from langrl.experiment.training import Training
from langrl.protocols import Learner

CONFIG_FILE = "config.yaml"


class Run(Protocol):
    """A run in the making: what trains, what it is stored as, and the agent that comes of it."""

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
        """Raise CheckpointError unless a checkpoint is of this run's world."""
        ...

    def agent(self, **grounding: Any) -> GroundedAgent:
        """Return an agent on the learner's own critics, with changes to its grounding."""
        ...


def build_run(config: AnyRunConfig) -> Run:
    """Build everything that a run trains. The same config gives the same bits.

    Raises:
        LayoutError, TrajectoryError, ConfigError: naming the field or file and the repair.
    """
    if config.device.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(f"device {config.device!r} is not available here; use 'cpu'")
    torch.set_num_threads(config.threads)
    return build_maze_run(config) if isinstance(config, RunConfig) else build_grid_run(config)


def resolve(config: AnyRunConfig) -> AnyRunConfig:
    """Return the config with files replaced by what they hold, so that the run is portable."""
    return resolve_layout(config) if isinstance(config, RunConfig) else config


def load_run_config(source: str) -> AnyRunConfig:
    """Read a preset or a file of a run in any sort of world; see ``load_config``."""
    return load_config(source, RunConfig, GridRunConfig)


def train_run(config: AnyRunConfig, folder: Path, label: str) -> tuple[Run, float]:
    """Train a new run in ``folder`` and return it with the seconds of training.

    Raises:
        ConfigError: if the folder holds something already; what ``build_run`` raises, too.
    """
    config = resolve(config)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(
            f"{folder} is not empty; choose another --out, or go on with --resume {folder}"
        )
    run = build_run(config)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG_FILE).write_text(dump_config(config))
    return run, _train(run, folder, label)


def is_trained(folder: Path, config: AnyRunConfig) -> bool:
    """Whether the folder holds a finished run of this very config."""
    done = step_folder(folder, config.learner.steps)
    file = folder / CONFIG_FILE
    if not (done.is_dir() and file.is_file()):
        return False
    return load_run_config(str(file)) == resolve(config)


def resume_run(folder: Path, label: str) -> tuple[Run, float]:
    """Go on with a run from its newest checkpoint, to the bits of an uninterrupted one.

    Raises:
        CheckpointError: if there is no sound checkpoint, or it is not of the config beside it.
        ConfigError: if ``config.yaml`` is missing or wrong.
    """
    path = find_checkpoint(folder)
    if path.parent.parent != folder:
        raise CheckpointError(f"{folder} is no run folder; give the one that has {CONFIG_FILE}")
    checkpoint = read_checkpoint(path)
    run = build_run(load_run_config(str(folder / CONFIG_FILE)))
    try:
        run.check(checkpoint, path)
        take_up(run.learner, checkpoint, run.data_sha256, path)
    except (KeyError, ValueError, RuntimeError) as error:
        if isinstance(error, CheckpointError):
            raise
        detail = str(error).splitlines()[0]
        raise CheckpointError(f"{path} does not fit {folder / CONFIG_FILE}: {detail}") from error
    return run, _train(run, folder, label)


def take_up(learner: Learner, checkpoint: Checkpoint, data_sha256: str, path: Path) -> None:
    """Put a learner into the state of a checkpoint that was read from ``path``.

    Raises:
        CheckpointError: if the checkpoint was trained on other data.
        KeyError, ValueError, RuntimeError: if it is of another model.
    """
    state: Mapping[str, Any] = checkpoint.documents["state"]
    if state["data_sha256"] != data_sha256:
        raise CheckpointError(
            f"{path} was trained on other data than {path.parent.parent / CONFIG_FILE} gives now;"
            " put the trajectory file and the config back as they were"
        )
    if state["versions"] != versions():
        console.print("this run was begun with other versions; its last bits may differ")
    learner.load_state(checkpoint.tensors)


def _train(run: Run, folder: Path, label: str) -> float:
    config = run.config
    training = Training(run.learner, config.learner.steps, folder, config.logging, run.snapshot)
    return training.run(label)
