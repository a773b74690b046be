"""The same small run wherever, and however, it is started."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import read_weights
from tally import tally

import langrl
from langrl.settings import dump_config
from langrl.tasks.presets import load_config, preset_names
from langrl.tasks.registry import TASKS, load_run_config

CODE = "from langrl.cli.main import main; main()"
INSTALLED = [str(Path(langrl.__file__).parents[1]), str(Path(np.__file__).parents[1])]
# Rights do not bind every user, so Python itself refuses to write where packages are.
READ_ONLY = f"""
import os, sys
def refuse(event, arguments):
    if event == "open":
        path, mode, flags = arguments
        writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    else:
        path, writes = next(iter(arguments), None), event in CHANGES
    if writes and isinstance(path, str) and os.path.abspath(path).startswith(tuple({INSTALLED!r})):
        raise PermissionError(13, "a read-only installation", path)
CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "os.symlink")
sys.addaudithook(refuse)
"""
TESTS = str(Path(__file__).parents[1])
NAMED = "Läufe и данные 数据"


def run(folder, words, *, flags=(), without=(), first="", seed="random", status=0):
    """Run the command line in a folder; return what it printed."""
    env = {key: value for key, value in os.environ.items() if key not in without}
    done = subprocess.run(
        [sys.executable, *flags, "-c", first + CODE, *map(str, words)],
        cwd=folder, env=env | {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": seed},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == status, (done.stdout + done.stderr)[-1500:]
    return done.stdout + done.stderr


def train(place, config, *, where="", **how):
    """Train by relative paths from a folder, or from another one; return the run's weights."""
    (place / where).mkdir(parents=True)
    (place / "mine.yaml").write_text(dump_config(config))
    back = "../" * len(Path(where).parts)
    words = ["train", "--config", f"{back}mine.yaml", "--out", f"{back}run"]
    run(place / where, words, **how)
    assert json.loads((place / "run" / "results.json").read_text())["config"]["seed"] == config.seed
    return read_weights(place / "run")


def test_a_run_is_the_same_without_assertions_home_and_plain_names(
    quick_config, quick_runs, tmp_path
):
    place = tmp_path / NAMED / "a b"
    weights = train(place, quick_config("maze"), flags=("-O",), without=["HOME"], seed="1")
    assert weights == read_weights(quick_runs("maze"))


# Each alone; warnings of other packages about their own future are none of ours.
WAYS = {
    "plain": {},
    "-O": {"flags": ("-O",)},
    "-OO": {"flags": ("-OO",)},
    "-W error": {"flags": ("-W", "error", "-W", "ignore::DeprecationWarning")},
    "no HOME": {"without": ["HOME"]},
    "no HOME, user and cache": {"without": ["HOME", "USER", "LOGNAME", "XDG_CACHE_HOME"]},
    "read-only installation": {"first": READ_ONLY},
    "another folder": {"where": "elsewhere/below"},
    NAMED: {},
}


@pytest.mark.torture
@pytest.mark.parametrize("kind", ["maze", "grid", "goals", "cpc"])
def test_fresh_processes_give_the_same_bits(kind, quick_config, quick_runs, tmp_path):
    command = "pretrain" if kind == "cpc" else "train"
    modules = ["--import-module", "toy_goal_worlds"] if kind == "goals" else []
    (tmp_path / "mine.yaml").write_text(dump_config(quick_config(kind)))
    with tally("4 the same bits in a fresh process, whatever its PYTHONHASHSEED") as check:
        for seed in ("0", "1", "2", "4294967295"):
            with check.case(f"{kind}, PYTHONHASHSEED={seed}"):
                words = [command, "--config", "mine.yaml", *modules, "--out", seed]
                run(tmp_path, words, first=f"import sys; sys.path.append({TESTS!r}); ", seed=seed)
                assert read_weights(tmp_path / seed) == read_weights(quick_runs(kind))


@pytest.mark.torture
@pytest.mark.parametrize("way", WAYS)
def test_each_way_of_starting_gives_the_same_run(way, quick_config, quick_runs, tmp_path):
    how = WAYS[way]
    asked = {"maze": "go to row 1", "grid": "go to the ball"}
    with tally(f"15 the same run, by {way}") as check:
        for kind, text in asked.items():
            place = tmp_path / (way if way == NAMED else "at") / kind
            with check.case(f"{kind}, trained"):
                weights = train(place, quick_config(kind), **how)
                assert weights == read_weights(quick_runs(kind))
            there, others = place / how.get("where", ""), dict(how)
            back = os.path.relpath(place / "run", there)
            others.pop("where", None)
            with check.case(f"{kind}, evaluated"):
                words = ["evaluate", back, "--instruction", text, "--episodes", 2, "--out", "seen"]
                run(there, words, **others)
                assert (there / "seen" / "results.json").is_file()
            with check.case(f"{kind}, refused"):
                printed = run(there, ["evaluate", back, "--episodes", 0], status=2, **others)
                assert printed.count("\n") == 1


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
