import json
import math

import numpy as np
import pytest
import torch

from langrl.benchmark import speed as benchmark
from langrl.benchmark.speed import broadcast_log_mean_exp, scalar_move
from langrl.envs.grid.rooms import GRID_WORLDS
from langrl.envs.maze.layouts import load_layout
from langrl.envs.maze.world import move


def test_the_scalar_baseline_moves_as_the_batched_dynamics_do():
    layout = load_layout("fork")
    generator = np.random.default_rng(0)
    cells = layout.free_cells[generator.integers(len(layout.free_cells), size=500)]
    positions = (cells + generator.random((500, 2)) * 0.99).astype(np.float32)
    angles = generator.uniform(0, 2 * math.pi, 500)
    directions = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    batched = move(layout.walls, positions, directions)
    walls = layout.walls.tolist()
    scalar = [
        scalar_move(walls, float(r), float(c), angle)
        for (r, c), angle in zip(positions, angles, strict=True)
    ]
    # float32 against float64: a point that is on a wall within rounding may stop one check later
    close = np.abs(batched - np.array(scalar)).max(1) < 1e-4
    assert close.mean() > 0.99


def scores(scale, *shape, seed):
    return scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("lowest", [None, -80.0])
@pytest.mark.parametrize("scale", [1.0, 30.0])
@pytest.mark.parametrize("cached", [1, 20, 1 << 17])
def test_broadcasting_is_a_logsumexp_over_candidates(lowest, scale, cached, monkeypatch):
    monkeypatch.setattr(benchmark, "_CACHED", cached)  # one column, two and all of them at a time
    left, right = scores(scale, 4, 10, seed=0), scores(scale, 10, 7, seed=1)
    before = left.clone(), right.clone()
    expected = (left.unsqueeze(-1) + right).logsumexp(1) - math.log(10)
    torch.testing.assert_close(broadcast_log_mean_exp(left, right, lowest), expected)
    assert torch.equal(left, before[0])
    assert torch.equal(right, before[1])


def test_broadcasting_cuts_exponents_off_at_the_lowest():
    left, right = torch.tensor([[0.0, -5.0]]), torch.zeros(2, 1)
    value = broadcast_log_mean_exp(left, right, lowest=-1.0)
    assert value.item() == pytest.approx(math.log((1 + math.exp(-1)) / 2))


@pytest.fixture
def streamed_little(monkeypatch):
    """Few candidates, and no process for their memory."""
    monkeypatch.setattr(benchmark, "SCALES", (1,))
    monkeypatch.setattr(benchmark, "_STREAMED", 10_000)
    monkeypatch.setattr(benchmark, "run_jobs", lambda function, jobs, workers, label: [123.0])


def test_marginals_are_timed_against_broadcasting_and_bare_products(streamed_little):
    product, streamed = benchmark.marginals(1)
    assert set(product) == {
        "benchmark", "variant", "scale", "milliseconds", "baseline_milliseconds", "ratio",
        "recomputed_fraction", "largest_error",
    }  # fmt: skip
    assert set(streamed) == {
        "benchmark", "variant", "scale", "milliseconds", "baseline_milliseconds", "ratio",
        "peak_megabytes",
    }  # fmt: skip
    for row in (product, streamed):
        assert row["benchmark"] == "marginals"
        assert row["milliseconds"] > 0
        assert row["baseline_milliseconds"] > 0
    # how many times faster than broadcasting; which part of the time the bare products take
    assert product["ratio"] == product["baseline_milliseconds"] / product["milliseconds"]
    assert streamed["ratio"] == streamed["baseline_milliseconds"] / streamed["milliseconds"]
    assert product["scale"] == 1
    assert product["recomputed_fraction"] == 0.0
    assert product["largest_error"] < 20e-6  # values are below 1
    assert streamed["peak_megabytes"] == 123.0
    assert streamed["variant"].startswith("10,000 candidates")


def test_resets_of_every_grid_world_are_timed_against_one_at_a_time(monkeypatch):
    monkeypatch.setattr(benchmark, "ENVS", 4)
    monkeypatch.setattr(benchmark, "_SINGLE", 2)
    rows = benchmark.grid_resets(1)
    assert [row["variant"] for row in rows] == list(GRID_WORLDS)
    for row in rows:
        assert row["benchmark"] == "grid-resets"
        rates = [row[name] for name in row if name.endswith("_per_second")]
        assert len(rates) == 3
        assert min(rates) > 0
        expected = row["resets_per_second"] / row["one_at_a_time_per_second"]
        assert row["ratio"] == pytest.approx(expected, rel=0.1)  # of rates that are not rounded


def test_memory_of_a_stream_is_in_megabytes(monkeypatch):
    monkeypatch.setattr(benchmark, "_STREAMED", 1000)
    assert 50 < benchmark.streaming_peak() < 20_000


def test_rows_with_different_columns_are_printed_and_written(tmp_path, monkeypatch, capsys):
    found = {
        "first": [{"variant": "a", "ratio": 2.0}, {"variant": "b", "peak": 123.4}],
        "second": [{"variant": "c", "rate": 7}],
    }
    monkeypatch.setattr(
        benchmark, "SPEED", {name: lambda rounds, rows=rows: rows for name, rows in found.items()}
    )
    benchmark.speed(None, 3, tmp_path, "langrl benchmark speed")
    output = capsys.readouterr().out
    for words in ("first, medians", "second, medians", "ratio", "peak", "rate", "2.000", "123"):
        assert words in output
    (line,) = [line for line in output.splitlines() if "123" in line]
    assert "-" in line  # it has no ratio
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["rows"] == found["first"] + found["second"]
    assert results["config"] == {"rounds": 3}
