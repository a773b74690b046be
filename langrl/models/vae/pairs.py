"""Bounds on log p(x, y) of many pairs of observations.

With the backbone's posterior as the proposal, every pair needs latents of its own. With latents of
each observation *alone*, all pairs share them: N + M sets of latents are decoded instead of N * M,
and every remaining term is a matrix product. For mmvae the two estimates are the same. For mvae and
jmvae the first one is tighter: where few pairs are scored, it tells related ones better.

Axes: ``N`` left and ``M`` right observations, ``K`` samples of a latent, ``E`` experts, ``D``
numbers in a latent.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from langrl.functional.generative import (
    importance_weighted,
    log_normal,
    log_normal_matrix,
    log_standard_normal,
    pointwise_information,
    stratified_sample,
)
from langrl.models.multimodal_batch import MultimodalBatch
from langrl.models.vae.model import MultimodalVAE


def pair_log_weights(
    model: MultimodalVAE,
    left: MultimodalBatch,
    right: MultimodalBatch,
    generator: torch.Generator,
    samples: int,
) -> Tensor:
    """Return importance weights log p(left_n, right_m, z) / q(z) of all pairs [E, K, N, M].

    The proposal of a pair is the uniform mixture of the posteriors given each of its modalities
    alone, drawn from equally often, and weighed by the density of the mixture. Over both E and K
    they make a tight estimate of log p(left_n, right_m); over K alone a bound of each expert.

    Left are N observations, right M of other modalities; ``samples`` latents of each pair are
    rounded up to a multiple of the number of modalities E.
    """
    experts = len(left.inputs) + len(right.inputs)
    each = -(-samples // experts)
    forward = _log_weights(model, left, right, generator, each)  # [E * K, N, M]
    backward = _log_weights(model, right, left, generator, each).transpose(1, 2)
    # The mixture's density was summed over experts, not averaged: 1 / E is left to divide by.
    weights = torch.cat([forward, backward]) + math.log(experts)
    return weights.unflatten(0, (experts, each))


@torch.no_grad()
def pair_information(
    model: MultimodalVAE,
    left: Mapping[str, Tensor],
    right: Mapping[str, Tensor],
    generator: torch.Generator,
    samples: int = 64,
) -> Tensor:
    """Estimate the pointwise mutual information of every left with every right, in nats [N, M].

    As ``MultimodalVAE.pmi``, with the latents of ``pair_log_weights``: N + M sets of them. Left and
    right are by modality [N, X] and [M, X]; errors as ``MultimodalVAE.encode``.
    """
    encoded = model.encode(left), model.encode(right)
    weights = pair_log_weights(model, *encoded, generator, samples)  # [E, K, N, M]
    sides = [model.log_marginal(side, generator, samples) for side in (left, right)]
    return pointwise_information(importance_weighted(weights.flatten(0, 1)), *sides)


def shared_information(
    model: MultimodalVAE,
    inputs: Mapping[str, Tensor],
    generator: torch.Generator,
    samples: int = 64,
) -> Tensor:
    """Estimate log p of observations less log p of each modality alone, in nats [N].

    Of two modalities it is their pointwise mutual information, the diagonal of
    ``MultimodalVAE.pmi``: with latents of each pair's own posterior, in N sets of them. Inputs are
    by modality [N, X]; errors as ``MultimodalVAE.encode``.
    """
    alone = sum(
        model.log_marginal({name: value}, generator, samples) for name, value in inputs.items()
    )
    return model.log_marginal(inputs, generator, samples) - alone


def _log_weights(
    model: MultimodalVAE,
    near: MultimodalBatch,
    far: MultimodalBatch,
    generator: torch.Generator,
    samples: int,
) -> Tensor:
    """Return log-weights [K, N, M] of latents drawn from each near modality alone."""
    near_experts, far_experts = _alone(model, near), _alone(model, far)
    z = stratified_sample(*near_experts, samples * len(near.inputs), generator)  # [K, N, D]
    flat = z.flatten(0, 1)  # [K * N, D]
    own = [log_normal(z, *expert) for expert in zip(*near_experts, strict=True)]  # [K, N] each
    other = [log_normal_matrix(flat, *expert) for expert in zip(*far_experts, strict=True)]
    crosswise = _log_sum(other).unflatten(0, z.shape[:2])  # [K, N, M]
    proposed = torch.logaddexp(crosswise, _log_sum(own).unsqueeze(-1))
    aligned = model.log_likelihood(near.inputs, z) + log_standard_normal(z)  # [K, N]
    crossed = model.log_likelihood_matrix(far.inputs, flat).unflatten(0, z.shape[:2])
    return aligned.unsqueeze(-1) + crossed - proposed


def _log_sum(terms: list[Tensor]) -> Tensor:
    return terms[0] if len(terms) == 1 else torch.stack(terms).logsumexp(0)


def _alone(model: MultimodalVAE, encoded: MultimodalBatch) -> tuple[Tensor, Tensor]:
    """Return the posteriors given each modality alone [E, N, D]."""
    experts = [model.backbone(encoded.only(name).features) for name in encoded.inputs]
    means, scales = zip(*experts, strict=True)
    return torch.cat(means), torch.cat(scales)
