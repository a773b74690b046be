"""Training on from a finished run, and going on with one that is finished already."""

import json
import shutil

import pytest
import torch
from command_line import read_results, run_langrl
from safetensors.torch import load_file
from small_runs import DQN, MAZE

from langrl.checkpoint import find_checkpoint
from langrl.tasks.presets import load_config
from langrl.tasks.registry import TASKS, load_run_config
from langrl.tasks.run import build_run, resume_run, train_run


def weights_of(run):
    return load_file(find_checkpoint(run) / "weights.safetensors")


def apart(first, second):
    """Return how far two runs' weights are apart, in all."""
    return sum(float((first[name].detach() - second[name]).abs().sum()) for name in second)


@pytest.mark.usefixtures("blank_images")
def test_start_takes_the_config_of_the_run_too(small_run, tmp_path, capsys):
    run, out = small_run("maze"), tmp_path / "longer"
    assert run_langrl("train", "--start", run, "--learner.steps", 2, "--out", out) == 0
    assert f"no --config: as {run} was trained, from its weights" in " ".join(
        capsys.readouterr().out.split()
    )
    assert find_checkpoint(out).name == "step-2"
    steps = [json.loads(line)["step"] for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert steps == [2]
    config = load_run_config(str(out / "config.yaml"))
    assert config.start == str(run)
    assert config.critic == load_run_config(str(run / "config.yaml")).critic


@pytest.mark.parametrize("kind", ["maze", "grid", "partial"])
def test_a_run_starts_from_the_weights_of_another_and_a_schedule_of_its_own(
    kind, small_run, tmp_path
):
    run = small_run(kind)
    config = load_run_config(str(run / "config.yaml"))
    learner = config.learner.model_copy(update={"steps": 2})
    config = config.model_copy(update={"learner": learner, "start": str(run)})
    for name in ("once", "again"):
        train_run(config, tmp_path / name, "train")
    last, first = weights_of(tmp_path / "once"), weights_of(run)
    fresh = build_run(config, tmp_path / "once").learner.state()["weights"]
    assert apart(last, first) < 0.5 * apart(fresh, last)
    assert apart(last, weights_of(tmp_path / "again")) == 0  # the config decides every bit


@pytest.mark.usefixtures("blank_images")
def test_a_policy_starts_from_the_weights_of_another(small_run, tmp_path):
    pytest.importorskip("stable_baselines3")
    from langrl.tasks.sb3.model import build_model
    from langrl.tasks.sb3.run import build

    run = small_run("dqn")
    config = load_config(str(run / "config.yaml"), TASKS["sb3"].config_class)
    begun = build(config.model_copy(update={"start": str(run)}), tmp_path)
    begun.begin()
    model = build_model(config, tmp_path)
    begun._fill(model)
    for name, value in weights_of(run).items():
        torch.testing.assert_close(model.policy.state_dict()[name], value)


def test_a_start_that_does_not_fit_is_one_line_and_leaves_nothing(small_run, tmp_path, fails):
    run, out = small_run("maze"), tmp_path / "out"
    start = ["--start", run, "--out", out]
    assert "its critics is another one" in fails("train", *start, "--critic.width", 8)
    assert "its layout is another one" in fails("train", *start, "--world.layout", "fork")
    assert "it is of another task" in fails("train", "--config", "grid-partial", *start)
    assert "no checkpoint in nowhere" in fails("train", "--start", "nowhere")
    (tmp_path / "empty").mkdir()
    assert "no checkpoint in" in fails("train", "--start", tmp_path / "empty")
    assert not out.exists()


def test_a_policy_does_not_start_from_another_task(small_run, tmp_path, fails):
    pytest.importorskip("stable_baselines3")
    flags = ["--start", small_run("maze"), "--out", tmp_path / "out"]
    assert "another task, world or algorithm" in fails("train", *DQN, *flags)
    assert not (tmp_path / "out").exists()


def test_a_finished_run_says_so_and_stays_as_it_is(small_run, tmp_path, capsys):
    run = shutil.copytree(small_run("maze"), tmp_path / "run")
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    assert run_langrl("train", "--resume", run) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"{run} is finished, at step 30 of 30, and nothing was done" in said
    assert f"langrl train --config {run}/config.yaml --start {run} --learner.steps 30" in said
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


@pytest.mark.usefixtures("blank_images")
def test_a_run_that_is_trained_and_not_evaluated_is_evaluated(small_run, tmp_path):
    run = shutil.copytree(small_run("maze"), tmp_path / "run")
    (run / "results.json").unlink()
    assert run_langrl("train", "--resume", run) == 0
    assert read_results(run)["rows"]


@pytest.mark.usefixtures("blank_images")
def test_a_finished_run_with_more_steps_in_its_config_goes_on(small_run, tmp_path):
    run = shutil.copytree(small_run("maze"), tmp_path / "run")
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(text.replace("steps: 30", "steps: 32"))
    assert run_langrl("train", "--resume", run) == 0
    assert find_checkpoint(run).name == "step-32"


def test_a_run_goes_on_when_the_one_that_it_started_from_has_gone_on(small_run, tmp_path):
    first = shutil.copytree(small_run("maze"), tmp_path / "first")
    config = load_run_config(str(first / "config.yaml"))
    learner = config.learner.model_copy(update={"steps": 2})
    config = config.model_copy(update={"learner": learner, "start": str(first)})
    train_run(config, tmp_path / "second", "train")
    text = (first / "config.yaml").read_text()
    (first / "config.yaml").write_text(text.replace("steps: 30", "steps: 32"))
    resume_run(first, "resume")
    file = tmp_path / "second" / "config.yaml"
    file.write_text(file.read_text().replace("steps: 2\n", "steps: 3\n"))
    run, _ = resume_run(tmp_path / "second", "resume")
    assert run.learner.step == 3


def test_the_command_that_a_finished_run_names_is_understood(small_run, tmp_path, capsys):
    run = shutil.copytree(small_run("maze"), tmp_path / "run")
    assert run_langrl("train", "--resume", run) == 0
    said = " ".join(capsys.readouterr().out.split())
    words = said.partition("from its weights: langrl ")[2].split()
    assert run_langrl(*words, "--print-config") == 0
    assert f"start: {run}" in capsys.readouterr().out


def test_a_bare_command_says_what_it_trains(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("langrl.cli.commands.train", lambda *_, **__: None)
    lines = {}
    for words in (["train"], ["pretrain"], ["pretrain", "--method", "cpc"], ["train", *MAZE]):
        assert run_langrl(*words) == 0
        lines[words[-1]] = capsys.readouterr().out
    assert lines["train"] == (
        "no --config: the defaults of street-maze, which are those of the preset street-fork\n"
    )
    assert lines["pretrain"].startswith("no --config: the defaults of language-image")
    assert lines["cpc"] == "no --config: the defaults of cpc\n"
    assert lines[MAZE[-1]] == ""
