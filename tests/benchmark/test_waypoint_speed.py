import numpy as np
import pytest
import torch
from waypoint_paths import path_between

from langrl.agents.waypoints import COMPOSITIONS
from langrl.benchmark import speed
from langrl.benchmark import waypoints as benchmark
from langrl.plots.waypoint_cost import cost_figure


@pytest.fixture
def little(monkeypatch):
    monkeypatch.setattr(benchmark, "WAYPOINTS", (20, 40))
    monkeypatch.setattr(benchmark, "AGENTS", 3)
    monkeypatch.setattr(benchmark, "_STATES", 200)
    monkeypatch.setattr(benchmark, "STEPS", 2)
    monkeypatch.setattr(benchmark, "run_jobs", lambda run, jobs, *_: [run(*job) for job in jobs])


def test_decisions_by_waypoints_are_timed_against_the_critic_alone(little, tmp_path):
    threads = torch.get_num_threads()
    speed.speed("waypoints", 1, tmp_path, "langrl x")
    assert torch.get_num_threads() == threads
    assert (tmp_path / "figures" / "waypoints.png").stat().st_size > 5000
    rows = benchmark.waypoints(1)
    assert [(row["variant"], row["waypoints"]) for row in rows] == [
        (f"{name}, {count} waypoints", count) for count in (20, 40) for name in COMPOSITIONS
    ]
    for row in rows:
        assert row["ratio"] == row["milliseconds"] / row["plain_milliseconds"]
        assert row["planning_milliseconds"] > 0
        assert ("peak_megabytes" in row) == (row["waypoints"] == 40)


def test_most_waypoints_are_joined_and_have_few_neighbours(monkeypatch):
    monkeypatch.setattr(benchmark, "_STATES", 2000)
    graph = benchmark.graph_of(benchmark.learned_critic(), 300)
    near = graph.between <= graph.cutoff
    assert near.sum(1).mean() == pytest.approx(benchmark._NEIGHBOURS, abs=2)
    assert graph.share_reachable > 0.9
    places, seen = graph.waypoints.goals, benchmark.seen_by(20)
    starts, ends = (
        np.linalg.norm(seen[name][:, None] - places, axis=2).argmin(1)
        for name in ("observation", "desired_goal")
    )
    lengths = [
        len(path_between(graph, *pair)) for pair in zip(starts.tolist(), ends.tolist(), strict=True)
    ]
    assert np.mean(lengths) > 4  # not a hop or two


def test_the_figure_has_a_line_for_each_composition():
    rows = [
        {"variant": f"{name}, {count} waypoints", "waypoints": count, "agents": 10,
         "milliseconds": 2.0 * count, "plain_milliseconds": 1.0}
        for name in ("committed", "marginalised") for count in (10, 20)
    ]  # fmt: skip
    (ax,) = cost_figure(rows).axes
    labels = [line.get_label() for line in ax.lines]
    assert labels == ["committed", "marginalised", "the critic alone"]
    assert list(ax.lines[1].get_ydata()) == [20.0, 40.0]
