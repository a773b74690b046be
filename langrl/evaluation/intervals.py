"""Intervals of scores: Wilson's, and bootstraps that resample seeds and tasks within strata.

A few training seeds say little about an algorithm, so scores are reported with the uncertainty of
Agarwal et al. 2021, arXiv:2108.13264: interquartile means, performance profiles and probabilities
of improvement, each with an interval from a stratified bootstrap.

Axes: ``S`` seeds, ``T`` strata (the worlds of a benchmark), ``U`` tasks of a stratum, ``F`` sums,
``R`` resamples, ``K`` thresholds, ``n`` values.
"""

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from langrl.errors import DomainError, ShapeError

Floats = NDArray[np.float64]
Aggregate = Callable[[Floats], Floats]
CONFIDENCE = 0.95
RESAMPLES = 2000
WILSON, NEWCOMBE = "Wilson", "Newcombe"
OVER_SEEDS, OVER_TASKS, OVER_BOTH = (
    "bootstrap over seeds",
    "bootstrap over tasks",
    "bootstrap over seeds and tasks",
)


class Interval(NamedTuple):
    """A number, the limits between which it lies with the stated confidence, and how they came."""

    value: float
    low: float
    high: float
    method: str


def wilson(
    successes: ArrayLike, trials: ArrayLike, confidence: float = CONFIDENCE
) -> tuple[Floats, Floats]:
    """Return Wilson's score interval of a proportion, which has a width at 20 of 20 as well.

    Args:
        successes: how many, or their expected number, of any shape.
        trials: of how many, of the same shape; the interval is [0, 1] where there are none.
        confidence: of the two-sided interval.

    Returns:
        The lower and the upper limits.

    Raises:
        DomainError: if there are more successes than trials, or the confidence is not in (0, 1).

    Source: Wilson 1927, J. Am. Stat. Assoc. 22; Brown, Cai and DasGupta 2001, eq. 4.
    """
    _check_confidence(confidence)
    k, n = np.asarray(successes, float), np.asarray(trials, float)
    if not ((k >= 0) & (k <= n + 1e-9)).all():
        raise DomainError("successes are between 0 and trials; count both over the same tasks")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    some = np.where(n > 0, n, 1.0)
    share = np.minimum(k / some, 1.0)
    centre = (share + z * z / (2 * some)) / (1 + z * z / some)
    half = z * np.sqrt(share * (1 - share) / some + (z / (2 * some)) ** 2) / (1 + z * z / some)
    # At 0 and n of n the limit is 0 or 1, and rounding must not move it past the proportion.
    low = np.where(n > 0, np.clip(centre - half, 0, share), 0.0)
    return low, np.where(n > 0, np.clip(centre + half, share, 1), 1.0)


def newcombe(first: Interval, second: Interval) -> Interval:
    """Return the difference of two proportions, with a hybrid score interval.

    It has a width where both are 20 of 20. It takes the proportions as independent, so it is too
    wide, if anything, where they are of the same tasks.

    Args:
        first: with its Wilson interval.
        second: with its own.

    Source: Newcombe 1998, Statistics in Medicine 17, method 10.
    """
    gain = first.value - second.value
    down = math.hypot(first.value - first.low, second.high - second.value)
    up = math.hypot(first.high - first.value, second.value - second.low)
    return Interval(gain, max(gain - down, -1.0), min(gain + up, 1.0), NEWCOMBE)


def iqm(scores: Floats) -> Floats:
    """Return the interquartile mean: the mean of what is left without a quarter at each end.

    Args:
        scores: [..., S, T]; the last two axes are taken together.

    Returns:
        [...].

    Raises:
        ShapeError: if the scores are not [..., S, T], or there are none.

    Source: Agarwal et al. 2021, arXiv:2108.13264, section 4.3.
    """
    flat = _check_scores(scores).reshape(*scores.shape[:-2], -1)
    cut = flat.shape[-1] // 4
    kept = np.sort(flat, axis=-1)[..., cut : flat.shape[-1] - cut]
    return np.asarray(kept.mean(-1))


def mean_score(scores: Floats) -> Floats:
    """Return the mean over seeds and strata [...] of scores [..., S, T]."""
    return np.asarray(_check_scores(scores).mean((-2, -1)))


def median_score(scores: Floats) -> Floats:
    """Return the median over strata [...] of the mean over seeds of scores [..., S, T]."""
    return np.asarray(np.median(_check_scores(scores).mean(-2), axis=-1))


def optimality_gap(scores: Floats) -> Floats:
    """Return by how much scores [..., S, T] fall short of 1 on average [...].

    What is above 1 counts as 1.

    Source: Agarwal et al. 2021, arXiv:2108.13264, section 4.3.
    """
    return np.asarray(1 - np.minimum(_check_scores(scores), 1).mean((-2, -1)))


AGGREGATES: dict[str, Aggregate] = {
    "iqm": iqm,
    "mean_score": mean_score,
    "median_score": median_score,
    "optimality_gap": optimality_gap,
}


def performance_profile(scores: Floats, thresholds: ArrayLike) -> Floats:
    """Return the share of runs whose score is above each threshold (score distribution).

    Args:
        scores: [..., S, T].
        thresholds: [K].

    Returns:
        [..., K].

    Source: Agarwal et al. 2021, arXiv:2108.13264, section 4.2.
    """
    flat = np.sort(_check_scores(scores).reshape(-1, scores.shape[-2] * scores.shape[-1]), axis=-1)
    above = [(flat > threshold).mean(-1) for threshold in np.asarray(thresholds, float)]
    return np.stack(above, axis=-1).reshape(*scores.shape[:-2], -1)


def probability_of_improvement(first: Floats, second: Floats) -> Floats:
    """Return how likely a run of one algorithm scores above a run of another; ties count half.

    Args:
        first: scores [..., S, T].
        second: scores of the other [..., S', T].

    Returns:
        [...]: for each stratum the share of pairs of runs, averaged over strata.

    Raises:
        ShapeError: if their strata are not as many.

    Source: Agarwal et al. 2021, arXiv:2108.13264, section 4.3, after Mann and Whitney 1947.
    """
    if _check_scores(first).shape[-1] != _check_scores(second).shape[-1]:
        raise ShapeError(
            f"scores are [S, T] with the same T, got {list(first.shape)} and"
            f" {list(second.shape)}; compare on the same worlds"
        )
    ahead = first[..., :, None, :] - second[..., None, :, :]
    return np.asarray(((ahead > 0) + 0.5 * (ahead == 0)).mean((-3, -2, -1)))


def resample_seeds(scores: Floats, resamples: int, generator: Generator) -> Floats:
    """Return stratified bootstrap resamples: seeds drawn with replacement, in each stratum anew.

    Args:
        scores: [S, T].
        resamples: R.
        generator: of the draws.

    Returns:
        [R, S, T].

    Source: Agarwal et al. 2021, arXiv:2108.13264, section 4.1.
    """
    seeds = generator.integers(len(scores), size=(resamples, *_check_scores(scores).shape))
    return np.take_along_axis(scores[None], seeds, axis=1)


def resample_tasks(sums: Floats, draws: Floats) -> Floats:
    """Return the sums over resampled tasks; all seeds have the same tasks.

    Args:
        sums: of each task [S, U, F].
        draws: how often each task is drawn [R, U]; see ``draw_tasks``.

    Returns:
        [R, S, F].
    """
    seeds, _, columns = sums.shape
    flat = sums.transpose(1, 0, 2).reshape(sums.shape[1], -1)  # [U, S * F]
    return np.asarray((draws @ flat).reshape(-1, seeds, columns))


def draw_tasks(tasks: int, resamples: int, generator: Generator) -> Floats:
    """Return how often each of U tasks is drawn when U are drawn with replacement [R, U]."""
    chosen = generator.integers(tasks, size=(resamples, tasks))
    chosen += tasks * np.arange(resamples)[:, None]
    counts = np.bincount(chosen.ravel(), minlength=resamples * tasks)
    return counts.reshape(resamples, tasks).astype(float)


def draw_seeds(by_seed: Floats, generator: Generator) -> Floats:
    """Return [R, S, F] with S seeds drawn with replacement in each resample."""
    seeds = generator.integers(by_seed.shape[1], size=(*by_seed.shape[:2], 1))
    return np.take_along_axis(by_seed, seeds, axis=1)


def percentiles(resampled: Floats, confidence: float = CONFIDENCE) -> tuple[Floats, Floats]:
    """Return the limits between which the middle of the resampled values [R, ...] lies.

    Resamples in which a value is not defined (nan) are left out.
    """
    _check_confidence(confidence)
    ends = [50 * (1 - confidence), 50 * (1 + confidence)]
    undefined = np.isnan(resampled).all(0)
    low, high = np.nanpercentile(np.where(undefined, 0.0, resampled), ends, axis=0)
    return np.where(undefined, math.nan, low), np.where(undefined, math.nan, high)


def bootstrap_interval(
    scores: Floats,
    aggregate: Aggregate,
    generator: Generator,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> Interval:
    """Return an aggregate of scores with its stratified bootstrap percentile interval.

    Args:
        scores: [S, T].
        aggregate: of AGGREGATES, or any function of [..., S, T].
        generator: of the resamples.
        resamples: R.
        confidence: of the interval.

    Source: Agarwal et al. 2021, arXiv:2108.13264, section 4.1.
    """
    low, high = percentiles(aggregate(resample_seeds(scores, resamples, generator)), confidence)
    return Interval(float(aggregate(scores)), float(low), float(high), OVER_SEEDS)


def _check_scores(scores: Floats) -> Floats:
    if scores.ndim < 2 or 0 in scores.shape[-2:]:
        raise ShapeError(
            f"scores are [seeds, worlds], at least one of each, got {list(scores.shape)}; give a"
            " row for each seed"
        )
    return scores


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise DomainError(f"confidence is between 0 and 1, got {confidence}; 0.95 is usual")
