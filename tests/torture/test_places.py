"""The same small run wherever, and however, it is started."""

import json
import os
import subprocess
import sys

import pytest
from command_line import read_weights
from tally import tally

from langrl.settings import dump_config
from langrl.tasks.presets import load_config, preset_names
from langrl.tasks.registry import TASKS, load_run_config

CODE = "from langrl.cli.main import main; main()"
HERE = {key: value for key, value in os.environ.items() if key != "HOME"}


def run(folder, words, *, flags=(), home=True):
    env = (dict(os.environ) if home else HERE) | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *flags, "-c", CODE, *map(str, words)],
        cwd=folder, env=env, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout + done.stderr)[-1500:]


def train(base, name, config, **how):
    """Train by a relative path from a folder of its own; return the run's weights."""
    place = base / name
    place.mkdir(parents=True)
    (place / "mine.yaml").write_text(dump_config(config))
    run(place, ["train", "--config", "mine.yaml", "--out", "run"], **how)
    assert json.loads((place / "run" / "results.json").read_text())["config"]["seed"] == config.seed
    return read_weights(place / "run")


def test_a_run_is_the_same_without_assertions_home_and_plain_names(
    quick_config, quick_runs, tmp_path
):
    folder = tmp_path / "Läufe и данные 数据"
    weights = train(folder, "a b", quick_config("maze"), flags=("-O",), home=False)
    assert weights == read_weights(quick_runs("maze"))


WAYS = {
    "-O": {"flags": ("-O",)},
    "-OO": {"flags": ("-OO",)},
    "-W error": {"flags": ("-W", "error", "-W", "ignore::DeprecationWarning")},
    "no HOME": {"home": False},
    "isolated": {"flags": ("-s", "-B")},
    "plain": {},
}


@pytest.mark.torture
def test_each_way_of_starting_gives_the_same_run(quick_config, quick_runs, tmp_path):
    with tally("15 ways to start the same run") as check:
        for kind in ("maze", "grid"):
            for name, how in WAYS.items():
                with check.case(f"{kind}, {name}"):
                    weights = train(tmp_path / kind, f"in {name} é", quick_config(kind), **how)
                    assert weights == read_weights(quick_runs(kind))


def test_the_config_of_every_preset_is_read_back_as_it_was(tmp_path):
    with tally("13 presets whose printed config is read back to the same") as check:
        for name in preset_names(*(task.config_class for task in TASKS.values())):
            with check.case(name):
                config = load_run_config(name)
                (tmp_path / "printed.yaml").write_text(dump_config(config))
                assert load_run_config(str(tmp_path / "printed.yaml")) == config


def references_of(model, before=""):
    for name, field in model.model_fields.items():
        inner = field.annotation
        if hasattr(inner, "model_fields"):
            yield from references_of(inner, f"{before}{name}.")
        elif name in model.refers:
            yield f"{before}{name}"


def test_every_field_that_names_a_file_is_absolute_in_a_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    maze = "....\n...."  # which a config holds itself
    (tmp_path / "there").write_text(maze)
    with tally("15 fields with relative paths that are absolute in a run") as check:
        for task in TASKS.values():
            model = task.config_class
            for field in references_of(model):
                with check.case(f"{task.name} {field}"):
                    values = model().model_dump()
                    inner = values
                    *groups, last = field.split(".")
                    for group in groups:
                        inner = inner[group]
                    inner[last] = "there"
                    resolved = model.model_validate(values).resolved().model_dump()
                    for group in groups:
                        resolved = resolved[group]
                    assert resolved[last] in (str(tmp_path / "there"), maze)


def test_a_relative_path_of_a_file_is_looked_for_beside_the_file(tmp_path, monkeypatch):
    (tmp_path / "configs" / "model").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "configs" / "mine.yaml").write_text("task: grid\nlanguage: model\n")
    monkeypatch.chdir(tmp_path / "elsewhere")
    config = load_config("../configs/mine.yaml", TASKS["grid"].config_class)
    assert config.language == str(tmp_path / "configs" / "model")
