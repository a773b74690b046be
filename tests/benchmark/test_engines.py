"""The benchmark itself on each engine: the same metrics, bit for bit."""

import json

import pytest
from command_line import run_langrl
from small_benchmark import SmallEngine

from langrl.training.engines import config
from langrl.training.engines.slurm import SlurmEngine

FLAGS = ("benchmark", "run", "--profile", "small", "--agents", "offline-pays")
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


@pytest.fixture
def run(engines, alone, tmp_path):
    """Run the benchmark with some flags, and in this process alone if it is the first test."""

    def compare(*flags, seeds):
        if not alone.exists():
            assert run_langrl(*FLAGS, "--seeds", 2, "--workers", 1, "--out", alone) == 0
        flags = (*FLAGS, "--seeds", seeds, "--workers", 2, *flags, "--out", tmp_path)
        assert run_langrl(*flags) == 0
        wanted, found = stored(alone), stored(tmp_path)
        assert sum(name.startswith("cells/") for name in found) == seeds
        assert sum(name.endswith("step-6/weights.safetensors") for name in found) == seeds
        assert found == {name: wanted[name] for name in found}

    return compare


def test_two_workers_give_the_same_bit_for_bit(run):
    run("--engine", "local", seeds=2)


def test_jobs_of_slurm_give_the_same_bit_for_bit(run):
    pytest.importorskip("submitit", reason="submitit is not installed: the extra slurm")
    run("--engine", "slurm", seeds=1)  # a process for each cell


def test_tasks_of_ray_give_the_same_bit_for_bit(run):
    ray = pytest.importorskip("ray", reason="ray is not installed: the extra ray")
    try:
        run("--engine", "ray", "--ray-address", "local", seeds=2)
    finally:
        ray.shutdown()
