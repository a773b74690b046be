"""The benchmark itself on each engine: the same metrics, bit for bit."""

import json

import pytest
from command_line import run_langrl
from small_benchmark import STREET, SmallEngine

from langrl.benchmark.results import load_results
from langrl.training.engines import config
from langrl.training.engines.slurm import SlurmEngine

FLAGS = (
    "benchmark",
    "run",
    "--profile",
    "small",
    "--agents",
    "offline-pays",
    "--seeds",
    2,
    "--workers",
)
TIMINGS = {"seconds", "train_seconds"}


@pytest.fixture
def engines(small, monkeypatch):
    """The command's own engines, whose processes know the small suite; SLURM's without SLURM."""
    make = config.make_engine

    def make_small(flags, folder):
        if flags.engine == "slurm":
            return SmallEngine(SlurmEngine(folder / "slurm", flags.workers, cluster="local"))
        return SmallEngine(make(flags, folder))

    monkeypatch.setattr(config, "make_engine", make_small)


def without_timings(value):
    """Return JSON values without the seconds that things took."""
    if isinstance(value, dict):
        return {k: without_timings(v) for k, v in value.items() if k not in TIMINGS}
    return [without_timings(item) for item in value] if isinstance(value, list) else value


def stored(out):
    """Return what is in the result files of a folder, and the weights of its runs."""
    files = sorted(
        file for name in ("calibration", "cells") for file in (out / name).rglob("*.json")
    )
    weights = sorted((out / "runs").rglob("weights.safetensors"))
    found = {
        str(each.relative_to(out)): without_timings(json.loads(each.read_text())) for each in files
    }
    return found | {str(each.relative_to(out)): each.read_bytes() for each in weights}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return tmp_path_factory.mktemp("alone") / "out"


@pytest.mark.parametrize("engine", ["local", "slurm", "ray"])
def test_the_benchmark_gives_the_same_on_every_engine_bit_for_bit(
    engine, engines, alone, tmp_path, capsys
):
    address = ()
    if engine == "ray":
        ray = pytest.importorskip("ray", reason="ray is not installed: the extra ray")
        address = ("--ray-address", "local")
    if engine == "slurm":
        pytest.importorskip("submitit", reason="submitit is not installed: the extra slurm")
    if not alone.exists():
        assert run_langrl(*FLAGS, 1, "--out", alone) == 0
    try:
        assert run_langrl(*FLAGS, 2, "--engine", engine, *address, "--out", tmp_path) == 0
    finally:
        if engine == "ray":
            ray.shutdown()
    wanted, found = stored(alone), stored(tmp_path)
    assert len([name for name in wanted if name.endswith(".safetensors")]) >= 2
    assert len([name for name in wanted if name.startswith("cells/")]) == 2
    assert found == wanted
    assert {cell.world for cell in load_results(tmp_path).cells} == {STREET}
