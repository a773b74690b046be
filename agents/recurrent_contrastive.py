"""Contrastive reinforcement learning for agents that see a part of the world.

Axes: ``B`` explorations, ``L`` states of an exploration, ``S`` state-actions of each, ``P`` of them
that are contrasted by their goals, ``A`` actions, ``D`` embedding size.

Source: Eysenbach et al. 2022, arXiv:2206.07568; histories by contrastive predictive coding, van den
Oord et al. 2018, arXiv:1807.03748, as an auxiliary loss.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from langrl.agents.config import RecurrentLearnerConfig
from langrl.envs.grid.rooms import DOOR
from langrl.functional.losses import symmetric_info_nce
from langrl.models.critics.recurrent import RecurrentCritic
from langrl.training.learner import Experience, GradientLearner
from langrl.training.optim import Batch, Optimiser, cosine_schedule


class RecurrentContrastiveLearner(GradientLearner):
    """Trains f(h, a, g) on explorations without language, and the histories h that it reads.

    Args:
        critic: f.
        experience: explorations; see ``ExplorationReplay.sample``.
        config: the optimiser's settings.
        generator: the only source of randomness, on the device of the weights.
        frozen: leave the histories' encoder and GRU as they are.
    """

    def __init__(
        self,
        critic: RecurrentCritic,
        experience: Experience,
        config: RecurrentLearnerConfig,
        generator: torch.Generator,
        frozen: bool = False,
    ) -> None:
        self.critic, self.config = critic, config
        self.generator, self.frozen = generator, frozen
        schedule = cosine_schedule(config.steps, config.warmup)
        optimiser = Optimiser(
            self._trained(), config.learning_rate, schedule, generator, clip=config.clip
        )
        stored, bounds = dict(critic.named_parameters()), (critic.scale.bound,)
        super().__init__(optimiser, experience, stored=stored, bounds=bounds)

    def _trained(self) -> dict[str, nn.Parameter]:
        """Return the parameters that learn, by name."""
        named = dict(self.critic.named_parameters())
        idle = ["history."] if self.frozen else []
        idle += [] if self.critic.memory else ["history.gru."]
        idle += [] if self.config.cpc_weight and self.critic.memory else ["history.ahead."]
        return {name: p for name, p in named.items() if not name.startswith(tuple(idle))}

    def loss(self, batch: Batch) -> tuple[Tensor, Batch]:
        """Return the losses of goals, of actions and of histories, weighted, together."""
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
            predicted, found = critic.history.contrast(
                codes, remembered, batch["mask"], anchors=config.anchors, generator=self.generator
            )
            loss = loss + config.cpc_weight * predicted
            metrics |= {"cpc_loss": predicted.detach(), "information_1": found["information_1"]}
        return loss, metrics | ranked | {"scale": critic.scale.log_scale.detach().exp()}

    def _remember(self, codes: Tensor, actions_before: Tensor) -> Tensor | None:
        """Return contexts [B, L, C] of codes, if the critic has a memory."""
        history = self.critic.history
        if not self.critic.memory:
            return None
        return history.contexts(codes, actions_before if history.actions else None)[0]

    def _contrast(self, every: Tensor, goals: Tensor, taken: Tensor) -> tuple[Tensor, Batch]:
        """Return symmetric InfoNCE of ``pairs`` state-actions and goals, drawn from all of them."""
        count = min(self.config.pairs, len(taken))
        order = torch.randperm(len(taken), generator=self.generator, device=taken.device)[:count]
        rows = every[order, taken[order]]  # [P, D]
        loss, metrics = symmetric_info_nce(self.critic.score(rows, goals[order]))
        return loss, {name: metrics[name] for name in ("accuracy_right", "accuracy_left")}

    def _rank(
        self, every: Tensor, goals: Tensor, taken: Tensor, is_object: Tensor
    ) -> tuple[Tensor, Batch]:
        """Return the cross-entropy of the actions that were taken, given the goals.

        Goals that are objects only: nobody is sent to face a wall.
        """
        scores = self.critic.score(every, goals.unsqueeze(1)).squeeze(-1)[is_object]  # [any, A]
        taken = taken[is_object]
        if not len(taken):
            return scores.sum(), {}
        loss = functional.cross_entropy(scores, taken)
        accuracy = (scores.argmax(1) == taken).float().mean()
        return loss, {"accuracy_action": accuracy, "action_loss": loss.detach()}
