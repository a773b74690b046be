"""Contrastive predictive coding on explorations of grid worlds.

Source: van den Oord, Li & Vinyals 2018, arXiv:1807.03748.
"""

from torch import Generator, Tensor

from langrl.models.cpc import CPC, Negatives
from langrl.training.learner import Experience, GradientLearner
from langrl.training.optim import Batch, Optimiser, cosine_schedule

_WARMUP = 0.03  # of all steps
_LARGEST_NORM = 1.0  # of the gradient


class PredictiveLearner(GradientLearner):
    """Trains a model of contrastive predictive coding on the beginnings of explorations.

    Args:
        model: what is trained, with or without actions as inputs.
        experience: explorations; see ``ExplorationReplay.sample``.
        anchors, negatives: see ``CPC.contrast``.
        steps: the last step, at which the learning rate reaches 0.
        learning_rate: Adam's highest.
        generator: the only source of randomness, on the device of the weights.
    """

    def __init__(
        self,
        model: CPC,
        experience: Experience,
        generator: Generator,
        *,
        anchors: int,
        negatives: Negatives,
        steps: int,
        learning_rate: float,
    ) -> None:
        self.model, self.generator = model, generator
        self.anchors, self.negatives = anchors, negatives
        weights = dict(model.named_parameters())
        schedule = cosine_schedule(steps, warmup=max(1, round(_WARMUP * steps)))
        optimiser = Optimiser(weights, learning_rate, schedule, generator, clip=_LARGEST_NORM)
        super().__init__(optimiser, experience)

    def loss(self, batch: Batch) -> tuple[Tensor, Batch]:
        """Return the loss of the batch's views and of the actions before them."""
        return self.model.loss(
            batch["view"],
            batch["before"] if self.model.actions else None,
            batch["mask"],
            negatives=self.negatives,
            anchors=self.anchors,
            generator=self.generator,
        )
