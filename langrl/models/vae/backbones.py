"""How a multimodal variational autoencoder infers its latent from the modalities that are given.

Each backbone maps features by modality [N, F] to a posterior, a uniform mixture of E diagonal
Gaussians [E, N, D], and adds terms of its own to the training bound.

Axes: ``E`` experts, ``N`` observations, ``F`` features, ``D`` numbers in a latent.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from langrl.errors import DomainError
from langrl.functional.generative import Gaussian, gaussian_kl, product_of_experts
from langrl.models.blocks import mlp
from langrl.models.vae.config import VaeConfig

Features = Mapping[str, Tensor]
BoundOf = Callable[[str], Tensor]
_WIDEST = 6.0  # bound of a log-scale's size; beyond it, float32 loses all digits


class _Head(nn.Module):
    """A diagonal Gaussian from features."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, features: Tensor) -> Gaussian:
        mean, raw = self.network(features).chunk(2, -1)  # [N, D] each
        return mean, _WIDEST * torch.tanh(raw / _WIDEST)  # smooth: a clamp would end gradients

    @staticmethod
    def raw_of(log_scale: Tensor) -> Tensor:
        """Return the output of the network that gives a log-scale."""
        return _WIDEST * torch.atanh(log_scale / _WIDEST)


def _experts(heads: nn.ModuleDict, features: Features) -> Gaussian:
    """Return the Gaussian of each modality that is given [E, N, D]."""
    means, scales = zip(*(heads[name](features[name]) for name in features), strict=True)
    return torch.stack(means), torch.stack(scales)


class _Experts(nn.Module):
    """An expert for each modality."""

    def __init__(
        self, names: Sequence[str], features: Mapping[str, int], config: VaeConfig
    ) -> None:
        super().__init__()
        self.heads = nn.ModuleDict(
            {name: _Head(nn.Linear(features[name], 2 * config.latent)) for name in names}
        )


class ProductOfExperts(_Experts):
    """MVAE: the product of the modalities' experts and of the prior.

    Trained on the ELBO of all modalities and on that of each alone, so that every expert is
    also a posterior by itself.

    Source: Wu & Goodman 2018, arXiv:1802.05335, section 2.2, eq. 4 without the random subsets.
    """

    def forward(self, features: Features) -> Gaussian:
        """Return the posterior [1, N, D] given some modalities."""
        mean, log_scale = product_of_experts(*_experts(self.heads, features))
        return mean.unsqueeze(0), log_scale.unsqueeze(0)

    def added(self, features: Features, posterior: Gaussian, bound_of: BoundOf) -> Tensor:
        """Return what the bound of all modalities is trained with [N]: that of each alone."""
        return torch.stack([bound_of(name) for name in features]).sum(0)


class MixtureOfExperts(_Experts):
    """MMVAE: a uniform mixture of the modalities' experts.

    Source: Shi et al. 2019, arXiv:1911.03393, section 3.
    """

    def forward(self, features: Features) -> Gaussian:
        """Return the posterior [E, N, D], an expert of each modality given."""
        return _experts(self.heads, features)

    def added(self, features: Features, posterior: Gaussian, bound_of: BoundOf) -> Tensor:
        """Return 0 [N]: the mixture is trained on the bound of all modalities alone."""
        return posterior[0].new_zeros(posterior[0].shape[1])


class JointEncoder(_Experts):
    """JMVAE: an encoder of all modalities together, and one of each alone that is tied to it.

    Source: Suzuki et al. 2016, arXiv:1611.01891, eq. 5, JMVAE-kl.
    """

    def __init__(
        self, names: Sequence[str], features: Mapping[str, int], config: VaeConfig
    ) -> None:
        super().__init__(names, features, config)
        self.names, self.kl_weight = tuple(names), config.kl_weight
        total = sum(features.values())
        self.joint = _Head(mlp(total, config.width, min(config.depth, 1), 2 * config.latent))

    def forward(self, features: Features) -> Gaussian:
        """Return the posterior [1, N, D] given all modalities or one; DomainError given others."""
        if len(features) == 1:
            return _experts(self.heads, features)
        if len(features) < len(self.names):
            raise DomainError(
                f"jmvae has an encoder of each modality and one of all {len(self.names)}, got"
                f" {', '.join(features)}; give one or all of them, or use mvae or mmvae"
            )
        mean, log_scale = self.joint(torch.cat([features[name] for name in self.names], -1))
        return mean.unsqueeze(0), log_scale.unsqueeze(0)

    def added(self, features: Features, posterior: Gaussian, bound_of: BoundOf) -> Tensor:
        """Return the weighted KLs from the joint posterior to each encoder's, negated [N]."""
        mean, log_scale = _experts(self.heads, features)  # [E, N, D]
        return -self.kl_weight * gaussian_kl(posterior, (mean, log_scale)).sum(0)


Backbone = ProductOfExperts | MixtureOfExperts | JointEncoder
BACKBONES: dict[str, Callable[[Sequence[str], Mapping[str, int], VaeConfig], Backbone]] = {
    "mvae": ProductOfExperts,
    "mmvae": MixtureOfExperts,
    "jmvae": JointEncoder,
}
