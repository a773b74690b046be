"""How precise a Monte Carlo estimate of a marginal is: error bars, bias, number of candidates.

Axes: ``N`` queries (state-actions), ``M`` candidate goals, ``K`` instructions; leading axes are
batches.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from langrl.errors import DomainError, NonFiniteError, ShapeError

_COUNTABLE = 2.0**62


@dataclass(frozen=True)
class Estimate:
    """A Monte Carlo estimate of log E_g[w], w = exp(f + h), and its error bars if requested.

    Error bars carry no gradient. They come from the candidates themselves: where the effective
    sample size is a handful, candidates that matter may be missing, and the error too.

    Attributes:
        value: in nats [..., N, K].
        candidates: M.
        recomputed_fraction: share of entries that no matrix product could hold, in [0, 1].
        standard_error: of ``value``, in nats [..., N, K]; sd(w) / (E[w] sqrt(M)), the delta method.
        effective_sample_size: (sum w)^2 / sum w^2 [..., N, K], from 1 (one candidate decides) to M.
    """

    value: Tensor
    candidates: int
    recomputed_fraction: float
    standard_error: Tensor | None = None
    effective_sample_size: Tensor | None = None

    @property
    def bias_corrected(self) -> Tensor:
        """The value plus half its variance [..., N, K]; ShapeError without error bars.

        The log of a mean is too small on average (Jensen), by Var[w] / (2 M E[w]^2) to first order
        in 1 / M.
        """
        return self.value + self._error().square() / 2

    def candidates_needed(self, target_error: float) -> Tensor:
        """Return how many candidates a standard error in nats needs, an integer [..., N, K].

        Errors fall with the root of M.

        Raises:
            ShapeError: if the estimate has no error bars.
            DomainError: if the target is not above 0.
        """
        check_target(target_error)
        ratio = self._error().double() / target_error
        # a whole number, but for rounding, is not rounded up
        needed = (self.candidates * ratio.square() * (1 - 1e-6)).ceil()
        return needed.clamp(1, _COUNTABLE).long()

    def _error(self) -> Tensor:
        if self.standard_error is None:
            raise ShapeError("this estimate has no error bars; ask for them by error_bars=True")
        return self.standard_error


def _check_estimate(function: str, value: object) -> None:
    if not isinstance(value, Estimate):
        raise ShapeError(
            f"{function} needs estimates, as monte_carlo(..., error_bars=True) returns them, got"
            f" {type(value).__name__}"
        )


def check_target(target_error: float) -> None:
    """Raise DomainError unless the target is a finite number above 0."""
    if not 0 < target_error < math.inf:
        raise DomainError(f"target_error is in nats and above 0, got {target_error}; try 0.1")


def from_sums(
    log_sum: Tensor,
    log_squares: Tensor | None,
    candidates: int,
    recomputed_fraction: float,
    dtype: torch.dtype,
) -> Estimate:
    """Return the estimate of log(sum w / M) from log sum w and log sum w^2, each [..., N, K].

    Raises:
        NonFiniteError: if an entry has no possible candidate.
        ShapeError: if error bars are requested for a single candidate.
    """
    impossible = log_sum == -torch.inf
    if impossible.any():
        *_, n, k = impossible.nonzero()[0].tolist()
        raise NonFiniteError(
            f"no candidate is possible for both query {n} and instruction {k}: each has -inf in"
            " left, right or log_weights; add candidates, or rule fewer of them out"
        )
    value = (log_sum - math.log(candidates)).to(dtype)
    if log_squares is None:
        return Estimate(value, candidates, recomputed_fraction)
    if candidates < 2:
        raise ShapeError("error bars need at least 2 candidates, got 1; draw more")
    effective = (2 * log_sum.detach() - log_squares).exp().clamp(1.0, candidates)
    variance = (candidates / effective - 1) / (candidates - 1)
    bars = torch.promote_types(dtype, torch.float32)  # a half ends at 65504 candidates
    return Estimate(
        value, candidates, recomputed_fraction, variance.sqrt().to(bars), effective.to(bars)
    )


Draw = Callable[[int], Estimate]


def adaptive(
    draw: Draw, target_error: float, *, first: int = 1024, most: int = 1 << 20
) -> Estimate:
    """Draw candidates until every entry's standard error is at most the target.

    Args:
        draw: returns an estimate with error bars from so many new candidates, such as
            ``lambda count: monte_carlo(*scores_of(sample(count)), error_bars=True)``.
        target_error: in nats, above 0.
        first: candidates of the first draw; each further draw doubles the total.
        most: candidates in total, after which it stops all the same: the standard error of the
            result says how close it came.

    Returns:
        One estimate over all the candidates drawn.

    Raises:
        DomainError: if the target is not above 0, or not 2 <= first <= most.
        ShapeError: if ``draw`` returns no error bars.
    """
    check_target(target_error)
    if not 2 <= first <= most:
        raise DomainError(
            f"adaptive needs 2 <= first <= most, got first {first} and most {most}; lower first or"
            " raise most"
        )
    estimate = draw(first)
    _check_estimate("adaptive", estimate)
    while estimate._error().amax() > target_error and most - estimate.candidates > 1:
        more = min(estimate.candidates, most - estimate.candidates)
        estimate = pooled(estimate, draw(more))
    return estimate


def pooled(one: Estimate, other: Estimate) -> Estimate:
    """Return the estimate over the candidates of both; ShapeError if one has no error bars."""
    for given in (one, other):
        _check_estimate("pooled", given)
    sums = [e.value.double() + math.log(e.candidates) for e in (one, other)]
    squares = []
    for log_sum, e in zip(sums, (one, other), strict=True):
        e._error()
        assert e.effective_sample_size is not None
        squares.append(2 * log_sum.detach() - e.effective_sample_size.double().log())
    count = one.candidates + other.candidates
    recomputed = sum(e.candidates * e.recomputed_fraction for e in (one, other))
    return from_sums(
        torch.logaddexp(*sums), torch.logaddexp(*squares), count, recomputed / count,
        one.value.dtype,
    )  # fmt: skip
