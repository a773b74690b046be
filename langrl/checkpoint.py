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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from langrl.errors import CheckpointError, quoted
from langrl.settings import CONFIG_FILE, check_finite

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 1
AGENT_LOADER = "langrl.tasks.loading:load_agent"  # an entry point: each task loads its own agents
MANIFEST = "manifest.json"
MODEL_FOLDER = "model"  # of a pre-training run's folder
_ABOUT_TRAINING = {
    "state.json", "optimizer.safetensors", "experience.safetensors", "numbers.json",
    "understood.json",
}  # fmt: skip
_STEP = "step-"
_MEASURED = ("state", "numbers")  # documents with what was measured, which may be NaN
_PART = re.compile(r"[\w-][\w.-]{0,80}\.(json|safetensors)", re.ASCII)  # file of a checkpoint
_MOST_JSON = 16 << 20  # bytes
_LARGE = 2 << 30  # bytes of a file; hashing it takes seconds
_FREE = 1 << 26  # numbers: what a model may have beyond what is stored, a quarter of a gigabyte


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """``documents``: JSON values by file name; ``tensors``: by file name and key."""

    documents: dict[str, Any]
    tensors: dict[str, dict[str, "Tensor"]]


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint to ``folder``, replacing what is there only once it is complete.

    Raises:
        OSError: if it cannot be written, as on a full disk; what is there stays.
    """
    folder = Path(folder)
    temporary = folder.with_name(f".{folder.name}.writing")
    try:
        _write_files(temporary, checkpoint)
        replace_folder(temporary, folder)
    except OSError:
        shutil.rmtree(temporary, ignore_errors=True)  # on a full disk, it takes room
        raise


def _write_files(temporary: Path, checkpoint: Checkpoint) -> None:
    """Write the files of a checkpoint, and the manifest last."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

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
    _write_manifest(temporary, {path.name: file_digest(path) for path in temporary.iterdir()})


def add_document(folder: Path, name: str, document: Any) -> None:
    """Add a JSON document to a checkpoint, or replace it; the others, and their digests, stay.

    Raises:
        CheckpointError: if the folder is no checkpoint.
        OSError: if it cannot be written; what is there stays.
    """
    folder = Path(folder).resolve()
    digests = _read_manifest(folder)
    staging = folder.with_name(f".{folder.name}.staging")
    shutil.rmtree(staging, ignore_errors=True)
    shutil.copytree(folder, staging)
    file = staging / f"{name}.json"
    file.write_text(json.dumps(document, indent=1) + "\n")
    _write_manifest(staging, digests | {file.name: file_digest(file)})
    replace_folder(staging, folder)


def _write_manifest(folder: Path, digests: Mapping[str, str]) -> None:
    content = {"format": FORMAT, "sha256": dict(sorted(digests.items()))}
    (folder / MANIFEST).write_text(json.dumps(content, indent=1) + "\n")


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
        if path.suffix == ".json":
            _check_size(path)  # before it is hashed
        if file_digest(path) != digest:
            raise CheckpointError(
                f"checkpoint file {path} is damaged (its sha256 differs from the manifest);"
                " copy it again, or delete this checkpoint to use an earlier one"
            )
        try:
            if path.suffix == ".json":
                documents[path.stem] = read_json(path)
                if path.stem not in _MEASURED:
                    check_finite(documents[path.stem])
            else:
                tensors[path.stem] = load_file(path)
        except (ValueError, RecursionError, SafetensorError) as error:
            raise CheckpointError(f"checkpoint file {path} is not readable: {error}") from error
    if not isinstance(documents.get("state", {}), dict):
        raise CheckpointError(
            f"checkpoint file {folder / 'state.json'} holds no table; copy it again"
        )
    return Checkpoint(documents, tensors)


def _read_manifest(folder: Path) -> dict[str, str]:
    path = folder / MANIFEST
    if not path.is_file():
        raise CheckpointError(f"no checkpoint in {folder}: {MANIFEST} is missing; check the path")
    try:
        content = read_json(path)
        number, digests = content["format"], content["sha256"]
        if not isinstance(digests, dict):
            raise TypeError("sha256 is not a table")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged ({error}); copy the checkpoint again") from error
    if number != FORMAT:
        raise CheckpointError(
            f"{folder} is a checkpoint of format {quoted(number)} and this langrl reads format"
            f" {FORMAT}; install the version that wrote it"
        )
    for name in digests:
        if not _PART.fullmatch(name):
            raise CheckpointError(
                f"{path} names {quoted(name, 30)}, which is no part of a checkpoint"
            )
    return digests


def read_json(path: Path) -> Any:
    """Return what is in a JSON file.

    Raises:
        ValueError: if it is none.
        CheckpointError: if it is too large to be read.
    """
    _check_size(path)
    return json.loads(path.read_text(encoding="utf-8"))


def _check_size(path: Path) -> None:
    if path.stat().st_size > _MOST_JSON:
        raise CheckpointError(
            f"{path} is larger than {_MOST_JSON >> 20} MB, and no file that langrl wrote; copy it"
            " again"
        )


@contextmanager
def no_larger_than(weights: Mapping[str, "Tensor"]) -> Iterator[None]:
    """Refuse modules that are built in here, once they are far larger than stored weights.

    A description of a few bytes may claim any size: shapes are compared when all is built.

    Raises:
        CheckpointError: when the parameters have far more numbers than the weights.
    """
    from torch.nn.modules.module import register_module_parameter_registration_hook

    stored = sum(weight.numel() for weight in weights.values())
    most, built = 2 * stored + _FREE, 0

    def count(module: object, name: str, parameter: Any) -> None:
        nonlocal built
        built += 0 if parameter is None else parameter.numel()
        if built > most:
            raise CheckpointError(
                f"its description is of a model with more than {most:,} weights, and {stored:,} are"
                " stored; copy the checkpoint again"
            )

    hook = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        hook.remove()


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
        if (folder / CONFIG_FILE).is_file():
            repair = f"it was cut off before its first one; go on with --resume {folder}"
        raise CheckpointError(f"no checkpoint in {folder}; {repair}")
    return steps[max(steps)]


def sound_before(path: Path) -> Path | None:
    """Return the newest checkpoint of a run before the one at ``path`` that is whole, if any."""
    steps = {place: step for step, place in _checkpoints(path.parent.parent).items()}
    for place in sorted(steps, key=lambda place: -steps[place]):
        if path in steps and steps[place] < steps[path]:
            with suppress(CheckpointError):
                read_checkpoint(place)
                return place
    return None


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
    """Return the sha256 of a file.

    Raises:
        CheckpointError: if it claims gigabytes that are not on the disk.
    """
    found = path.stat()
    on_disk = getattr(found, "st_blocks", found.st_size) * 512
    if found.st_size > _LARGE and on_disk < found.st_size // 100:
        raise CheckpointError(
            f"{path} claims {found.st_size >> 30} GB and has next to nothing of it; copy it again"
        )
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_digest(path: Path) -> str:
    """Return the sha256 of what a file holds, or a folder, for its users.

    Of a run folder or a model's, that is the description and the weights, whatever else is there:
    what was measured of them, such as P(understood), changes no agent.

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
    try:
        temporary.rename(folder)
    except OSError:
        if replaced.exists():
            replaced.rename(folder)
        raise
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
