"""Lemma 1 applied to a critic and itself: states in the middle of the way, and several stages.

    p2(g|s,a) / p(g) = E_{w~p(w)}[p(w|s,a)/p(w) * p(g|w)/p(g)]

The waypoint w is to a critic and itself what the goal is to a critic and a language side. p2 is the
law of the state after two stages, each as long as the critic's own futures. If these are geometric
with discount d, a geometric number of stages with discount c is geometric again, with discount
1 - (1 - d)(1 - c).

Axes: ``N`` state-actions, ``W`` waypoints, ``M`` goals; leading axes are batches.
Source: arXiv:2501.11326, Lemma 1, with a critic in both places.
"""

import math

import torch
from torch import Tensor

from langrl.errors import DomainError, NonFiniteError
from langrl.functional import checks as arguments
from langrl.functional.densities import widened
from langrl.functional.estimates import Estimate
from langrl.functional.log_products import log_matmul_exp
from langrl.functional.marginals import monte_carlo

_ROUNDING = 1e-6


@arguments.takes_tensors(own="... W", scores="... W")
def successor_distance(own: Tensor, scores: Tensor) -> Tensor:
    """Return how far places are, f(w, *, w) - f(s, *, w), at least 0.

    Args:
        own: f(w, *, w), each place's score from itself [..., W].
        scores: f(s, *, w), of an action or of several in the same way [..., W].

    Returns:
        Distances [..., W] in nats: a quasimetric where f is the exact log ratio.

    Raises:
        ShapeError: if the numbers of places differ.

    Source: Myers et al. 2024, arXiv:2406.17098.
    """
    return (own - scores).clamp(min=0.0)


@arguments.takes_tensors(state_to_waypoint="... N W", waypoint_to_goal="... W M")
def two_stage(
    state_to_waypoint: Tensor,
    waypoint_to_goal: Tensor,
    log_weights: Tensor | None = None,
    *,
    error_bars: bool = False,
) -> Estimate:
    """Estimate log p2(g|s,a) / p(g), the critic's value over two stages, from W waypoints.

    It is ``monte_carlo`` with a critic in the place of the language side. Differentiable.

    Args:
        state_to_waypoint: f(s, a, w) [..., N, W] in nats.
        waypoint_to_goal: f(w, g) [..., W, M] in nats, of what is done in w afterwards.
        log_weights: log p(w) - log q(w) [..., W], for waypoints drawn from q instead of p.
        error_bars: whether to compute the standard error and the effective sample size, too.

    Returns:
        The estimate, with values [..., N, M].

    Raises:
        ShapeError: if the numbers of waypoints differ.
        NonFiniteError: if a score is NaN or +inf, or no waypoint is possible on some way.
    """
    return monte_carlo(state_to_waypoint, waypoint_to_goal, log_weights, error_bars=error_bars)


@arguments.takes_tensors(edges="... W W", log_weights="... W")
def stages(
    edges: Tensor, count: int, log_weights: Tensor | None = None, *, error_bars: bool = False
) -> Estimate:
    """Estimate the log ratio between waypoints over several stages, by products of matrices.

    Differentiable. The same waypoints are summed over in every stage; error bars are those of the
    delta method, in which each waypoint counts for all stages that it ends.

    Args:
        edges: f(w, w') [..., W, W] in nats; -inf where there is no way.
        count: stages K, at least 1.
        log_weights: log p(w) - log q(w) [..., W], for waypoints drawn from q instead of p.
        error_bars: whether to compute the standard error and the effective sample size, at the
            cost of about K^2 / 2 products more.

    Returns:
        The estimate, with values [..., W, W]: -inf where no path of K stages leads.

    Raises:
        ShapeError: if the edges are not square.
        NonFiniteError: if an edge is NaN or +inf.
        DomainError: if there are less than 1 stages.
    """
    if count < 1:
        raise DomainError(f"stages needs count >= 1, got {count}; 2 joins two ways")
    shares = _log_shares(edges, log_weights)
    laws, doubtful = [widened(edges)], []
    for _ in range(count - 1):
        law, recomputed = log_matmul_exp(laws[-1] + shares, laws[0])
        laws.append(law)
        doubtful.append(recomputed.double().mean().item())
    size, value = edges.shape[-1], laws[-1]
    fraction = sum(doubtful) / len(doubtful) if doubtful else 0.0
    if not error_bars:
        return Estimate(value.to(edges.dtype), size, fraction)
    squares = torch.full_like(value, -torch.inf)  # of what each waypoint adds, summed over them
    with torch.no_grad():
        for one in range(count - 1):
            for other in range(count - 1):
                left = laws[one] + laws[other] + 2 * shares
                right = laws[count - 2 - one] + laws[count - 2 - other]
                squares = squares.logaddexp(log_matmul_exp(left, right)[0])
    return _with_bars(value, squares, math.log(max(count - 1, 1)), fraction, edges.dtype)


@arguments.takes_tensors(edges="W W", log_weights="W")
def closure(
    edges: Tensor, discount: float, log_weights: Tensor | None = None, *, error_bars: bool = False
) -> Estimate:
    """Estimate the log ratio between waypoints over a geometric number of stages.

    That is sum_k (1 - c) c^(k-1) p_k(w'|w) / p(w'), solved as a linear system in float64, scaled
    so that nothing cancels: small values are as precise as large ones. Differentiable.

    Args:
        edges: f(w, w') [W, W] in nats; -inf where there is no way.
        discount: c, the chance of one more stage after each, from 0 to below 1.
        log_weights: log p(w) - log q(w) [W], for waypoints drawn from q instead of p.
        error_bars: whether to compute the standard error and the effective sample size, too.

    Returns:
        The estimate, with values [W, W]: -inf where no path leads.

    Raises:
        ShapeError: if the edges are not square.
        NonFiniteError: if an edge is NaN or +inf.
        DomainError: if the discount is not in [0, 1), or the sum over stages has no limit.
    """
    if not 0 <= discount < 1:
        raise DomainError(f"closure needs a discount in [0, 1), got {discount}; try 0.9")
    shares = _log_shares(edges, log_weights)
    wide = widened(edges)
    steps = (wide + shares).exp()  # p(w'|w) of a stage
    system = torch.eye(len(edges), dtype=wide.dtype, device=wide.device) - discount * steps
    # Sums of stages from each waypoint: in their units the system is diagonally dominant, so that
    # its elimination adds numbers of one sign only. That of the transpose keeps to the diagonal.
    units = torch.linalg.solve(system.detach(), torch.ones_like(system[:, :1]))  # [W, 1]
    if not bool((units >= 1 - _ROUNDING).all()) or not bool(units.isfinite().all()):
        raise DomainError(
            f"the sum over stages of discount {discount} has no limit: the edges from some"
            " waypoints average more than 1; subtract the log mean exp of each row, or lower the"
            " discount"
        )
    scaled = system * units.T / units
    factors, pivots = torch.linalg.lu_factor(scaled.mT)
    top = wide.detach().amax()
    right = (wide - top).exp() / units
    solved = torch.linalg.lu_solve(factors, pivots, right, adjoint=True) * units
    nothing = solved <= 0
    value = solved.masked_fill(nothing, 1.0).log() + top + math.log1p(-discount)
    value = value.masked_fill(nothing, -torch.inf)
    if not error_bars:
        return Estimate(value.to(edges.dtype), len(edges), 0.0)
    with torch.no_grad():
        onward = math.log(max(discount, 1e-300)) - math.log1p(-discount)  # waypoints on the way
        once = log_matmul_exp(value + shares, value)[0] + onward - value
        squares = log_matmul_exp(2 * (value + shares), 2 * value)[0] + 2 * onward
    return _with_bars(value, squares, once, 0.0, edges.dtype)


def _log_shares(edges: Tensor, log_weights: Tensor | None) -> Tensor:
    """Return what each waypoint counts for in a mean over all of them, log [..., 1, W]."""
    top = edges.detach().amax()
    if top.isnan() or top == torch.inf:
        raise NonFiniteError(
            "NaN or +inf in the edges between waypoints; a critic that diverged has to be trained"
            " anew, a way that there is not scores -inf"
        )
    size = edges.shape[-1]
    if log_weights is None:
        return torch.full((1, size), -math.log(size), dtype=torch.float64, device=edges.device)
    arguments.check_log_weights("waypoints", log_weights, size)
    return widened(log_weights).unsqueeze(-2) - math.log(size)


def _with_bars(
    value: Tensor, squares: Tensor, once: Tensor | float, fraction: float, dtype: torch.dtype
) -> Estimate:
    """Return an estimate with error bars.

    Args:
        value: of W^2 pairs [..., W, W].
        squares: log of the sum over waypoints of the squares of what each adds.
        once: log of the sum of what they add, over the value.
        fraction: of entries that were summed term by term.
        dtype: of the value.
    """
    size = value.shape[-1]
    mean_square = (squares - 2 * value).exp() * size
    mean = torch.as_tensor(once, dtype=value.dtype, device=value.device).exp()
    variance = (mean_square - mean.square()).clamp(min=0.0) / max(size - 1, 1)
    possible = value > -torch.inf
    bars = torch.promote_types(dtype, torch.float32)
    error = variance.sqrt().masked_fill(~possible, 0.0)
    effective = (size * mean.square() / mean_square).nan_to_num(size).clamp(1.0, size)
    return Estimate(value.to(dtype), size, fraction, error.to(bars), effective.to(bars))
