"""Contrastive predictive coding on tours of grid worlds.

Axes: ``B`` tours, ``L`` states of a tour, ``V`` cells along a side of a view.

Source: van den Oord, Li & Vinyals 2018, arXiv:1807.03748.
"""

from typing import Any

import torch
from torch import Tensor

from langrl.agents.descent import Descent
from langrl.data.grid_tours import TourReplay
from langrl.models.cpc import CPC, Negatives

_WARMUP = 0.03  # of all steps
_LARGEST_NORM = 1.0  # of the gradient


class PredictiveLearner:
    """Trains a model of contrastive predictive coding on the beginnings of tours.

    Args:
        model: what is trained, told actions or not.
        replay: tours.
        tours: B.
        anchors, negatives: see ``CPC.contrast``.
        steps: the last step, at which the learning rate reaches 0.
        learning_rate: Adam's highest.
        generator: the only source of randomness, on the device of the weights.
    """

    def __init__(
        self,
        model: CPC,
        replay: TourReplay,
        generator: torch.Generator,
        *,
        tours: int,
        anchors: int,
        negatives: Negatives,
        steps: int,
        learning_rate: float,
    ) -> None:
        self.model, self.replay, self.generator = model, replay, generator
        self.tours, self.anchors, self.negatives = tours, anchors, negatives
        self.descent = Descent(
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
        return self.descent.step

    def batch(self) -> dict[str, Tensor]:
        """Return views [B, L, V, V, 3], the actions before them [B, L], and a mask [B, L]."""
        drawn = self.replay.sample(self.tours, 1, self.generator)
        return {name: drawn[name] for name in ("view", "before", "mask")}

    def update(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Take one step of Adam; see ``Learner.update``."""
        return self.descent.descend(batch, lambda: self._loss(batch))

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
        return self.descent.state()

    def load_state(self, state: dict[str, dict[str, Any]]) -> None:
        """Take up what ``state`` returned, in place."""
        self.descent.load_state(state)
