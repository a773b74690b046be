"""A run that is stopped at any operation on its folder goes on, to the bits of a whole run."""

import itertools
import json
import os
import shutil
import time

import numpy as np
import pytest
import torch
from crashing import STOPPED, Operations, check_same, in_a_fork
from tally import counted, tally

from langrl.checkpoint import find_checkpoint, read_checkpoint
from langrl.errors import CheckpointError
from langrl.settings import CONFIG_FILE
from langrl.tasks.run import resume_run, train_run
from langrl.training.logs import read_metrics

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


def go_on(config, folder):
    """Do what a user does after a crash."""
    if (folder / CONFIG_FILE).is_file():
        resume_run(folder, "resume")
    else:
        train_run(config, folder, "again")


def operations_of(config, folder):
    """Return how many operations on its folder a run takes; it is trained in a fork."""
    path = folder.with_suffix(".count")

    def count():
        watched = Operations(folder)
        watched.install()
        train_run(config, folder, "count")
        with open(path, "w") as file:
            file.write(json.dumps([watched.count, watched.unflushed]))

    assert in_a_fork(count, folder.with_suffix(".log")) == 0, folder.with_suffix(".log").read_text()
    return json.loads(path.read_text())


def stopped(config, folder, at, **options):
    """Train in a fork that is stopped at an operation; return its status."""

    def train():
        Operations(folder, at, **options).install()
        train_run(config, folder, "train")

    return in_a_fork(train, folder.with_suffix(".log"))


LONG = [pytest.param(kind, marks=pytest.mark.torture) for kind in ("grid", "cpc")]


@pytest.mark.parametrize("kind", ["maze", "goals", *LONG])
@counted(8, 1000)
def test_a_run_that_is_stopped_at_any_operation_goes_on(
    many, kind, quick_config, quick_runs, tmp_path
):
    config, whole = quick_config(kind), quick_runs(kind)
    count, _ = operations_of(config, tmp_path / "counted")
    points = range(0, count, max(1, -(-count // many)))
    with tally(f"2 stopped at an operation on files, {kind}") as check:
        for at in points:
            folder = tmp_path / str(at)
            with check.case(f"operation {at} of {count}"):
                # Threads that write events may need fewer operations than when they were counted.
                assert stopped(config, folder, at) in (STOPPED, 0)
                go_on(config, folder)
                check_same(folder, whole)
            shutil.rmtree(folder, ignore_errors=True)


@counted(6, 1000)
def test_a_disk_that_is_full_from_any_operation_on_loses_nothing(
    many, quick_config, quick_runs, tmp_path
):
    config, whole = quick_config("maze"), quick_runs("maze")
    count, _ = operations_of(config, tmp_path / "counted")
    with tally("2 disk full from an operation on") as check:
        for at in range(0, count, max(1, -(-count // many))):
            folder = tmp_path / str(at)
            with check.case(f"operation {at} of {count}"):
                status = stopped(config, folder, at, full=True)
                said = folder.with_suffix(".log").read_text()
                assert status == 0 or "No space left on device" in said, said
                for path in (folder / "checkpoints").glob("step-*"):
                    read_checkpoint(path)  # whole
                go_on(config, folder)
                check_same(folder, whole)
            shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("kind", ["maze", "goals"])
def test_what_is_renamed_into_its_place_is_on_disk_before(kind, quick_config, tmp_path):
    count, unflushed = operations_of(quick_config(kind), tmp_path / "run")
    assert count > 40
    assert unflushed == []


def test_a_run_without_any_whole_checkpoint_says_so(quick_config, tmp_path):
    train_run(quick_config("maze"), tmp_path / "run", "train")
    for path in (tmp_path / "run" / "checkpoints").glob("step-*"):
        (path / "manifest.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"manifest\.json is damaged"):
        resume_run(tmp_path / "run", "resume")
    assert torch.get_num_threads() == 1
    assert find_checkpoint(tmp_path / "run").name == "step-4"


def test_a_clock_that_goes_backwards_changes_no_record(
    quick_config, quick_runs, tmp_path, monkeypatch
):
    folder = tmp_path / "run"
    shutil.copytree(quick_runs("maze"), folder)
    shutil.rmtree(folder / "checkpoints" / "step-4")
    now, hours = time.time(), itertools.count(1)
    # Each question for the time is answered an hour earlier than the one before.
    monkeypatch.setattr(time, "time", lambda: now - 3600 * next(hours))
    go_on(quick_config("maze"), folder)
    check_same(folder, quick_runs("maze"))


def steps_on_board(folder):
    """Return the steps of the losses that TensorBoard shows, in their order."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0})
    board.Reload()
    return [event.step for event in board.Scalars("loss")]


@counted(2, 20)
def test_records_have_each_step_once_after_many_stops(many, quick_config, tmp_path):
    config = quick_config("maze")
    learner = config.learner.model_copy(update={"steps": 2 * many + 4})
    config, folder = config.model_copy(update={"learner": learner}), tmp_path / "run"
    moments, stops = np.random.default_rng(0), 0
    while stops < many:
        at = int(moments.integers(60, 120))

        def train(at=at):
            Operations(folder, at).install()
            go_on(config, folder)

        status = in_a_fork(train, tmp_path / "log")
        assert status in (0, STOPPED), (tmp_path / "log").read_text()
        stops += 1
        # TensorBoard orders the files of one second by their processes, not by time.
        time.sleep(1.01 - time.time() % 1)
    go_on(config, folder)
    with tally(f"11 records after {many} stops, JSONL and TensorBoard") as check:
        wanted = list(range(1, learner.steps + 1))
        with check.case("metrics.jsonl"):
            assert [line["step"] for line in read_metrics(folder / "metrics.jsonl")] == wanted
            assert len((folder / "metrics.jsonl").read_text().splitlines()) == len(wanted)
        with check.case("TensorBoard"):
            assert steps_on_board(folder) == wanted
