"""Each long loop ends within seconds of SIGINT and SIGTERM, and at once at a second signal."""

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from leftovers import PATIENCE, below, lives, wait_until
from small_goal_runs import tiny
from small_runs import DQN, GRID, MAZE, PARTIAL
from tally import tally

from langrl.settings import dump_config

pytestmark = [
    pytest.mark.torture,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc"),
]
SECONDS = 5.0  # from the signal to the end, on a machine that has nothing else to do
BURNED = 0.3  # seconds of the processor that measure how busy it is
# Says when the loop begins: where it shows its progress, or its page.
SCRIPT = """
from langrl.cli.main import main
from langrl.training import logs
class Bar(logs.Bar):
    def update(self, done, unit="steps"):
        super().update(done, unit)
        print("the loop goes on", flush=True)
if __name__ == "__main__":
    logs.Bar = Bar
    main()
"""
FOREVER = "--learner.steps 1000000 --logging.checkpoint-every 1000000"
PRETRAINING = {
    "task": "language-image", "worlds": ["goto"], "words": None, "steps": 10**6,
    "rooms_per_batch": 4, "images_per_room": 6, "texts_per_room": 3, "evaluation_rooms": 2,
    "model": {"embedding": 16, "image": {"channels": 16, "depth": 1},
              "text": {"width": 16, "depth": 1, "buckets": 64}},
}  # fmt: skip
CPC = {
    "task": "cpc", "rooms": 20, "trajectories_per_room": 1, "segments": 2, "length": 16,
    "trajectories_per_batch": 4, "anchors": 16, "steps": 10**6,
    "model": {"embedding": 8, "context": 8, "horizon": 2, "width": 16},
    "logging": {"checkpoint_every": 10**6},
}  # fmt: skip
ENDLESS = {"learner": {"env_steps": 10**6, "steps": 10**6}, "logging": {"checkpoint_every": 10**6}}
LOOPS = {
    "train, street maze": f"train {shlex.join(MAZE)} {FOREVER} --out out",
    "train, grid": f"train {shlex.join(GRID)} {FOREVER} --language LANGUAGE --out out",
    "train, partial": f"train {shlex.join(PARTIAL)} {FOREVER} --language LANGUAGE --out out",
    "train, goals": "train --config goals.yaml --import-module toy_goal_worlds --out out",
    "train, Stable-Baselines3":
        f"train {shlex.join(DQN)} --policy.steps 1000000 --language LANGUAGE --out out",
    "pretrain": "pretrain --config pretraining.yaml --out out",
    "pretrain, cpc": "pretrain --method cpc --config cpc.yaml --out out",
    "evaluate": "evaluate RUN --episodes 3000 --out out",
    "reproduce street-mazes": "reproduce street-mazes --steps 1000000 --seeds 1 --out out",
    "benchmark run": "benchmark run --profile smoke --out out",
    "benchmark speed": "benchmark speed --only street-maze --rounds 1000 --out out",
    "sweep": "sweep --config street-blank --grid learner.batch_size=16,32 --out out",
    "play": "play RUN --port 0",
}  # fmt: skip


def start(words, folder):
    folder.mkdir()
    paths = (str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", ""))
    (folder / "script.py").write_text(SCRIPT)
    (folder / "goals.yaml").write_text(dump_config(tiny(ENDLESS)))
    (folder / "cpc.yaml").write_text(yaml.safe_dump(CPC))
    (folder / "pretraining.yaml").write_text(yaml.safe_dump(PRETRAINING))
    return subprocess.Popen(
        [sys.executable, "script.py", *words],
        cwd=folder,
        stdout=(folder / "printed").open("w"),
        stderr=subprocess.STDOUT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths)},
        start_new_session=True,
    )


def slowness():
    """Return how many seconds pass here for one that the processor works: 1 on an idle machine."""
    begin, worked = time.monotonic(), time.process_time()
    while time.process_time() < worked + BURNED:
        pass
    return max(1.0, (time.monotonic() - begin) / BURNED)


def stop(process, printed, number, second):
    """Send signals once the loop goes on; return the seconds to the end of all processes."""
    signs = ("the loop goes on", "in a browser", "/s")
    try:
        wait_until(
            lambda: any(s in printed.read_text() for s in signs) or process.poll() is not None,
            "the loop does not begin",
        )
        assert process.poll() is None, printed.read_text()[-400:]
        time.sleep(0.2)
        started, begin = below(process.pid), time.monotonic()
        process.send_signal(number)
        if second:
            time.sleep(0.1)  # less, and a terminal and a wrapper may both have passed one on
            process.send_signal(number)
        process.wait(PATIENCE)
        wait_until(lambda: not any(map(lives, started)), "processes outlive the one they are of")
        return time.monotonic() - begin
    finally:
        for each in (*below(process.pid), process.pid):
            if lives(each) and each != os.getpid():
                os.kill(each, signal.SIGKILL)
        process.wait()


@pytest.mark.parametrize("loop", LOOPS)
def test_a_loop_ends_at_signals(loop, quick_runs, tiny_language, tmp_path):
    if "Stable" in loop:
        pytest.importorskip("stable_baselines3")
    if loop == "play":
        pytest.importorskip("uvicorn")
    places = {"RUN": str(quick_runs("maze")), "LANGUAGE": str(tiny_language)}
    words = [places.get(word, word) for word in shlex.split(LOOPS[loop])]
    with tally(f"0 {loop}: ends at SIGINT, at SIGTERM, and at a second signal") as check:
        for name, number, second in (
            ("SIGINT", signal.SIGINT, False),
            ("SIGTERM", signal.SIGTERM, False),
            ("SIGINT twice", signal.SIGINT, True),
            ("SIGTERM twice", signal.SIGTERM, True),
        ):
            with check.case(name):
                folder = tmp_path / name
                process = start(words, folder)
                busy = slowness()
                seconds = stop(process, folder / "printed", number, second)
                busy = (busy + slowness()) / 2
                print(f"{loop}, {name}: {seconds:.1f} s, here {busy:.1f} times as slow as idle")
                said = (folder / "printed").read_text()
                assert "Traceback" not in said, said[-300:]
                # A second signal may meet Python while it is ending, and ends it by itself then: a
                # shell shows the same status for both.
                served = loop == "play" and number == signal.SIGINT
                ends = {0 if served else 128 + number} | (
                    {128 + number, -number} if second else set()
                )
                assert process.returncode in ends, said[-300:]
                assert seconds <= SECONDS * busy, f"{seconds:.1f} s"
