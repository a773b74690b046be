"""A run folder: its config, its checkpoints, and going on from the newest one."""

from pathlib import Path

import torch

from langrl.checkpoint import (
    Checkpoint,
    find_checkpoint,
    read_checkpoint,
    sound_before,
    write_atomically,
)
from langrl.errors import CheckpointError, ConfigError
from langrl.settings import CONFIG_FILE, Settings, dump_config
from langrl.training.run_lock import LOCK

REPLAY = "replay"  # of a run folder: a replay that is kept on disk; made before its config is


def use_device(device: str, threads: int) -> None:
    """Set the number of CPU threads.

    Raises:
        ConfigError: if this machine has no such device.
    """
    cuda = [f"cuda:{n}" for n in range(torch.cuda.device_count())]
    known = ["cpu", *(cuda if torch.cuda.is_available() else ())]
    known += ["mps"] if torch.backends.mps.is_available() else []
    if device not in known and not (device == "cuda" and "cuda:0" in known):
        raise ConfigError(f"device {device!r} is not available here; use {' or '.join(known)}")
    torch.set_num_threads(threads)


def check_empty(folder: Path) -> None:
    """Raise ConfigError if there is something in a folder for a new run.

    Files that were being written when a run was cut off before its config count as nothing.
    """
    if folder.exists() and (not folder.is_dir() or any(map(_is_kept, folder.iterdir()))):
        raise ConfigError(
            f"{folder} is not empty; choose another --out, or go on with --resume {folder}"
        )


def _is_kept(path: Path) -> bool:
    unfinished = path.name.startswith(".") and path.suffix == ".writing"
    return not unfinished and path.name not in (REPLAY, LOCK)


def write_config(folder: Path, config: Settings) -> None:
    """Write a new run's config, from which it is rerun and resumed."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / CONFIG_FILE, dump_config(config))


def read_newest(folder: Path) -> tuple[Path, Checkpoint] | None:
    """Return where a run folder's newest checkpoint is, and the checkpoint; None without one.

    Raises:
        CheckpointError: if it is damaged; names the newest one that is whole.
    """
    if not any((folder / "checkpoints").glob("step-*")):
        return None  # the run was cut off before its first one
    path = find_checkpoint(folder)
    return path, read_or_name_sound(path, resumes=True)


def read_or_name_sound(path: Path, *, resumes: bool = False) -> Checkpoint:
    """Read a checkpoint, or say which earlier one of its run is whole and how it is used.

    Args:
        path: of the checkpoint.
        resumes: whether training is to go on from it.

    Raises:
        CheckpointError: if it is damaged.
    """
    try:
        return read_checkpoint(path)
    except CheckpointError as error:
        if (sound := sound_before(path)) is None:
            raise
        fault = str(error).partition(";")[0].partition(" (")[0]
        use = f"rm -r {path}, and --resume goes on from it" if resumes else f"give {sound}"
        raise CheckpointError(f"{fault}; {sound.name} is whole: {use}") from error
