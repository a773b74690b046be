"""Posteriors and conformal sets, calibrated and measured on tasks apart from those of the suites.

Calibration tasks are drawn as those of a suite are, from other seeds: other rooms in grid worlds,
other starts and texts in mazes, whose layout is what an agent was trained in.

Axes: ``N`` tasks, ``I`` cells of the map.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from langrl.benchmark.level_world import LEVELS
from langrl.benchmark.metrics import METRICS
from langrl.benchmark.outcomes import Outcomes
from langrl.benchmark.rollout import roll_out
from langrl.benchmark.tasks import WORLDS, BenchmarkTask, draw_tasks
from langrl.envs.grid.rooms import observe
from langrl.errors import DomainError, lookup
from langrl.functional.conformal import adaptive_scores, conformal_threshold, fit_temperature
from langrl.grounding.beliefs import Beliefs, ExactBeliefs
from langrl.protocols import Agent, Array

COVERAGES = (0.8, 0.9, 0.95)
TASKS = 10_000
_HALVINGS = 6  # of the temperature that are tried for small sets
_SEEDS = {"temperature": 1, "threshold": 2, "test": 3}
Row = dict[str, Any]


@dataclass(frozen=True)
class Calibration:
    """What is fitted to calibration tasks of a world.

    Args:
        temperature: the log posterior of intents is divided by it, so that its probabilities are
            right on average.
        set_temperature: the same for conformal sets, whose coverage is right at any; at this one
            they are small.
        thresholds: of the scores of conformal sets, by coverage.
    """

    temperature: float
    set_temperature: float
    thresholds: Mapping[float, float]


def calibration_tasks(
    world: str, count: int, seed: int, purpose: str = "threshold"
) -> list[BenchmarkTask]:
    """Return tasks of mode ``hidden``, half of them twins, that are in no suite.

    Levels have mode ``any`` alone; what is meant is drawn there as well, to calibrate on.

    Args:
        world: of ``langrl.benchmark.tasks.WORLDS``.
        count: how many, at least 2.
        seed: of the tasks.
        purpose: ``temperature``, ``threshold`` or ``test``: each has its own tasks.

    Raises:
        DomainError: if there are fewer than 2.
    """
    if count < 2:
        raise DomainError(f"calibration needs at least 2 tasks, a twin among them, got {count}")
    seeds = np.random.SeedSequence([seed, _SEEDS[purpose]]).generate_state(1, np.uint64)
    mode = lookup(WORLDS, world, "benchmark world").modes[-1]
    return draw_tasks(world, -(-count // 2), int(seeds[0]), mode)[:count]


def first_observations(tasks: Sequence[BenchmarkTask]) -> Array:
    """Return what is observed at the start of tasks of one world [N, ...]."""
    starts = [task.start for task in tasks]
    if tasks[0].room is None:
        return np.array(starts, np.float32)
    rooms = np.array([task.room for task in tasks], np.uint8)
    if tasks[0].world in LEVELS:
        return rooms  # layouts have their agents
    return observe(rooms, np.array(starts, np.int64))


def log_posteriors(beliefs: Beliefs, tasks: Sequence[BenchmarkTask]) -> Tensor:
    """Return log p(i|l) of what each task's instruction means [N, I]."""
    texts = [task.instruction for task in tasks]
    return beliefs.log_posterior(first_observations(tasks), texts)


def calibrate(
    world: str,
    beliefs: Beliefs,
    count: int = TASKS,
    seed: int = 0,
    coverages: Sequence[float] = COVERAGES,
) -> Calibration:
    """Fit the temperatures of a posterior, and the thresholds of its conformal sets.

    The temperatures are fitted to a fifth as many tasks, which are others, so that the coverage of
    the sets holds as it is stated. A parameter of scores is chosen for the size of sets as in
    Angelopoulos et al. 2021, arXiv:2009.14193.

    Args:
        world: of ``langrl.benchmark.tasks.WORLDS``.
        beliefs: with a temperature of 1.
        count: tasks that thresholds are fitted to.
        seed: of tasks, and of shares and ties.
        coverages: of the sets.

    Raises:
        DomainError: as ``calibration_tasks`` and ``conformal_threshold``.
    """
    temperature = set_temperature = 1.0
    if not beliefs.is_exact:
        tasks = calibration_tasks(world, max(2, count // 5), seed, "temperature")
        log_p, meant = log_posteriors(beliefs, tasks), _intended(tasks)
        temperature = fit_temperature(log_p, meant)
        set_temperature = _temperature_of_small_sets(log_p, meant, temperature, coverages, seed)
    tasks = calibration_tasks(world, count, seed)
    scores = _scores(log_posteriors(beliefs, tasks), set_temperature, seed)
    meant = scores.gather(1, _intended(tasks).unsqueeze(1)).squeeze(1)
    thresholds = {each: conformal_threshold(meant, each) for each in coverages}
    return Calibration(temperature, set_temperature, thresholds)


def _temperature_of_small_sets(
    log_p: Tensor, meant: Tensor, temperature: float, coverages: Sequence[float], seed: int
) -> float:
    """Return the temperature, that of likelihood or a lower one, at which sets are smallest."""
    sizes = {}
    for halvings in range(_HALVINGS + 1):
        tried = temperature / 2**halvings
        scores = _scores(log_p, tried, seed)
        own = scores.gather(1, meant.unsqueeze(1)).squeeze(1)
        found = [_mean_size(scores, conformal_threshold(own, each)) for each in coverages]
        sizes[tried] = sum(found)
    return min(sizes, key=sizes.__getitem__)


def _scores(log_p: Tensor, temperature: float, seed: int) -> Tensor:
    """Return the scores of conformal sets [N, I], of log posteriors [N, I]."""
    generator = torch.Generator().manual_seed(seed)
    return adaptive_scores((log_p / temperature).softmax(-1), generator)


def measure_sets(
    world: str, beliefs: Beliefs, calibration: Calibration, count: int = TASKS, seed: int = 0
) -> list[Row]:
    """Return coverage and mean size of conformal sets, beside those of the exact posterior.

    Args:
        world: of ``langrl.benchmark.tasks.WORLDS``.
        beliefs: with a temperature of 1.
        calibration: of these beliefs, by ``calibrate``.
        count: test tasks, and tasks that the exact posterior's sets are calibrated on.
        seed: of tasks, and of shares and ties.

    Returns:
        A row for each coverage: ``coverage``, ``covered`` (share of tasks), ``size`` and
        ``exact_size`` (mean number of intents), ``ratio`` of the two.
    """
    exact = ExactBeliefs(beliefs.intents)
    tasks = calibration_tasks(world, count, seed, "test")
    best = calibrate(world, exact, count, seed, tuple(calibration.thresholds))
    scores = {
        name: _scores(log_posteriors(each, tasks), fitted.set_temperature, seed + 1)
        for name, each, fitted in (("own", beliefs, calibration), ("exact", exact, best))
    }
    meant = scores["own"].gather(1, _intended(tasks).unsqueeze(1))
    rows = []
    for coverage, threshold in calibration.thresholds.items():
        size = _mean_size(scores["own"], threshold)
        exact_size = _mean_size(scores["exact"], best.thresholds[coverage])
        covered = float((meant <= threshold).double().mean())
        rows.append(
            {
                "coverage": coverage,
                "covered": covered,
                "size": size,
                "exact_size": exact_size,
                "ratio": size / exact_size,
            }
        )
    return rows


def measure_asking(
    tasks: Sequence[BenchmarkTask],
    make_agent: Callable[[str, float], Agent],
    prices: Sequence[float],
    rules: Sequence[str] = ("never", "always", "pays"),
    seed: int = 0,
) -> list[Row]:
    """Return what asking is worth: a row for each price and rule.

    Args:
        tasks: of one world, of mode ``hidden``.
        make_agent: makes an agent that asks, from a rule and a price.
        prices: of a question.
        rules: of ``langrl.grounding.asking.ASK_RULES``.
        seed: of the agents' own randomness.

    Returns:
        ``price``, ``rule``, ``utility`` (intended success less prices), ``regret`` (to the exact
        value of the tasks), ``ask_f1``, ``questions`` (mean).
    """
    rows = []
    for price in prices:
        for rule in rules:
            outcomes = roll_out(tasks, make_agent(rule, price), seed, price=price).outcomes
            rows.append({"price": price, "rule": rule} | _worth(outcomes))
    return rows


def _worth(outcomes: Outcomes) -> Row:
    names = ("utility", "regret", "ask_f1", "questions")
    found = {name: METRICS[name](outcomes).value for name in names}
    return found | ({"ask_f1": 1.0} if np.isnan(found["ask_f1"]) else {})  # rightly asks nothing


def _intended(tasks: Sequence[BenchmarkTask]) -> Tensor:
    """Return the number of the cell that is meant in each task, int64 [N]."""
    width = WORLDS[tasks[0].world].shape[1]
    return torch.tensor([row * width + column for row, column in (t.intended for t in tasks)])


def _mean_size(scores: Tensor, threshold: float) -> float:
    return float((scores <= threshold).sum(1).double().mean())
