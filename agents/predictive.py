"""Contrastive predictive coding on explorations of grid worlds.

Axes: ``B`` explorations, ``L`` states of a exploration, ``V`` cells along a side of a view.

Source: van den Oord, Li & Vinyals 2018, arXiv:1807.03748.
"""

from typing import Any

import torch
from torch import Tensor

from langrl.data.grid.exploration import ExplorationReplay
from langrl.models.cpc import CPC, Negatives
from langrl.training.optim import Optimiser

_WARMUP = 0.03  # of all steps
_LARGEST_NORM = 1.0  # of the gradient


class PredictiveLearner:
    """Trains a model of contrastive predictive coding on the beginnings of explorations.

    Args:
        model: what is trained, told actions or not.
        replay: explorations.
        explorations: B.
        anchors, negatives: see ``CPC.contrast``.
        steps: the last step, at which the learning rate reaches 0.
        learning_rate: Adam's highest.
        generator: the only source of randomness, on the device of the weights.
    """

    def __init__(
        self,
        model: CPC,
        replay: ExplorationReplay,
        generator: torch.Generator,
        *,
        explorations: int,
        anchors: int,
        negatives: Negatives,
        steps: int,
        learning_rate: float,
    ) -> None:
        self.model, self.replay, self.generator = model, replay, generator
        self.explorations, self.anchors, self.negatives = explorations, anchors, negatives
        self.optimiser = Optimiser(
            dict(model.named_parameters()),
            learning_rate,
            steps,
            generator,
            warmup=max(1, round(_WARMUP * steps)),
            clip=_LARGEST_NORM,
        )

    @property
    def step(self) -> int:
        """How many gradient steps have been taken."""
        return self.optimiser.step

    def batch(self) -> dict[str, Tensor]:
        """Return views [B, L, V, V, 3], the actions before them [B, L], and a mask [B, L]."""
        drawn = self.replay.sample(self.explorations, 1, self.generator)
        return {name: drawn[name] for name in ("view", "before", "mask")}

    def update(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Take one step of Adam; see ``Learner.update``."""
        return self.optimiser.update(batch, lambda: self._loss(batch))

    def _loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        return self.model.loss(
            batch["view"],
            batch["before"] if self.model.actions else None,
            batch["mask"],
            negatives=self.negatives,
            anchors=self.anchors,
            generator=self.generator,
        )

    def state(self) -> dict[str, dict[str, Any]]:
        """Return weights, Adam's moments, the step and the generator, as tensors."""
        return self.optimiser.state()

    def load_state(self, state: dict[str, dict[str, Any]]) -> None:
        """Take up what ``state`` returned, in place."""
        self.optimiser.load_state(state)
