"""Commands that draw need no display, and none of what MPLBACKEND names."""

import os
import subprocess
import sys

import pytest

DRAW = """
import sys
from langrl.cli import main as cli

def draw(arguments):
    from pathlib import Path
    from langrl.plots.base import figure, save
    fig = figure(2, 1, "title")
    fig.subplots().plot([0, 1])
    save(fig, Path(arguments[0]))

cli.COMMANDS["draw"] = (draw, "draw")
sys.argv = ["langrl", "draw", sys.argv[1]]
cli.main()
"""


@pytest.mark.parametrize(
    "backend", ["module://matplotlib_inline.backend_inline", "module://nowhere", "TkAgg", "no such"]
)
def test_a_command_draws_whatever_backend_is_asked_for(backend, tmp_path):
    environment = {key: value for key, value in os.environ.items() if key != "DISPLAY"}
    path = tmp_path / "figure.png"
    subprocess.run(
        [sys.executable, "-c", DRAW, str(path)],
        env=environment | {"MPLBACKEND": backend},
        check=True,
    )
    assert path.read_bytes().startswith(b"\x89PNG")
