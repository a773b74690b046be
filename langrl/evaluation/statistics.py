"""Summaries of results: groups of rows, means with their standard errors, and ROC AUC.

Axes: ``n`` independent values, ``M`` scores.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

K = TypeVar("K")
V = TypeVar("V")
Row = Mapping[str, Any]


def mean_and_sem(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean of n values and its standard error, s / sqrt(n); nan for one value."""
    array = np.asarray(values, float)
    if len(array) < 2:
        return float(array.mean()), math.nan
    return float(array.mean()), float(array.std(ddof=1) / math.sqrt(len(array)))


def group_rows(rows: Iterable[Row], keys: Sequence[str]) -> dict[tuple[Any, ...], list[Row]]:
    """Return rows by their values of the keys, in the order in which these first occur."""
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        groups[tuple(row[key] for key in keys)].append(row)
    return dict(groups)


def gather(results: Iterable[Mapping[K, V]]) -> dict[K, list[V]]:
    """Return for each key the values that the results have of it."""
    values: dict[K, list[V]] = defaultdict(list)
    for result in results:
        for key, value in result.items():
            values[key].append(value)
    return dict(values)


def labelled_groups(
    rows: Iterable[Row], keys: Sequence[str]
) -> Iterator[tuple[dict[str, Any], list[Row]]]:
    """Yield, for each group of ``group_rows``, the values of the keys by name, and its rows."""
    for labels, group in group_rows(rows, keys).items():
        yield dict(zip(keys, labels, strict=True)), group


def means_and_sems(rows: Sequence[Row], names: Iterable[str]) -> dict[str, float]:
    """Return each column's mean, and its standard error as ``NAME_sem``."""
    columns: dict[str, float] = {}
    for name in names:
        columns[name], columns[f"{name}_sem"] = mean_and_sem([row[name] for row in rows])
    return columns


def mean_over_seeds(rows: Iterable[Row], name: str) -> tuple[float, float]:
    """Return the mean of each seed's mean of a column, and the standard error over seeds."""
    seeds = group_rows(rows, ("seed",)).values()
    return mean_and_sem([mean_and_sem([row[name] for row in group])[0] for group in seeds])


def roc_auc(scores: NDArray[Any], matches: NDArray[np.bool_]) -> float:
    """Return the chance that a match scores above a mismatch, ties counting half.

    Args:
        scores: [n].
        matches: bool [n]; NaN is returned if all are matches, or none.
    """
    above, below = np.sort(scores[matches]), np.sort(scores[~matches])
    if not len(above) or not len(below):
        return float("nan")
    lower = np.searchsorted(below, above, "left") + np.searchsorted(below, above, "right")
    return float(lower.mean() / 2 / len(below))
