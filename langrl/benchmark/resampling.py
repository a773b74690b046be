"""Intervals of the benchmark's metrics: seeds and tasks are resampled within worlds.

An ambiguous task and its twin are drawn together, and so is a task at all its prices; all seeds
meet the same tasks. A world's sums are averaged over its seeds, so that each has the same weight.

Axes: ``N`` tasks, ``S`` seeds, ``U`` pairs of a task and its twin, ``F`` sums, ``T`` worlds and
modes, ``R`` resamples.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from langrl.benchmark.metrics import Metric, score
from langrl.benchmark.outcomes import Outcomes
from langrl.envs.intents import MODES
from langrl.errors import ResultsError
from langrl.evaluation.ambiguity import TaskSums, ratio
from langrl.evaluation.intervals import (
    OVER_BOTH,
    OVER_TASKS,
    RESAMPLES,
    WILSON,
    Floats,
    Interval,
    draw_seeds,
    draw_tasks,
    newcombe,
    percentiles,
    resample_tasks,
    wilson,
)
from langrl.protocols import Mask

Runs = Mapping[tuple[str, int], Outcomes]
"""The outcomes of an entrant by world and seed."""
Where = Callable[[Outcomes], Mask]


def measure_intervals(
    runs: Runs,
    metrics: Mapping[str, Metric],
    generator: Generator,
    where: Where | None = None,
    resamples: int = RESAMPLES,
) -> dict[str, Interval | None]:
    """Return metrics of an entrant over all its worlds and seeds, each with an interval of 95 %.

    With one seed, a proportion has Wilson's interval; the others are from a bootstrap over tasks,
    and over seeds where there are several. Where all resamples are the same (20 of 20, say), the
    interval of a proportion or of a mean of values between 0 and 1 is Wilson's, over distinct
    tasks.

    Args:
        runs: outcomes by world and seed.
        metrics: of METRICS, or functions like those.
        generator: of the resamples.
        where: which tasks are meant, bool [N]; all of them if it is not given. Twins that it leaves
            out still count in ``ambdif``.
        resamples: R.

    Returns:
        By name; None where no task has the metric.

    Raises:
        ResultsError: if there are no runs, or the seeds of a world have other tasks.
    """
    sums = MetricSums(runs, metrics, where)
    resampled = sums.resampled(sums.draws(resamples, generator), generator)
    return {name: sums.interval(name, resampled) for name in metrics}


def difference_intervals(
    first: Runs,
    second: Runs,
    metrics: Mapping[str, Metric],
    generator: Generator,
    where: Where | None = None,
    resamples: int = RESAMPLES,
) -> dict[str, Interval | None]:
    """Return the differences of two entrants on the same tasks, each with an interval of 95 %.

    Both have the same resampled tasks, so what is hard for both cancels out; their seeds are drawn
    apart. Where all resamples are the same, the interval of a proportion is Newcombe's.

    Args:
        first: outcomes of an entrant by world and seed.
        second: outcomes of the other, of the same worlds and tasks.
        metrics, generator, where, resamples: see ``measure_intervals``.

    Raises:
        ResultsError: see ``measure_intervals``; or if the two have other worlds or tasks.
    """
    one, other = MetricSums(first, metrics, where), MetricSums(second, metrics, where)
    one.check_paired(other)
    draws = one.draws(resamples, generator)
    pair = one.resampled(draws, generator), other.resampled(draws, generator)
    return {name: _difference(name, one, other, *pair) for name in metrics}


def score_matrix(runs: Runs) -> tuple[list[tuple[str, str]], Floats]:
    """Return the worlds and modes, and the score of each seed in them [S, T]; see ``score``.

    Seeds that lack a world are left out; if all do, the first seed of each world makes one row.
    """
    sums = MetricSums(_complete(runs), _SCORES)
    by_world = [world.sums.sum(1)[None] for world in sums.worlds.values()]
    names, scores = _scores(sums, by_world)
    return names, scores[0]


def resampled_scores(
    entrants: Sequence[Runs], generator: Generator, resamples: int = RESAMPLES
) -> list[Floats]:
    """Return score matrices of resampled seeds and tasks [R, S, T], of each entrant.

    All have the same resampled tasks, so they must have the same worlds and tasks.
    """
    of_each = [MetricSums(_complete(runs), _SCORES) for runs in entrants]
    draws = of_each[0].draws(resamples, generator)
    found = []
    for sums in of_each:
        of_each[0].check_paired(sums)
        by_world = [
            draw_seeds(resample_tasks(world.sums, draws[name]), generator)
            for name, world in sums.worlds.items()
        ]
        found.append(_scores(sums, by_world)[1])
    return found


def _score_in(mode: str) -> Metric:
    return lambda outcomes: score(outcomes).where(outcomes.mode == mode)


_SCORES = {mode: _score_in(mode) for mode in MODES}


def _scores(sums: "MetricSums", by_world: Sequence[Floats]) -> tuple[list[tuple[str, str]], Floats]:
    """Return the worlds and modes that have tasks, and their scores [..., S, T].

    A resample that happens to have no task of a mode has the mean score of the others there.
    """
    names, columns = [], []
    for world, values in zip(sums.worlds, by_world, strict=True):
        for mode in _SCORES:
            column = ratio(values[..., sums.columns[mode]])
            if not np.isnan(column).all():
                names.append((world, mode))
                columns.append(np.where(np.isnan(column), np.nanmean(column), column))
    return names, np.stack(columns, -1)


def _complete(runs: Runs) -> Runs:
    """Return the runs of the seeds that have all worlds; of all, where no seed has."""
    worlds = {world for world, _ in runs}
    seeds = {seed for _, seed in runs if all((world, seed) in runs for world in worlds)}
    if not seeds:
        first = {world: min(seed for at, seed in runs if at == world) for world in sorted(worlds)}
        return {(world, 0): runs[world, seed] for world, seed in first.items()}
    return {key: outcomes for key, outcomes in runs.items() if key[1] in seeds}


@dataclass(frozen=True, eq=False)
class WorldSums:
    """The sums of one world.

    Args:
        names: of its tasks, in the order of the files.
        sums: of each seed and pair of tasks [S, U, F].
        counts: for each metric, how many distinct tasks count.
    """

    names: NDArray[np.str_]
    sums: Floats
    counts: Mapping[str, int]


class MetricSums:
    """Metrics of an entrant as sums by world, seed and pair of tasks.

    Args:
        runs, metrics, where: see ``measure_intervals``.

    Raises:
        ResultsError: see ``measure_intervals``.
    """

    def __init__(
        self, runs: Runs, metrics: Mapping[str, Metric], where: Where | None = None
    ) -> None:
        if not runs:
            raise ResultsError("there are no outcomes; run the benchmark for this entrant")
        self.columns: dict[str, slice] = {}
        self._metrics: dict[str, TaskSums] = {}
        self._binary = dict.fromkeys(metrics, True)
        self.worlds = {
            world: self._world(world, runs, metrics, where)
            for world in sorted({world for world, _ in runs})
        }
        self.several = any(len(world.sums) > 1 for world in self.worlds.values())

    def draws(self, resamples: int, generator: Generator) -> dict[str, Floats]:
        """Return for each world how often each of its pairs is drawn [R, U]."""
        return {
            name: draw_tasks(world.sums.shape[1], resamples, generator)
            for name, world in self.worlds.items()
        }

    def resampled(self, draws: Mapping[str, Floats], generator: Generator) -> Floats:
        """Return the sums over all worlds, with drawn tasks and seeds [R, F]."""
        parts = [
            draw_seeds(resample_tasks(world.sums, draws[name]), generator).mean(1)
            for name, world in self.worlds.items()
        ]
        return np.asarray(sum(parts))

    def point(self, name: str) -> float:
        """Return a metric over all tasks; nan where none has it."""
        total = sum(world.sums.mean(0).sum(0) for world in self.worlds.values())
        return float(self._metrics[name].of(np.asarray(total)[self.columns[name]]))

    def values(self, name: str, resampled: Floats) -> Floats:
        """Return a metric of resampled sums [R]."""
        return self._metrics[name].of(resampled[:, self.columns[name]])

    def is_bounded(self, name: str) -> bool:
        """Return whether Wilson's interval holds for a metric."""
        return self._metrics[name].bounded

    def interval(self, name: str, resampled: Floats) -> Interval | None:
        """Return a metric with its interval; None where no task has it."""
        value, metric = self.point(name), self._metrics[name]
        if np.isnan(value):
            return None
        values = self.values(name, resampled)
        proportion = metric.bounded and self._binary[name] and not self.several
        if proportion or (metric.bounded and _all_same(values)):
            return self.wilson(name)
        low, high = map(float, percentiles(values))
        if metric.biased:  # resampling raises it once more: mirrored, the bias is taken away
            low, high = max(min(2 * value - high, value), 0.0), max(2 * value - low, value)
        return Interval(value, low, high, OVER_BOTH if self.several else OVER_TASKS)

    def wilson(self, name: str) -> Interval:
        """Return a bounded metric with Wilson's interval over distinct tasks."""
        total = sum(world.sums.mean(0).sum(0) for world in self.worlds.values())
        share = float(ratio(np.asarray(total)[self.columns[name]]))
        count = sum(world.counts[name] for world in self.worlds.values())
        limits = np.array([share, *wilson(share * count, count)])
        link = self._metrics[name].link
        value, low, high = (limits if link is None else link(limits)).tolist()
        return Interval(value, low, high, WILSON)

    def check_paired(self, other: "MetricSums") -> None:
        """Raise ResultsError if another entrant has other worlds or tasks."""
        if missing := sorted(self.worlds.keys() ^ other.worlds.keys()):
            raise ResultsError(
                f"{missing[0]} has results of only one of the two; compare the worlds of both"
            )
        for name, world in self.worlds.items():
            if not np.array_equal(np.unique(world.names), np.unique(other.worlds[name].names)):
                raise ResultsError(f"{name}: the two have other tasks; run both by one profile")

    def _world(
        self, world: str, runs: Runs, metrics: Mapping[str, Metric], where: Where | None
    ) -> WorldSums:
        """Return the sums of one world, all its seeds."""
        seeds = sorted(seed for name, seed in runs if name == world)
        names, pairs = runs[world, seeds[0]].task, runs[world, seeds[0]].pair
        units = np.unique(pairs, return_inverse=True)[1]
        rows = []
        counted = {name: np.zeros(len(names), bool) for name in metrics}
        for seed in seeds:
            outcomes = runs[world, seed]
            if not np.array_equal(outcomes.task, names):
                raise ResultsError(
                    f"{world}: seeds {seeds[0]} and {seed} have other tasks; run both by one"
                    " profile"
                )
            terms = self._terms(outcomes, metrics, where)
            for name in metrics:
                counted[name] |= terms[:, self.columns[name]][:, -1] != 0
            by_unit = np.zeros((units.max(initial=-1) + 1, terms.shape[1]))
            np.add.at(by_unit, units, terms)
            rows.append(by_unit)
        counts = {name: len(np.unique(names[mask])) for name, mask in counted.items()}
        return WorldSums(names, np.stack(rows), counts)

    def _terms(
        self, outcomes: Outcomes, metrics: Mapping[str, Metric], where: Where | None
    ) -> Floats:
        """Return the terms of all metrics side by side [N, F]; keeps which columns are whose."""
        mask = np.ones(len(outcomes), bool) if where is None else where(outcomes)
        parts: list[Floats] = []
        begin = 0
        for name, metric in metrics.items():
            self._metrics[name] = found = metric(outcomes).where(mask)
            self.columns[name] = slice(begin, begin + found.terms.shape[1])
            self._binary[name] &= bool(np.isin(found.terms[:, 0], (0, 1)).all())
            begin += found.terms.shape[1]
            parts.append(found.terms)
        return np.concatenate(parts, -1)


def _all_same(values: Floats) -> bool:
    known = values[~np.isnan(values)]
    return not known.size or bool(np.ptp(known) < 1e-12)


def _difference(
    name: str, one: MetricSums, other: MetricSums, first: Floats, second: Floats
) -> Interval | None:
    """Return the difference of a metric of two entrants, from paired resamples [R, F]."""
    gain = one.point(name) - other.point(name)
    if np.isnan(gain):
        return None
    gains = one.values(name, first) - other.values(name, second)
    if one.is_bounded(name) and _all_same(gains):
        return newcombe(one.wilson(name), other.wilson(name))
    low, high = map(float, percentiles(gains))
    return Interval(gain, low, high, OVER_BOTH if one.several or other.several else OVER_TASKS)
