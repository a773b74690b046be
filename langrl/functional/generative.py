"""Posteriors of multimodal generative models, importance weighting, and the contrast of pairs.

Axes: ``E`` experts, ``K`` samples of a latent, ``N`` observations, ``D`` numbers in a latent,
``B`` related pairs. A diagonal Gaussian is a mean and the logarithm of its standard deviations.
Every function raises ``ShapeError`` for what is no tensor of floats, or has other axes than it
says.
"""

import math

import torch
from torch import Tensor

from langrl.errors import DomainError, NonFiniteError, ShapeError
from langrl.functional.checks import check_axes, check_dtypes, takes_tensors

Gaussian = tuple[Tensor, Tensor]
Result = tuple[Tensor, dict[str, Tensor]]


@takes_tensors(z="... D", mean="... D", log_scale="... D?")
def log_normal(z: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """Return log N(z; mean, diag(scale)^2) of z [..., D], in nats [...]; they broadcast."""
    standard = (z - mean) * (-log_scale).exp()
    each = -0.5 * standard.square() - log_scale - 0.5 * math.log(2 * math.pi)
    return each.sum(-1)


@takes_tensors(z="K D", mean="N D", log_scale="N D")
def log_normal_matrix(z: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """Return ``log_normal`` of every z [K, D] under every Gaussian [N, D]: [K, N]."""
    check_dtypes("log_normal_matrix", z=z, mean=mean, log_scale=log_scale)
    precision = (-2 * log_scale).exp()  # [N, D]
    quadratic = z.square() @ precision.mT - 2 * z @ (precision * mean).mT
    constant = (precision * mean.square()).sum(-1) + (2 * log_scale).sum(-1)  # [N]
    return -0.5 * (quadratic + constant + z.shape[-1] * math.log(2 * math.pi))


@takes_tensors(z="... D")
def log_standard_normal(z: Tensor) -> Tensor:
    """Return log N(z; 0, I) of z [..., D], in nats [...]."""
    return -0.5 * z.square().sum(-1) - 0.5 * z.shape[-1] * math.log(2 * math.pi)


@takes_tensors(z="K N D", mean="E N D", log_scale="E N D")
def log_mixture(z: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """Return the log-density of z [K, N, D] in a uniform mixture of Gaussians, in nats [K, N].

    The experts' means and log-scales are [E, N, D].

    Source: the posterior of Shi et al. 2019, arXiv:1911.03393, section 3.
    """
    if len(mean) == 1:
        return log_normal(z, mean, log_scale)
    each = log_normal(z.unsqueeze(1), mean, log_scale)  # [K, E, N]
    return each.logsumexp(1) - math.log(len(mean))


@takes_tensors(mean="E ... D", log_scale="E ... D")
def product_of_experts(mean: Tensor, log_scale: Tensor) -> Gaussian:
    """Return the normalised product of Gaussian experts and of the prior N(0, I).

    The experts' means and log-scales are [E, ..., D], those of the product [..., D].

    Source: Wu & Goodman 2018, arXiv:1802.05335, section 2.2.
    """
    precision = (-2 * log_scale).exp()
    total = 1 + precision.sum(0)  # of the prior: 1
    return (precision * mean).sum(0) / total, -0.5 * total.log()


def gaussian_kl(q: Gaussian, p: Gaussian) -> Tensor:
    """Return KL(q || p) of diagonal Gaussians [..., D], in nats [...]."""
    parts = {"q[0]": q[0], "q[1]": q[1], "p[0]": p[0], "p[1]": p[1]}
    check_axes("gaussian_kl", dict.fromkeys(parts, "... D"), parts)
    difference = (q[0] - p[0]) * (-p[1]).exp()
    ratio = q[1] - p[1]
    return (0.5 * (difference.square() + (2 * ratio).exp() - 1) - ratio).sum(-1)


def prior_kl(q: Gaussian) -> Tensor:
    """Return KL(q || N(0, I)) of diagonal Gaussians [..., D], in nats [...]."""
    parts = {"q[0]": q[0], "q[1]": q[1]}
    check_axes("prior_kl", dict.fromkeys(parts, "... D"), parts)
    zero = torch.zeros_like(q[0])
    return gaussian_kl(q, (zero, zero))


@takes_tensors(mean="E N D", log_scale="E N D")
def stratified_sample(
    mean: Tensor, log_scale: Tensor, samples: int, generator: torch.Generator
) -> Tensor:
    """Draw equally often from every expert of a mixture, with gradients to its parameters.

    Args:
        mean, log_scale: of each expert [E, N, D].
        samples: draws of each observation in all, rounded up to a multiple of E.

    Returns:
        z [K, N, D], K the rounded number; those of an expert together.

    Raises:
        DomainError: if ``samples`` is below 1.

    Source: stratified sampling as in Shi et al. 2019, arXiv:1911.03393, eq. 2.
    """
    if samples < 1:
        raise DomainError(f"samples is the number of latents, at least 1; got {samples}")
    each = -(-samples // len(mean))
    shape = (len(mean), each, *mean.shape[1:])
    noise = torch.randn(shape, generator=generator, device=mean.device, dtype=mean.dtype)
    return (mean.unsqueeze(1) + log_scale.exp().unsqueeze(1) * noise).flatten(0, 1)


@takes_tensors(log_weights="K ...")
def importance_weighted(log_weights: Tensor) -> Tensor:
    """Return log 1/K sum_k w_k, the importance-weighted estimate of a log-likelihood.

    A lower bound in expectation; it rises with K to the log-likelihood itself, and is the ELBO at
    K = 1.

    From log-weights log p(x, z_k) - log q(z_k|x), z_k from q [K, ...], to nats [...].

    Source: Burda et al. 2016, arXiv:1509.00519, eq. 8.
    """
    return log_weights.logsumexp(0) - math.log(len(log_weights))


@takes_tensors()
def relating(
    log_joint: Tensor,
    *,
    gamma: float = 2.0,
    related: Tensor | None = None,
    with_positive: bool = False,
    both_ways: bool = True,
    hardest: int | None = None,
) -> Result:
    """Contrast the likelihoods of related pairs with those of unrelated ones, in both directions.

    ``-gamma log p(x, y) + 1/2 [logsumexp_i log p(x, y'_i) + logsumexp_i log p(x'_i, y)]``. Its
    gradient raises pointwise mutual information log p(x, y) / p(x) p(y): the likelihood of a pair
    that goes up counts only as far as it goes up more than that of its parts in other pairs.

    Args:
        log_joint: estimates of log p(x_n, y_m), in nats [B, B]; the diagonal's pairs are related,
            -inf elsewhere leaves an unrelated pair out.
        gamma: weight of the related pairs' likelihood; above 1, the model also keeps
            explaining observations, instead of only discriminating pairs.
        related: other estimates of the related pairs' log p(x, y) [B], for the first term: what is
            raised is best bounded from below, what is lowered best estimated tightly. By default
            the diagonal.
        with_positive: whether the related pair is a term of both sums, which bounds the contrast
            from below as in InfoNCE; without it, as published.
        both_ways: contrast with others of the row and of the column; without it, of the row alone.
        hardest: how many of the likeliest unrelated pairs the sums have, at least 1; by default
            all of them.

    Returns:
        Scalar loss in nats, a mean over pairs; metrics: ``log_joint`` of related pairs and
        ``unrelated``, the mean of log p of the others, in nats; ``accuracy``, how often a related
        pair is likelier than all unrelated ones of its row and of its column, in [0, 1].

    Raises:
        ShapeError: if ``log_joint`` is no square matrix of at least two pairs.
        DomainError: if gamma is not a finite number above 0, ``hardest`` is below 1, or a pair has
            no unrelated one.
        NonFiniteError: if an entry is NaN or +inf, or a related pair -inf.

    Source: Shi et al. 2021, arXiv:2007.01179, eq. 8 to 10.
    """
    _check_relating(log_joint, gamma)
    if hardest is not None and hardest < 1:
        raise DomainError(f"hardest counts unrelated pairs, got {hardest}; give at least 1")
    diagonal = log_joint.diagonal()  # [B]
    related = diagonal if related is None else related
    if related.shape != diagonal.shape:
        raise ShapeError(
            f"related must be [{len(diagonal)}], got {list(related.shape)}; one for each pair"
        )
    check_dtypes("relating", log_joint=log_joint, related=related)
    own = torch.eye(len(log_joint), dtype=torch.bool, device=log_joint.device)
    rivals = log_joint.masked_fill(own, -torch.inf)
    sums = []
    for side in (rivals, rivals.mT)[: 1 + both_ways]:
        summed = side if hardest is None else side.topk(min(hardest, len(side) - 1), 1).values
        total = summed.logsumexp(1)  # [B]
        sums.append(torch.logaddexp(total, diagonal) if with_positive else total)
    contrast = torch.stack(sums).mean(0)
    loss = (contrast - gamma * related).mean()
    with torch.no_grad():
        others = rivals[rivals != -torch.inf].mean()
        ahead = (diagonal > rivals.amax(1)).float() + (diagonal > rivals.amax(0)).float()
        metrics = {"log_joint": related.mean(), "unrelated": others, "accuracy": ahead.mean() / 2}
    return loss, {name: value.detach().float() for name, value in metrics.items()}


def _check_relating(log_joint: Tensor, gamma: float) -> None:
    shape = list(log_joint.shape)
    if len(shape) != 2 or shape[0] != shape[1] or shape[0] < 2 or not log_joint.is_floating_point():
        raise ShapeError(
            f"log_joint must be floats [B, B], B at least 2, got {shape} of {log_joint.dtype};"
            " score every left side against every right side, -inf where a pair is left out"
        )
    if not 0 < gamma < math.inf:
        raise DomainError(f"gamma weighs the likelihood of related pairs, got {gamma}; try 2")
    values = log_joint.detach()
    wrong = values.isnan() | (values == torch.inf)
    wrong.diagonal().logical_or_(values.diagonal() == -torch.inf)
    if wrong.any():
        row, column = wrong.nonzero()[0].tolist()
        problem = f"log_joint[{row}, {column}] is {values[row, column].item():g}"
        raise NonFiniteError(f"{problem}; give finite values (-inf leaves an unrelated pair out)")
    there = values != -torch.inf
    if ((there.sum(1) < 2) | (there.sum(0) < 2)).any():
        raise DomainError("a related pair has no unrelated one to contrast with; leave fewer out")


@takes_tensors(log_joint="N M", log_left="N", log_right="M")
def pointwise_information(log_joint: Tensor, log_left: Tensor, log_right: Tensor) -> Tensor:
    """Return the pointwise mutual information log p(x, y) - log p(x) - log p(y).

    From log p(x_n, y_m) [N, M], log p(x_n) [N] and log p(y_m) [M], in nats [N, M]; 0 of independent
    observations. Raises ShapeError if the shapes do not fit.

    Source: Shi et al. 2021, arXiv:2007.01179, section 4.
    """
    return log_joint - log_left.unsqueeze(1) - log_right
