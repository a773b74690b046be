"""Contrastive reinforcement learning in grid worlds, with negatives from the same room.

Axes: ``B`` rooms, ``S`` state-actions of a room, ``A`` actions, ``D`` embedding size.

Source: Eysenbach et al. 2022, arXiv:2206.07568.
"""

import torch
from torch import Generator, Tensor

from langrl.agents.config import GridLearnerConfig
from langrl.functional.losses import ranking_info_nce
from langrl.models.critics.grid import GridCritic
from langrl.training.learner import Experience, GradientLearner
from langrl.training.optim import Batch, Optimiser, cosine_schedule


class GridContrastiveLearner(GradientLearner):
    """Trains f(s, a, g) on trajectories without language.

    Args:
        critic: f.
        experience: state-actions with futures of each room; see ``GridReplay.sample``.
        config: the optimiser's settings.
        generator: the only source of randomness, on the device of the weights.
    """

    def __init__(
        self,
        critic: GridCritic,
        experience: Experience,
        config: GridLearnerConfig,
        generator: Generator,
    ) -> None:
        self.critic, self.config = critic, config
        weights = dict(critic.named_parameters())
        schedule = cosine_schedule(config.steps, config.warmup)
        optimiser = Optimiser(weights, config.learning_rate, schedule, generator, clip=config.clip)
        super().__init__(optimiser, experience, bounds=(critic.scale.bound,))

    def loss(self, batch: Batch) -> tuple[Tensor, Batch]:
        """Return the loss of telling goals of a room apart, and the weighted one of actions."""
        critic, config = self.critic, self.config
        features = critic.room(batch["room"])
        every = critic.embed_poses(features, batch["pose"])  # [B, S, A, D]
        goals = critic.goal(features, batch["goal"])  # [B, S, D]
        taken = batch["action"].unsqueeze(-1)  # [B, S, 1]
        rows = every.take_along_dim(taken.unsqueeze(-1), 2).squeeze(2)  # [B, S, D]
        logits = critic.score(rows, goals)  # [B, S, S]: other rooms are told apart by their walls
        loss, metrics = _within_rooms(logits)
        actions = critic.score(every, goals.unsqueeze(2)).squeeze(-1)  # [B, S, A]
        right = torch.zeros_like(actions, dtype=torch.bool).scatter_(2, taken, True)
        positive = actions[right]  # [B * S]
        negatives = actions[~right].view(len(positive), -1)
        action_loss, ranked = ranking_info_nce(positive, negatives)
        metrics |= {"accuracy_action": ranked["accuracy"], "action_loss": action_loss.detach()}
        metrics["scale"] = critic.scale.log_scale.detach().exp()
        return loss + config.action_weight * action_loss, metrics


def _within_rooms(logits: Tensor) -> tuple[Tensor, Batch]:
    """Return symmetric InfoNCE of logits [B, S, S], where each room is a batch of its own."""
    size = logits.shape[1]
    off = ~torch.eye(size, dtype=torch.bool, device=logits.device)
    positive = logits.diagonal(dim1=1, dim2=2).flatten()  # [B * S]
    loss, metrics = torch.zeros((), device=logits.device), {}
    for name, square in (("right", logits), ("left", logits.mT)):
        negatives = square[off.expand_as(square)].view(-1, size - 1)  # [B * S, S - 1]
        half, ranked = ranking_info_nce(positive, negatives)
        loss, metrics[f"accuracy_{name}"] = loss + 0.5 * half, ranked["accuracy"]
    return loss, metrics
