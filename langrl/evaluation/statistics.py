"""Summaries of results: means with their standard errors.

Axes: ``n`` independent values.
"""

import math
from collections.abc import Sequence

import numpy as np


def mean_and_sem(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean of n values and its standard error, s / sqrt(n); nan for one value."""
    array = np.asarray(values, float)
    if len(array) < 2:
        return float(array.mean()), math.nan
    return float(array.mean()), float(array.std(ddof=1) / math.sqrt(len(array)))
