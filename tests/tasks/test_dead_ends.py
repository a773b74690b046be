"""Runs that were cut off, at any point, go on with the command that began them or with --resume."""

from dataclasses import replace

import pytest
import torch
from command_line import read_weights, run_langrl
from small_runs import GRID, MAZE

from langrl.checkpoint import find_checkpoint, read_checkpoint, step_folder
from langrl.errors import CheckpointError, ConfigError
from langrl.reproduce import common
from langrl.settings import CONFIG_FILE, with_changes
from langrl.tasks.grid.cloning import clone
from langrl.tasks.grid.config import GridRunConfig
from langrl.tasks.maze.config import MazeRunConfig
from langrl.tasks.presets import load_config
from langrl.tasks.run import train_run
from langrl.training.loop import Training
from langrl.training.run_folder import check_empty

WHOLE = Training.run


def stop_at(monkeypatch, step):
    """End the process of the next training at a step, as ``kill -9`` would."""

    def run(self, label):
        WHOLE(replace(self, steps=step), label)
        raise SystemExit(9)

    monkeypatch.setattr(Training, "run", run)


@pytest.mark.usefixtures("blank_images")
def test_a_run_that_was_cut_off_before_its_first_checkpoint_begins_again(
    small_run, tmp_path, monkeypatch, fails
):
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr("langrl.training.loop.write_checkpoint", lambda *_: None)
        stop_at(patch, 5)
        assert run_langrl("train", *MAZE, "--out", run) == 9
    assert f"--resume {run}" in fails("evaluate", run)
    assert f"--resume {run}" in fails("train", *MAZE, "--out", run)
    assert run_langrl("train", "--resume", run) == 0
    assert read_weights(run) == read_weights(small_run("maze"))


@pytest.mark.usefixtures("blank_images")
@pytest.mark.parametrize("step", [5, 20])
def test_a_demo_goes_on_with_its_own_run(step, small_run, tmp_path, monkeypatch):
    config, out = small_run("maze") / CONFIG_FILE, tmp_path / "demo"
    command = ["demo", "--config", config, "--instruction", "go to row 3", "--out", out]
    with monkeypatch.context() as patch:
        if step == 5:
            patch.setattr("langrl.training.loop.write_checkpoint", lambda *_: None)
        stop_at(patch, step)
        assert run_langrl(*command) == 9
    assert run_langrl(*command) == 0
    assert read_weights(out / "run") == read_weights(small_run("maze"))


def test_what_was_left_before_the_config_was_written_is_no_run(tmp_path):
    folder = tmp_path / "run"
    (folder / "replay").mkdir(parents=True)
    (folder / ".config.yaml.writing").touch()
    check_empty(folder)
    (folder / "notes").touch()
    with pytest.raises(ConfigError, match="not empty"):
        check_empty(folder)


def test_an_empty_folder_is_no_run_that_was_cut_off(tmp_path):
    with pytest.raises(CheckpointError, match="give a run folder"):
        find_checkpoint(tmp_path)


@pytest.fixture
def grid(tiny_language, tmp_path, capsys):
    assert run_langrl("train", *GRID, "--language", tiny_language, "--print-config") == 0
    file = tmp_path / "grid.yaml"
    file.write_text(capsys.readouterr().out)
    config = load_config(str(file), GridRunConfig)
    learner = with_changes(config.learner, {"steps": 12}, "learner")
    logging = with_changes(config.logging, {"checkpoint_every": 2}, "logging")
    return config.model_copy(update={"learner": learner, "logging": logging})


@pytest.mark.parametrize("step", [1, 4])
def test_a_cloned_policy_goes_on_where_it_was_cut_off(step, grid, tmp_path, monkeypatch):
    clone(grid, tmp_path / "whole")
    with monkeypatch.context() as patch:
        if step == 1:
            patch.setattr("langrl.training.loop.write_checkpoint", lambda *_: None)
        stop_at(patch, step)
        with pytest.raises(SystemExit):
            clone(grid, tmp_path / "cut")
    clone(grid, tmp_path / "cut")
    one, two = (
        read_checkpoint(step_folder(tmp_path / name, 6)).tensors["weights"]
        for name in ("whole", "cut")
    )
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_cloned_policy_does_not_go_on_from_another_one_s(grid, tmp_path):
    clone(grid, tmp_path / "cloned")
    with pytest.raises(ConfigError, match="not empty"):
        clone(grid.model_copy(update={"seed": 5}), tmp_path / "cloned")


def test_a_reproduction_goes_on_with_a_run_that_was_cut_off(small_run, tmp_path, monkeypatch):
    config = load_config(str(small_run("maze") / CONFIG_FILE), MazeRunConfig)
    with monkeypatch.context() as patch:
        stop_at(patch, 20)
        with pytest.raises(SystemExit):
            common.train_timed(config, tmp_path / "run", "seed 0", "langrl reproduce")
    seconds = common.train_timed(config, tmp_path / "run", "seed 0", "langrl reproduce")
    assert seconds is None  # it was stopped in between
    assert read_weights(tmp_path / "run") == read_weights(small_run("maze"))


def test_a_reproduction_trains_anew_what_stable_baselines3_began(small_run, tmp_path, monkeypatch):
    config = load_config(str(small_run("maze") / CONFIG_FILE), MazeRunConfig)
    with monkeypatch.context() as patch:
        stop_at(patch, 20)
        with pytest.raises(SystemExit):
            train_run(config, tmp_path / "run", "seed 0")
    (tmp_path / "run" / "policy.zip").touch()
    tasks = common.TASKS | {config.task: replace(common.TASKS[config.task], zip="policy.zip")}
    monkeypatch.setattr(common, "TASKS", tasks)
    common.train_once(config, tmp_path / "run", "seed 0")
    assert not (tmp_path / "run" / "policy.zip").exists()
    assert read_weights(tmp_path / "run") == read_weights(small_run("maze"))
