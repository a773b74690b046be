"""Multimodal variational autoencoders: one latent for observations of two or more modalities.

``p(z) = N(0, I)``, every modality is independent of the others given z, and a backbone (see
``vae.backbones``) infers z from the modalities that are given. Likelihoods are estimated by
importance weighting with the backbone's posterior as the proposal.

Axes: ``N`` left and ``M`` right observations, ``P`` pairs of them, ``K`` samples of a latent,
``E`` experts of a posterior, ``X`` numbers in an observation, ``D`` in a latent.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from langrl.errors import ConfigError, DomainError, ShapeError, lookup
from langrl.functional.generative import (
    Gaussian,
    importance_weighted,
    log_mixture,
    log_standard_normal,
    pointwise_information,
    prior_kl,
    stratified_sample,
)
from langrl.functional.likelihoods import LIKELIHOODS, check_observations
from langrl.models.multimodal_batch import MultimodalBatch
from langrl.models.protocols import in_dtype_of
from langrl.models.vae.backbones import BACKBONES, Backbone
from langrl.models.vae.config import ModalityConfig, VaeConfig
from langrl.models.vae.towers import build_decoder, build_encoder
from langrl.training.seeding import seeded

Observations = Mapping[str, Tensor]
_AT_ONCE = 1 << 14  # samples decoded at once in evaluation, to stay in a CPU's cache


class MultimodalVAE(nn.Module):
    """A latent, a decoder for each modality, and a backbone that infers the latent.

    Args:
        config: modalities, backbone and sizes.

    Raises:
        ConfigError: if there are fewer than two modalities, two of one name, or a setting that has
            no effect.
        UnknownNameError: if there is no such backbone or likelihood.
    """

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        _check_config(config)
        self.config = config
        self.names = tuple(modality.name for modality in config.modalities)
        self.likelihoods = {m.name: LIKELIHOODS[m.likelihood] for m in config.modalities}
        self._sizes = {m.name: m.size for m in config.modalities}
        width, depth = config.width, config.depth
        encoders = {m.name: build_encoder(m, width, depth) for m in config.modalities}
        # the hidden layers; the output layers are the backbone's
        self.encoders = nn.ModuleDict({name: hidden for name, (hidden, _) in encoders.items()})
        self.decoders = nn.ModuleDict(
            {m.name: build_decoder(m, config.latent, width, depth) for m in config.modalities}
        )
        self.log_scales = nn.ParameterDict(
            {
                m.name: nn.Parameter(torch.tensor(m.scale or 1.0).log(), m.scale is None)
                for m in config.modalities
                if self.likelihoods[m.name].has_scale
            }
        )
        features = {name: size for name, (_, size) in encoders.items()}
        self.backbone: Backbone = BACKBONES[config.backbone](self.names, features, config)

    # -- inference -------------------------------------------------------------------------

    def encode(self, inputs: Observations) -> MultimodalBatch:
        """Return observations with their features, after checking every number.

        Raises:
            DomainError: if no modality is given, or a number is outside its likelihood's range.
            UnknownNameError: if there is no such modality.
            ShapeError: if a shape or dtype does not fit, or modalities have different numbers N.
            NonFiniteError: if a number is NaN or infinite.
        """
        if not inputs:
            raise DomainError(f"no modality is given; give one or more of {', '.join(self.names)}")
        for name, value in inputs.items():
            size = lookup(self._sizes, name, "modality")
            check_observations(value, self.likelihoods[name], size, name)
        counts = {name: len(value) for name, value in inputs.items()}
        if len(set(counts.values())) > 1:
            raise ShapeError(f"modalities differ in their number: {counts}; give whole pairs")
        return self.features_of(inputs)

    def features_of(self, inputs: Observations) -> MultimodalBatch:
        """Return what ``encode`` does, unchecked."""
        present = {name: in_dtype_of(self, inputs[name]) for name in self.names if name in inputs}
        return MultimodalBatch(
            present, {name: self.encoders[name](x) for name, x in present.items()}
        )

    def posterior(self, inputs: Observations) -> Gaussian:
        """Return q(z | the modalities given), a uniform mixture of Gaussians.

        Inputs are by modality [N, X], any that the backbone takes, at least one.

        Returns:
            Means and log-scales [E, N, D]; E = 1 for mvae and jmvae, for mmvae the number of
            modalities given.

        Errors as ``encode``; DomainError also if the backbone has no encoder of this subset.
        """
        posterior: Gaussian = self.backbone(self.encode(inputs).features)
        return posterior

    # -- generation ------------------------------------------------------------------------

    def decode(self, z: Tensor) -> dict[str, Tensor]:
        """Return what is expected of each modality at latents [..., D]: means [..., X].

        Of a categorical modality these are shares of tokens, which sum to 1.
        """
        return {n: self.likelihoods[n].mean(self.decoders[n](z)) for n in self.names}

    @torch.no_grad()
    def generate(
        self, given: Observations, generator: torch.Generator, samples: int = 1
    ) -> dict[str, Tensor]:
        """Draw latents and decode every modality, those given included.

        From K samples for each of N observations, given by modality [N, X], to means by modality
        [K, N, X]. With none given, N = 1 and latents are drawn from the prior. Errors as
        ``posterior``.
        """
        if given:
            mean, log_scale = self.posterior(given)
        else:
            mean = next(self.parameters()).new_zeros(1, 1, self.config.latent)
            log_scale = mean
        # Each sample is of an expert of its own choice: a draw from the mixture.
        shape = (samples, mean.shape[1])
        experts = torch.randint(len(mean), shape, generator=generator, device=mean.device)
        rows = torch.arange(mean.shape[1])
        chosen = mean[experts, rows], log_scale[experts, rows]  # [K, N, D] each
        return self.decode(stratified_sample(*chosen, samples, generator))

    # -- likelihoods -----------------------------------------------------------------------

    def log_likelihood(self, inputs: Observations, z: Tensor) -> Tensor:
        """Return log p(the modalities given | z) of latents [K, N, D], in nats [K, N]."""
        total = z.new_zeros(z.shape[:-1])
        for name, x in inputs.items():
            scale = self.log_scales[name] if name in self.log_scales else total.new_zeros(())
            total = total + self.likelihoods[name].log_density(x, self.decoders[name](z), scale)
        return total

    def log_likelihood_matrix(self, inputs: Observations, z: Tensor) -> Tensor:
        """Return log p(observation m | z_n) of inputs [M, X] and latents [N, D], in nats [N, M]."""
        total = z.new_zeros(())
        for name, x in inputs.items():
            scale = self.log_scales[name] if name in self.log_scales else z.new_zeros(())
            total = total + self.likelihoods[name].matrix(x, self.decoders[name](z), scale)
        return total

    def elbo(self, inputs: Observations, generator: torch.Generator, samples: int = 1) -> Tensor:
        """Return the evidence lower bound of the modalities given, in nats [N].

        Inputs are by modality [N, X], with K samples each; see ``stratified_sample``. Errors as
        ``posterior``.
        """
        return elbo(self, self.encode(inputs), generator, samples)

    def iwae(self, inputs: Observations, generator: torch.Generator, samples: int = 16) -> Tensor:
        """Return the importance-weighted bound of the modalities given, in nats [N].

        It rises to log p(inputs) with the number of samples. Arguments and errors: as ``elbo``.
        """
        return iwae(self, self.encode(inputs), generator, samples)

    @torch.no_grad()
    def log_marginal(
        self, inputs: Observations, generator: torch.Generator, samples: int = 64
    ) -> Tensor:
        """Estimate log p(inputs) by importance weighting, in nats [N], piece by piece.

        Inputs are of one modality [N, X], or of several that belong together, with K samples each.
        Errors as ``posterior``.
        """
        encoded = self.encode(inputs)
        pieces = torch.arange(len(encoded)).split(max(1, _AT_ONCE // samples))
        return torch.cat([iwae(self, encoded.take(p), generator, samples) for p in pieces])

    @torch.no_grad()
    def log_joint(
        self,
        left: Observations,
        right: Observations,
        generator: torch.Generator,
        samples: int = 64,
    ) -> Tensor:
        """Estimate log p(left_n, right_m) of every left with every right, in nats [N, M].

        Left is by modality [N, X], right by other modalities [M, X], with K samples for each pair.
        Errors as ``posterior``; DomainError also if a modality is on both sides.
        """
        if twice := sorted(set(left) & set(right)):
            raise DomainError(f"{twice[0]} is left and right; give each modality once")
        rows, columns = self.encode(left), self.encode(right)
        every = torch.cartesian_prod(torch.arange(len(rows)), torch.arange(len(columns)))
        pieces = [
            iwae(self, rows.take(pairs[:, 0]).beside(columns.take(pairs[:, 1])), generator, samples)
            for pairs in every.split(max(1, _AT_ONCE // samples))
        ]
        return torch.cat(pieces).unflatten(0, (len(rows), len(columns)))

    def pmi(
        self,
        left: Observations,
        right: Observations,
        generator: torch.Generator,
        samples: int = 64,
    ) -> Tensor:
        """Estimate the pointwise mutual information of every left with every right [N, M].

        log p(x, y) - log p(x) - log p(y), in nats; arguments and errors: as ``log_joint``.

        Source: Shi et al. 2021, arXiv:2007.01179, section 4.
        """
        joint = self.log_joint(left, right, generator, samples)
        sides = [self.log_marginal(side, generator, samples) for side in (left, right)]
        return pointwise_information(joint, *sides)


def build_vae(config: VaeConfig, seed: int) -> MultimodalVAE:
    """Return a model initialised from a seed; raises as ``MultimodalVAE``."""
    with seeded(seed):
        return MultimodalVAE(config)


def _check_config(config: VaeConfig) -> None:
    lookup(BACKBONES, config.backbone, "backbone")
    names = [modality.name for modality in config.modalities]
    if len(names) < 2:
        raise ConfigError(
            f"modalities: {', '.join(names) or 'none'} given; a multimodal model needs two or more"
        )
    if repeated := [name for name in names if names.count(name) > 1]:
        raise ConfigError(f"modalities: {repeated[0]!r} is there twice; give each its own name")
    for modality in config.modalities:
        likelihood = lookup(LIKELIHOODS, modality.likelihood, "likelihood")
        if modality.scale is not None and not likelihood.has_scale:
            raise ConfigError(
                f"modalities: {modality.name}.scale has no effect on {modality.likelihood};"
                " leave it out"
            )
        default = ModalityConfig.model_fields["channels"].default
        if modality.image is None and modality.channels != default:
            raise ConfigError(
                f"modalities: {modality.name}.channels has no effect without image; leave it out"
            )
    default = VaeConfig.model_fields["kl_weight"].default
    if config.backbone != "jmvae" and config.kl_weight != default:
        raise ConfigError(f"kl_weight has no effect on {config.backbone}; leave it out")


# -- bounds --------------------------------------------------------------------------------


def elbo(
    model: MultimodalVAE, encoded: MultimodalBatch, generator: torch.Generator, samples: int
) -> Tensor:
    """Return the ELBO of encoded observations [N]; the KL is exact where q is one Gaussian."""
    mean, log_scale = model.backbone(encoded.features)
    z = stratified_sample(mean, log_scale, samples, generator)  # [K, N, D]
    likelihood = model.log_likelihood(encoded.inputs, z)
    if len(mean) == 1:
        return likelihood.mean(0) - prior_kl((mean[0], log_scale[0]))
    return (likelihood + log_standard_normal(z) - log_mixture(z, mean, log_scale)).mean(0)


def iwae(
    model: MultimodalVAE, encoded: MultimodalBatch, generator: torch.Generator, samples: int
) -> Tensor:
    """Return the importance-weighted bound of encoded observations [N].

    For a mixture, the samples are stratified and weighed by the density of the whole mixture.
    """
    return importance_weighted(_log_weights(model, encoded, generator, samples).flatten(0, 1))


def _log_weights(
    model: MultimodalVAE,
    encoded: MultimodalBatch,
    generator: torch.Generator,
    samples: int,
    doubly: bool = False,
) -> Tensor:
    """Return log p(x, z) - log q(z) of samples of each expert [E, K / E, N].

    ``doubly``: with the gradients of ``dreg_by_expert`` in an importance-weighted bound.
    """
    mean, log_scale = model.backbone(encoded.features)
    z = stratified_sample(mean, log_scale, samples, generator)  # [K, N, D]
    density = (mean.detach(), log_scale.detach()) if doubly else (mean, log_scale)
    proposed = log_mixture(z, *density)
    weights = model.log_likelihood(encoded.inputs, z) + log_standard_normal(z) - proposed
    by_expert = weights.unflatten(0, (len(mean), -1))
    if doubly and z.requires_grad:
        share = by_expert.detach().softmax(1).flatten(0, 1).unsqueeze(-1)
        z.register_hook(lambda gradient: share * gradient)  # weighed once more, hence doubly
    return by_expert


def iwae_by_expert(
    model: MultimodalVAE, encoded: MultimodalBatch, generator: torch.Generator, samples: int
) -> Tensor:
    """Return the mean over experts of an importance-weighted bound of each [N], for training.

    Looser than ``iwae``, the same for one expert. In one sum over all experts' samples those of
    the expert that does best decide, and the others stop learning.

    Source: Shi et al. 2019, arXiv:1911.03393, eq. 3.
    """
    weights = _log_weights(model, encoded, generator, samples)
    return importance_weighted(weights.movedim(1, 0)).mean(0)


def dreg_by_expert(
    model: MultimodalVAE, encoded: MultimodalBatch, generator: torch.Generator, samples: int
) -> Tensor:
    """Return ``iwae_by_expert`` [N], with doubly reparameterised gradients of the encoders.

    The gradient of the importance-weighted bound in the encoders grows noisier with K, as the one
    of the density that it draws from has mean 0 and is nothing but noise: it is left out here. Of
    a mixture, where each expert draws for itself, that holds for all experts together alone.

    Source: Tucker et al. 2019, arXiv:1810.04152.
    """
    weights = _log_weights(model, encoded, generator, samples, doubly=True)
    return importance_weighted(weights.movedim(1, 0)).mean(0)


Bound = Callable[[MultimodalVAE, MultimodalBatch, torch.Generator, int], Tensor]
BOUNDS: dict[str, Bound] = {"elbo": elbo, "iwae": iwae_by_expert, "dreg": dreg_by_expert}


def added_terms(
    model: MultimodalVAE,
    encoded: MultimodalBatch,
    generator: torch.Generator,
    samples: int,
    bound: Bound,
) -> Tensor:
    """Return what the backbone is trained on beside the bound of all modalities [N]."""

    def alone(name: str) -> Tensor:
        return bound(model, encoded.only(name), generator, samples)

    posterior = model.backbone(encoded.features)
    return model.backbone.added(encoded.features, posterior, alone)
