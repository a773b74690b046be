"""Records that are damaged, lost or cut off: what is whole is kept, and nothing else is lost."""

import json
import shutil
import subprocess
import sys

import pytest
from command_line import read_weights, run_langrl

from langrl.checkpoint import find_checkpoint, read_checkpoint
from langrl.errors import ConfigError
from langrl.reproduce.common import train_timed
from langrl.reproduce.crl_vs_her import curve_of
from langrl.settings import CONFIG_FILE
from langrl.tasks.maze.config import MazeRunConfig
from langrl.tasks.presets import load_config
from langrl.training.logs import TIMES, MetricsLog, read_metrics

DAMAGE = {
    "missing": None,
    "empty": b"",
    "bytes that are no text": b"\xff\xfe\x00\n" * 3,
    "values that are no records": b'null\n3\n"text"\n[1]\n{}\n{"step": "a"}\n{"step": true}\n',
    "values that are no numbers": b'{"step": 1, "loss": "low"}\n{"step": 2, "loss": [1]}\n',
    "brackets": b"[" * 100_000 + b"\n",
    "a line that was cut off": b'{"step": 10, "lo',
}


def write(path, content):
    path.unlink(missing_ok=True)
    if content is not None:
        path.write_bytes(content)


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_no_record(name, tmp_path):
    write(tmp_path / "metrics.jsonl", DAMAGE[name])
    assert read_metrics(tmp_path / "metrics.jsonl") == []


def test_records_around_a_damaged_line_are_kept_in_their_order(tmp_path):
    good = [{"step": step, "loss": 1.0 / step} for step in (1, 2, 3)]
    lines = [
        json.dumps(good[0]),
        '{"step": 2, "l\x00',
        *map(json.dumps, [good[1], good[0], good[2]]),
    ]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    assert read_metrics(tmp_path / "metrics.jsonl") == good
    log = MetricsLog(tmp_path, 2)
    log.close()
    assert read_metrics(tmp_path / "metrics.jsonl") == good[:2]


@pytest.fixture
def copy(small_run, tmp_path):
    return shutil.copytree(small_run("maze"), tmp_path / "run")


@pytest.mark.usefixtures("blank_images")
@pytest.mark.parametrize(
    "name", ["missing", "bytes that are no text", "values that are no records"]
)
def test_a_run_goes_on_whose_records_are_damaged(name, copy, small_run):
    shutil.rmtree(find_checkpoint(copy))
    for file in ("metrics.jsonl", TIMES, "results.json"):
        write(copy / file, DAMAGE[name])
    assert run_langrl("train", "--resume", copy) == 0
    assert read_weights(copy) == read_weights(small_run("maze"))
    assert [record["step"] for record in read_metrics(copy / "metrics.jsonl")] == [30]


@pytest.mark.parametrize(
    "name", ["empty", "bytes that are no text", "brackets", "a line that was cut off"]
)
def test_a_damaged_config_is_named(name, copy, fails):
    write(copy / CONFIG_FILE, b"" if name == "empty" else DAMAGE[name])
    if name == "empty":
        (copy / CONFIG_FILE).write_text("seed: [")
    assert CONFIG_FILE in fails("train", "--resume", copy)


@pytest.mark.parametrize("name", DAMAGE)
def test_a_reproduction_does_without_the_seconds_of_a_damaged_file(name, copy):
    config = load_config(str(copy / CONFIG_FILE), MazeRunConfig)
    write(copy / "results.json", DAMAGE[name])
    assert train_timed(config, copy, "seed 0", "langrl reproduce") is None


def test_a_lost_learning_curve_is_told(copy):
    with pytest.raises(ConfigError, match="delete it to train anew"):
        curve_of(copy)


FULL = """
import sys
from pathlib import Path
import resource, signal
import torch
from langrl.cli import main as cli
from langrl.checkpoint import Checkpoint, write_checkpoint
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

def write(size):
    tensors = {"weights": {"w": torch.full((size,), float(size))}}
    write_checkpoint(Path(sys.argv[1]), Checkpoint({"state": {}}, tensors))

write(10)
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
cli.COMMANDS["demo"] = (lambda _: write(100_000), "")
cli.subcommand = lambda *_: ("demo", [])
cli.main()
"""


def test_a_checkpoint_that_finds_no_room_leaves_the_earlier_one_and_one_line(tmp_path):
    folder = tmp_path / "checkpoints" / "step-1"
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert "file too large" in done.stderr
    assert read_checkpoint(folder).tensors["weights"]["w"].tolist() == [10.0] * 10
    assert [path.name for path in folder.parent.iterdir()] == ["step-1"]
