"""Two processes do not train in one folder; the lock of one that has ended is taken over."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from command_line import run_langrl
from small_runs import MAZE

from langrl.errors import ConfigError
from langrl.training import run_lock
from langrl.training.run_folder import check_empty
from langrl.training.run_lock import LOCK, locked

HOLDS = """
import sys
from pathlib import Path
from langrl.training.run_lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of a folder."""
    folder = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_lock_leaves_nothing_behind(tmp_path):
    with locked(tmp_path / "a" / "run"):
        about = json.loads((tmp_path / "a" / "run" / LOCK).read_text())
        assert about["process"] == os.getpid()
        check_empty(tmp_path / "a" / "run")
    assert list(tmp_path.iterdir()) == []


def test_what_was_made_in_a_folder_stays(tmp_path):
    with locked(tmp_path / "run"):
        (tmp_path / "run" / "config.yaml").touch()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["config.yaml"]


def test_a_folder_in_use_is_refused_and_its_process_named(holder, tmp_path, small_run, fails):
    folder = tmp_path / "run"
    for _ in range(2):
        with pytest.raises(ConfigError, match=f"in use by process {holder.pid} on"), locked(folder):
            pass
    assert f"process {holder.pid}" in fails("train", *MAZE, "--out", folder)
    shutil.copytree(small_run("maze"), folder, dirs_exist_ok=True)
    shutil.rmtree(folder / "checkpoints" / "step-30")
    assert f"process {holder.pid}" in fails("train", "--resume", folder)
    assert run_langrl("evaluate", folder, "--episodes", 1, "--instruction", "go to row 3") == 0


@pytest.mark.parametrize("kill", ["kill", "terminate"])
def test_the_lock_of_a_process_that_was_killed_is_taken_over(kill, holder, tmp_path):
    getattr(holder, kill)()
    holder.wait()
    assert (tmp_path / "run" / LOCK).exists()
    with locked(tmp_path / "run"):
        about = json.loads((tmp_path / "run" / LOCK).read_text())
        assert about["process"] == os.getpid()


def write(folder, /, **changes):
    folder.mkdir(exist_ok=True)
    about = run_lock._identity(folder) | changes
    (folder / LOCK).write_text(json.dumps(about))


@pytest.mark.parametrize(
    "changes",
    [
        {"started": "0"},  # another process with the number of an ended one
        {"folder": "/elsewhere"},  # a copy of a folder in use
        {"process": None},
        {"process": 10**30},
    ],
)
def test_stale_locks_are_told_apart(changes, tmp_path):
    if "started" in changes and run_lock._started(os.getpid()) is None:
        pytest.skip("the system does not say when a process was started")
    write(tmp_path / "run", **changes)
    with locked(tmp_path / "run"):
        pass


@pytest.mark.parametrize("content", ["", "null", "[", "3", "\x00"])
def test_a_damaged_lock_is_taken_over(content, tmp_path):
    (tmp_path / LOCK).write_text(content)
    with locked(tmp_path):
        pass


@pytest.fixture
def quick(monkeypatch):
    for name, seconds in {"_STALE": 0.3, "_TOUCH": 0.05, "_LOOK": 0.01}.items():
        monkeypatch.setattr(run_lock, name, seconds)


@pytest.mark.usefixtures("quick")
def test_a_process_of_another_machine_is_known_by_its_signs_of_life(tmp_path):
    write(tmp_path / "run", host="elsewhere")
    with locked(tmp_path / "run"):  # none for a while
        with pytest.raises(ConfigError, match="in use by"), locked(tmp_path / "run"):
            pass
        os.utime(tmp_path / "run" / LOCK, (0, 0))  # a clock that goes backwards
        with pytest.raises(ConfigError, match="in use by"), locked(tmp_path / "run"):
            pass
        here = json.loads((tmp_path / "run" / LOCK).read_text())
        (tmp_path / "run" / LOCK).write_text(json.dumps(here | {"host": "elsewhere"}))
        with pytest.raises(ConfigError, match="on 'elsewhere'"), locked(tmp_path / "run"):
            pass  # it is touched all the time
