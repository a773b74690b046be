"""Learning curves of several trainings: at steps and at seconds, with bootstrap intervals.

Axes: ``R`` trainings, ``P`` points of a grid.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Curve = Sequence[Mapping[str, Any]]
"""Points of one training in order: ``steps``, ``seconds`` and ``success``."""
_DRAWS = 2000
_POINTS = 60


@dataclass(frozen=True, eq=False)
class Band:
    """A mean over trainings and its interval, on a grid: arrays [P]."""

    grid: NDArray[np.float64]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def band_of(curves: Sequence[Curve], axis: str, generator: Generator) -> Band:
    """Return the mean of curves with its bootstrap 95 % interval, up to where the shortest ends.

    Between two points, and before the first, a curve is what was measured last, or 0. The interval
    is that of the mean when trainings are drawn anew with replacement; of one training it is empty.

    Args:
        curves: R trainings.
        axis: ``steps`` or ``seconds``.
        generator: draws the trainings.

    Source: Efron 1979, the percentile bootstrap.
    """
    end = min(curve[-1][axis] for curve in curves)
    grid = np.linspace(0, end, _POINTS)
    values = np.stack([_last_known(curve, axis, grid) for curve in curves])  # [R, P]
    draws = generator.integers(len(values), size=(_DRAWS, len(values)))
    low, high = np.percentile(values[draws].mean(1), (2.5, 97.5), axis=0)
    return Band(grid, values.mean(0), low, high)


def _last_known(curve: Curve, axis: str, grid: NDArray[np.float64]) -> NDArray[np.float64]:
    at = np.array([point[axis] for point in curve])
    measured = np.array([0.0, *(point["success"] for point in curve)])
    return measured[np.searchsorted(at, grid, side="right")]


def first_reaching(curve: Curve, success: float) -> dict[str, float | None]:
    """Return the ``steps`` and ``seconds`` at which a curve first has a success; None if never."""
    for point in curve:
        if point["success"] >= success:
            return {axis: point[axis] for axis in ("steps", "seconds")}
    return {"steps": None, "seconds": None}
