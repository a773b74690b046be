"""Means of exponentials over a sphere (log 0F1) and over a Gaussian, in logarithms.

For a unit vector b uniform on the sphere in D dimensions and any vector v of length k,
``log E[exp(v.b)] = log_hyp0f1(D / 2, k**2 / 4)``. Assembled from a log-Bessel function instead
(``lgamma(D/2) + (D/2 - 1) log(2/k) + log I_{D/2-1}(k)``) it would cancel: at D = 1024 and k = 1
the terms are in the thousands, the result is 4.9e-4.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.polynomial import Polynomial
from numpy.typing import NDArray
from torch import Tensor

from langrl.errors import DomainError, NonFiniteError, ShapeError
from langrl.functional.checks import check_finite, takes_tensors

_ORDER = 24  # from here on, _TERMS terms of the large-order expansion are exact to 1e-13
_TERMS = 8
_ROUNDING = 1e-5  # of the largest eigenvalue: what a covariance may lack to be one


@takes_tensors()
def log_hyp0f1(b: float, x: Tensor) -> Tensor:
    """Logarithm of the confluent hypergeometric limit function 0F1(; b; x).

    Computed in float64 whatever the dtype of ``x``, with a relative error below 1e-12 as long as
    ``x`` is below 1e8, and exactly 0 at ``x = 0``. Differentiable any number of times; with
    ``x = k**2 / 4`` the derivative in k is the ratio of Bessel functions I_b(k) / I_{b-1}(k).

    Args:
        b: a positive number; D / 2 for the sphere in D dimensions.
        x: numbers >= 0 of any shape, float.

    Returns:
        Values in nats, in the shape and dtype of ``x``.

    Raises:
        DomainError: if ``b`` is not positive or ``x`` is negative somewhere.
        NonFiniteError: if ``b`` or ``x`` holds NaN or an infinity.
        ShapeError: if ``x`` holds no floats.

    Source: DLMF 10.25.2 (0F1 as a Bessel function), 10.41.3 (large order), 10.29.1 (recurrence).
    """
    if not math.isfinite(b):
        raise NonFiniteError(f"log_hyp0f1 needs a finite b, got {b}; give half the dimension")
    if b <= 0:
        raise DomainError(f"log_hyp0f1 needs b > 0, got {b}; give half the dimension")
    if not x.is_floating_point():
        raise ShapeError(f"log_hyp0f1 needs x of floats, got {x.dtype}; convert it with .float()")
    if not x.isfinite().all():
        raise NonFiniteError("log_hyp0f1 got NaN or an infinity in x; mask it")
    if (x < 0).any():
        raise DomainError(f"log_hyp0f1 needs x >= 0, got {x.min().item():.3g}; clamp it at 0")
    value = _apply(widened(x), float(b))
    return value.to(x.dtype).to(x.device)


def widened(x: Tensor) -> Tensor:
    """Return ``x`` in float64; on the CPU if its device (Apple's mps) has no float64."""
    return (x.cpu() if x.device.type == "mps" else x).double()


class _LogHyp0F1(torch.autograd.Function):
    """d/dx log 0F1(; b; x) = 0F1(; b+1; x) / 0F1(; b; x) / b, itself made of this function."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, b: float) -> Tensor:
        value = _stepped(b, x)
        ctx.save_for_backward(x, value)
        ctx.b = b
        return value

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None]:
        x, value = ctx.saved_tensors
        ratio = (_apply(x, ctx.b + 1) - value).exp()
        return upstream[0] * ratio / ctx.b, None


_apply: Callable[[Tensor, float], Tensor] = _LogHyp0F1.apply


def _stepped(b: float, x: Tensor) -> Tensor:
    """Return log 0F1(; b; x): from a large enough order down to b, adding positive terms only."""
    steps = max(0, math.ceil(_ORDER + 1 - b))
    value = _large_order(b + steps, x)
    if not steps:
        return value
    ratio = (_large_order(b + steps + 1, x) - value).exp()  # 0F1 at b + steps + 1 over b + steps
    for step in reversed(range(steps)):
        excess = x * ratio / ((b + step) * (b + step + 1))
        value = value + excess.log1p()
        ratio = 1 / (1 + excess)
    return value


def _large_order(b: float, x: Tensor) -> Tensor:
    """Return log 0F1(; b; x) for b - 1 >= _ORDER by Debye's expansion, uniform in x."""
    # Stirling's series of the gamma function is the expansion's own sum at t = 1 (x = 0), so that
    # only differences from it remain, with the factor 1 - t taken out: nothing cancels.
    order = b - 1
    square = 4 * x / order**2
    root = square / (1 + (1 + square).sqrt())  # sqrt(1 + square) - 1
    t = 1 / (1 + root)
    powers = order ** -np.arange(_TERMS + 1.0)
    polynomial = powers @ _QUOTIENTS / (powers @ _AT_ONE)
    # t - 1 = -root * t
    correction = -root * t * _horner(polynomial.tolist(), t)
    return order * (root - (root / 2).log1p()) - square.log1p() / 4 + correction.log1p()


def _horner(coefficients: Sequence[float], t: Tensor) -> Tensor:
    total = torch.zeros_like(t)
    for coefficient in reversed(coefficients):
        total = total * t + coefficient
    return total


def _debye() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return u_k(1) [_TERMS + 1] and, one row per k, the quotient (u_k(t) - u_k(1)) / (t - 1).

    The u_k are Debye's polynomials, of degree 3k (DLMF 10.41.9).
    """
    t, u = Polynomial([0.0, 1.0]), Polynomial([1.0])
    at_one, quotients = np.zeros(_TERMS + 1), np.zeros((_TERMS + 1, 3 * _TERMS))
    for k in range(_TERMS + 1):
        at_one[k] = u(1.0)
        quotient = ((u - at_one[k]) // (t - 1)).coef
        quotients[k, : len(quotient)] = quotient
        u = t**2 * (1 - t**2) * u.deriv() / 2 + ((1 - 5 * t**2) * u).integ() / 8
    return at_one, quotients


_AT_ONE, _QUOTIENTS = _debye()


def log_mean_exp_quadratic(a: Tensor, c: Tensor, spread: Tensor, curvature: Tensor) -> Tensor:
    """Return log E[exp(a.e1 + c.e2 - e' diag(curvature) e / 2)] [..., N, K] for e ~ N(0, spread).

    It is (s' inner s - logdet(1 + spread diag(curvature))) / 2 with s = a (+) c; ``spread`` need
    not have an inverse.
    """
    first, second = parts(a, c, spread)
    system = torch.eye(len(spread), dtype=spread.dtype, device=spread.device) + spread * curvature
    inner = torch.linalg.solve(system, spread)
    rows = ((a @ inner[first, first]) * a).sum(-1)  # [..., N]
    columns = ((c @ inner[second, second]) * c).sum(-1)  # [..., K]
    pairs = a @ inner[first, second] @ c.mT  # [..., N, K]
    logdet = torch.linalg.slogdet(system).logabsdet
    value: Tensor = pairs + (rows.unsqueeze(-1) + columns.unsqueeze(-2) - logdet) / 2
    return value


def parts(a: Tensor, c: Tensor, law: Tensor) -> tuple[slice, slice]:
    """Return the coordinates of b that meet a, and those that meet c: all, or its two parts."""
    return slice(a.shape[-1]), slice(len(law) - c.shape[-1], None)


def symmetric_semidefinite(covariance: Tensor) -> Tensor:
    """Return a covariance [D, D] freed of what rounding did to it.

    Raises DomainError if more than rounding makes it asymmetric or gives a negative eigenvalue.
    """
    spread = (covariance + covariance.mT) / 2
    eigenvalues = torch.linalg.eigvalsh(spread.detach())
    tolerance = _ROUNDING * eigenvalues.abs().max()
    if (covariance - covariance.mT).abs().max() > tolerance:
        raise DomainError("gaussian needs a symmetric covariance; pass (C + C.mT) / 2")
    if eigenvalues[0] < -tolerance:
        raise DomainError(
            f"gaussian needs a covariance without negative eigenvalues, got {eigenvalues[0]:.3g};"
            " estimate it with torch.cov(goals.mT)"
        )
    # a negative eigenvalue, times a large scale, would make the integral diverge
    lift: Tensor = torch.eye(len(covariance)).to(covariance) * eigenvalues[0].clamp(max=0.0)
    return spread - lift


def checked_law(
    mean: Tensor, covariance: Tensor, left: Tensor, right: Tensor
) -> tuple[Tensor, Tensor]:
    """Return a Gaussian's mean and covariance in float64, the latter without rounding.

    Args:
        mean: [D], or [D1 + D2] where two encoders embed the same goals.
        covariance: [D, D] or [D1 + D2, D1 + D2].
        left: state-action embeddings [..., N, D1], for their size.
        right: instruction embeddings [..., K, D2], for theirs.

    Raises:
        ShapeError: if the sizes do not fit.
        NonFiniteError: if there is NaN or an infinity.
        DomainError: if the covariance is none.
    """
    one, other = left.shape[-1], right.shape[-1]
    fits = {one, one + other} if one == other else {one + other}
    if mean.ndim != 1 or len(mean) not in fits:
        raise ShapeError(
            f"gaussian needs mean [{'] or ['.join(map(str, sorted(fits)))}] for left and right of"
            f" sizes {one} and {other}, got {list(mean.shape)}; give the mean of the"
            " shared goal encoder's embeddings, or of both encoders' side by side"
        )
    if covariance.shape != (len(mean), len(mean)):
        raise ShapeError(
            f"gaussian needs covariance [{len(mean)}, {len(mean)}] for a mean of {len(mean)}, got"
            f" {list(covariance.shape)}; take both from the same goal embeddings"
        )
    for name, value in (("mean", mean), ("covariance", covariance)):
        check_finite("gaussian", name, value)
    return widened(mean), symmetric_semidefinite(widened(covariance))
