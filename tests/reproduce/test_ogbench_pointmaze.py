import numpy as np
import pytest
from command_line import read_results
from small_goal_runs import TINY, merged

from langrl.reproduce import ogbench_pointmaze
from langrl.reproduce.arguments import OgbenchPointmazeArguments
from langrl.tasks.goal_reaching.config import GoalRunConfig

SMALL = {
    "env": "pointmaze-medium-v0",
    "max_episode_steps": 4,
    "collect": {},
    "actor": {"kind": "compare"},
    "words": {"axes": []},
    "evaluation": {"every": 0, "tasks": 5, "methods": ["nearest_goal"]},
}


def walks(path, count=4, steps=12):
    """Write a few walks in the maze's coordinates, as the recipe would."""
    generator = np.random.default_rng(0)
    last = np.tile(np.arange(steps) == steps - 1, count)
    arrays = {
        "observations": generator.uniform(0, 20, (count * steps, 2)),
        "actions": generator.uniform(-1, 1, (count * steps, 2)),
        "terminals": last.astype(float),
    }
    np.savez(path, **arrays)


@pytest.fixture
def small(monkeypatch):
    pytest.importorskip("ogbench")
    made = []

    def make(name, file, workers):
        made.append(name)
        file.parent.mkdir(parents=True, exist_ok=True)
        walks(file)

    config = GoalRunConfig.model_validate(merged(TINY, SMALL))
    monkeypatch.setattr(ogbench_pointmaze, "load_config", lambda *_: config)
    monkeypatch.setattr(ogbench_pointmaze, "make_recording", make)
    return made


def reproduce(out, **options):
    given = {"seeds": 2, "mazes": ("medium",), "episodes": 2, "workers": 1, "steps": 4} | options
    ogbench_pointmaze.reproduce(OgbenchPointmazeArguments(out=out, **given), "langrl x")
    return read_results(out)


def test_agents_of_data_reach_the_five_tasks_beside_the_published_ones(
    small, tmp_path, monkeypatch
):
    results = reproduce(tmp_path / "out")
    assert small == ["ogbench/pointmaze-medium-navigate"]
    (row,) = results["rows"]
    assert (row["maze"], row["seeds"], row["CRL"], row["HIQL"]) == ("medium", 2, 0.29, 0.79)
    measured = results["measured"]
    assert [(each["maze"], each["seed"]) for each in measured] == [("medium", 0), ("medium", 1)]
    assert row["success"] == pytest.approx(np.mean([each["success"] for each in measured]))
    assert row["instructions"] == pytest.approx(
        np.mean([each["instructions"] for each in measured])
    )
    seconds = [each["train_seconds"] for each in measured]  # rounded: 0.0 where they are few
    assert row["train_seconds"] == pytest.approx(np.mean(seconds))
    assert results["config"]["medium"]["evaluation"]["episodes"] == 5 * 2
    assert (tmp_path / "out" / "figures" / "ogbench-pointmaze.png").stat().st_size > 5000

    def never(*args, **kwargs):
        raise AssertionError("it was there already")

    monkeypatch.setattr("langrl.reproduce.common.train_or_resume", never)
    monkeypatch.setattr(ogbench_pointmaze, "_reach", never)
    monkeypatch.setattr(ogbench_pointmaze, "_follow", never)
    assert reproduce(tmp_path / "out")["rows"] == [row]
    assert len(small) == 1  # neither the data are made again


def test_data_that_are_there_are_used(small, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    walks(data / "pointmaze-medium-navigate.npz")
    results = reproduce(tmp_path / "out", data=data, seeds=1)
    assert small == []
    file = results["config"]["medium"]["data"]["file"]
    assert file == str(data / "pointmaze-medium-navigate.npz")


def test_published_numbers_are_those_of_the_paper():
    published = ogbench_pointmaze.PUBLISHED
    assert {maze: row["HIQL"] for maze, row in published.items()} == {
        "medium": 0.79, "large": 0.58, "giant": 0.46
    }  # fmt: skip
    assert {maze: row["CRL"] for maze, row in published.items()} == {
        "medium": 0.29, "large": 0.39, "giant": 0.27
    }  # fmt: skip
