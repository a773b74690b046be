import json
import shutil

import pytest
from command_line import read_results, read_weights, run_langrl

SMALL = {
    "task": "street-maze",
    "learner": {"steps": 4, "batch_size": 8, "language_batch_size": 8},
    "data": {"num_trajectories": 60, "num_pairs": 60},
    "critic": {"width": 8, "embedding": 4},
    "text": {"width": 8},
    "grounding": {"candidates": 10},
    "evaluation": {"methods": "none"},
}


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "small.yaml"
    path.write_text(json.dumps(SMALL))
    return path


def sweep(config, out, *more):
    return run_langrl("sweep", "--config", config, "--out", out, "--workers", 1, *more)


GRID = ("--grid", "learner.steps=3,4", "--grid", "critic.energy=dot", "--seeds", 2, "--metric")


@pytest.fixture(scope="module")
def swept(config, tmp_path_factory):
    out = tmp_path_factory.mktemp("sweep")
    assert sweep(config, out, *GRID, "loss", "--lowest") == 0
    return out


def test_each_setting_and_seed_is_a_run_and_the_table_has_their_means(swept):
    results = read_results(swept)
    assert [run["changes"] for run in results["runs"]] == [
        {"learner.steps": steps, "critic.energy": "dot"} for steps in (3, 3, 4, 4)
    ]
    assert [run["seed"] for run in results["runs"]] == [0, 1, 0, 1]
    assert {row["learner.steps"] for row in results["rows"]} == {3, 4}
    losses = [row["loss"] for row in results["rows"]]
    assert losses == sorted(losses)
    assert [row["seeds"] for row in results["rows"]] == [2, 2]
    for run in results["runs"]:
        own = read_results(swept / run["folder"])
        assert own["config"]["learner"]["steps"] == run["changes"]["learner.steps"]
        assert run["metrics"]["step"] == run["changes"]["learner.steps"]


def test_the_same_command_trains_what_is_missing_and_nothing_else(config, swept, tmp_path, capsys):
    out = tmp_path / "again"
    shutil.copytree(swept, out)
    removed = sorted((out / "cells").iterdir())[0]
    weights = read_weights(out / "runs" / removed.stem)
    removed.unlink()
    shutil.rmtree(out / "runs" / removed.stem)
    assert sweep(config, out, *GRID, "loss", "--lowest") == 0
    assert "3 of 4 cells are there already" in capsys.readouterr().out
    assert read_weights(out / "runs" / removed.stem) == weights
    for before, after in zip(read_results(swept)["runs"], read_results(out)["runs"], strict=True):
        assert after["metrics"] == before["metrics"]


def test_another_metric_of_the_same_runs_is_only_read(config, swept, tmp_path, capsys):
    out = tmp_path / "again"
    shutil.copytree(swept, out)
    assert sweep(config, out, *GRID, "gradient_norm") == 0
    assert "4 of 4 cells are there already" in capsys.readouterr().out
    norms = [row["gradient_norm"] for row in read_results(out)["rows"]]
    assert norms == sorted(norms, reverse=True)
    assert sweep(config, out, *GRID, "losss") == 2
    assert "did you mean 'loss'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ((), "nothing is changed; add --grid"),
        (("--grid", "learner.step=1"), "did you mean 'learner.steps'"),
        (("--range", "learner.steps=1:2"), "add --random N"),
        (("--random", 2, "--grid", "seed=1,2"), "--seeds sets seed"),
        (("--random", 0, "--grid", "learner.steps=1"), "--random"),
        (("--random", 1, "--grid", "learner.steps=1", "--range", "learner.steps=1:2"), "leave one"),
        (
            ("--grid", "learner.steps=1", "--ray-address", "a:1"),
            "--ray-address is for --engine ray",
        ),
        (("--grids", "learner.steps=1"), "did you mean --grid?"),
        (("--grid",), "--grid needs a value"),
        (("--engine", "rays", "--grid", "learner.steps=1"), "--engine takes"),
    ],
)
def test_wrong_flags_are_refused_in_one_line(config, tmp_path, capsys, more, said):
    assert sweep(config, tmp_path / "out", *more) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()
