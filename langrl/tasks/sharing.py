"""Folders to share: what of a run others need to load its agent, with a manifest of every byte.

Such a folder is a run folder without what belongs to training: no optimiser, no replay, no paths of
the machine that trained it. It holds safetensors, JSON, YAML and pictures, and nothing else.
"""

import json
import os.path
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from langrl import __version__
from langrl.checkpoint import (
    MANIFEST,
    Checkpoint,
    file_digest,
    find_checkpoint,
    read_checkpoint,
    step_folder,
    write_atomically,
    write_checkpoint,
)
from langrl.errors import CheckpointError, ConfigError, quoted
from langrl.settings import CONFIG_FILE, dump_config, references
from langrl.tasks.config import RunConfig
from langrl.tasks.registry import config_beside, run_of

SHARED = "shared.json"  # lists the files of a shared folder
CARD = "README.md"
_FREE = (CARD, ".gitattributes", SHARED)
FORMAT = 1
MOST_LIST = 1 << 20  # bytes of the list
_FILE = re.compile(
    r"(\w[\w.-]{0,99}/){0,5}\w[\w.-]{0,99}\.(safetensors|json|yaml|png|gif|mp4)", re.ASCII
)
_MEASURED = re.compile(r"\.eval_results/[\w.%-]{1,100}\.yaml", re.ASCII)
_OF_TRAINING = ("optimizer", "experience")  # parts of a checkpoint
_NESTED = ("critics", "words")  # a run of its own, and a checkpoint: the language side


def is_shareable(name: str) -> bool:
    """Whether a file's path in a shared folder is one that langrl writes."""
    return _FILE.fullmatch(name) is not None and ".." not in name.split("/")


def is_shared(folder: Path) -> bool:
    """Whether a folder is one that ``push`` has written, of which a list names all files."""
    return (folder / SHARED).is_file()


def is_free(name: str) -> bool:
    """Whether the list leaves a file out: people edit the card and numbers, the hub has its own."""
    return name in _FREE or _MEASURED.fullmatch(name) is not None


def gather(run: Path, out: Path) -> RunConfig:
    """Copy what loads the agent of a run, or of one of its checkpoints, into a new folder.

    Args:
        run: the run folder, or the checkpoint.
        out: where to; empty.

    Returns:
        The config as it is shared.

    Raises:
        ConfigError: if the agent uses a model in a folder of this machine.
        CheckpointError: if there is no checkpoint, or it is damaged.
    """
    owner, path = run_of(run) or run, find_checkpoint(run)
    config = shared_config(config_beside(run), owner)
    _share_checkpoint(path, step_folder(out, _step_of(path)))  # by its step, as of "best"
    write_atomically(out / CONFIG_FILE, dump_config(config))
    for name in _NESTED:
        if (owner / name / MANIFEST).is_file():
            _share_checkpoint(owner / name, out / name)
        elif (owner / name / CONFIG_FILE).is_file():
            gather(owner / name, out / name)
    return config


def _step_of(path: Path) -> int:
    state = read_checkpoint(path).documents.get("state", {})
    step = state.get("step")
    return step if isinstance(step, int) else 0


def shared_config(config: RunConfig, owner: Path) -> RunConfig:
    """Return a run's config without paths of this machine.

    Training data and first weights keep their names alone, and a maze's map is written out.

    Raises:
        ConfigError: if an agent of the run is loaded from another folder as well.
    """
    values = config.model_dump()
    for field, reference, path in references(config):
        if not (os.path.isabs(path) or os.path.exists(path)):
            continue
        if reference.use == "model":
            raise ConfigError(
                f"{owner}: {field} is {path}, a folder of this machine, and the agent cannot be"
                " loaded without it; share a run whose models are langrl's own or on the hub"
            )
        *groups, last = field.split(".")
        inner: Any = values
        for group in groups:
            inner = inner[group]
        is_map = last == "layout" and os.path.isfile(path)
        inner[last] = Path(path).read_text("utf-8").strip() if is_map else Path(path).name
    return type(config).model_validate(values)


def _share_checkpoint(path: Path, out: Path) -> None:
    """Write a checkpoint without what only training needs, and without paths."""
    stored = read_checkpoint(path)
    documents = dict(stored.documents)
    if isinstance(documents.get("state"), dict):
        state = dict(documents["state"])
        kept = state.get("references", {}).items()
        state["references"] = {
            field: {**entry, "path": Path(entry["path"]).name} for field, entry in kept
        }
        documents["state"] = state
    tensors = {name: each for name, each in stored.tensors.items() if name not in _OF_TRAINING}
    out.parent.mkdir(parents=True, exist_ok=True)
    write_checkpoint(out, Checkpoint(documents, tensors))


def write_list(folder: Path) -> dict[str, str]:
    """List every file of a folder with its sha256 in ``shared.json``, and return them.

    Raises:
        ConfigError: if there is a file that does not belong in a shared folder.
    """
    found = {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if not path.is_dir()
    }
    if wrong := [name for name in found if not is_free(name) and not is_shareable(name)]:
        raise ConfigError(f"{folder} holds {quoted(wrong[0])}, which is not shared; remove it")
    digests = {name: file_digest(path) for name, path in found.items() if not is_free(name)}
    content = {"format": FORMAT, "langrl": __version__, "sha256": digests}
    write_atomically(folder / SHARED, json.dumps(content, indent=1) + "\n")
    return digests


def read_list(path: Path, source: str) -> dict[str, str]:
    """Return the files that a list names, with their sha256.

    Args:
        path: of the list.
        source: where it is from, for messages.

    Raises:
        CheckpointError: if it is no list, of another format, or names what langrl does not write.
    """
    try:
        if path.stat().st_size > MOST_LIST:
            raise ValueError("it is larger than 1 MB")
        content = json.loads(path.read_text(encoding="utf-8"))
        number, digests = content["format"], dict(content["sha256"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise CheckpointError(f"{source}: {SHARED} is damaged: {quoted(error)}") from error
    if number != FORMAT:
        raise CheckpointError(
            f"{source} is of format {quoted(number)}, and this langrl reads format {FORMAT};"
            " install the version that shared it"
        )
    if CONFIG_FILE not in digests or not any(name.endswith(f"/{MANIFEST}") for name in digests):
        raise CheckpointError(f"{source}: {SHARED} lists no config or no checkpoint; share it anew")
    check_names(digests, source)
    return digests


def check_names(names: Iterable[str], source: str) -> None:
    """Raise CheckpointError if there is a file that langrl does not write."""
    for name in names:
        if not (isinstance(name, str) and is_shareable(name)):
            raise CheckpointError(
                f"{source} holds {quoted(name)}, and langrl shares safetensors, JSON, YAML and"
                " pictures alone; nothing of it is used"
            )


def check_files(folder: Path, digests: dict[str, str], source: str) -> None:
    """Raise CheckpointError unless every listed file is there, byte by byte."""
    for name, sha256 in digests.items():
        path = folder / name
        if not path.is_file():
            raise CheckpointError(f"{source} lacks {name}, which it lists; share it anew")
        if file_digest(path) != sha256:
            raise CheckpointError(
                f"{source}: {name} is not what was shared (its sha256 differs from the list's); use"
                " another revision, or share it anew"
            )


def check_new_folder(folder: Path) -> None:
    """Raise ConfigError if there is something in a folder that is to be written."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"--dry-run {folder} is not empty; name a new folder")


def copy_picture(source: Path, target: Path) -> bool:
    """Copy a file if there is one, and say whether there was."""
    if source.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    return source.is_file()
