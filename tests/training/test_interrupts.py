"""SIGINT and SIGTERM: what is trained is stored, at any step, and the run goes on to the same bits.

Signals are sent by the tests' own process to itself, at a step that each test chooses.
"""

import json
import os
import signal
import subprocess
import sys

import pytest
import small_cells
import torch
from command_line import read_weights, run_langrl
from small_goal_runs import tiny
from small_runs import MAZE
from torch import nn

from langrl.checkpoint import Checkpoint, find_checkpoint, read_checkpoint
from langrl.tasks.goal_reaching.run import GoalRun
from langrl.tasks.run import resume_run, train_run
from langrl.training import interrupts
from langrl.training.config import LoggingConfig
from langrl.training.engines.local import LocalEngine
from langrl.training.learner import GradientLearner, OfflineReplay
from langrl.training.loop import Training
from langrl.training.optim import Optimiser, constant_schedule

LOGGING = LoggingConfig(log_every=1, checkpoint_every=3)
SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143}
FOREVER = """
import os, signal, sys, time
from langrl.training import interrupts
with interrupts.handled(), interrupts.deferred(), interrupts.storing():
    os.kill(os.getpid(), signal.SIGTERM)
    print("noted", flush=True)
    time.sleep(0.2)
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(600)
"""
IMPORTS = """
import sys
import langrl.training.interrupts
assert "torch" not in sys.modules
"""


class Line(GradientLearner):
    """Fits a slope."""

    def __init__(self):
        self.slope = nn.Parameter(torch.zeros(()))
        optimiser = Optimiser({"slope": self.slope}, 0.1, constant_schedule)
        super().__init__(optimiser, OfflineReplay(lambda: {"x": torch.ones(3)}))

    def loss(self, batch):
        return ((self.slope - 2) * batch["x"]).square().mean(), {}


def equal(one, other):
    return one.keys() == other.keys() and all(
        part.keys() == other[name].keys()
        and all(torch.equal(value, other[name][key]) for key, value in part.items())
        for name, part in one.items()
    )


def signal_at(monkeypatch, step, number):
    """Send a signal to this process when a learner has taken so many steps."""
    update = Training._update

    def updated(self, batch):
        metrics = update(self, batch)
        if self.learner.step == step:
            signal.raise_signal(number)
        return metrics

    monkeypatch.setattr(Training, "_update", updated)


@pytest.mark.usefixtures("blank_images")
@pytest.mark.parametrize(
    ("number", "step"),  # before the first checkpoint, between two, and at the last step
    [(signal.SIGINT, 3), (signal.SIGTERM, 17), (signal.SIGTERM, 30)],
)
def test_a_run_stores_what_it_trained_and_goes_on_to_the_same_bits(
    number, step, small_run, tmp_path, monkeypatch, capsys
):
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        signal_at(patch, step, number)
        assert run_langrl("train", *MAZE, "--out", run) == SIGNALS[number]
    assert find_checkpoint(run).name == f"step-{step}"
    out, err = capsys.readouterr()
    assert f"stopped at step {step}, which is stored" in out
    assert "--resume" in err
    assert run_langrl("train", "--resume", run) == 0
    assert read_weights(run) == read_weights(small_run("maze"))
    assert (run / "metrics.jsonl").read_bytes() == (
        small_run("maze") / "metrics.jsonl"
    ).read_bytes()


def records(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("during", ["the update before", "the evaluation", "its checkpoint"])
def test_a_run_that_is_stopped_at_an_evaluation_evaluates_when_it_goes_on(
    during, tmp_path, monkeypatch
):
    config = tiny({"logging": {"log_every": 4, "checkpoint_every": 5}})
    whole, _ = train_run(config, tmp_path / "whole", "train")
    step = whole.evaluation_steps
    watch, write = GoalRun._evaluate, "langrl.tasks.goal_reaching.run.write_checkpoint"

    def stop(*_):
        signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        if during == "the update before":
            signal_at(patch, step, signal.SIGINT)
        elif during == "the evaluation":
            patch.setattr(GoalRun, "_evaluate", stop)
        else:
            patch.setattr(write, stop)
        with pytest.raises(interrupts.Stopped), interrupts.handled():
            train_run(config, tmp_path / "cut", "train")
    assert find_checkpoint(tmp_path / "cut").name == f"step-{step}"
    assert all(record["step"] < step for record in records(tmp_path / "cut"))
    assert GoalRun._evaluate is watch
    run, _ = resume_run(tmp_path / "cut", "resume")
    assert records(tmp_path / "cut") == records(tmp_path / "whole")
    assert run.best == whole.best
    assert equal(run.learner.state(), whole.learner.state())
    best = [read_checkpoint(tmp_path / name / "checkpoints" / "best") for name in ("cut", "whole")]
    assert equal(best[0].tensors, best[1].tensors)


def line_training(folder, learner, steps=9):
    folder.mkdir(exist_ok=True)
    snapshot = lambda: Checkpoint({"state": {}}, learner.state())  # noqa: E731
    return Training(learner, steps, folder, LOGGING, snapshot)


def test_a_step_that_does_not_end_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(interrupts, "_PATIENCE", 0.05)
    learner = Line()

    def hang(metrics):
        if learner.step == 5:
            signal.raise_signal(signal.SIGTERM)
            signal.pause()  # the alarm ends it
        return metrics

    update = learner.update
    learner.update = lambda batch: hang(update(batch))
    with pytest.raises(interrupts.Stopped), interrupts.handled():
        line_training(tmp_path, learner).run("train")
    assert find_checkpoint(tmp_path).name == "step-3"  # of step 5, half may have been done


def test_storing_is_not_cut_short(tmp_path, monkeypatch):
    monkeypatch.setattr(interrupts, "_PATIENCE", 0.01)
    learner = Line()
    training = line_training(tmp_path, learner)
    snapshot = training.snapshot

    def slow():
        if learner.step == 3:
            signal.raise_signal(signal.SIGTERM)
            signal.sigtimedwait([signal.SIGUSR1], 0.1)
        return snapshot()

    object.__setattr__(training, "snapshot", slow)
    with pytest.raises(interrupts.Stopped), interrupts.handled():
        training.run("train")
    assert read_checkpoint(tmp_path / "checkpoints" / "step-3").tensors["optimizer"]["step"] == 3


def test_a_second_signal_ends_the_process_at_once():
    done = subprocess.run(
        [sys.executable, "-c", FOREVER], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout) == (130, "noted\n")


def test_outside_of_training_a_signal_raises_where_it_comes():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(interrupts.Stopped) as stopped, interrupts.handled():
        signal.raise_signal(signal.SIGTERM)
    assert stopped.value.status == 143
    assert signal.getsignal(signal.SIGTERM) is before
    with interrupts.handled():
        assert not interrupts.requested()


def test_a_forked_process_leaves_signals_to_its_parent():
    with interrupts.handled():
        child = os.fork()
        if child == 0:
            signal.raise_signal(signal.SIGINT)  # no effect
            signal.raise_signal(signal.SIGTERM)
            os._exit(0)
        _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 143


def test_handling_signals_needs_no_torch():
    subprocess.run([sys.executable, "-c", IMPORTS], check=True)


def test_workers_store_before_they_end(tmp_path):
    jobs = [(tmp_path, name) for name in ("one", "two")]
    results = LocalEngine(2).map(small_cells.train_until_stopped, jobs)
    with pytest.raises(interrupts.Stopped), interrupts.handled():
        next_unless(lambda: both_train(tmp_path), results)
    assert {path.name for path in tmp_path.glob("*.stored")} == {"one.stored", "two.stored"}


def next_unless(look, results):
    """Return the next result, and look several times a second meanwhile."""
    before = signal.signal(signal.SIGALRM, lambda *_: look())
    signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
    try:
        next(results)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def both_train(folder):
    if len(list(folder.glob("*.begun"))) == 2:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.raise_signal(signal.SIGTERM)


@pytest.fixture(autouse=True)
def no_alarm():
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    torch.set_flush_denormal(False)
