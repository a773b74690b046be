"""Checkpoints that are changed and whole: each file has the sha256 that the manifest gives."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from langrl.checkpoint import MANIFEST, file_digest


def sign(folder: Path) -> None:
    """Bring the manifest of a checkpoint up to date with its files."""
    path = folder / MANIFEST
    manifest = json.loads(path.read_text())
    manifest["sha256"] = {name: file_digest(folder / name) for name in manifest["sha256"]}
    path.write_text(json.dumps(manifest))


def forge_tensors(folder: Path, name: str, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the tensors in a file of a checkpoint, in place."""
    path = folder / f"{name}.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file({key: value.contiguous() for key, value in tensors.items()}, path)
    sign(folder)


def forge_document(folder: Path, name: str, change: Callable[[Any], Any]) -> None:
    """Put what ``change`` returns of it in the place of a JSON document of a checkpoint."""
    path = folder / f"{name}.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    sign(folder)
