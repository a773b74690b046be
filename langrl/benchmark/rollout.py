"""One agent in tasks of the benchmark, side by side: what happened, as outcomes.

Axes: ``N`` tasks, ``Q`` questions, ``M`` intents, ``T`` steps.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray

from langrl.benchmark.beliefs import UNFITTED, Fit, MeasuredBeliefs, beliefs_of, measure_beliefs
from langrl.benchmark.outcomes import Outcomes
from langrl.benchmark.tasks import WORLDS, BenchmarkTask, make_tasks_env
from langrl.envs.autoreset import autoreset_mode
from langrl.errors import ConfigError
from langrl.evaluation.rollouts import check_actions, play
from langrl.functional.asking import best_question
from langrl.grounding.beliefs import Beliefs
from langrl.protocols import Agent, Array, Instructions, Integers, Mask, Observation, check_agent


class Asking:
    """An agent that asks, as one whose actions are those of ``AskQuestions``.

    Args:
        agent: has ``ask(observations, instructions)``, which returns int64 [N]: 0 to act, q to ask
            question q - 1. It is called before ``act`` at every step.
        space: of actions, with ``action`` and ``ask``.
    """

    def __init__(self, agent: Any, space: Any) -> None:
        self._agent, self._space = agent, space

    def __getattr__(self, name: str) -> Any:
        return getattr(self._agent, name)

    def reset(self, generator: Generator | None = None, mask: Mask | None = None) -> None:
        """Start new episodes."""
        self._agent.reset(generator)

    def act(
        self,
        observations: Observation,
        instructions: Instructions = None,
        starts: Mask | None = None,
    ) -> Any:
        """Return what to ask and what to do, a dict of arrays [N, ...]."""
        count, name = len(observations["observation"]), type(self._agent).__name__
        asked = self._agent.ask(observations, instructions)
        asked = check_actions(asked, f"ask of {name}", self._space["ask"], count)
        acted = self._agent.act(observations, instructions)
        acted = check_actions(acted, f"act of {name}", self._space["action"], count)
        return {"action": acted, "ask": asked}


@dataclass(frozen=True, eq=False)
class Rollout:
    """What an agent did in N tasks.

    Args:
        tasks: N of them.
        outcomes: one entry for each.
        paths: states of each episode, N arrays [T + 1, ...].
        observations: the first ones [N, ...].
        beliefs: of the agent; None for one that does not say.
    """

    tasks: Sequence[BenchmarkTask]
    outcomes: Outcomes
    paths: list[Array]
    observations: Array
    beliefs: Beliefs | None


def roll_out(
    tasks: Sequence[BenchmarkTask],
    agent: Agent,
    seed: int,
    *,
    price: float | None = None,
    fit: Fit = UNFITTED,
) -> Rollout:
    """Run an agent through tasks of one world and mode, each in an environment of its own.

    Args:
        tasks: of one world and mode.
        agent: acts on all of them at once; see ``langrl.evaluation.rollouts.run_episodes``. One
            with a method ``posterior`` is measured by what it believes, too.
        seed: of the agent's own randomness; the tasks have theirs.
        price: of a question; none may be asked without it.
        fit: of what it believes.

    Raises:
        ConfigError: if this is no agent, or it cannot ask where questions have a price.
        ShapeError: if its actions have the wrong shape.
    """
    check_agent(agent)
    if price is not None and not hasattr(agent, "ask"):
        raise ConfigError(f"{type(agent).__name__} has no method ask; evaluate it without a price")
    played = _play(tasks, agent, seed, price)
    beliefs = beliefs_of(agent, tasks[0].world)
    measured = MeasuredBeliefs.unknown(len(tasks))
    if beliefs is not None:
        agent.reset(np.random.default_rng([seed, 2]))
        texts = [task.instruction for task in tasks]
        measured = measure_beliefs(tasks, beliefs.log_posterior(played.first, texts), seed, fit)
    outcomes = Outcomes(**_about(tasks), **measured.columns(), **_happened(tasks, played, price))
    paths = [played.states[: count + 1, n] for n, count in enumerate(played.steps.tolist())]
    return Rollout(tasks, outcomes, paths, played.first, beliefs)


class _Played(NamedTuple):
    """What was seen of N episodes.

    Args:
        first: observations at the start [N, ...].
        reported: entries of ``info`` at the end of each, [N] each.
        steps: the length of each [N].
        states: observations over time [T + 1, N, ...].
        seconds: how long all of them took.
    """

    first: Array
    reported: Mapping[str, Array]
    steps: Integers
    states: Array
    seconds: float


def _play(tasks: Sequence[BenchmarkTask], agent: Agent, seed: int, price: float | None) -> _Played:
    """Let an agent act in all tasks at once."""
    reported = ["is_success"]
    if tasks[0].mode == "hidden":
        reported.append("intended_success")
    if price is not None:
        reported.append("questions")
    env = make_tasks_env(tasks, price=price)
    try:
        began = time.perf_counter()
        observation, _ = env.reset()
        first = np.array(observation["observation"])  # a copy: the environment may write to it
        agent.reset(np.random.default_rng([seed, 1]))
        acting: Any = agent if price is None else Asking(agent, env.single_action_space)
        found, steps, states = play(env, autoreset_mode(env), acting, observation, reported)
    finally:
        env.close()
    return _Played(first, found, steps, np.stack(states), time.perf_counter() - began)


def _happened(
    tasks: Sequence[BenchmarkTask], played: _Played, price: float | None
) -> dict[str, Any]:
    """Return the columns of outcomes that say what happened, and what could have."""
    success = played.reported["is_success"].astype(bool)
    intended = played.reported.get("intended_success", success).astype(bool)
    questions = played.reported.get("questions", np.zeros(len(tasks)))
    value, needed = ceilings(tasks, price)
    return {
        "price": np.full(len(tasks), math.nan if price is None else price),
        "success": success,
        "intended": intended,
        "steps": played.steps,
        "questions": questions.astype(np.int64),
        "value": value,
        "utility": intended - (price or 0.0) * questions,
        "needed": needed,
        "seconds": np.full(len(tasks), played.seconds / len(tasks)),
    }


def _about(tasks: Sequence[BenchmarkTask]) -> dict[str, Any]:
    """Return the columns of outcomes that say what the tasks are."""
    names = ("pair", "twin", "mode", "phrasing", "kind", "bits", "shortest_steps")
    columns: dict[str, Any] = {name: [getattr(task, name) for task in tasks] for name in names}
    return columns | {"task": [task.name for task in tasks]}


def ceilings(
    tasks: Sequence[BenchmarkTask], price: float | None
) -> tuple[NDArray[np.float64], Mask]:
    """Return the best expected utility of each task [N], and whether asking pays there [N].

    Args:
        tasks: of one world and mode.
        price: of a question; none may be asked without it.
    """
    if tasks[0].mode == "any":
        return np.ones(len(tasks)), np.zeros(len(tasks), bool)
    questions = WORLDS[tasks[0].world].questions
    most = max(len(task.denoted) for task in tasks)
    weights = torch.zeros(len(tasks), most, dtype=torch.float64)
    labels = torch.zeros(len(tasks), len(questions), most, dtype=torch.int64)
    for n, task in enumerate(tasks):
        cells = np.asarray(task.denoted, np.int64)
        weights[n, : len(cells)] = 1 / len(cells)
        labels[n, :, : len(cells)] = torch.from_numpy(questions.labels(cells, task.room_array))
    plan = best_question(weights, labels, math.inf if price is None else price)
    return plan.value.numpy(), (plan.question >= 0).numpy()
