"""Contrastive reinforcement learning for agents that see a part of the world.

Axes: ``B`` explorations, ``L`` states of a exploration, ``S`` state-actions of each, ``P`` of them
that are told apart by their goals, ``A`` actions, ``D`` embedding size.

Source: Eysenbach et al. 2022, arXiv:2206.07568; histories by contrastive predictive coding, van den
Oord et al. 2018, arXiv:1807.03748, as an auxiliary loss.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from langrl.agents.config import RecurrentLearnerConfig
from langrl.checkpoint import fill
from langrl.data.grid.exploration import ExplorationReplay
from langrl.envs.grid.rooms import DOOR
from langrl.functional.losses import symmetric_info_nce
from langrl.models.critics.recurrent import RecurrentCritic
from langrl.training.optim import Optimiser


class RecurrentContrastiveLearner:
    """Trains f(h, a, g) on explorations without language, and the histories h that it is told.

    Args:
        critic: f.
        replay: explorations.
        config: the optimiser's settings.
        generator: the only source of randomness, on the device of the weights.
        frozen: leave the histories' encoder and GRU as they are.
    """

    def __init__(
        self,
        critic: RecurrentCritic,
        replay: ExplorationReplay,
        config: RecurrentLearnerConfig,
        generator: torch.Generator,
        frozen: bool = False,
    ) -> None:
        self.critic, self.replay, self.config = critic, replay, config
        self.generator, self.frozen = generator, frozen
        self.optimiser = Optimiser(
            self._trained(), config.learning_rate, config.steps, generator,
            warmup=config.warmup, clip=config.clip,
        )  # fmt: skip

    def _trained(self) -> dict[str, nn.Parameter]:
        """Return the parameters that learn, by name."""
        named = dict(self.critic.named_parameters())
        idle = ["history."] if self.frozen else []
        idle += [] if self.critic.memory else ["history.gru."]
        idle += [] if self.config.cpc_weight and self.critic.memory else ["history.ahead."]
        return {name: p for name, p in named.items() if not name.startswith(tuple(idle))}

    @property
    def step(self) -> int:
        """How many gradient steps have been taken."""
        return self.optimiser.step

    def batch(self) -> dict[str, Tensor]:
        """Draw state-actions with their futures; see ``ExplorationReplay.sample``."""
        config = self.config
        return self.replay.sample(config.explorations, config.states, self.generator)

    def update(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Take one step of Adam; see ``Learner.update``."""
        metrics = self.optimiser.update(batch, lambda: self._loss(batch))
        self.critic.scale.bound()
        return metrics

    def _loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        critic, config = self.critic, self.config
        with torch.set_grad_enabled(not self.frozen):
            codes = critic.history.encode(batch["view"])  # [B, L, D]
            remembered = self._remember(codes, batch["before"])
            histories = critic.contexts(batch["view"], codes, remembered)  # [B, L, any]
        state = batch["state"].unsqueeze(-1).expand(-1, -1, histories.shape[-1])
        every = critic.embed_contexts(histories.gather(1, state)).flatten(0, 1)  # [B * S, A, D]
        cells, taken = batch["goal"].flatten(0, 1), batch["action"].flatten()
        goals = critic.encode_goals(cells)  # [B * S, D]
        loss, metrics = self._contrast(every, goals, taken)
        action_loss, ranked = self._rank(every, goals, taken, cells[:, 0] >= DOOR)
        loss = loss + config.action_weight * action_loss
        if remembered is not None and config.cpc_weight and not self.frozen:
            predicted, told = critic.history.contrast(
                codes, remembered, batch["mask"], anchors=config.anchors, generator=self.generator
            )
            loss = loss + config.cpc_weight * predicted
            metrics |= {"cpc_loss": predicted.detach(), "information_1": told["information_1"]}
        return loss, metrics | ranked | {"scale": critic.scale.log_scale.detach().exp()}

    def _remember(self, codes: Tensor, actions_before: Tensor) -> Tensor | None:
        """Return contexts [B, L, C] of codes, if the critic has a memory."""
        history = self.critic.history
        if not self.critic.memory:
            return None
        return history.contexts(codes, actions_before if history.actions else None)[0]

    def _contrast(
        self, every: Tensor, goals: Tensor, taken: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return symmetric InfoNCE of ``pairs`` state-actions and goals, drawn from all of them."""
        count = min(self.config.pairs, len(taken))
        order = torch.randperm(len(taken), generator=self.generator, device=taken.device)[:count]
        rows = every[order, taken[order]]  # [P, D]
        loss, metrics = symmetric_info_nce(self.critic.score(rows, goals[order]))
        return loss, {name: metrics[name] for name in ("accuracy_right", "accuracy_left")}

    def _rank(
        self, every: Tensor, goals: Tensor, taken: Tensor, is_object: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return how far the action that was taken is from being told from the others.

        Goals that are objects only: nobody is sent to face a wall.
        """
        scores = self.critic.score(every, goals.unsqueeze(1)).squeeze(-1)[is_object]  # [any, A]
        taken = taken[is_object]
        if not len(taken):
            return scores.sum(), {}
        loss = functional.cross_entropy(scores, taken)
        accuracy = (scores.argmax(1) == taken).float().mean()
        return loss, {"accuracy_action": accuracy, "action_loss": loss.detach()}

    def state(self) -> dict[str, dict[str, Any]]:
        """Return weights, Adam's moments, the step and the generator, as tensors."""
        state = self.optimiser.state()
        return state | {"weights": dict(self.critic.named_parameters())}

    def load_state(self, state: dict[str, dict[str, Any]]) -> None:
        """Take up what ``state`` returned, in place."""
        fill(dict(self.critic.named_parameters()), state["weights"])
        trained = {name: state["weights"][name] for name in self.optimiser.parameters}
        self.optimiser.load_state({**state, "weights": trained})
