"""Behaviour cloning where a part of a level is seen: a policy that remembers views, given a text.

A baseline that is shown what langrl does without: the mission that each demonstration followed.

Axes: ``B`` demonstrations in a batch, ``L`` states of each, ``V`` cells along a side of a view,
``A`` actions, ``N`` episodes, ``D`` numbers in a text's embedding, ``C`` those remembered.
"""

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn

from langrl.agents.cloning import ClonedPolicy, cloning_loss
from langrl.agents.config import GridLearnerConfig
from langrl.agents.observations import read_observations
from langrl.models.config import GridCriticConfig
from langrl.models.protocols import device_of
from langrl.protocols import Array, Instructions, Integers, Mask, Observation
from langrl.training.learner import GradientLearner, OfflineReplay
from langrl.training.optim import Batch, Optimiser, cosine_schedule

_UP = 3  # the direction that agents look in their views


class HistoryPolicy(nn.Module):
    """Maps views and texts to logits of actions, by convolutions under the text and a GRU.

    Args:
        text: numbers in a text's embedding, D.
        actions: how many there are, A.
        config: sizes.
        states: how many values the third number of a cell has.
    """

    def __init__(self, text: int, actions: int, config: GridCriticConfig, states: int) -> None:
        super().__init__()
        self.read = ClonedPolicy(text, config.width, config, states)
        self.gru = nn.GRU(config.width + text, config.width, batch_first=True)
        self.act = nn.Linear(config.width, actions)

    def forward(
        self, views: Tensor, texts: Tensor, state: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Map views [B, L, V, V, 3], texts [B, D] and what is remembered [1, B, C].

        Returns:
            Logits [B, L, A], and what is remembered afterwards [1, B, C].
        """
        count, length, size = views.shape[:3]
        each = texts.unsqueeze(1).expand(-1, length, -1)  # [B, L, D]
        pose = torch.tensor([size - 1, size // 2, _UP], device=views.device)
        poses = pose.expand(count * length, 1, 3)
        seen = self.read(views.flatten(0, 1), each.flatten(0, 1), poses)  # [B * L, 1, C]
        seen = seen.view(count, length, -1).relu()
        found, after = self.gru(torch.cat([seen, each.to(seen)], -1), state)
        return self.act(found), after


class HistoryCloningLearner(GradientLearner):
    """Trains a ``HistoryPolicy`` to do what was demonstrated.

    Args:
        policy: what is trained.
        views: one demonstration after another uint8 [T, V, V, 3].
        actions: [T].
        first: index of each demonstration's first state, and T at the end.
        texts: an embedding for each.
        config: the optimiser's settings; ``rooms`` demonstrations in a batch, ``states`` of each.
        generator: the only source of randomness.
    """

    def __init__(
        self,
        policy: HistoryPolicy,
        views: Array,
        actions: Integers,
        first: Integers,
        texts: Tensor,
        config: GridLearnerConfig,
        generator: torch.Generator,
    ) -> None:
        self.policy, self.config, self.generator = policy, config, generator
        self._views, self._actions, self._first = map(torch.from_numpy, (views, actions, first))
        self._texts = texts
        weights = dict(policy.named_parameters())
        schedule = cosine_schedule(config.steps, config.warmup)
        optimiser = Optimiser(weights, config.learning_rate, schedule, generator, clip=config.clip)
        super().__init__(optimiser, OfflineReplay(self._sample))

    def _sample(self) -> Batch:
        """Draw demonstrations, from their beginning on."""
        count = len(self._first) - 1
        pick = torch.randint(count, (self.config.rooms,), generator=self.generator)
        first, last = self._first[pick, None], self._first[pick + 1, None]
        index = first + torch.arange(self.config.states)  # [B, L]
        mask, index = index < last, index.clamp(max=last - 1)
        return {
            "view": self._views[index],
            "action": self._actions[index],
            "mask": mask,
            "text": self._texts[pick],
        }

    def loss(self, batch: Batch) -> tuple[Tensor, Batch]:
        """Return the cross-entropy of the demonstrated actions."""
        mask = batch["mask"]
        logits, _ = self.policy(batch["view"], batch["text"])
        return cloning_loss(logits[mask], batch["action"][mask])


class HistoryCloningAgent:
    """Acts by a ``HistoryPolicy``.

    Args:
        policy: a trained policy.
        encode_text: embeds texts [K, D].
        temperature: of the softmax that actions are drawn from.
    """

    def __init__(
        self,
        policy: HistoryPolicy,
        encode_text: Callable[[Sequence[str]], Tensor],
        temperature: float,
    ) -> None:
        self.policy, self.temperature = policy.eval(), temperature
        self._embed = cache(lambda text: encode_text([text])[0])
        self._state: Tensor | None = None
        self.reset(np.random.default_rng(0))

    def reset(self, generator: np.random.Generator | None = None, mask: Mask | None = None) -> None:
        """Start new episodes, those of ``mask`` [N] or all; with a new source of randomness."""
        if mask is None:
            self._state = None
        self._forget(mask)
        if generator is not None:
            self._generator = torch.Generator().manual_seed(int(generator.integers(2**63)))

    def keep(self, mask: Mask) -> None:
        """Keep the episodes of the batch where ``mask`` [N] is True, and drop the others."""
        if self._state is not None:
            self._state = self._state[:, torch.from_numpy(mask)]

    def _forget(self, mask: Mask | None) -> None:
        if mask is not None and self._state is not None:
            self._state = self._state.clone()
            self._state[:, torch.from_numpy(mask)] = 0

    @torch.no_grad()
    def act(
        self,
        observations: Observation,
        instructions: Instructions = None,
        starts: Mask | None = None,
    ) -> Array:
        """Return an action, or N of them."""
        states, texts, single = read_observations(observations, instructions, 3)
        if self._state is not None and self._state.shape[1] != len(states):
            self._state = None
        self._forget(starts)
        device = device_of(self.policy)
        embedded = torch.stack([self._embed(text) for text in texts]).to(device)
        views = torch.from_numpy(states).unsqueeze(1).to(device)
        logits, self._state = self.policy(views, embedded, self._state)
        chances = (logits[:, 0] / self.temperature).softmax(1).cpu()  # where the generator is
        actions = torch.multinomial(chances, 1, generator=self._generator)[:, 0].numpy()
        return actions[0] if single else actions
