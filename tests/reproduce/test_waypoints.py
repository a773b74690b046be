import numpy as np
import pytest
import torch
from command_line import read_results
from pointmaze_sets import make_small, walks
from waypoint_paths import path_between

from langrl.grounding.config import WaypointConfig
from langrl.grounding.waypoints import WaypointGraph, Waypoints
from langrl.reproduce import waypoint_cells, waypoints
from langrl.reproduce.arguments import WaypointsArguments
from langrl.reproduce.true_distance import TrueDistance
from langrl.reproduce.waypoint_cells import one_critic
from langrl.tasks.loading import agents_of

METHODS = [
    ("plain", 1), ("marginalised", 1), ("committed", 1),
    ("plain", 2), ("marginalised", 2), ("committed", 2), ("oracle", 2),
    ("plain, instructions", 2), ("committed, instructions", 2),
]  # fmt: skip


@pytest.fixture
def small(monkeypatch):
    pytest.importorskip("ogbench")
    changes = {"critic": {"critics": 2}, "grounding": {"cutoff": 50.0}}
    return make_small(monkeypatch, waypoints, waypoint_cells, **changes)


def reproduce(out, **options):
    given = {"seeds": 1, "mazes": ("medium",), "kinds": ("stitch",), "episodes": 2, "workers": 1}
    given |= {"steps": 4, "waypoints": 20}
    waypoints.reproduce(WaypointsArguments(out=out, **given | options), "langrl x")
    return read_results(out)


def test_each_method_reaches_the_tasks_beside_the_published_ones(small, tmp_path, monkeypatch):
    results = reproduce(tmp_path)
    assert small == ["ogbench/pointmaze-medium-stitch"]
    rows = [row for row in results["rows"] if not row["published"]]
    assert [(row["method"], row["critics"]) for row in rows] == METHODS
    assert {(row["env"], row["data"]) for row in rows} == {("pointmaze-medium", "stitch")}
    assert all(0 <= row["success"] <= 1 for row in rows)
    others = {row["method"]: row["success"] for row in results["rows"] if row["published"]}
    assert others["QRL"] == 0.80
    assert "SAW" not in others  # of navigate alone
    assert (tmp_path / "figures" / "waypoints.png").stat().st_size > 5000

    def never(*args, **kwargs):
        raise AssertionError("it was there already")

    monkeypatch.setattr("langrl.reproduce.common.train_or_resume", never)
    monkeypatch.setattr(waypoint_cells, "reach_goals", never)
    assert reproduce(tmp_path)["rows"] == results["rows"]
    assert len(small) == 1


def test_parts_that_are_asked_for_one_after_another_are_measured_once(small, tmp_path, monkeypatch):
    """Of data that are there, by maze, kind and seed."""
    data, reached, reach = tmp_path / "data", [], waypoint_cells.reach_goals
    for name in ("pointmaze-medium-stitch", "pointmaze-medium-navigate"):
        walks(data / f"{name}.npz")

    def counted(*args):
        reached.append(1)
        return reach(*args)

    monkeypatch.setattr(waypoint_cells, "reach_goals", counted)
    out, each = tmp_path / "out", 5 * 7  # tasks, by methods
    first = reproduce(out, data=data, episodes=1)["rows"]
    assert len(reached) == each
    both = reproduce(out, data=data, episodes=1, kinds=("stitch", "navigate"))["rows"]
    assert len(reached) == 2 * each
    more = reproduce(out, data=data, episodes=1, seeds=2)["rows"]
    assert len(reached) == 3 * each
    assert small == []
    mine = [row for row in both if row["data"] == "stitch"]
    assert mine == first
    assert {row["seeds"] for row in more if not row["published"]} == {2}


def test_the_first_critic_alone_scores_as_in_the_ensemble(small, tmp_path):
    reproduce(tmp_path)
    agents = agents_of(tmp_path / "runs" / "medium-stitch-0")
    alone = one_critic(agents)
    generator = torch.Generator().manual_seed(0)
    states, goals = (20 * torch.rand(5, 2, generator=generator) for _ in range(2))
    actions = 2 * torch.rand(5, 2, generator=generator) - 1
    first, second = agents.critic.member_scores(
        agents.critic.embed_pairs(states, actions), agents.critic.goal(goals)
    )
    mine = alone.critic.score(alone.critic.embed_pairs(states, actions), alone.critic.goal(goals))
    assert torch.allclose(mine, first)
    assert not torch.allclose(first, second)
    assert one_critic(alone) is alone


def test_what_is_followed_is_a_share_of_what_is_reached():
    shared = {"env": "e", "data": "d", "critics": 2, "train_seconds": 1.0}
    measured = [
        shared | {"method": method, "seed": seed, "success": success}
        for seed in range(2)
        for method, success in (("committed", 0.8), ("committed, instructions", 0.6))
    ]
    first, second = waypoints.over_seeds(measured)
    assert (first["success"], first["of_goals"], first["seeds"]) == (0.8, None, 2)
    assert second["of_goals"] == pytest.approx(0.75)


def test_published_numbers_are_those_of_the_paper():
    rows = waypoints.published(("medium", "large", "giant"), ("navigate", "stitch"))
    found = {(row["env"], row["data"], row["method"]): row["success"] for row in rows}
    assert found["pointmaze-giant", "stitch", "QRL"] == 0.50
    assert found["pointmaze-large", "stitch", "HIQL"] == 0.13
    assert found["pointmaze-giant", "navigate", "SAW"] == 0.68


class _Corridors:
    """Cells in a row of three, 4 apart, and a fourth beside the first that a wall parts."""

    centres = np.array([[0.0, 0.0], [4.0, 0.0], [8.0, 0.0], [0.0, 4.0]])

    class layout:
        distances = np.array([[0, 1, 2, 5], [1, 0, 1, 4], [2, 1, 0, 3], [5, 4, 3, 0]])


class _Critic(torch.nn.Module):
    observation_axes = 1

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))


def test_true_distances_go_round_walls():
    distance = TrueDistance(_Corridors(), _Critic(), np.zeros((3, 2), np.float32))
    positions = np.array([[0, 0], [5, 0], [8, 1], [0, 4]], np.float32)
    found = distance.measure(distance.embed(positions), distance.places(positions, positions))
    assert found[0].tolist() == [0.0, 1.25, 2.0, 5.0]
    config = WaypointConfig(waypoints=4, cutoff=1.3)
    with pytest.warns(UserWarning, match="pieces"):
        graph = WaypointGraph(
            distance, Waypoints(positions, positions, np.zeros(4, np.float32)), config
        )
    assert path_between(graph, 0, 2).tolist() == [0, 1, 2]
