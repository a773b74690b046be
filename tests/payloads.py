"""Payloads that leave a file, the canary, where they are unpickled, imported or built by YAML."""

import io
import os
import pickle
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tally import Tally

STOWAWAY = "stowaway"  # module that comes with a payload


class Runs:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self.path), "w"))


class Shell(Runs):
    """Writes a file by a shell when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, (f"touch '{self.path}'",))


def torch_file(value: Any, **options: Any) -> bytes:
    """Return what ``torch.save`` writes."""
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return buffer.getvalue()


def _arrays(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _array(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def _objects(path: Path) -> Any:
    return np.array([[Runs(path)] * 2] * 6, object)


PICKLES: dict[str, Callable[[Path], bytes]] = {
    "a pickle": lambda path: pickle.dumps(Runs(path)),
    "a pickle of text": lambda path: pickle.dumps(Shell(path), 0),
    "a table that torch has saved": lambda path: torch_file({"w": Runs(path)}),
    "one of its first format": lambda path: torch_file(
        {"w": Shell(path)}, _use_new_zipfile_serialization=False
    ),
    "an .npz of objects": lambda path: _arrays(
        observations=_objects(path), actions=np.zeros((6, 2)), terminals=np.arange(6) == 5
    ),
    "an .npy of objects": lambda path: _array(_objects(path)),
}


def stow(folder: Path, name: str, canary: Path) -> Path:
    """Write a module that leaves the canary when it is imported."""
    path = folder / f"{name}.py"
    path.write_text(
        f"import pathlib\npathlib.Path({str(canary)!r}).touch()\nclass Module:\n    pass\n"
    )
    return path


def _entry(kind: Any, path: str = "") -> list[dict[str, Any]]:
    return [{"idx": 0, "name": "0", "path": path, "type": kind}]


FOREIGN: dict[str, Any] = {  # modules.json of a model folder
    "its own module": _entry(f"{STOWAWAY}.Module"),
    "a module of Python": _entry("os.system"),
    "a function of the library": _entry("sentence_transformers.util.misc.import_module_class"),
    "a name that begins as the library's": _entry("sentence_transformers_of_mine.Module"),
    "a folder above": _entry("sentence_transformers.models.Transformer", "../elsewhere"),
    "a folder from the root": _entry("sentence_transformers.models.Transformer", "/etc"),
    "a list": _entry([f"{STOWAWAY}.Module"]),
    "no type": [{"path": ""}],
    "no list": 3,
    "null": None,
}

TAGS = {  # values of YAML; CANARY stands for the path
    "apply": "!!python/object/apply:os.system [touch CANARY]",
    "apply a function of Python": "!!python/object/apply:builtins.open [CANARY, w]",
    "apply with a table": "!!python/object/apply:subprocess.check_call {args: [[touch, CANARY]]}",
    "new": "!!python/object/new:os.system [touch CANARY]",
    "a new type with a state": "!!python/object/new:type {args: [z, !!python/tuple [], {extend:"
    " !!python/name:exec }], listitems: \"open('CANARY', 'w')\"}",
    "evaluated": "!!python/object/apply:builtins.eval [\"open('CANARY', 'w')\"]",
    "a name": f"!!python/name:{STOWAWAY}.Module",
    "a module": f"!!python/module:{STOWAWAY} ''",
    "an object": f"!!python/object:{STOWAWAY}.Module {{}}",
    "a whole tag": "!<tag:yaml.org,2002:python/object/apply:os.system> [touch CANARY]",
}


@contextmanager
def silent(check: Tally, label: str, canary: Path) -> Iterator[None]:
    """Count a case, which fails if its payload ran."""
    with check.case(label):
        try:
            yield
        finally:
            ran = canary.exists() or STOWAWAY in sys.modules
            canary.unlink(missing_ok=True)
            sys.modules.pop(STOWAWAY, None)
            assert not ran, "the payload ran"
