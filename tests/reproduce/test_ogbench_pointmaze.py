import numpy as np
import pytest
from command_line import read_results
from pointmaze_sets import make_small, walks

from langrl.reproduce import ogbench_pointmaze
from langrl.reproduce.arguments import OgbenchPointmazeArguments


@pytest.fixture
def small(monkeypatch):
    pytest.importorskip("ogbench")
    return make_small(monkeypatch, ogbench_pointmaze, ogbench_pointmaze)


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
