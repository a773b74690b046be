import pytest

from langrl.benchmark import evaluation as benchmark


def test_methods_together_are_timed_against_one_by_one(monkeypatch):
    monkeypatch.setattr(benchmark, "EPISODES", 1)
    monkeypatch.setattr(
        benchmark, "_LITTLE", {"street-blank": {"num_trajectories": 20, "num_pairs": 50}}
    )
    (row,) = benchmark.evaluation(1)
    assert row["variant"] == "street-blank, 7 methods, 1 episodes"
    assert row["seconds"] > 0
    assert row["ratio"] == pytest.approx(row["one_by_one_seconds"] / row["seconds"])
