"""Folders that cannot be written to: one line and status 2, and what is stored stays as it is."""

import errno
import os
import shutil
import sys

import pytest
from command_line import run_langrl
from crashing import in_a_fork
from tally import counted, tally

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

_CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "shutil.rmtree"}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
COMMANDS = [
    "train --resume RO/cut", "evaluate RO/run", "pretrain --out RO/new", "demo --out RO/new",
    "train --config street-blank --out RO/new", "train --config crl --out RO/new",
    "train --start RO/run --config street-blank --out RO/new", "pretrain --method cpc --out RO/new",
    "evaluate RO/run --out RO/new", "diagnose bundled --pairs goto --out RO/new",
    "render RO/run --instruction x --out RO/x.html", "benchmark run --profile smoke --out RO/new",
    "benchmark speed --only street-maze --out RO/new", "reproduce law --out RO/new",
    "reproduce street-mazes --out RO/new",
    "data make ogbench/pointmaze-medium-navigate --out RO/x.npz",
    "sweep --config street-blank --grid seed=0,1 --out RO/new",
]  # fmt: skip


def make_read_only(folder):
    """Refuse this process, to its end, every change below a folder: rights do not bind root."""

    def refuse(event, arguments):
        writes = event in _CHANGES
        if event == "open":
            path, _, flags = arguments
            writes = isinstance(flags, int) and flags & _WRITES
        if writes and isinstance(arguments[0], str | bytes | os.PathLike):
            path = os.path.abspath(os.fsdecode(arguments[0]))
            if path.startswith(str(folder)):
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)

    sys.addaudithook(refuse)


def files_below(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.fixture
def stored(quick_runs, tmp_path):
    """A folder with a run, and one that was cut off."""
    folder = tmp_path / "RO"
    for name in ("run", "cut"):
        shutil.copytree(quick_runs("maze"), folder / name)
    shutil.rmtree(folder / "cut" / "checkpoints" / "step-4")
    return folder


@counted(4, len(COMMANDS))
def test_a_folder_that_is_read_only_is_refused_in_a_line(
    many, stored, tmp_path, monkeypatch, capfd
):
    monkeypatch.chdir(tmp_path)
    before = files_below(stored)

    def run():
        make_read_only(stored)
        return run_langrl(*command.split())

    with tally("3 commands on a read-only folder: status 2, one line") as check:
        for command in COMMANDS[:many]:
            with check.case(command):
                capfd.readouterr()
                assert in_a_fork(run, tmp_path / "printed") == 2
                error = capfd.readouterr().err
                assert error.startswith("langrl: error: ")
                assert error.count("\n") == 1
                assert "read-only file system" in error
                assert "RO" in error
                assert files_below(stored) == before


@pytest.mark.torture
@pytest.mark.usefixtures("blank_images")
def test_an_agent_is_evaluated_from_a_read_only_folder(stored, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run():
        make_read_only(stored)
        return run_langrl("evaluate", "RO/run", "--episodes", 1, "--kinds", "row", "--out", "seen")

    assert in_a_fork(run, tmp_path / "printed") == 0, (tmp_path / "printed").read_text()
    assert (tmp_path / "seen" / "results.json").is_file()
