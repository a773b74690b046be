"""The command line in this process, and what it leaves in a run folder."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from langrl.checkpoint import find_checkpoint
from langrl.cli import main as cli


def run_langrl(*arguments: object) -> object:
    """Run ``langrl`` with arguments and return its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["langrl", *map(str, arguments)])
        try:
            cli.main()
        except SystemExit as stop:
            return stop.code or 0
    return 0


def read_results(folder: Path) -> dict[str, Any]:
    """Return what is in ``results.json`` of a folder."""
    return json.loads((folder / "results.json").read_text())


def read_weights(folder: Path) -> dict[str, bytes]:
    """Return the bytes of each weight in the newest checkpoint of a run folder."""
    tensors = load_file(find_checkpoint(folder) / "weights.safetensors")
    return {name: tensor.numpy().tobytes() for name, tensor in tensors.items()}
