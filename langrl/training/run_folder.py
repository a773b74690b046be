"""Composition: from a run config to a run, and a run's way through its folder.

Names and files become objects here, in the modules ``compose_*`` and in the command line;
everything below receives objects.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch

from langrl.checkpoint import Checkpoint, find_checkpoint, read_checkpoint
from langrl.errors import CheckpointError, ConfigError
from langrl.protocols import Learner
from langrl.settings import Settings, dump_config
from langrl.training.logs import console, versions

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


def use_device(device: str, threads: int) -> None:
    """Set the number of CPU threads; raises ConfigError if there is no such device here."""
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(f"device {device!r} is not available here; use 'cpu'")
    torch.set_num_threads(threads)


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
