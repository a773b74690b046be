"""Damages files as accidents and strangers do, by a generator: the same seed gives the same damage.

A *signed* damage has a manifest that fits, as one that was made on purpose.
"""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from forged import sign
from numpy.random import Generator
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from langrl.checkpoint import MANIFEST

VALUES: list[Any] = [
    None, True, -1, 0, 7, 2**63, 10**40, 1e308, float("nan"), float("inf"), "", "x", "x" * 5000,
    "../../etc/passwd", "\x1b[2J", [], [1], [[]], {}, {"a": 1}, [None] * 50, "cuda:99", 0.5,
]  # fmt: skip
TENSORS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "NaN": lambda t: torch.full_like(t, torch.nan) if t.is_floating_point() else t - 1,
    "inf": lambda t: torch.full_like(t, torch.inf) if t.is_floating_point() else t + 2**30,
    "negative": lambda t: -t - 1 if t.dtype not in (torch.bool, torch.uint8) else ~t,
    "huge": lambda t: torch.full_like(t, 3e38) if t.is_floating_point() else t + 10**6,
    "flat": lambda t: t.reshape(-1),
    "longer": lambda t: torch.cat([t.reshape(-1)] * 3),
    "empty": lambda t: t.reshape(-1)[:0],
    "one": lambda t: torch.zeros(1),
    "an axis more": lambda t: t[None],
    "transposed": lambda t: t.mT if t.ndim > 1 else t[None].mT,
    "double": lambda t: t.double(),
    "whole": lambda t: t.nan_to_num().to(torch.int32),
    "bytes": lambda t: torch.zeros(t.shape, dtype=torch.uint8),
    "reversed": lambda t: t.reshape(-1).flip(0).reshape(t.shape),
}


def pick(options: Any, generator: Generator) -> Any:
    """Return one of some options."""
    options = list(options)
    return options[generator.integers(len(options))]


def damage_bytes(path: Path, generator: Generator) -> str:
    """Damage one file, whatever it is; says how."""
    content = bytearray(path.read_bytes())
    place = int(generator.integers(max(1, len(content))))
    kind = pick(("cut", "flip", "head", "empty", "longer", "zeros", "noise"), generator)
    if kind == "cut":
        content = content[:place]
    elif kind in ("flip", "head"):
        place = place % 64 if kind == "head" else place
        content[min(place, len(content) - 1)] ^= 1 << int(generator.integers(8))
    elif kind == "empty":
        content = bytearray()
    elif kind == "longer":
        content += bytes(100)
    else:
        there = min(64, len(content) - place)
        content[place : place + there] = bytes(there) if kind == "zeros" else generator.bytes(there)
    path.write_bytes(content)
    return f"{path.name} {kind} at {place}"


def damage_document(path: Path, generator: Generator) -> str:
    """Put something else in the place of a value in a JSON file, at any depth."""
    document = json.loads(path.read_text())
    holder, key, inner = None, None, document
    while (
        isinstance(inner, dict | list)
        and len(inner)
        and (holder is None or generator.random() < 0.8)
    ):
        key = pick(inner if isinstance(inner, dict) else range(len(inner)), generator)
        holder, inner = inner, inner[key]
    value = pick(VALUES, generator)
    if holder is None or generator.random() < 0.05:
        document = value
    elif generator.random() < 0.15:
        del holder[key]
    else:
        holder[key] = value
    path.write_text(json.dumps(document))
    return f"{path.name} {key} := {str(value)[:30]!r}"


def damage_tensors(path: Path, generator: Generator) -> str:
    """Put another tensor in the place of one in a file of tensors."""
    tensors = load_file(path)
    key = pick(tensors, generator)
    kind = pick((*TENSORS, "gone", "renamed", "exchanged"), generator)
    if kind == "gone":
        del tensors[key]
    elif kind == "renamed":
        tensors[key + "x"] = tensors.pop(key)
    elif kind == "exchanged":
        other = pick(tensors, generator)
        tensors[key], tensors[other] = tensors[other], tensors[key]
    else:
        tensors[key] = TENSORS[kind](tensors[key])
    save_file({name: value.clone().contiguous() for name, value in tensors.items()}, path)
    return f"{path.name} {key} {kind}"


def damage_place(path: Path, generator: Generator) -> str:
    """Put something that is no such file in the place of a file."""
    kind = pick(("gone", "folder", "link", "loop", "outside", "exchanged", "device"), generator)
    others = [each for each in path.parent.iterdir() if each.is_file() and each != path]
    if kind == "exchanged" and others:
        other = pick(sorted(others), generator)
        content = path.read_bytes()
        path.write_bytes(other.read_bytes())
        other.write_bytes(content)
        return f"{path.name} exchanged with {other.name}"
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind in ("link", "loop", "outside", "device"):
        targets = {"link": "nowhere", "loop": path.name, "device": os.devnull}
        path.symlink_to(targets.get(kind, "../../../../../../etc/passwd"))
    return f"{path.name} {kind}"


def damage_folder(folder: Path, generator: Generator) -> str:
    """Damage a checkpoint or a model folder in one place; says how."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    parts = [path for path in files if path.name != MANIFEST and path.suffix != ".md"]
    kind = generator.integers(10)
    if kind < 2:
        return damage_bytes(pick(files, generator), generator)
    if kind < 4:
        return damage_place(pick(files, generator), generator)
    path = pick(parts, generator)
    if kind < 5:
        said = damage_bytes(path, generator)
    elif path.suffix == ".json":
        said = damage_document(path, generator)
    else:
        said = damage_tensors(path, generator)
    sign(folder)
    return f"signed: {said}"


def copied(source: Path, target: Path) -> Path:
    """Copy a folder in the place of another one."""
    shutil.rmtree(target, ignore_errors=True)
    return Path(shutil.copytree(source, target))


def finite(path: Path) -> bool:
    """Whether all numbers in a file of tensors are finite, or it is none."""
    try:
        return all(bool(value.isfinite().all()) for value in load_file(path).values())
    except SafetensorError:
        return False


def damage_arrays(path: Path, generator: Generator) -> str:
    """Put another array in the place of one in an .npz, or damage its bytes."""
    if generator.random() < 0.5:
        return damage_bytes(path, generator)
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    name = pick(arrays, generator)
    array = arrays[name]
    made: dict[str, Any] = {
        "NaN": np.full(array.shape, np.nan), "inf": np.full(array.shape, np.inf),
        "texts": np.full(array.shape, "a"), "objects": np.full(array.shape, None, object),
        "one": np.zeros(1), "a number": np.array(3), "flat": array.reshape(-1), "none": array[:0],
        "shorter": array[:-1], "an axis more": array[None], "complex": array.astype(complex),
        "whole": np.nan_to_num(array).astype(np.int64), "sevens": np.full(array.shape, 7.0),
        "half": np.full(array.shape, 0.5), "times": np.zeros(array.shape, "datetime64[s]"),
        "huge": np.full(array.shape, 1e300), "records": np.zeros(3, [("a", "f4")]),
    }  # fmt: skip
    kind = pick((*made, "gone", "renamed"), generator)
    if kind in ("gone", "renamed"):
        del arrays[name]
    if kind == "renamed":
        arrays[name + "x"] = array
    if kind in made:
        arrays[name] = made[kind]
    np.savez(path, **arrays)
    return f"{path.name} {name} {kind}"
