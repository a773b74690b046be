"""Marginals over candidate goals (Lemma 1 of Che & Eysenbach, ICLR 2025, arXiv:2501.11326).

Axes: ``N`` queries (state-actions), ``M`` candidate goals, ``K`` instructions; leading axes are
batches.
"""

import math

import torch
from torch import Tensor

from langrl.errors import NonFiniteError, ShapeError

_LOST = 1e7  # times M and the smallest normal number: below it, lost terms would show
_CHUNK = 1 << 22  # numbers held at once while entries are recomputed


def monte_carlo(
    left: Tensor, right: Tensor, log_weights: Tensor | None = None
) -> tuple[Tensor, dict[str, Tensor]]:
    """Estimate log p(l|s,a)/p(l) = log E_g[exp(f(s,a,g) + h(g,l))] from candidate goals.

    Computes ``logsumexp_m(left + log_weights + right) - log M`` as one matrix product of
    exponentials, N*M + M*K of them instead of N*M*K; the entries whose product underflows,
    wholly or partly, are recomputed exactly. Differentiable.

    Args:
        left: f, critic values [..., N, M].
        right: h, fits [..., M, K].
        log_weights: log p(g) - log q(g) [..., M], for candidates drawn from q instead of p.

    Returns:
        Values [..., N, K] in nats; metrics: ``recomputed_fraction`` in [0, 1].

    Raises:
        ShapeError: if the numbers of candidates differ or are 0.
        NonFiniteError: if an input holds NaN or +inf (-inf rules a candidate out).

    Source: arXiv:2501.11326, Lemma 1.
    """
    if left.ndim < 2 or right.ndim < 2 or left.shape[-1] != right.shape[-2] or not left.shape[-1]:
        raise ShapeError(
            f"monte_carlo needs left [..., N, M] and right [..., M, K] with the same M >= 1, got"
            f" {list(left.shape)} and {list(right.shape)}; score both against the same candidates"
        )
    if log_weights is not None:
        if log_weights.shape[-1:] != left.shape[-1:]:
            raise ShapeError(
                f"monte_carlo needs log_weights [..., {left.shape[-1]}], got"
                f" {list(log_weights.shape)}; give one weight per candidate"
            )
        right = right + log_weights.unsqueeze(-1)
    left_max = _finite_max(left, -1)  # [..., N, 1]
    right_max = _finite_max(right, -2)  # [..., 1, K]
    total = (left - left_max).exp() @ (right - right_max).exp()  # [..., N, K]
    if not total.isfinite().all():
        raise NonFiniteError("monte_carlo got NaN or +inf in left, right or log_weights; mask it")
    candidates = left.shape[-1]
    doubtful = total < candidates * _LOST * torch.finfo(total.dtype).tiny
    value = total.masked_fill(doubtful, 1.0).log() + left_max + right_max
    if doubtful.any():
        value = value.masked_scatter(doubtful, _exact(left, right, doubtful))
    return value - math.log(candidates), {"recomputed_fraction": doubtful.float().mean()}


def _finite_max(scores: Tensor, dim: int) -> Tensor:
    """Return the maximum, detached, with -inf (nothing possible) replaced by 0."""
    top = scores.detach().amax(dim, keepdim=True)
    return torch.where(top == -torch.inf, torch.zeros_like(top), top)


def _exact(left: Tensor, right: Tensor, where: Tensor) -> Tensor:
    """Return logsumexp_m(left + right) at the True entries of ``where``, in row-major order."""
    batch = where.shape[:-2]
    rows = left.expand(*batch, *left.shape[-2:])
    columns = right.mT.expand(*batch, *right.mT.shape[-2:])  # [..., K, M]
    *leading, query, instruction = where.nonzero(as_tuple=True)
    size = max(1, _CHUNK // left.shape[-1])
    parts = [
        (rows[(*place, n)] + columns[(*place, k)]).logsumexp(-1)
        for *place, n, k in zip(
            *(torch.split(index, size) for index in (*leading, query, instruction)), strict=True
        )
    ]
    return torch.cat(parts)
