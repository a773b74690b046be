"""Long commands in a process of their own, which says when its loop goes on."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import yaml
from leftovers import below, lives, wait_until
from small_goal_runs import tiny

from langrl.settings import dump_config

# Says when the loop begins: where it shows its progress, or its page.
_SCRIPT = """
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
_SIGNS = ("the loop goes on", "in a browser", "/s")
PRETRAINING = {
    "task": "language-image", "worlds": ["goto"], "words": None,
    "rooms_per_batch": 4, "images_per_room": 6, "texts_per_room": 3, "evaluation_rooms": 2,
    "model": {"embedding": 16, "image": {"channels": 16, "depth": 1},
              "text": {"width": 16, "depth": 1, "buckets": 64}},
}  # fmt: skip
CPC = {
    "task": "cpc", "rooms": 20, "trajectories_per_room": 1, "segments": 2, "length": 16,
    "trajectories_per_batch": 4, "anchors": 16,
    "model": {"embedding": 8, "context": 8, "horizon": 2, "width": 16},
}  # fmt: skip


def write_configs(folder, goals, pretraining, cpc):
    """Write goals.yaml, pretraining.yaml and cpc.yaml of small runs with changes to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "goals.yaml").write_text(dump_config(tiny(goals)))
    (folder / "pretraining.yaml").write_text(yaml.safe_dump(PRETRAINING | pretraining))
    (folder / "cpc.yaml").write_text(yaml.safe_dump(CPC | cpc))


def start(words, folder):
    """Start ``langrl`` in a folder; what it prints goes to the file ``printed`` there."""
    paths = (str(Path(__file__).parent), os.environ.get("PYTHONPATH", ""))
    (folder / "script.py").write_text(_SCRIPT)
    return subprocess.Popen(
        [sys.executable, "script.py", *map(str, words)],
        cwd=folder,
        stdout=(folder / "printed").open("w"),
        stderr=subprocess.STDOUT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths)},
        start_new_session=True,
    )


def wait_for_loop(process, folder):
    """Wait until the loop of a command goes on, or it has ended."""
    printed = folder / "printed"
    wait_until(
        lambda: any(s in printed.read_text() for s in _SIGNS) or process.poll() is not None,
        "the loop does not begin",
    )


def end_all(process):
    """Kill a process and those that it started."""
    for each in (*below(process.pid), process.pid):
        if lives(each) and each != os.getpid():
            os.kill(each, signal.SIGKILL)
    process.wait()
