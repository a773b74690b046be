"""Training of multimodal variational autoencoders, with or without contrasting pairs.

Axes: ``B`` related pairs in a batch, ``J`` unrelated partners of each, ``P`` pairs that are scored.

Source: Shi et al. 2021, arXiv:2007.01179.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import Field
from torch import Generator, Tensor

from langrl.errors import DomainError, lookup
from langrl.functional.generative import importance_weighted, relating
from langrl.models.multimodal_batch import MultimodalBatch
from langrl.models.protocols import device_of
from langrl.models.vae.model import BOUNDS, MultimodalVAE, added_terms
from langrl.models.vae.pairs import pair_log_weights
from langrl.settings import Settings
from langrl.training.learner import GradientLearner, Policy
from langrl.training.optim import Batch, Optimiser, cosine_schedule

_LARGEST_NORM = 100.0  # of the gradient: only a safeguard, losses are sums over pixels


class RelatingConfig(Settings):
    """How a multimodal variational autoencoder is trained."""

    contrast: bool = Field(True, description="contrast related with unrelated pairs")
    objective: str = Field(
        "iwae",
        description="bound on log-likelihoods: elbo, iwae, or dreg, which is iwae with doubly"
        " reparameterised gradients",
    )
    samples: int = Field(4, ge=1, le=4096, description="latents of each pair (K)")
    gamma: float = Field(2.0, ge=1, le=1e6, description="weight of the likelihood of related pairs")
    negatives: int | None = Field(
        None, ge=1, le=4096, description="unrelated partners of each side (J); the whole batch's"
    )
    proposal: Literal["experts", "posterior"] = Field(
        "experts", description="latents of the contrast: of each modality alone, or of every pair"
    )
    with_positive: bool = Field(False, description="related pairs are terms of the sums, too")
    both_ways: bool = Field(
        True, description="contrast with others of each side; without it, of the right side only"
    )
    hardest: int | None = Field(
        None, ge=1, le=4096, description="of the unrelated partners, so many of the likeliest count"
    )
    warm_up: float = Field(
        0.0, ge=0, lt=1, description="share of the steps before the contrast begins"
    )
    steps: int = Field(600, ge=1, le=10_000_000, description="gradient steps")
    batch_size: int = Field(128, ge=2, le=100_000, description="related pairs in a batch (B)")
    learning_rate: float = Field(3e-3, gt=0, le=1, description="Adam's, falling to 0 by a cosine")
    weight_decay: float = Field(0.0, ge=0, description="AdamW's, of matrices")


class _Epochs:
    """Draws related observations by modality [N, X]: every pair once an epoch."""

    def __init__(self, data: Mapping[str, Tensor], size: int, generator: Generator) -> None:
        self._data, self._generator = dict(data), generator
        self._count = len(next(iter(self._data.values())))
        self._size = min(size, self._count)
        self._queue = torch.empty(0, dtype=torch.long)

    def draw(self, policy: Policy) -> Batch:
        """Return the next related observations by modality [B, X]."""
        if len(self._queue) < self._size:
            self._queue = torch.randperm(
                self._count, generator=self._generator, device=self._generator.device
            )
        rows, self._queue = self._queue[: self._size], self._queue[self._size :]
        return {name: value[rows.to(value.device)] for name, value in self._data.items()}

    def metrics(self) -> Mapping[str, float]:
        """Return nothing."""
        return {}

    def state(self) -> Batch:
        """Return the pairs of this epoch that have not been drawn yet."""
        return {"queue": self._queue}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore what ``state()`` returned."""
        self._queue = state["queue"].clone()


class RelatingLearner(GradientLearner):
    """Trains a multimodal variational autoencoder on related observations.

    Args:
        model: what is trained.
        data: related observations by modality [N, X], the same N of each; all modalities.
        config: how.
        generator: source of batches, latents and unrelated partners; where the model and the data
            are.

    Raises:
        As ``MultimodalVAE.encode``; DomainError also if a modality is missing or there are fewer
        than two pairs; UnknownNameError if there is no such objective.
    """

    def __init__(
        self,
        model: MultimodalVAE,
        data: Mapping[str, Tensor],
        config: RelatingConfig,
        generator: Generator,
    ) -> None:
        if missing := [name for name in model.names if name not in data]:
            raise DomainError(
                f"training needs every modality, and {missing[0]} is missing; give related"
                f" observations of {', '.join(model.names)}"
            )
        count = len(model.encode(data))
        if count < 2:
            raise DomainError(f"training needs two related pairs or more, got {count}; add pairs")
        self.model, self.config, self.generator = model, config, generator
        self.bound = lookup(BOUNDS, config.objective, "objective")
        weights, rate = dict(model.named_parameters()), config.learning_rate
        schedule, decay = cosine_schedule(config.steps), config.weight_decay
        optimiser = Optimiser(
            weights, rate, schedule, generator, clip=_LARGEST_NORM, weight_decay=decay
        )
        super().__init__(optimiser, _Epochs(data, config.batch_size, generator))

    def train(self) -> MultimodalVAE:
        """Take all the steps that are left and return the model."""
        while self.step < self.config.steps:
            self.update(self.batch())
        return self.model

    def loss(self, batch: Batch) -> tuple[Tensor, Batch]:
        """Return the loss of related observations by modality [B, X]."""
        config, model = self.config, self.model
        encoded = model.features_of(batch)
        own = self.bound(model, encoded, self.generator, config.samples).mean()
        added = added_terms(model, encoded, self.generator, config.samples, self.bound).mean()
        if not config.contrast or self.step < config.warm_up * config.steps:
            return -own - added, {"log_joint": own.detach()}
        losses: list[Tensor] = []
        found: dict[str, Tensor] = {}
        for name in model.names[:1] if len(model.names) == 2 else model.names:
            scores, related = self._log_joint(encoded, name)
            loss, found = relating(
                scores,
                gamma=1.0,
                related=related,
                with_positive=config.with_positive,
                both_ways=config.both_ways,
                hardest=config.hardest,
            )
            losses.append(loss)
        return torch.stack(losses).mean() - (config.gamma - 1) * (own + added), found

    def _log_joint(self, encoded: MultimodalBatch, name: str) -> tuple[Tensor, Tensor]:
        """Score one modality against the others: pairs [B, B], and bounds of related ones [B].

        Pairs are -inf beyond J partners.
        """
        left = encoded.only(name)
        right = encoded.only(*(other for other in self.model.names if other != name))
        count, samples = len(encoded), self.config.samples
        partners = min(self.config.negatives or count, count - 1)
        each = torch.arange(count, device=device_of(self.model))
        if self.config.proposal == "experts":
            weights = pair_log_weights(self.model, left, right, self.generator, samples)
            scores = importance_weighted(weights.flatten(0, 1))
            scores = scores.masked_fill((each - each.unsqueeze(1)) % count > partners, -torch.inf)
            # In one sum the best expert decides, and the others would not learn from it.
            related = weights.diagonal(dim1=2, dim2=3).transpose(0, 1)  # [K, E, B]
            return scores, importance_weighted(related).mean(0)
        # A pair (i, i + j) is a rival of both related pairs that it is taken from.
        shifts = torch.arange(partners + 1, device=each.device).unsqueeze(1)
        rows, columns = each.repeat(partners + 1), ((each + shifts) % count).flatten()  # [P]
        pairs = left.take(rows).beside(right.take(columns))
        scores = self.bound(self.model, pairs, self.generator, samples)
        matrix = scores.new_full((count, count), -torch.inf).index_put((rows, columns), scores)
        return matrix, matrix.diagonal()
