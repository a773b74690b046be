import os
import stat
import sys
import time

import pytest
import small_cells
from small_cells import draw_cells

from langrl.errors import ConfigError
from langrl.training.cells import run_cells
from langrl.training.engines.local import LocalEngine
from langrl.training.engines.slurm import SlurmEngine

pytest.importorskip("submitit", reason="submitit is not installed: the extra slurm")

# Runs each element of the array, one after the other, as SLURM's batch step does.
SBATCH = """#!/bin/bash
cp "$1" "{folder}/script.sh"
last=$(grep -oP '^#SBATCH --array=0-\\K[0-9]+' "$1")
for n in $(seq 0 "$last"); do
    SLURM_JOB_ID=7$n SLURM_ARRAY_JOB_ID=7 SLURM_ARRAY_TASK_ID=$n SLURM_NTASKS=1 \\
    SLURM_JOB_NUM_NODES=1 SLURM_NODEID=0 SLURM_PROCID=0 SLURM_LOCALID=0 \\
        bash "{folder}/script.sh" > "{folder}/log" 2>&1 < /dev/null
done > /dev/null 2>&1 &
echo "Submitted batch job 7"
"""
SUBMITS = """#!/bin/bash
echo "Submitted batch job 7"
"""
SCANCEL = """#!/bin/bash
echo "$@" >> "{folder}/cancelled"
"""
REFUSES = """#!/bin/bash
echo "sbatch: error: invalid partition specified: $(grep -oP 'partition=\\K.*' "$1")" >&2
exit 1
"""


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """Return what puts stand-ins for SLURM's commands first on the path."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def write(**texts):
        for name, text in (texts | {"srun": "#!/bin/bash\n"}).items():
            file = folder / name
            file.write_text(text.replace("{folder}", str(folder)))
            file.chmod(file.stat().st_mode | stat.S_IEXEC)
        return folder

    return write


def local(folder):
    return SlurmEngine(folder / "slurm", cluster="local")


def test_results_are_those_of_the_local_engine_bit_for_bit(tmp_path):
    results = run_cells(draw_cells(tmp_path / "slurm", range(2)), local(tmp_path), "test")
    assert [result["seed"] for result in results] == [0, 1]
    run_cells(draw_cells(tmp_path / "local", range(2)), LocalEngine(1), "test")
    for seed in range(2):
        one, two = (tmp_path / name / f"{seed}.json" for name in ("slurm", "local"))
        assert one.read_bytes() == two.read_bytes()


def test_relative_paths_and_failures_are_as_in_the_local_engine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").touch()
    results = dict(local(tmp_path).map(small_cells.fails_without, [("there",), ("here",)]))
    assert results[0] == {"ok": True}
    assert str(results[1].error) == "no here; write it"


def test_a_job_that_was_ended_names_its_log(tmp_path, monkeypatch):
    monkeypatch.setattr("submitit.core.core.Job._results_timeout_s", 0)
    ((_, lost),) = local(tmp_path).map(small_cells.end_process, [(tmp_path, 99)])
    assert "ended without a result" in str(lost.error)
    assert str(tmp_path / "slurm") in str(lost.error)


def test_a_job_array_has_the_options_and_its_results_arrive_by_number(tmp_path, commands):
    folder = commands(sbatch=SBATCH, scancel=SCANCEL)
    engine = SlurmEngine(tmp_path / "slurm", 3, "short", 90, {"account": "mine"})
    results = dict(engine.map(small_cells.draws, [(5,), (6,)]))
    assert {number: result["seed"] for number, result in results.items()} == {0: 5, 1: 6}
    script = (folder / "script.sh").read_text()
    for option in ("partition=short", "time=90", "account=mine", "cpus-per-task=1", "array=0-1%2"):
        assert f"#SBATCH --{option}" in script
    assert sys.executable in script
    assert not (folder / "cancelled").exists()


def test_jobs_are_cancelled_when_no_more_results_are_wanted(tmp_path, commands):
    folder = commands(sbatch=SUBMITS, scancel=SCANCEL)
    with pytest.raises(KeyboardInterrupt):
        next_but_interrupted(SlurmEngine(tmp_path / "slurm").map(small_cells.draws, [(5,), (6,)]))
    assert (folder / "cancelled").read_text().split() == ["7_0", "7_1"]
    assert not (tmp_path / "slurm" / "submitted.txt").exists()


def test_what_a_killed_command_has_left_is_cancelled_first(tmp_path, commands):
    folder = commands(sbatch=SUBMITS, scancel=SCANCEL)
    (tmp_path / "slurm").mkdir()
    (tmp_path / "slurm" / "submitted.txt").write_text("41\n42\n")
    with pytest.raises(KeyboardInterrupt):
        next_but_interrupted(SlurmEngine(tmp_path / "slurm").map(small_cells.draws, [(5,), (6,)]))
    assert (folder / "cancelled").read_text().splitlines()[0] == "41 42"


def next_but_interrupted(results):
    def interrupted(_):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "sleep", interrupted)
        next(results)


def test_what_sbatch_says_of_wrong_options_is_passed_on(tmp_path, commands):
    commands(sbatch=REFUSES, scancel=SCANCEL)
    engine = SlurmEngine(tmp_path / "slurm", partition="nowhere")
    with pytest.raises(ConfigError, match=r"sbatch refused the jobs: .*partition.*nowhere"):
        list(engine.map(small_cells.draws, [(5,), (6,)]))


def test_without_slurm_the_command_says_where_it_belongs(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=r"no sbatch.*login node.*--engine local"):
        SlurmEngine(tmp_path)
