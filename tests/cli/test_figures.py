"""What `langrl evaluate` draws, and what it says of beliefs."""

import re

import numpy as np
import pytest
from command_line import run_langrl
from PIL import Image


@pytest.fixture(scope="module")
def run(small_run):
    return small_run("maze")


def test_a_walk_in_a_maze_is_filmed(run, tmp_path, capsys):
    arguments = ["--instruction", "go to row 3", "--methods", "oracle", "log_sum_exp"]
    assert run_langrl("evaluate", run, *arguments, "--episodes", 2, "--out", tmp_path) == 0
    for method in ("oracle", "log_sum_exp"):
        film = Image.open(tmp_path / "figures" / f"film-{method}.gif")
        assert film.n_frames > 1
        assert np.asarray(film.convert("L")).std() > 5
    # Both numbers of bits are of cells: log2 of how many are meant, and of an even choice.
    told = capsys.readouterr().out
    assert "denotes 10 cells (3.3 bits of ambiguity)" in told
    bits, cells = map(float, re.search(r"entropy of (.*) bits, .* among (.*) cells", told).groups())
    assert bits <= np.log2(100)
    assert cells == pytest.approx(2**bits, rel=0.05)


def test_a_plain_evaluation_draws_success_by_kind_and_phrasing(run, tmp_path):
    flags = ["--kinds", "row", "--phrasings", "seen", "--methods", "oracle", "--episodes", 2]
    assert run_langrl("evaluate", run, *flags, "--out", tmp_path) == 0
    for name in ("success", "posterior"):
        pixels = np.asarray(Image.open(tmp_path / "figures" / f"{name}.png").convert("L"))
        assert pixels.std() > 5
