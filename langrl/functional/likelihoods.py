"""Log-likelihoods of observations under a decoder's outputs, and checks of them.

Axes: leading axes broadcast (``K`` samples, ``N`` observations), ``X`` numbers in an observation.
All results are in nats, summed over X. Every function raises ``ShapeError`` for what is no tensor
of floats, or has other axes than it says.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from langrl.errors import DomainError, NonFiniteError, ShapeError
from langrl.functional.checks import check_dtypes, refuse_type, takes_tensors
from langrl.functional.energies import neg_half_sq_l2
from langrl.functional.generative import log_normal


@takes_tensors(x="... X", logits="... X")
def bernoulli(x: Tensor, logits: Tensor) -> Tensor:
    """Return sum_i x_i log s(l_i) + (1 - x_i) log(1 - s(l_i)), s the logistic function, in nats.

    From x in [0, 1] and log-odds l [..., X] to [...]. Of greys between 0 and 1 it is the usual
    cross-entropy, which is no normalised density.
    """
    return (x * logits).sum(-1) - functional.softplus(logits).sum(-1)


@takes_tensors(x="... X", mean="... X", log_scale="... X?")
def gaussian(x: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """Return log N(x; mean, scale^2 I) of x and mean [..., X], in nats [...].

    ``log_scale`` is the logarithm of the standard deviation, one number or one for each of X.
    """
    return log_normal(x, mean, log_scale)


@takes_tensors(counts="... X", logits="... X")
def categorical(counts: Tensor, logits: Tensor) -> Tensor:
    """Return the log-probability of token counts, given how many tokens there are (multinomial).

    From how often each token occurs and one token's logits, up to a constant, [..., X] to [...], in
    nats; over all counts with the same sum, the probabilities sum to 1.
    """
    orders = (counts.sum(-1) + 1).lgamma() - (counts + 1).lgamma().sum(-1)
    return orders + (counts * logits).sum(-1) - counts.sum(-1) * logits.logsumexp(-1)


@takes_tensors(x="M X", logits="N X")
def bernoulli_matrix(x: Tensor, logits: Tensor) -> Tensor:
    """Return ``bernoulli`` of x [M, X] under each of logits [N, X]: [N, M]."""
    check_dtypes("bernoulli_matrix", x=x, logits=logits)
    return logits @ x.mT - functional.softplus(logits).sum(-1, keepdim=True)


@takes_tensors(x="M X", mean="N X", log_scale="X?")
def gaussian_matrix(x: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """Return ``gaussian`` of x [M, X] under each of means [N, X]: [N, M]."""
    inverse = (-log_scale).exp()
    volume = (log_scale + 0.5 * math.log(2 * math.pi)).expand(x.shape[-1]).sum()
    return neg_half_sq_l2(mean * inverse, x * inverse) - volume


@takes_tensors(counts="M X", logits="N X")
def categorical_matrix(counts: Tensor, logits: Tensor) -> Tensor:
    """Return ``categorical`` of counts [M, X] under each of logits [N, X]: [N, M]."""
    check_dtypes("categorical_matrix", counts=counts, logits=logits)
    orders = (counts.sum(-1) + 1).lgamma() - (counts + 1).lgamma().sum(-1)  # [M]
    return logits.log_softmax(-1) @ counts.mT + orders


@dataclass(frozen=True)
class Likelihood:
    """One family of observations.

    Attributes:
        log_density: of x [..., X], decoder outputs [..., X] and a log-scale, in nats [...].
        matrix: the same of every x [M, X] under every output [N, X], in nats [N, M].
        mean: what outputs [..., X] expect of an observation; of counts, shares that sum to 1.
        low: least number in an observation.
        high: greatest.
        has_scale: whether the log-scale matters.
    """

    log_density: Callable[[Tensor, Tensor, Tensor], Tensor]
    matrix: Callable[[Tensor, Tensor, Tensor], Tensor]
    mean: Callable[[Tensor], Tensor]
    low: float
    high: float
    has_scale: bool = False


LIKELIHOODS: dict[str, Likelihood] = {
    "bernoulli": Likelihood(
        lambda x, out, _: bernoulli(x, out), lambda x, out, _: bernoulli_matrix(x, out),
        torch.sigmoid, 0.0, 1.0,
    ),
    "gaussian": Likelihood(
        gaussian, gaussian_matrix, lambda out: out, -math.inf, math.inf, has_scale=True
    ),
    "categorical": Likelihood(
        lambda x, out, _: categorical(x, out), lambda x, out, _: categorical_matrix(x, out),
        lambda out: out.softmax(-1), 0.0, math.inf,
    ),
}  # fmt: skip


def check_observations(x: Tensor, likelihood: Likelihood, size: int, name: str) -> None:
    """Refuse observations that a likelihood is not defined for.

    Raises:
        ShapeError: if they are not floats [N, size], N at least 1.
        NonFiniteError: if one is NaN or infinite.
        DomainError: if one is outside the likelihood's range.
    """
    if not isinstance(x, Tensor):
        refuse_type("a likelihood", name, x)
    if x.ndim != 2 or x.shape[1] != size or not len(x) or not x.is_floating_point():
        raise ShapeError(
            f"{name} must be floats [N, {size}], got {list(x.shape)} of {x.dtype};"
            " flatten each observation"
        )
    low, high = x.aminmax()
    if not (low.isfinite() and high.isfinite()):
        raise NonFiniteError(f"{name} holds NaN or an infinity; fix or drop that observation")
    if low < likelihood.low or high > likelihood.high:
        least = f"[{likelihood.low:g}, {likelihood.high:g}]"
        raise DomainError(
            f"{name} is in [{low.item():g}, {high.item():g}], its likelihood takes {least};"
            " rescale it, or choose another likelihood"
        )
