"""Bad input of goal-reaching runs: one line, exit 2, and nothing left behind."""

import gymnasium as gym
import numpy as np
import pytest
import yaml
from command_line import run_langrl
from small_goal_runs import TINY, line_trajectories
from toy_goal_worlds import LIMIT, Line

from langrl.tasks.goal_reaching.config import GoalRunConfig
from langrl.tasks.presets import parse_config
from langrl.tasks.registry import GOAL_PRESETS, RECORDED_PRESETS

CRL = ["--config", "crl"]
LINE = "toys/Line-v0"
ACTIONS = {
    "many": "put gymnasium.wrappers.TransformAction around it",
    "infinite": "Box of finite bounds",
    "whole": "langrl acts with a Box of float numbers or Discrete",
}


@pytest.fixture(scope="module", autouse=True)
def worlds():
    for name in ACTIONS:
        gym.register(f"toys/{name}-v0", Line, max_episode_steps=LIMIT, kwargs={"actions": name})
    yield
    for name in ACTIONS:
        del gym.registry[f"toys/{name}-v0"]


@pytest.fixture
def refused(fails, tmp_path, monkeypatch):
    """Train with flags that must be refused; returns the line. Nothing may be left behind."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(TINY))

    def check(*flags):
        before = sorted(tmp_path.rglob("*"))
        error = fails("train", *flags, "--out", tmp_path / "out")
        assert sorted(tmp_path.rglob("*")) == before
        return error

    return check


TINY_RUN = ["--config", "tiny.yaml"]
WRONG = {
    "an environment without goals": (
        [*CRL, "--env", "CartPole-v1"],
        ["has no goals", "langrl.envs.wrappers.goals.GoalEnv"],
    ),
    "an unknown id": (
        [*CRL, "--env", "langrl/StreetMaze-Frok-v0"],
        ["did you mean 'langrl/StreetMaze-Fork-v0'?", "--import-module PACKAGE"],
    ),
    "a replay smaller than an episode": (
        [*TINY_RUN, "--replay.capacity", 20],
        ["replay.capacity: 20 states", "set it to 24 or more"],
    ),
    "a discount of 1": (
        [*TINY_RUN, "--replay.discount", 1],
        ["--replay.discount: a geometric future needs a discount below 1, such as 0.99"],
    ),
    "no such file": (
        [*TINY_RUN, "--data", "none.npz"],
        ["none.npz: no such file or folder; check the path"],
    ),
    "no such module": (
        [*TINY_RUN, "--import-module", "no_such_module"],
        ["--import-module: cannot import 'no_such_module'", "put its folder on PYTHONPATH"],
    ),
    "episodes that cannot be stored": (
        [*TINY_RUN, "--env", "toys/OnlyBatched-v0"],
        ["env: toys/OnlyBatched-v0 runs as a vector environment", "sync or async"],
    ),
    "no engine of arrays": (
        [*TINY_RUN, "--collect.engine", "array"],
        ["toys/Line-v0 has no batched engine of its own; use sync or async"],
    ),
    "a preset of another family": (
        ["--config", "street-fork", "--env", "FetchReach-v4"],
        ["--env is no flag of street-maze runs; add --config crl", "--config babyai in"],
    ),
    "an environment without a config": (
        ["--env", "FetchReach-v4"],
        ["--env is no flag of street-maze runs; add --config crl", "--config babyai in"],
    ),
    "axes of another number": (
        [*TINY_RUN, "--words.axes", "left-right", "near-far"],
        ["words.axes: goals have 1 numbers, and there are 2 axes"],
    ),
    "another instruction type": (
        [*TINY_RUN, "--words.kinds", "row"],
        ["no instruction type of words.kinds named 'row'", "half"],
    ),
    "another method": (
        [*TINY_RUN, "--evaluation.methods", "direkt"],
        ["no method named 'direkt'"],
    ),
}


@pytest.mark.parametrize(("flags", "words"), WRONG.values(), ids=WRONG)
def test_bad_input_is_one_line_and_leaves_nothing(flags, words, refused):
    error = refused(*flags)
    assert [word for word in words if word not in error] == []


@pytest.mark.parametrize("name", ACTIONS)
def test_actions_that_are_no_box_or_numbers_are_refused(name, refused):
    assert ACTIONS[name] in refused(*TINY_RUN, "--env", f"toys/{name}-v0")


DATA = {
    "observations": ({"observations": np.zeros((48, 4))}, "recorded observations have 4 numbers"),
    "actions": ({"actions": np.zeros((48, 3))}, "recorded actions have 3 numbers"),
    "bounds": ({"actions": np.full((48, 2), 9.0)}, "recorded actions[0] is [9. 9.]"),
    "goals": ({}, "say with goal_columns which numbers of an observation are the goal"),
}
BROKEN = {
    "no ends": ({"terminals": None}, "no array says where trajectories end"),
    "all false": ({"terminals": np.zeros(48)}, "no end is marked: all 48 states"),
    "objects": ({"observations": np.array([{}] * 48, object)}, "an array of Python objects"),
    "not finite": ({"observations": np.full((48, 3), np.nan)}, "observations[0] is not finite"),
}


@pytest.mark.parametrize("name", [*DATA, *BROKEN])
def test_data_that_do_not_fit_are_named(name, refused, tmp_path):
    changes, words = (DATA | BROKEN)[name]
    file = tmp_path / "mine.npz"
    np.savez(file, **line_trajectories(**changes))
    error = refused(*TINY_RUN, "--data", "mine.npz")
    assert words in error
    # Long errors leave out what is in the middle of a long path, but not its end.
    assert (f"{file.name} does not fit {LINE}: " if name in DATA else f"{file.name}: ") in error


def test_the_columns_of_the_goal_are_checked(refused, tmp_path):
    np.savez(tmp_path / "mine.npz", **line_trajectories())
    error = refused(*TINY_RUN, "--data", "mine.npz", "--data.goal-columns", 7)
    assert "goal_columns [7]: observations have 3 numbers; name some of 0 to 2" in error


@pytest.mark.parametrize("env", GOAL_PRESETS)
def test_an_environment_chooses_its_preset(env, capsys):
    data = ["--data", "/data/mine.npz"] if GOAL_PRESETS[env] in RECORDED_PRESETS else []
    assert run_langrl("train", *CRL, "--env", env, *data, "--print-config") == 0
    config = parse_config(capsys.readouterr().out, "printed", GoalRunConfig)
    assert run_langrl("train", "--config", GOAL_PRESETS[env], *data, "--print-config") == 0
    own = parse_config(capsys.readouterr().out, "printed", GoalRunConfig)
    assert config == own.model_copy(update={"env": env})


def test_the_preset_that_is_chosen_is_said(monkeypatch, capsys):
    monkeypatch.setattr("langrl.cli.commands.train", lambda *_, **__: None)
    assert run_langrl("train", *CRL, "--env", "FetchReach-v4") == 0
    assert capsys.readouterr().out == "--config crl: FetchReach-v4 has a preset, crl-fetch-reach\n"
    for flags in ([*CRL, "--env", LINE], ["--config", "crl-point-maze", "--env", "FetchReach-v4"]):
        assert run_langrl("train", *flags) == 0
        assert capsys.readouterr().out == ""


@pytest.mark.parametrize("flags", [["--learner.env-steps", 5], ["--env", LINE, "--seed", 3]])
def test_a_resumed_run_takes_no_other_flags_of_its_family(flags, tmp_path, fails):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text(yaml.safe_dump(TINY))
    error = fails("train", "--resume", tmp_path / "run", *flags)
    assert "--resume goes on with the run's own config; leave other flags out" in error
