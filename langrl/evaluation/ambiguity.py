"""Metrics of acting under ambiguity, under the names that the literature gives them.

Each metric is sums over tasks and what is made of them, so that thousands of bootstrap resamples
are one matrix product, and the metric of any part of the tasks (by ambiguity bits, say) is made of
the sums over that part. A value of nan leaves its task out.

Axes: ``N`` tasks, ``F`` sums, ``B`` bins, ``M`` intents.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from langrl.errors import DomainError, ShapeError

Floats = NDArray[np.float64]
BINS = 10
MOST_BITS = 4
_SMALLEST = 1e-12


def ratio(sums: Floats) -> Floats:
    """Return the first sum over the second [...] of sums [..., F]; nan where there are none."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(sums[..., 0] / np.where(sums[..., 1] == 0, np.nan, sums[..., 1]))


@dataclass(frozen=True, eq=False)
class TaskSums:
    """A metric as sums over tasks.

    Args:
        terms: what each task adds to the sums [N, F]; the last says whether it counts.
        combine: returns the metric [...] of sums [..., F].
        bounded: whether each task's first term is between 0 and its second, so that their ratio
            is a proportion, or a mean of values between 0 and 1.
        link: if it is bounded, the metric is this increasing function of the ratio.
        biased: whether chance alone raises the metric above its true value, which is 0 or more.
    """

    terms: Floats
    combine: Callable[[Floats], Floats] = ratio
    bounded: bool = False
    link: Callable[[Floats], Floats] | None = None
    biased: bool = False

    def __post_init__(self) -> None:
        if self.terms.ndim != 2:
            raise ShapeError(
                f"terms are [tasks, sums], got {list(self.terms.shape)}; give a row for each task"
            )

    @property
    def value(self) -> float:
        """The metric over all tasks; nan if it is defined by none."""
        return float(self.of(self.terms.sum(0)))

    def of(self, sums: Floats) -> Floats:
        """Return the metric [...] of sums [..., F]."""
        return self.combine(sums) if self.link is None else self.link(self.combine(sums))

    def where(self, mask: ArrayLike) -> "TaskSums":
        """Return the metric of the tasks in ``mask`` [N]; the others add nothing."""
        terms = np.where(np.asarray(mask, bool)[:, None], self.terms, 0.0)
        return replace(self, terms=terms)


def mean(values: ArrayLike, *, bounded: bool = False) -> TaskSums:
    """Return the mean of values [N], of which nan are left out.

    Args:
        values: of each task; bool or numbers.
        bounded: whether they are between 0 and 1.
    """
    numbers = np.asarray(values, float)
    known = ~np.isnan(numbers)
    return TaskSums(np.stack([np.where(known, numbers, 0.0), known], -1), bounded=bounded)


def ambiguity_level(bits: ArrayLike) -> NDArray[np.int64]:
    """Return the level of ambiguity [N]: the bits rounded; 4 and more are one level."""
    return np.minimum(np.round(np.asarray(bits, float)), MOST_BITS).astype(np.int64)


def path_efficiency(success: ArrayLike, steps: ArrayLike, shortest_steps: ArrayLike) -> TaskSums:
    """Return SPL: success weighted by shortest over own path length.

    Args:
        success: bool [N].
        steps: lengths of the episodes [N].
        shortest_steps: of the shortest successful ones [N]; nan leaves the task out.

    Source: Anderson et al. 2018, arXiv:1807.06757.
    """
    shortest = np.asarray(shortest_steps, float)
    longer = np.maximum(np.maximum(np.asarray(steps, float), shortest), _SMALLEST)
    share = np.where(shortest > 0, shortest / longer, np.where(shortest == 0, 1.0, np.nan))
    return mean(np.where(np.asarray(success, bool), share, share * 0), bounded=True)


def regret(value: ArrayLike, utility: ArrayLike) -> TaskSums:
    """Return by how much the utility is below the best that is possible, on average.

    A single task may have less than none: who guesses what was meant does better than the best
    expected utility.

    Args:
        value: the best expected utility of each task [N]; see ``functional.asking``.
        utility: success minus what questions cost [N].

    Source: the usual definition; the exact values are this library's.
    """
    return mean(np.asarray(value, float) - np.asarray(utility, float))


def negative_log_likelihood(probability: ArrayLike) -> Floats:
    """Return -log of the probability that a posterior gave to what was meant [nats].

    Args:
        probability: of any shape; what is below 1e-12 counts as 1e-12, so that one belief that
            excluded the truth does not make every mean infinite.

    Raises:
        DomainError: if it is no probability.

    Source: Good 1952, the logarithmic score.
    """
    given = np.asarray(probability, float)
    if not ((given >= 0) & (given <= 1 + 1e-6)).all():
        raise DomainError("a probability is between 0 and 1; normalise the posterior")
    return np.asarray(-np.log(np.clip(given, _SMALLEST, 1)))


def calibration_bins(confidence: ArrayLike, bins: int = BINS) -> NDArray[np.int64]:
    """Return in which of B bins of equal width a confidence in [0, 1] lies [N].

    The lower end of a bin is outside, and 0 is in the first.
    """
    given = np.nan_to_num(np.asarray(confidence, float))
    return np.clip(np.ceil(given * bins) - 1, 0, bins - 1).astype(np.int64)


def expected_calibration_error(
    confidence: ArrayLike, right: ArrayLike, bins: int = BINS
) -> TaskSums:
    """Return ECE: how far accuracy is from confidence, averaged over bins by their tasks.

    Chance alone makes it positive, the more so the fewer tasks there are.

    Args:
        confidence: the largest probability of a posterior [N].
        right: whether the most likely intent is the right one [N].
        bins: B bins of equal width.

    Source: Guo et al. 2017, arXiv:1706.04599, eq. 3.
    """
    said, hit = np.asarray(confidence, float), np.asarray(right, float)
    known = ~np.isnan(said) & ~np.isnan(hit)
    terms = np.zeros((len(said), bins + 1))
    terms[np.arange(len(said)), calibration_bins(said, bins)] = np.where(known, hit - said, 0.0)
    terms[:, -1] = known

    def combine(sums: Floats) -> Floats:
        return ratio(np.stack([np.abs(sums[..., :-1]).sum(-1), sums[..., -1]], -1))

    return TaskSums(terms, combine, biased=True)


def help_rate(asked: ArrayLike) -> TaskSums:
    """Return the share of tasks in which the agent asks.

    Args:
        asked: whether it asked anything [N].

    Source: Ren et al. 2023 (KnowNo), arXiv:2307.01928.
    """
    return mean(asked, bounded=True)


def correct_help_rate(asked: ArrayLike, ambiguous: ArrayLike) -> TaskSums:
    """Return the share of tasks in which the agent asks if and only if the task is ambiguous.

    Args:
        asked: whether it asked anything [N]; nan leaves the task out.
        ambiguous: whether the instruction denotes more than one intent [N].

    Source: Ivanova et al. 2025 (AmbiK), arXiv:2506.04089.
    """
    given = np.asarray(asked, float)
    same = (given == np.asarray(ambiguous, float)).astype(float)
    return mean(np.where(np.isnan(given), np.nan, same), bounded=True)


def ask_f1(asked: ArrayLike, needed: ArrayLike) -> TaskSums:
    """Return Ask-F1: the harmonic mean of the precision and the recall of asking.

    Precision is the share of tasks that needed a question among those in which one was asked,
    recall the share in which one was asked among those that needed it. It is nan where none was
    asked and none needed.

    Args:
        asked: whether anything was asked [N]; nan leaves the task out.
        needed: whether asking has the higher exact value [N].

    Source: Elfeki et al. 2026 (HiL-Bench), arXiv:2604.09408, by tasks rather than by blockers.
    """
    given = np.asarray(asked, float)
    yes, need = given == 1, np.asarray(needed, bool) & ~np.isnan(given)
    # F1 = 2J / (1 + J), where J is the share of both among either: a proportion.
    both = np.stack([yes & need, yes | need], -1).astype(float)
    return TaskSums(both, bounded=True, link=lambda share: 2 * share / (1 + share))


def coverage(covered: ArrayLike) -> TaskSums:
    """Return the share of tasks whose meant intent is in the agent's set [N].

    Source: Vovk et al. 2005; Ren et al. 2023 (KnowNo), arXiv:2307.01928.
    """
    return mean(covered, bounded=True)


def set_overlap(predicted: ArrayLike, denoted: ArrayLike) -> Floats:
    """Return the intersection over the union of two sets of intents [N]; 1 if both are empty.

    Args:
        predicted: bool [N, M].
        denoted: bool [N, M].

    Source: Ivanova et al. 2025 (AmbiK), arXiv:2506.04089, who call it set size correctness, SSC.
    """
    own, true = np.asarray(predicted, bool), np.asarray(denoted, bool)
    if own.shape != true.shape or own.ndim != 2:
        raise ShapeError(
            f"sets are [N, M] of the same intents, got {list(own.shape)} and {list(true.shape)}"
        )
    union = (own | true).sum(1)
    return np.where(union > 0, (own & true).sum(1) / np.maximum(union, 1), 1.0)


def ambiguity_differentiation(set_size: ArrayLike, twin: ArrayLike, groups: ArrayLike) -> TaskSums:
    """Return AmbDif: the share of pairs whose ambiguous task gets the larger set than its twin.

    A pair counts once, at its ambiguous task, so by the bits of that one.

    Args:
        set_size: number of intents in the predicted set [N]; nan leaves the pair out.
        twin: whether the task is the one that is not ambiguous [N].
        groups: number of the pair [N], the same for an ambiguous task and its twin.

    Source: Ivanova et al. 2025 (AmbiK), arXiv:2506.04089.
    """
    sizes, twins, pairs = np.asarray(set_size, float), np.asarray(twin, bool), np.asarray(groups)
    size_of_twin = dict(zip(pairs[twins].tolist(), sizes[twins].tolist(), strict=True))
    other = np.array([size_of_twin.get(pair, np.nan) for pair in pairs.tolist()], float)
    known = ~twins & ~np.isnan(sizes) & ~np.isnan(other)
    return mean(np.where(known, (sizes > other).astype(float), np.nan), bounded=True)
