"""Contrastive reinforcement learning in grid worlds, with negatives from the same room.

Axes: ``B`` rooms, ``S`` state-actions of a room, ``A`` actions, ``D`` embedding size.

Source: Eysenbach et al. 2022, arXiv:2206.07568.
"""

from typing import Any

import torch
from torch import Tensor

from langrl.agents.config import GridLearnerConfig
from langrl.data.grid.experts import GridReplay
from langrl.functional.losses import ranking_info_nce
from langrl.models.critics.grid import GridCritic
from langrl.training.optim import Optimiser


class GridContrastiveLearner:
    """Trains f(s, a, g) on trajectories without language.

    Args:
        critic: f.
        replay: trajectories.
        config: the optimiser's settings.
        generator: the only source of randomness, on the device of the weights.
    """

    def __init__(
        self,
        critic: GridCritic,
        replay: GridReplay,
        config: GridLearnerConfig,
        generator: torch.Generator,
    ) -> None:
        self.critic, self.replay, self.config = critic, replay, config
        self.generator = generator
        self.optimiser = Optimiser(
            dict(critic.named_parameters()),
            config.learning_rate,
            config.steps,
            generator,
            warmup=config.warmup,
            clip=config.clip,
        )

    @property
    def step(self) -> int:
        """How many gradient steps have been taken."""
        return self.optimiser.step

    def batch(self) -> dict[str, Tensor]:
        """Draw state-actions with their futures; see ``GridReplay.sample``."""
        config = self.config
        return self.replay.sample(config.rooms, config.states, self.generator)

    def update(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Take one step of Adam; see ``Learner.update``."""
        metrics = self.optimiser.update(batch, lambda: self._loss(batch))
        self.critic.scale.bound()
        return metrics

    def _loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
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

    def state(self) -> dict[str, dict[str, Any]]:
        """Return weights, Adam's moments, the step and the generator, as tensors."""
        return self.optimiser.state()

    def load_state(self, state: dict[str, dict[str, Any]]) -> None:
        """Take up what ``state`` returned, in place."""
        self.optimiser.load_state(state)


def _within_rooms(logits: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
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
