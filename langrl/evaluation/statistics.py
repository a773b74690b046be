"""Summaries of results: means with their standard errors.

Axes: ``n`` independent values, ``M`` scores.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def mean_and_sem(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean of n values and its standard error, s / sqrt(n); nan for one value."""
    array = np.asarray(values, float)
    if len(array) < 2:
        return float(array.mean()), math.nan
    return float(array.mean()), float(array.std(ddof=1) / math.sqrt(len(array)))


def roc_auc(scores: NDArray[np.floating], matches: NDArray[np.bool_]) -> float:
    """Return the chance that a match scores above a mismatch, ties counting half.

    Args:
        scores: [M].
        matches: bool [M]; NaN is returned if all of them match or none does.
    """
    above, below = np.sort(scores[matches]), np.sort(scores[~matches])
    if not len(above) or not len(below):
        return float("nan")
    lower = np.searchsorted(below, above, "left") + np.searchsorted(below, above, "right")
    return float(lower.mean() / 2 / len(below))
