"""Tables of the benchmark's results: leaderboard, break-downs, profiles and comparisons.

A row is a dict: the entrant first, then what the row is of, then an ``Interval`` by metric, or None
where no task has the metric.

Axes: ``N`` tasks, ``S`` seeds, ``T`` worlds and modes, ``K`` thresholds.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from langrl.benchmark.metrics import METRICS, Metric
from langrl.benchmark.outcomes import Outcomes
from langrl.benchmark.resampling import (
    Runs,
    difference_intervals,
    measure_intervals,
    resampled_scores,
    score_matrix,
)
from langrl.benchmark.results import Results, check_same_suite
from langrl.errors import ResultsError, lookup
from langrl.evaluation.ambiguity import ambiguity_level
from langrl.evaluation.intervals import (
    AGGREGATES,
    OVER_BOTH,
    OVER_TASKS,
    RESAMPLES,
    Aggregate,
    Floats,
    Interval,
    percentiles,
    performance_profile,
    probability_of_improvement,
)
from langrl.training.logs import print_table

Row = dict[str, Any]
BY: dict[str, Callable[[Outcomes], NDArray[Any]]] = {
    "bits": lambda outcomes: ambiguity_level(outcomes.bits),
    "price": lambda outcomes: outcomes.price,
    "mode": lambda outcomes: outcomes.mode,
    "phrasing": lambda outcomes: outcomes.phrasing,
    "kind": lambda outcomes: outcomes.kind,
}
"""What results can be broken down by, besides ``world``; bits are rounded, 4 and more are 4."""
LEADERBOARD = (
    "success", "intended", "spl", "utility", "regret", "nll", "ece", "coverage", "set_size",
    "help_rate", "correct_help_rate", "ask_f1", "ssc", "ambdif", "seconds",
)  # fmt: skip


def leaderboard(
    results: Results,
    generator: Generator,
    metrics: Sequence[str] = LEADERBOARD,
    resamples: int = RESAMPLES,
) -> list[Row]:
    """Return a row for each entrant, best first: by the interquartile mean of its scores.

    Each has ``entrant``, ``role``, ``seeds``, ``worlds`` and ``tasks`` (how many), the
    AGGREGATES of its scores (see ``score_matrix``), and the metrics.

    Args:
        results: of one suite.
        generator: of the resamples.
        metrics: names in METRICS.
        resamples: of each interval.

    Raises:
        UnknownNameError: if there is no such metric.
        ResultsError: if seeds of a world have other tasks.
    """
    chosen = _chosen(metrics)
    rows = []
    for entrant in results.entrants:
        runs = results.runs(entrant)
        row = _head(results, entrant, runs)
        _, scores = score_matrix(runs)
        (resampled,) = resampled_scores([runs], generator, resamples)
        for name, aggregate in AGGREGATES.items():
            row[name] = _aggregate(scores, resampled, aggregate)
        rows.append(row | measure_intervals(runs, chosen, generator, resamples=resamples))
    return sorted(rows, key=lambda row: (-row["iqm"].value, row["entrant"]))


def breakdown(
    results: Results,
    by: str,
    generator: Generator,
    metrics: Sequence[str] = LEADERBOARD,
    resamples: int = RESAMPLES,
) -> list[Row]:
    """Return a row for each entrant and value of ``by``: its ambiguity bits, say.

    Args:
        results: of one suite.
        by: of BY, or ``world``. With ``price``, tasks in which nothing may be asked are None.
        generator: of the resamples.
        metrics: names in METRICS.
        resamples: of each interval.

    Raises:
        UnknownNameError: if there is no such metric, or nothing of that name to break down by.
        ResultsError: if seeds of a world have other tasks.
    """
    lookup({**BY, "world": None}, by, "column to break results down by")
    chosen = _chosen(metrics)
    rows = []
    for entrant in results.entrants:
        runs = results.runs(entrant)
        for label, part, where in _parts(runs, by):
            row = _head(results, entrant, part) | {by: label}
            if where is not None:
                row["tasks"] = _count_tasks(part, where)
            rows.append(row | measure_intervals(part, chosen, generator, where, resamples))
    return rows


def profiles(
    results: Results, thresholds: ArrayLike, generator: Generator, resamples: int = RESAMPLES
) -> dict[str, tuple[Floats, Floats, Floats]]:
    """Return each entrant's performance profile, and the limits of its interval, [K] each.

    It is the share of runs (a world, a mode and a seed each) whose score is above a threshold; a
    score of 1 is the exact ceiling. See ``langrl.evaluation.intervals.performance_profile``.

    Args:
        results: of one suite.
        thresholds: [K].
        generator: of the resamples.
        resamples: of each interval.
    """
    found = {}
    for entrant in results.entrants:
        runs = results.runs(entrant)
        (resampled,) = resampled_scores([runs], generator, resamples)
        low, high = percentiles(performance_profile(resampled, thresholds))
        found[entrant] = performance_profile(score_matrix(runs)[1], thresholds), low, high
    return found


def compare(
    first: Results,
    second: Results,
    generator: Generator,
    metrics: Sequence[str] = LEADERBOARD,
    resamples: int = RESAMPLES,
) -> list[Row]:
    """Return the differences of two results, paired: over the tasks that both have.

    Entrants of the same name are compared; or, if there are none and each has one entrant, these
    two (see ``Results.only``).

    Args:
        first: results.
        second: results of the same suite.
        generator: of the resamples.
        metrics: names in METRICS.
        resamples: of each interval.

    Returns:
        A row for each pair: ``entrant``, ``other``, ``worlds`` and ``tasks`` that both have, by
        metric the ``Interval`` of the first minus the second, and ``improvement``: how likely a run
        of the first has the better score than one of the second.

    Raises:
        ResultsError: if they are of other suites, or have no entrant, world or task in common.
        UnknownNameError: if there is no such metric.
    """
    check_same_suite(first, second)
    chosen, rows = _chosen(metrics), []
    for name, other in _matched(first, second):
        one, two = _shared(first.runs(name), second.runs(other))
        if not one:
            raise ResultsError(
                f"{name} and {other} have no task in common; run both in the same worlds"
            )
        row: Row = {
            "entrant": name,
            "other": other,
            "worlds": len({world for world, _ in one}),
            "tasks": _count_tasks(one),
            "improvement": _improvement(one, two, generator, resamples),
        }
        rows.append(row | difference_intervals(one, two, chosen, generator, resamples=resamples))
    return rows


def print_rows(title: str, rows: Sequence[Row], columns: Sequence[str]) -> None:
    """Print rows as a table on the terminal, intervals as "0.95 [0.76, 0.99]w"; says what w is."""
    print_table(f"{title}; {_LEGEND}", [_texts(row, columns) for row in rows], columns)


_LEGEND = "[95 % interval]: w Wilson, n Newcombe, t bootstrap over tasks, s over seeds and tasks"
_MARKS = {"Wilson": "w", "Newcombe": "n", OVER_TASKS: "t", OVER_BOTH: "s"}


def _texts(row: Row, columns: Sequence[str]) -> Row:
    return {
        name: (
            f"{entry.value:z.3f} [{entry.low:z.3f}, {entry.high:z.3f}]{_MARKS[entry.method]}"
            if isinstance(entry := row.get(name), Interval)
            else entry
        )
        for name in columns
    }


def _chosen(names: Sequence[str]) -> dict[str, Metric]:
    return {name: lookup(METRICS, name, "metric") for name in names}


def _head(results: Results, entrant: str, runs: Runs) -> Row:
    return {
        "entrant": entrant,
        "role": results.role(entrant),
        "seeds": len({seed for _, seed in runs}),
        "worlds": len({world for world, _ in runs}),
        "tasks": _count_tasks(runs),
    }


def _count_tasks(runs: Runs, where: Callable[[Outcomes], Any] | None = None) -> int:
    """Return how many distinct tasks there are, whatever the seeds and prices."""
    names = {
        (world, name)
        for (world, _), outcomes in runs.items()
        for name in (outcomes.task if where is None else outcomes.task[where(outcomes)]).tolist()
    }
    return len(names)


def _parts(
    runs: Runs, by: str
) -> list[tuple[Any, Runs, Callable[[Outcomes], NDArray[np.bool_]] | None]]:
    """Return the values of a column, the runs that have tasks of it, and which tasks these are."""
    if by == "world":
        worlds = sorted({world for world, _ in runs})
        return [
            (name, {key: run for key, run in runs.items() if key[0] == name}, None)
            for name in worlds
        ]
    column = BY[by]
    values = np.unique(np.concatenate([column(outcomes) for outcomes in runs.values()]))
    return [(_plain(value), runs, _equal_to(column, value)) for value in values]


def _equal_to(
    column: Callable[[Outcomes], NDArray[Any]], value: Any
) -> Callable[[Outcomes], NDArray[np.bool_]]:
    unknown = value != value
    return lambda outcomes: np.isnan(column(outcomes)) if unknown else column(outcomes) == value


def _plain(value: Any) -> Any:
    return None if value != value else value.item()


def _aggregate(scores: Floats, resampled: Floats, aggregate: Aggregate) -> Interval:
    low, high = percentiles(aggregate(resampled))
    method = OVER_BOTH if len(scores) > 1 else OVER_TASKS
    return Interval(float(aggregate(scores)), float(low), float(high), method)


def _improvement(one: Runs, two: Runs, generator: Generator, resamples: int) -> Interval:
    both = resampled_scores([one, two], generator, resamples)
    low, high = percentiles(probability_of_improvement(*both))
    scores = score_matrix(one)[1], score_matrix(two)[1]
    method = OVER_BOTH if max(map(len, scores)) > 1 else OVER_TASKS
    return Interval(float(probability_of_improvement(*scores)), float(low), float(high), method)


def _matched(first: Results, second: Results) -> list[tuple[str, str]]:
    """Return the names of the entrants that are compared."""
    if common := [name for name in first.entrants if name in second.entrants]:
        return [(name, name) for name in common]
    if len(first.entrants) == len(second.entrants) == 1:
        return [(first.entrants[0], second.entrants[0])]
    raise ResultsError(
        f"no entrant has results in both ({', '.join(first.entrants)}; and"
        f" {', '.join(second.entrants)}); name one of each"
    )


def _shared(one: Runs, two: Runs) -> tuple[Runs, Runs]:
    """Return the outcomes of two entrants in the tasks that both have."""
    names = [
        {
            world: {name for (at, _), run in runs.items() if at == world for name in run.task}
            for world in {world for world, _ in runs}
        }
        for runs in (one, two)
    ]
    common = {world: names[0][world] & names[1].get(world, set()) for world in names[0]}

    def kept(runs: Runs) -> Runs:
        return {
            (world, seed): run.where(np.isin(run.task, sorted(common[world])))
            for (world, seed), run in runs.items()
            if common.get(world)
        }

    return kept(one), kept(two)
