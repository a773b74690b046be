"""Presets and fields that are for recorded data, where there is none."""

import pytest
import yaml
from command_line import run_langrl
from small_goal_runs import TINY, merged, tiny, write_line

from langrl.errors import ConfigError
from langrl.tasks.goal_reaching.config import GoalRunConfig
from langrl.tasks.presets import load_config, parse_config
from langrl.tasks.registry import GOAL_PRESETS, RECORDED_PRESETS
from langrl.tasks.run import build_run

RECORDED = {env: name for env, name in GOAL_PRESETS.items() if name in RECORDED_PRESETS}


@pytest.fixture
def nothing_is_trained(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    trained = []
    monkeypatch.setattr(
        "langrl.cli.commands.train", lambda config, *_, **__: trained.append(config)
    )
    return trained


@pytest.mark.parametrize("preset", RECORDED_PRESETS)
def test_a_preset_for_recorded_data_needs_some(preset, fails, nothing_is_trained):
    assert f"--config {preset} learns from recorded data; add --data FILE" in fails(
        "train", "--config", preset
    )
    assert not nothing_is_trained
    assert run_langrl("train", "--config", preset, "--data", "mine.npz") == 0
    assert nothing_is_trained[0].data.file.endswith("mine.npz")


@pytest.mark.parametrize("env", RECORDED)
def test_the_general_preset_acts_where_the_environments_own_needs_data(
    env, nothing_is_trained, capsys
):
    assert run_langrl("train", "--config", "crl", "--env", env) == 0
    assert capsys.readouterr().out == (
        f"--config crl: the agent acts; {env} has a preset for recorded data, {RECORDED[env]},"
        " which --data FILE chooses\n"
    )
    general = load_config("crl", GoalRunConfig)
    assert nothing_is_trained == [general.model_copy(update={"env": env})]
    assert run_langrl("train", "--config", "crl", "--env", env, "--data", "a.npz") == 0
    assert capsys.readouterr().out == f"--config crl: {env} has a preset, {RECORDED[env]}\n"
    assert nothing_is_trained[1].data.mean_actions


def test_what_would_be_trained_can_be_printed_without_data(capsys):
    assert run_langrl("train", "--config", "crl-pointmaze-large", "--print-config") == 0
    config = parse_config(capsys.readouterr().out, "printed", GoalRunConfig)
    assert config == load_config("crl-pointmaze-large", GoalRunConfig)


def test_fields_of_data_that_have_no_effect_are_refused(tmp_path, fails):
    data = {"loop_radius": 1.0, "mean_actions": True}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(merged(TINY, {"data": data})))
    error = fails("train", "--config", tmp_path / "tiny.yaml", "--out", tmp_path / "run")
    assert "data.loop_radius, data.mean_actions have no effect without data.file" in error
    assert "add --data FILE" in error
    assert not (tmp_path / "run").exists()
    with pytest.raises(ConfigError, match=r"data\.goal_columns has no effect without data\.file"):
        build_run(tiny({"data": {"goal_columns": [2]}}), tmp_path)


def test_acting_from_recorded_weights_says_what_has_no_effect(tmp_path, capsys, blank_images):
    file = write_line(tmp_path / "line.npz")
    (tmp_path / "tiny.yaml").write_text(
        yaml.safe_dump(merged(TINY, {"evaluation": {"methods": "none"}}))
    )
    data = ["--data", file, "--data.goal-columns", 2, "--data.loop-radius", 1.0]
    first, second = tmp_path / "first", tmp_path / "second"
    assert run_langrl("train", "--config", tmp_path / "tiny.yaml", *data, "--out", first) == 0
    capsys.readouterr()
    assert run_langrl("train", "--start", first, "--data.file", "None", "--out", second) == 0
    said = " ".join(capsys.readouterr().out.split())
    idle = "data.goal_columns, data.loop_radius have no effect without data.file: the agent acts"
    assert idle in said
