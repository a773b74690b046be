"""Mutual information from critic values, and the exact one of correlated Gaussians.

Axes: ``N`` left sides x, ``M`` right sides y, at least as many, ``S`` numbers of each.

The estimators take ``logits`` [N, M], an estimate of the log density ratio
log p(x, y) / (p(x) p(y)) in nats: row i's own right side is column i, and all others are
independent of it. They return a scalar in nats, differentiable, and raise ``ShapeError`` for logits
that do not fit and ``NonFiniteError`` for values that are not finite. Their properties:

* ``info_nce``: a lower bound for any critic, offsets c(x) and all, of little variance; but never
  above log M, and short of the truth well before that. More candidates raise it.
* ``nwj``: a lower bound for any critic, with no ceiling; the variance grows as exp(I).
* ``donsker_varadhan``: no ceiling either, and a lower bound only where M is infinite.
* ``smile``: that with clipped ratios, no bound; its variance stays small, its bias is upwards.
"""

import math
from collections.abc import Callable
from numbers import Real

import torch
from torch import Tensor

from langrl.errors import DomainError, ShapeError
from langrl.functional.checks import check_dtypes, check_finite, takes_tensors


@takes_tensors()
def info_nce(logits: Tensor) -> Tensor:
    """Return log M - loss of forward InfoNCE, M candidates for each left side.

    Source: van den Oord et al. 2018, arXiv:1807.03748, section 2.3.
    """
    _check("info_nce", logits)
    surprise = logits.logsumexp(1) - logits.diagonal()  # [N]; the loss, without its metrics
    return math.log(logits.shape[1]) - surprise.mean()


@takes_tensors()
def nwj(logits: Tensor) -> Tensor:
    """Return 1 + E_p[f] - E_q[exp(f)], of Nguyen, Wainwright & Jordan.

    Source: Poole et al. 2019, arXiv:1905.06922, eq. 6, with f = 1 less than theirs.
    """
    positive, negative = _split("nwj", logits)
    return 1 + positive.mean() - _log_mean_exp(negative).exp()


@takes_tensors()
def donsker_varadhan(logits: Tensor) -> Tensor:
    """Return E_p[f] - log E_q[exp(f)].

    Source: Belghazi et al. 2018, arXiv:1801.04062, eq. 10.
    """
    positive, negative = _split("donsker_varadhan", logits)
    return positive.mean() - _log_mean_exp(negative)


@takes_tensors()
def smile(logits: Tensor, clip: float = 5.0) -> Tensor:
    """Return E_p[f] - log E_q[exp(f)] with f clipped in the second term only.

    Args:
        logits: [N, M], of a critic that has learned the ratio itself: train it by ``binary_nce``.
        clip: largest |f| in nats, above 0; smaller ones trade variance for bias.

    Raises:
        DomainError: if ``clip`` is not above 0.

    Source: Song & Ermon 2020, arXiv:1910.06222, eq. 17.
    """
    if not 0 < clip < math.inf:
        raise DomainError(f"smile needs a finite clip above 0, got {clip}; 5 is usual")
    positive, negative = _split("smile", logits)
    clipped = torch.where(negative == -torch.inf, negative, negative.clamp(-clip, clip))
    return positive.mean() - _log_mean_exp(clipped)


ESTIMATORS: dict[str, Callable[[Tensor], Tensor]] = {
    "info_nce": info_nce,
    "nwj": nwj,
    "donsker_varadhan": donsker_varadhan,
    "smile": smile,
}


def _check(function: str, logits: Tensor) -> None:
    rows, columns = logits.shape if logits.ndim == 2 else (0, 0)
    if not 1 <= rows <= columns or columns < 2 or not logits.is_floating_point():
        raise ShapeError(
            f"{function} needs logits [N, M] of floats with M >= N and M >= 2, got"
            f" {list(logits.shape)} of {logits.dtype}; score every left side against every right"
        )
    check_finite(function, "logits", logits)


def _split(function: str, logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return f of pairs [N] and, of independent sides, [N, M] with pairs at -inf."""
    _check(function, logits)
    own = torch.arange(len(logits), device=logits.device)
    return logits.diagonal(), logits.index_put((own, own), logits.new_tensor(-torch.inf))


def _log_mean_exp(values: Tensor) -> Tensor:
    """Return log E[exp] over independent sides; pairs are at -inf and do not count."""
    return values.flatten().logsumexp(0) - math.log(values.numel() - len(values))


# -- correlated Gaussians --------------------------------------------------------------------


@takes_tensors()
def gaussian_log_ratio(x: Tensor, y: Tensor, correlation: float | Tensor) -> Tensor:
    """Return log p(x, y) / (p(x) p(y)) [N, M] where x and y are standard normal in S dimensions.

    Args:
        x: [N, S].
        y: [M, S].
        correlation: of x_s and y_s, one for all or one each [S], in (-1, 1).

    Raises:
        ShapeError: if x or y have another shape, or there are not S correlations.
        DomainError: if a correlation is not in (-1, 1).
    """
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or not x.is_floating_point():
        raise ShapeError(
            f"gaussian_log_ratio needs x [N, S] and y [M, S] of floats, got {list(x.shape)} and"
            f" {list(y.shape)}; give as many numbers of each"
        )
    check_dtypes("gaussian_log_ratio", x=x, y=y)
    rho = _correlations(correlation, x.shape[1]).to(x)
    weight = rho.square() / (1 - rho.square())  # [S]
    rows, columns = x.square() @ weight, y.square() @ weight
    across = (x * (rho / (1 - rho.square()))) @ y.mT  # [N, M]
    return across - (rows.unsqueeze(1) + columns) / 2 + gaussian_information(rho)


@takes_tensors()
def gaussian_information(correlation: Tensor) -> Tensor:
    """Return I(x; y) = -1/2 sum log(1 - rho^2) in nats of correlations [S].

    Raises DomainError if one is not in (-1, 1).
    """
    rho = _correlations(correlation, correlation.numel())
    return -torch.log1p(-rho.square()).sum() / 2


def gaussian_correlation(information: float, dimensions: int) -> float:
    """Return the one correlation of all dimensions with which I(x; y) is ``information`` nats.

    Raises DomainError if the information is no number, negative, or there is no dimension.
    """
    if not isinstance(information, Real) or not 0 <= information < math.inf or dimensions < 1:
        raise DomainError(
            f"gaussian_correlation needs information >= 0 and a dimension, got {information} and"
            f" {dimensions}; give finite nats"
        )
    return math.sqrt(-math.expm1(-2 * information / dimensions))


def _correlations(correlation: float | Tensor, dimensions: int) -> Tensor:
    rho = torch.as_tensor(correlation)
    if rho.numel() not in (1, dimensions) or rho.ndim > 1:
        raise ShapeError(f"there are {rho.numel()} correlations and {dimensions} dimensions; match")
    if not bool((rho.abs() < 1).all()):
        raise DomainError("a correlation is in (-1, 1), got one that is not; lower it")
    return rho.reshape(-1).expand(dimensions)
