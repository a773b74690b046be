"""Processes that a command started end with it, however it ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from leftovers import PATIENCE, below, lives, wait_until
from tally import counted, tally

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")

DRAWING = """
import sys
from functools import partial
from langrl.data.prefetch import Prefetcher

def draw(step):
    return step

if __name__ == "__main__":
    batches = Prefetcher(draw, 10**9, 2)
    for step in range(10**9):
        batches(step)
        if step == 3:
            print("trains", flush=True)
"""
PRETRAINING = """
from langrl.cli.main import main
if __name__ == "__main__":
    main()
"""
TINY = {
    "task": "language-image", "worlds": ["goto"], "words": None, "steps": 10**6, "workers": 2,
    "rooms_per_batch": 4, "images_per_room": 6, "texts_per_room": 3, "evaluation_rooms": 2,
    "model": {"embedding": 16, "image": {"channels": 16, "depth": 1},
              "text": {"width": 16, "depth": 1, "buckets": 64}},
    "logging": {"log_every": 2, "checkpoint_every": 2, "keep": 1},
}  # fmt: skip


def start(script, arguments, folder):
    (folder / "script.py").write_text(script)
    return subprocess.Popen(
        [sys.executable, str(folder / "script.py"), *arguments],
        stdout=(folder / "out").open("w"),
        stderr=subprocess.STDOUT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )


def end_and_count(process, number, trains):
    """End a process by a signal once it trains; return the processes that go on without it."""
    try:
        wait_until(lambda: trains() or process.poll() is not None, "it does not train")
        assert process.poll() is None, "it ended by itself"
        started = below(process.pid)
        assert len(started) >= 2, "its workers"
        process.send_signal(number)
        process.wait(PATIENCE)
        wait_until(lambda: not any(map(lives, started)), "processes outlive the one they are of")
    finally:
        for each in (*below(process.pid), process.pid):
            if lives(each) and each != os.getpid():
                os.kill(each, signal.SIGKILL)
        process.wait()


@counted(1, 4)
def test_workers_that_draw_batches_end_with_their_process(many, tmp_path):
    with tally("14 processes of workers that are left after kill -9: none") as check:
        for number in range(many):
            folder = tmp_path / str(number)
            folder.mkdir()
            with check.case(str(number)):
                process = start(DRAWING, [], folder)
                printed = folder / "out"
                end_and_count(process, signal.SIGKILL, lambda p=printed: "trains" in p.read_text())


@pytest.mark.torture
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["kill", "term"])
def test_a_pretraining_with_workers_leaves_no_process(number, tmp_path):
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(TINY))
    run = tmp_path / "run"
    words = ["pretrain", "--config", str(tmp_path / "config.yaml"), "--out", str(run)]
    name = f"14 pretrain --workers 2 ended by {number.name} leaves no process"
    with tally(name) as check, check.case("pretrain"):
        process = start(PRETRAINING, words, tmp_path)
        trains = lambda: any((run / "checkpoints").glob("step-*"))  # noqa: E731
        end_and_count(process, number, trains)
