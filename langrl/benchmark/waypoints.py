"""Speed of a decision by waypoints, against that of the critic alone.

The critics are two of the sizes that PointMaze's preset has, learned for a moment on a square
without walls: enough for near places to be near, so that paths have many waypoints.

Axes: ``N`` agents, ``W`` waypoints.
"""

import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Generator

from langrl.agents.config import GoalLearnerConfig
from langrl.agents.contrastive_actor_critic import ContrastiveActorCritic, GoalConditionedPolicy
from langrl.agents.waypoints import COMPOSITIONS, Drawing, WaypointPolicy
from langrl.evaluation.goal_reaching import GoalPolicy
from langrl.grounding.config import WaypointConfig
from langrl.grounding.successor import SuccessorDistance
from langrl.grounding.waypoints import WaypointGraph, draw_waypoints
from langrl.models.actors import ComparingActor
from langrl.models.config import ActorConfig, StateGoalCriticConfig
from langrl.models.critics.state_goal import (
    StateGoalCritic,
    StateGoalCriticDescription,
    build_state_goal_critic,
)
from langrl.models.goal_networks import InputDescription
from langrl.protocols import Array
from langrl.training.cells import run_jobs
from langrl.training.jobs import one_thread
from langrl.training.learner import OfflineReplay
from langrl.training.logs import progress
from langrl.training.optim import Batch

AGENTS = 1000
WAYPOINTS = (125, 250, 500, 1000, 2000)
CRITIC = {
    "width": 128, "depth": 3, "embedding": 64, "random_features": 64, "feature_length": 3.0,
    "scaled": True, "action_joins": "early", "critics": 2,
}  # fmt: skip
STEPS = 60  # of learning
_SIDE = 40.0  # of the square, whose unit is five moves
_MOVE = 4.0  # of a batch's futures, about
_NEIGHBOURS = 24  # of each waypoint
_STATES = 20_000  # that waypoints are drawn from
_DECISIONS = 3  # of each policy and round, by turns
_LONG = 1_000_000  # steps without progress: nobody plans again while decisions are timed


def waypoints(rounds: int) -> list[dict[str, Any]]:
    """Time decisions of 1,000 agents by waypoints, and of the critic alone, by turns.

    Seconds are those of the processor, on one thread. Planning is once an episode, and again
    where no progress is made; its time is apart. The memory is that of a fresh process that
    builds the graph, plans and decides, with all that it loads.
    """
    rows = []
    with one_thread(), progress("speed: waypoints", len(WAYPOINTS) + 1) as bar:
        critic = learned_critic()
        for number, count in enumerate(WAYPOINTS):
            rows += _rows(critic, count, rounds)
            bar.update(number + 1, "numbers of waypoints")
        jobs = [(name, WAYPOINTS[-1]) for name in COMPOSITIONS]
        peaks = run_jobs(peak_megabytes, jobs, len(jobs), "speed: memory of waypoints")
        for row, peak in zip(rows[-len(jobs) :], peaks, strict=True):
            row["peak_megabytes"] = peak
        bar.update(len(WAYPOINTS) + 1, "numbers of waypoints")
    return rows


def learned_critic() -> StateGoalCritic:
    """Return two critics of one ensemble that know what is near on a square."""
    generator = torch.Generator().manual_seed(0)
    place = InputDescription(shape=(2,), low=(0.0,) * 2, high=(_SIDE,) * 2)
    config = StateGoalCriticConfig.model_validate(CRITIC)
    description = StateGoalCriticDescription(
        observation=place, goal=place, actions=2, config=config
    )
    critic = build_state_goal_critic(description, seed=0)
    actor = ComparingActor(critic, ActorConfig(kind="compare"))
    settings = GoalLearnerConfig(critic_learning_rate=3e-3)
    learner = ContrastiveActorCritic(critic, actor, OfflineReplay(dict), settings, STEPS, generator)
    for _ in range(STEPS):
        learner.update(_batch(generator))
    return critic


def _batch(generator: Generator) -> Batch:
    """Return moves in directions, with what they come to in a while."""
    state = _SIDE * torch.rand(256, 2, generator=generator)
    action = torch.randn(256, 2, generator=generator)
    action = action / action.norm(dim=1, keepdim=True)
    noise = torch.randn(256, 2, generator=generator)
    return {"state": state, "action": action, "goal": state + _MOVE * (action + noise) / 2}


def graph_of(critic: StateGoalCritic, count: int) -> WaypointGraph:
    """Return a graph of waypoints on the square, each with a few neighbours."""
    states = _SIDE * np.random.default_rng(0).random((_STATES, 2), np.float32)
    generator = np.random.default_rng(1)
    drawn = draw_waypoints(states, states, count, generator=generator)
    actions = ComparingActor(critic, ActorConfig(kind="compare")).actions.numpy()
    distance = SuccessorDistance([critic], actions)
    graph = WaypointGraph(distance, drawn, WaypointConfig(waypoints=count, patience=_LONG))
    cutoff = max(float(np.quantile(graph.between, min(1.0, _NEIGHBOURS / count))), 1e-3)
    return graph.with_config(graph.config.model_copy(update={"cutoff": cutoff}))


def policies_of(graph: WaypointGraph) -> tuple[GoalPolicy, dict[str, GoalPolicy]]:
    """Return the policy of the critic alone, and those by waypoints."""
    critic: Any = graph.distance.critics[0]
    generator = torch.Generator().manual_seed(0)
    actor = ComparingActor(critic, ActorConfig(kind="compare"))
    plain = GoalConditionedPolicy(actor, critic, generator)
    drawing = Drawing(1.0, generator)
    return plain, {
        name: WaypointPolicy(plain, make(graph), drawing) for name, make in COMPOSITIONS.items()
    }


def seen_by(agents: int) -> Mapping[str, Array]:
    """Return what agents see, and goals of theirs."""
    generator = np.random.default_rng(2)
    states, goals = _SIDE * generator.random((2, agents, 2), np.float32)
    return {"observation": states, "desired_goal": goals}


def _rows(critic: StateGoalCritic, count: int, rounds: int) -> list[dict[str, Any]]:
    plain, by_waypoints = policies_of(graph_of(critic, count))
    seen = seen_by(AGENTS)
    plans = {name: _time(partial(policy, seen)) for name, policy in by_waypoints.items()}
    every = {"plain": plain, **by_waypoints}
    times: dict[str, list[float]] = {name: [] for name in every}
    for _ in range(_DECISIONS * rounds):
        for name, policy in every.items():
            times[name].append(_time(partial(policy, seen)))
    median = {name: 1000 * statistics.median(values) for name, values in times.items()}
    return [
        {
            "benchmark": "waypoints",
            "variant": f"{name}, {count:,} waypoints",
            "waypoints": count,
            "agents": AGENTS,
            "milliseconds": median[name],
            "plain_milliseconds": median["plain"],
            "ratio": median[name] / median["plain"],
            "planning_milliseconds": 1000 * plans[name],
        }
        for name in by_waypoints
    ]


def peak_megabytes(composition: str, count: int) -> float:
    """Return the largest memory of this process once it has decided by waypoints, in MB."""
    graph = graph_of(learned_critic(), count)
    policy = policies_of(graph)[1][composition]
    for _ in range(2):
        policy(seen_by(AGENTS))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def _time(run: Callable[[], object]) -> float:
    """Return the processor's seconds of one call."""
    begin = time.process_time()
    run()
    return time.process_time() - begin
