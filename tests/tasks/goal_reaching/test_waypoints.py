"""Waypoints of goal-reaching runs: what checkpoints hold for them, and what their fields change."""

import json
import shutil
import warnings

import numpy as np
import pytest
import torch
from command_line import run_langrl
from small_goal_runs import MAZE, tiny

from langrl.agents.all_paths import Marginalised
from langrl.agents.committed_paths import Committed
from langrl.agents.waypoints import WaypointPolicy
from langrl.checkpoint import find_checkpoint, read_checkpoint, write_checkpoint
from langrl.errors import DomainError, GroundingError
from langrl.tasks.loading import agents_of
from langrl.tasks.run import build_run, train_run

pytestmark = pytest.mark.filterwarnings(
    "ignore:the waypoints are in", "ignore:no path of waypoints"
)
W = {"waypoints": 30}


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    """Return the folder of a run whose observations are more than its goals."""
    folder = tmp_path_factory.mktemp("runs") / "line"
    train_run(tiny({"evaluation": {"every": 0}}), folder, "line")
    return folder


@pytest.fixture(scope="module")
def maze(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "maze"
    train_run(tiny(MAZE, {"evaluation": {"every": 0}}), folder, "maze")
    return folder


def without_states(folder, copy):
    """Return a copy of a run, as earlier versions wrote it."""
    shutil.copytree(folder, copy)
    path = find_checkpoint(copy)
    checkpoint = read_checkpoint(path)
    achieved = checkpoint.tensors["goals"]["achieved"]
    checkpoint.tensors["goals"] = {"achieved": achieved}
    write_checkpoint(path, checkpoint)
    return copy


def policy_of(agents, **changes):
    return agents.policy(True, **W, **changes)


def test_a_checkpoint_holds_states_with_what_was_achieved_in_them(line):
    goals = read_checkpoint(find_checkpoint(line)).tensors["goals"]
    assert torch.equal(goals["states"][:, 2:], goals["achieved_in_states"])
    assert goals["states"].shape[1] == 3
    graph = agents_of(line).graph(**W)
    assert np.array_equal(graph.waypoints.states[:, 2:], graph.waypoints.goals)


def test_an_earlier_checkpoint_has_waypoints_where_goals_are_states(line, maze, tmp_path):
    old = agents_of(without_states(maze, tmp_path / "maze"))
    graph = old.graph(**W)
    assert np.array_equal(graph.waypoints.states, graph.waypoints.goals)
    with pytest.raises(GroundingError, match=r"does not hold the states .*waypoints to 0"):
        agents_of(without_states(line, tmp_path / "line"))(**W)


def test_more_waypoints_than_states_are_refused(line):
    with pytest.raises(DomainError, match=r"5000 waypoints cannot be drawn from \d+ different"):
        agents_of(line)(waypoints=5000)


def test_policies_and_agents_go_by_waypoints_where_there_are_some(maze):
    agents = agents_of(maze)
    assert not isinstance(agents.policy(True), WaypointPolicy)
    assert isinstance(policy_of(agents).composition, Committed)
    assert isinstance(policy_of(agents, composition="marginalised").composition, Marginalised)
    assert agents().waypoints is None
    assert isinstance(agents(**W, strategy="max_goal").waypoints, Committed)
    assert isinstance(agents(**W, strategy="log_sum_exp").waypoints, Marginalised)
    marginalised = agents(**W, strategy="max_goal", composition="marginalised")
    assert isinstance(marginalised.waypoints, Marginalised)
    assert agents.graph(**W) is agents.graph(**W)


def acts(agents, changes):
    """Return what policies do and expect with these settings, as one array."""
    changes = {"waypoints": 30, "cutoff": 0.05} | changes
    graph = agents.graph(**changes)
    places = graph.waypoints.goals
    found = [graph.between.ravel(), [graph.cutoff, graph.hop_cost, graph.visible]]
    policy = agents.policy(True, **changes)
    seen = {"observation": places[:8].copy(), "desired_goal": places[-8:].copy()}
    found += [policy(seen).ravel() for _ in range(3)]
    follower = policy.composition
    if isinstance(follower, Committed):
        found.append(follower._waited)
    grounded = agents(**changes, strategy="log_sum_exp")
    found.append(grounded.waypoints.laws.ravel())
    return np.concatenate([np.asarray(part, np.float64) for part in found])


@pytest.mark.parametrize(
    "changes",
    [
        {"waypoints": 20},
        {"composition": "marginalised"},
        {"waypoint_draw": "density"},
        {"cutoff": 0.1},
        {"hop_cost": 3.0},
        {"visible": 0.5},
        {"patience": 1},
        {"stage_discount": 0.9},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_every_field_changes_something(maze, changes):
    agents = agents_of(maze)
    before, after = acts(agents, {}), acts(agents, changes)
    assert before.shape != after.shape or not np.array_equal(before, after)


def test_graphs_follow_the_weights_of_a_run_in_training(tmp_path):
    run = build_run(tiny(MAZE, {"grounding": W}), tmp_path / "run")
    run.learner.update(run.learner.batch())
    before = run.agent.graph()
    assert run.agent.graph() is before
    run.learner.update(run.learner.batch())
    assert run.agent.graph() is not before


def test_a_run_with_waypoints_is_trained_evaluated_and_evaluated_otherwise(tmp_path, capsys):
    folder = tmp_path / "run"
    config = tiny(MAZE, {"grounding": W, "evaluation": {"every": 0, "episodes": 2}})
    train_run(config, folder, "run")
    few = ("--episodes", 2, "--phrasings", "seen", "--kinds", "row", "--methods", "nearest_goal")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert run_langrl("evaluate", folder, *few, "--grounding.composition", "marginalised",
                          "--grounding.cutoff=0.5", "--out", tmp_path / "out") == 0  # fmt: skip
    written = json.loads((tmp_path / "out" / "results.json").read_text())
    assert written["config"]["grounding"]["composition"] == "marginalised"
    assert written["config"]["grounding"]["cutoff"] == 0.5
    capsys.readouterr()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--grounding.waypoint", "3"], "unknown key 'waypoint'; did you mean 'waypoints'?"),
        (["--grounding.waypoints", "x"], "waypoints: takes a whole number, got 'x'"),
        (["--grounding.waypoints"], "--grounding.waypoints needs a value"),
    ],
)
def test_wrong_flags_are_one_clear_line(maze, capsys, flags, message):
    assert run_langrl("evaluate", maze, *flags) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_worlds_that_change_with_every_episode_have_no_waypoints(tmp_path, capsys):
    assert run_langrl("train", "--config", "crl-grid-goto", "--grounding.waypoints", "30",
                      "--out", tmp_path / "run") == 2  # fmt: skip
    assert "each episode of langrl/GridGoTo-v0 is in another room" in capsys.readouterr().err
