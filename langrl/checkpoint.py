"""Checkpoints: folders of safetensors and JSON with a sha256 manifest, written atomically.

No pickle: reading a checkpoint never runs code, so folders can be shared. A folder is written
under a temporary name, flushed to disk and renamed, so a killed run leaves either the whole
checkpoint or none.
"""

import hashlib
import importlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from langrl.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 1
AGENT_LOADER = "langrl.tasks.loading:load_agent"  # an entry point: each task loads its own agents
MANIFEST = "manifest.json"
MODEL_FOLDER = "model"  # of a pre-training run's folder
_ABOUT_TRAINING = {"state.json", "optimizer.safetensors", "experience.safetensors", "numbers.json"}
_STEP = "step-"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """``documents``: JSON values by file name; ``tensors``: by file name and key."""

    documents: dict[str, Any]
    tensors: dict[str, dict[str, "Tensor"]]


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint to ``folder``, replacing what is there only once it is complete."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    folder = Path(folder)
    temporary = folder.with_name(f".{folder.name}.writing")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    for name, document in checkpoint.documents.items():
        (temporary / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")
    for name, tensors in checkpoint.tensors.items():
        kept = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
        path = temporary / f"{name}.safetensors"
        try:
            save_file(kept, path)
        except SafetensorError as error:
            raise _as_os_error(error, path) from error
        path.chmod(0o644)  # it is written for its owner alone, and checkpoints are shared
    digests = {path.name: file_digest(path) for path in sorted(temporary.iterdir())}
    manifest = json.dumps({"format": FORMAT, "sha256": digests}, indent=1) + "\n"
    (temporary / MANIFEST).write_text(manifest)
    replace_folder(temporary, folder)


def _as_os_error(error: Exception, path: Path) -> Exception:
    """Return an error of safetensors as the OSError that it is, if it is one: of a full disk."""
    if (found := re.search(r"os error (\d+)", str(error))) is None:
        return error
    number = int(found[1])
    return OSError(number, os.strerror(number), str(path))


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read a checkpoint and verify every byte of it.

    Raises:
        CheckpointError: if it is missing, incomplete, damaged, or of another format.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    folder = Path(folder)
    manifest = _read_manifest(folder)
    documents, tensors = {}, {}
    for name, digest in manifest.items():
        path = folder / name
        if not path.is_file():
            raise CheckpointError(f"checkpoint {folder} lacks {name}; copy the whole folder again")
        if file_digest(path) != digest:
            raise CheckpointError(
                f"checkpoint file {path} is damaged (its sha256 differs from the manifest);"
                " copy it again, or delete this checkpoint to use an earlier one"
            )
        try:
            if path.suffix == ".json":
                documents[path.stem] = json.loads(path.read_text())
            else:
                tensors[path.stem] = load_file(path)
        except (ValueError, RecursionError, SafetensorError) as error:
            raise CheckpointError(f"checkpoint file {path} is not readable: {error}") from error
    return Checkpoint(documents, tensors)


def _read_manifest(folder: Path) -> dict[str, str]:
    path = folder / MANIFEST
    if not path.is_file():
        raise CheckpointError(f"no checkpoint in {folder}: {MANIFEST} is missing; check the path")
    try:
        content = json.loads(path.read_text())
        number, digests = content["format"], content["sha256"]
        if not isinstance(digests, dict):
            raise TypeError("sha256 is not a table")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged ({error}); copy the checkpoint again") from error
    if number != FORMAT:
        raise CheckpointError(
            f"{folder} is a checkpoint of format {number} and this langrl reads format {FORMAT};"
            " install the version that wrote it"
        )
    for name in digests:
        if Path(name).name != name or Path(name).suffix not in (".json", ".safetensors"):
            raise CheckpointError(f"{path} names {name!r}, which is no part of a checkpoint")
    return digests


def fill(parameters: Mapping[str, "Tensor"], weights: Mapping[str, "Tensor"]) -> None:
    """Copy stored weights into parameters of the same names and shapes.

    Raises:
        CheckpointError: if names or shapes differ or a weight is not finite; nothing is copied.
    """
    import torch

    if different := sorted(set(parameters) ^ set(weights)):
        raise CheckpointError(
            f"the weights are those of another model: {different[0]} is in one only"
        )
    for name, parameter in parameters.items():
        if weights[name].shape != parameter.shape:
            raise CheckpointError(
                f"the weight {name} is {list(weights[name].shape)}, the model's"
                f" {list(parameter.shape)}; the config has changed since"
            )
        if not weights[name].isfinite().all():
            raise CheckpointError(f"the weight {name} is not finite; use an earlier checkpoint")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(weights[name])


def step_folder(run: Path, step: int) -> Path:
    """Return the folder of a run's checkpoint after ``step`` steps."""
    return Path(run) / "checkpoints" / f"{_STEP}{step}"


def best_folder(run: Path) -> Path:
    """Return the folder of the checkpoint whose weights did best in evaluations of a run."""
    return Path(run) / "checkpoints" / "best"


def find_checkpoint(folder: Path) -> Path:
    """Return ``folder`` if it is a checkpoint, or the newest one of the run in it.

    Raises:
        CheckpointError: if there is neither.
    """
    folder = Path(folder)
    if (folder / MANIFEST).is_file():
        return folder
    steps = _checkpoints(folder)
    if not steps:
        below = " or ".join(str(path.parent) for path in sorted(folder.glob("*/checkpoints")))
        repair = f"did you mean {below}?" if below else "give a run folder of `langrl train`"
        raise CheckpointError(f"no checkpoint in {folder}; {repair}")
    return steps[max(steps)]


def remove_checkpoints(run: Path, keep: int) -> None:
    """Remove the checkpoints of a run but for the newest ``keep`` ones; none if that is 0."""
    steps = _checkpoints(run)
    for step in sorted(steps)[:-keep] if keep else ():
        shutil.rmtree(steps[step])


def _checkpoints(run: Path) -> dict[int, Path]:
    """Return the checkpoints of a run by their step."""
    return {
        int(path.name.removeprefix(_STEP)): path
        for path in (run / "checkpoints").glob(f"{_STEP}*")
        if path.name.removeprefix(_STEP).isdecimal()
    }


def digest(*parts: NDArray[Any] | bytes) -> str:
    """Return the sha256 of arrays (of their numbers in memory order C) and bytes, in this order."""
    found = hashlib.sha256()
    for part in parts:
        found.update(part if isinstance(part, bytes) else np.ascontiguousarray(part).tobytes())
    return found.hexdigest()


def weights_digest(weights: Mapping[str, "Tensor"]) -> str:
    """Return the sha256 of weights and their names, in alphabetical order."""
    named = sorted(weights.items())
    return digest(*(p for name, w in named for p in (name.encode(), w.detach().cpu().numpy())))


def file_digest(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_digest(path: Path) -> str:
    """Return the sha256 of what a file holds, or a folder, for its users.

    Of a run folder or a model's, that is the description and the weights, whatever else is there.

    Raises:
        CheckpointError: if it is a run folder without a checkpoint, or a damaged one.
    """
    if path.is_file():
        return file_digest(path)
    if (path / MODEL_FOLDER / MANIFEST).is_file():
        path = path / MODEL_FOLDER
    elif (path / "checkpoints").is_dir():
        path = find_checkpoint(path)
    if (path / MANIFEST).is_file():
        digests = _read_manifest(path)
        digests = {name: digests[name] for name in digests.keys() - _ABOUT_TRAINING}
    else:
        digests = file_digests(path)
    return digest(json.dumps(digests, sort_keys=True).encode())


def file_digests(folder: Path) -> dict[str, str]:
    """Return the sha256 of every file in a folder, by its path there."""
    files = sorted(path for path in folder.rglob("*") if not path.is_dir())
    return {path.relative_to(folder).as_posix(): file_digest(path) for path in files}


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file, text as UTF-8; a killed run leaves the old file or the whole new one.

    It is written under a temporary name beside ``path``, flushed to disk and renamed.
    """
    temporary = path.with_name(f".{path.name}.writing")
    try:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
    except OSError as error:  # that of a full disk does not name the file
        error.filename = error.filename or str(path)
        raise
    _flush(temporary)
    temporary.replace(path)
    _flush(path.parent)


def replace_folder(temporary: Path, folder: Path) -> None:
    """Flush a folder that is complete and rename it to ``folder``, replacing what is there."""
    for path in (*temporary.rglob("*"), temporary):
        _flush(path)
    replaced = folder.with_name(f".{folder.name}.replaced")
    shutil.rmtree(replaced, ignore_errors=True)
    if folder.exists():  # renamed, not deleted: a kill here must not leave half a folder
        folder.rename(replaced)
    temporary.rename(folder)
    _flush(folder.parent)
    shutil.rmtree(replaced, ignore_errors=True)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def load_agent(folder: str | Path, **options: Any) -> Any:
    """Load the agent of a run folder or checkpoint; see ``langrl.tasks.loading.load_agent``.

    What a checkpoint's agent is depends on its task, and tasks stand above agents: the loader is
    named, and imported when it is used.
    """
    module, name = AGENT_LOADER.split(":")
    return getattr(importlib.import_module(module), name)(folder, **options)
