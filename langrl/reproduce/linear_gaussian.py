"""Estimates of log p(x, y) against the exact value, in a linear-Gaussian model of two modalities.

With linear decoders and Gaussian noise, log p(x, y) is that of one Gaussian (factor analysis), and
where the columns of each decoder are orthogonal the exact posteriors are diagonal, so that encoders
can hold them.

Axes: ``N`` pairs, ``X`` numbers in an observation, ``D`` in a latent.
"""

import math
from typing import Any, cast

import torch
from torch import Tensor, nn

from langrl.models.vae.config import ModalityConfig, VaeConfig
from langrl.models.vae.model import MultimodalVAE, build_vae

_SIZES, _LATENT, _NOISE = {"x": 6, "y": 5}, 3, 0.7
_PAIRS, _SAMPLES = 200, 4096


def linear_model(backbone: str, generator: torch.Generator) -> MultimodalVAE:
    """Return a model with linear decoders, and encoders that hold exact posteriors.

    The experts of ``mvae`` are the likelihoods, so that their product with the prior is the
    posterior given all that is there; those of ``mmvae`` the posteriors given one modality.
    """
    modalities = tuple(
        ModalityConfig(name=name, size=size, likelihood="gaussian", scale=_NOISE)
        for name, size in _SIZES.items()
    )
    model = build_vae(
        VaeConfig(modalities=modalities, backbone=backbone, latent=_LATENT, depth=0), 0
    )
    prior = 0.0 if backbone == "mvae" else 1.0
    with torch.no_grad():
        for name, size in _SIZES.items():
            basis = torch.linalg.qr(torch.randn(size, _LATENT, generator=generator))[0]
            strength = 0.5 + torch.rand(_LATENT, generator=generator)
            decoder, head = _decoder(model, name), cast(Any, model.backbone.heads[name])
            decoder.weight.copy_(basis * strength)  # [X, D]
            decoder.bias.copy_(torch.randn(size, generator=generator))
            precision = prior + strength.square() / _NOISE**2  # [D]
            gain = decoder.weight.mT / _NOISE**2 / precision.unsqueeze(1)  # [D, X]
            log_scale = -0.5 * precision.log()
            head.network.weight.copy_(torch.cat([gain, torch.zeros_like(gain)]))
            head.network.bias.copy_(torch.cat([-gain @ decoder.bias, head.raw_of(log_scale)]))
    return model


def _decoder(model: MultimodalVAE, name: str) -> nn.Linear:
    (layer,) = cast(nn.Sequential, model.decoders[name])
    return cast(nn.Linear, layer)


def sample_pairs(model: MultimodalVAE, count: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Draw pairs from a linear-Gaussian model, by modality [N, X]."""
    z = torch.randn(count, _LATENT, generator=generator)
    with torch.no_grad():
        means = model.decode(z)
    return {
        name: mean + _NOISE * torch.randn(mean.shape, generator=generator)
        for name, mean in means.items()
    }


def exact_log_likelihood(model: MultimodalVAE, inputs: dict[str, Tensor]) -> Tensor:
    """Return log p of the modalities given, jointly, in nats [N], float64."""
    weights = torch.cat([_decoder(model, name).weight for name in inputs]).detach().double()
    mean = torch.cat([_decoder(model, name).bias for name in inputs]).detach().double()
    covariance = weights @ weights.mT + _NOISE**2 * torch.eye(len(weights)).double()
    factor = torch.linalg.cholesky(covariance)
    centred = torch.cat(list(inputs.values()), 1).double() - mean  # [N, X of all]
    white = torch.linalg.solve_triangular(factor, centred.mT, upper=False)
    constant = factor.diagonal().log().sum() + 0.5 * len(factor) * math.log(2 * math.pi)
    return -0.5 * white.square().sum(0) - constant


def linear_gaussian_errors() -> dict[str, float]:
    """Return the largest error of estimates of log p(x, y) over 200 pairs, in nats, by estimate.

    The ELBO of mvae is exact but for the noise of one latent's likelihood, which its mean over many
    takes away; the importance-weighted estimates of mvae are exact with any number of latents.
    """
    generator = torch.Generator().manual_seed(0)
    errors = {}
    for backbone in ("mvae", "mmvae"):
        model = linear_model(backbone, generator)
        pairs = sample_pairs(model, _PAIRS, generator)
        exact = exact_log_likelihood(model, pairs)
        with torch.no_grad():
            estimate = model.iwae(pairs, generator, _SAMPLES)
        errors[f"iwae of {backbone}"] = (estimate - exact).abs().max().item()
    return errors
