"""Shared agents, by the name of their folder or on the hub: evaluated, played with, rendered."""

import shutil
from pathlib import Path

import pytest
from command_line import run_langrl

from langrl.cli import commands, main
from langrl.errors import ConfigError
from langrl.tasks import hub
from langrl.tasks.hub import local_folder
from langrl.tasks.sharing import SHARED


@pytest.fixture
def shared(small_run, tmp_path):
    """A copy of a run that looks like one that was shared, and may not be written to."""
    folder = tmp_path / "shared"
    shutil.copytree(small_run("maze"), folder, ignore=shutil.ignore_patterns("evaluation*"))
    (folder / SHARED).write_text("{}")
    return folder


def files_in(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_evaluations_of_a_shared_folder_go_to_the_working_directory(shared, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    before, outs = files_in(shared), []
    monkeypatch.setattr(commands, "evaluate", lambda run, out, *_, **__: outs.append(out))
    main.evaluate([str(shared)])
    main.evaluate([str(shared / "checkpoints" / "step-20")])
    main.evaluate([str(shared), "--out", "own"])
    assert outs[0] == Path("runs/evaluate/shared")
    assert outs[1].parent == Path("runs/evaluate")
    assert outs[2] == Path("own")
    assert files_in(shared) == before


@pytest.mark.parametrize("command", ["render", "play"])
def test_an_agent_on_the_hub_is_rendered_and_played_with(
    command, shared, tmp_path, monkeypatch, capsys
):
    asked = []
    monkeypatch.setattr(hub, "fetch", lambda source: asked.append(source) or shared)
    out = tmp_path / "episode.html"
    if command == "render":
        flags = ["--instruction", "go to row 1", "--out", out]
    else:
        pytest.importorskip("uvicorn")
        flags = ["--port", 0]
        monkeypatch.setattr("langrl.play.serving.serve", lambda *_: None)
    assert run_langrl(command, "hf:someone/maze@v1", *flags) == 0
    assert asked == ["hf:someone/maze@v1"]
    told = capsys.readouterr().out
    if command == "render":
        assert "langrl, hf:someone/maze@v1" in out.read_text()
    else:
        assert "hf:someone/maze@v1: open http://127.0.0.1:" in told


@pytest.mark.parametrize("source", [None, 3, b"runs", ["runs"]])
def test_what_names_no_run_is_one_clear_error(source):
    with pytest.raises(ConfigError, match="names no run; give its folder"):
        local_folder(source)
