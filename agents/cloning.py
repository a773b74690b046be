"""Behaviour cloning in grid worlds: what learning from (state, action, text) triples gives.

A baseline that is shown what langrl does without: the instruction that each trajectory followed.

Axes: ``B`` trajectories in a batch, ``S`` states of each, ``A`` actions, ``N`` episodes, ``C``
channels, ``D`` numbers in a text's embedding.
"""

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from langrl.agents.config import GridLearnerConfig
from langrl.agents.observations import read_observations
from langrl.data.grid.experts import GridTrajectories
from langrl.envs.grid.grammar import COLOURS, TYPES
from langrl.envs.grid.rooms import read_observation
from langrl.models.config import GridCriticConfig
from langrl.models.critics.grid import PoseHead, coordinate_planes
from langrl.models.protocols import device_of, in_dtype_of
from langrl.protocols import Array, Instructions, Mask, Observation
from langrl.training.learner import GradientLearner, OfflineReplay
from langrl.training.optim import Batch, Optimiser, cosine_schedule

_TYPES, _COLOURS = 1 + max(TYPES.values()), len(COLOURS)


class ClonedPolicy(nn.Module):
    """Maps rooms, texts and poses to logits of actions.

    Convolutions see the kinds and colours of objects, and each layer is scaled and shifted by the
    text (FiLM, arXiv:1709.07871).

    Args:
        text: numbers in a text's embedding, D.
        actions: how many there are, A.
        config: sizes.
        states: how many values the third number of a cell has, if rooms have one.
    """

    def __init__(self, text: int, actions: int, config: GridCriticConfig, states: int = 0) -> None:
        super().__init__()
        self.states, channels = states, config.channels
        self.first = nn.Conv2d(_TYPES + _COLOURS + states + 2, channels, 3, padding=1)
        self.norms = nn.ModuleList(nn.GroupNorm(1, channels) for _ in range(config.depth))
        self.convolutions = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, padding=1) for _ in range(config.depth)
        )
        self.film = nn.Linear(text, 2 * channels * config.depth)
        self.head = PoseHead(channels, config.width, actions)

    def forward(self, rooms: Tensor, texts: Tensor, poses: Tensor) -> Tensor:
        """Map rooms [B, H, W, 2 or 3], texts [B, D] and poses [B, S, 3] to logits [B, S, A]."""
        return self.head(self.read(rooms, texts), poses)

    def read(self, rooms: Tensor, texts: Tensor) -> Tensor:
        """Return features of every cell [B, H, W, C], given the text."""
        kinds = functional.one_hot(rooms[..., 0].long(), _TYPES)
        colours = functional.one_hot(rooms[..., 1].long(), _COLOURS)
        where = torch.stack(coordinate_planes(rooms[..., 0]), -1)
        planes = [kinds, colours, where]
        if self.states:
            planes.append(functional.one_hot(rooms[..., 2].long(), self.states))
        stacked = torch.cat(planes, -1).permute(0, 3, 1, 2)
        features = self.first(in_dtype_of(self, stacked))  # [B, C, H, W]
        films = self.film(in_dtype_of(self, texts)).unflatten(1, (len(self.norms), 2, -1))
        films = films[..., None, None]
        for n, (norm, convolve) in enumerate(zip(self.norms, self.convolutions, strict=True)):
            scale, shift = films[:, n].unbind(1)  # [B, C, 1, 1]
            features = features + convolve(functional.silu(norm(features) * (1 + scale) + shift))
        return features.permute(0, 2, 3, 1)


def cloning_loss(logits: Tensor, actions: Tensor) -> tuple[Tensor, Batch]:
    """Return the cross-entropy of actions that were demonstrated.

    Args:
        logits: of a policy [P, A], for P states.
        actions: what was done there, integers [P].

    Returns:
        Scalar loss in nats; metrics: ``accuracy_action`` in [0, 1], how often the likeliest action
        is the one that was done.
    """
    loss = functional.cross_entropy(logits, actions)
    return loss, {"accuracy_action": (logits.argmax(1) == actions).float().mean()}


class CloningLearner(GradientLearner):
    """Trains a ``ClonedPolicy`` to do what the experts did.

    Args:
        policy: what is trained.
        trajectories: of one or several sizes of room; a batch comes from one of them.
        texts: for each of them, an embedding per trajectory [E, D].
        config: the optimiser's settings; ``rooms`` trajectories in a batch, ``states`` of each.
        generator: the only source of randomness.
    """

    def __init__(
        self,
        policy: ClonedPolicy,
        trajectories: Sequence[GridTrajectories],
        texts: Sequence[Tensor],
        config: GridLearnerConfig,
        generator: torch.Generator,
    ) -> None:
        self.policy, self.config, self.generator = policy, config, generator
        self._parts = []
        for part, embedded in zip(trajectories, texts, strict=True):
            last = np.flatnonzero(part.terminals)
            first = np.append(0, last[:-1] + 1)
            arrays = (part.rooms, part.room, part.poses, part.actions, first, last)
            self._parts.append((*(torch.from_numpy(array) for array in arrays), embedded))
        weights = dict(policy.named_parameters())
        schedule = cosine_schedule(config.steps, config.warmup)
        optimiser = Optimiser(weights, config.learning_rate, schedule, generator, clip=config.clip)
        super().__init__(optimiser, OfflineReplay(self._sample))

    def _sample(self) -> Batch:
        """Draw trajectories, and states of each."""
        generator, config = self.generator, self.config
        number = int(torch.randint(len(self._parts), (), generator=generator))
        rooms, room, poses, actions, first, last, texts = self._parts[number]
        pick = torch.randint(len(first), (config.rooms,), generator=generator)
        draw = torch.rand((config.rooms, config.states), generator=generator)
        length = (last - first + 1)[pick, None]
        index = first[pick, None] + (draw * length).long().clamp(max=length - 1)  # [B, S]
        return {
            "room": rooms[room[first[pick]]],
            "text": texts[pick],
            "pose": poses[index],
            "action": actions[index],
        }

    def loss(self, batch: Batch) -> tuple[Tensor, Batch]:
        """Return the cross-entropy of the experts' actions."""
        logits = self.policy(batch["room"], batch["text"], batch["pose"])
        return cloning_loss(logits.flatten(0, 1), batch["action"].flatten())


class CloningAgent:
    """Acts by a ``ClonedPolicy``.

    Args:
        policy: a trained policy.
        encode_text: embeds texts [K, D].
        temperature: of the softmax that actions are drawn from.
        read: returns rooms and poses [N, 3] of observations [N, H, W, 3].
    """

    def __init__(
        self,
        policy: ClonedPolicy,
        encode_text: Callable[[Sequence[str]], Tensor],
        temperature: float,
        read: Callable[[Array], tuple[Array, Array]] = read_observation,
    ) -> None:
        self._read = read
        self.policy, self.encode_text, self.temperature = policy.eval(), encode_text, temperature
        self._embed = cache(lambda text: encode_text([text])[0])
        self._features: Tensor = torch.zeros(0)  # of the rooms and texts in ``_encoded``
        self.reset(np.random.default_rng(0))

    def reset(self, generator: np.random.Generator | None = None, mask: Mask | None = None) -> None:
        """Start new episodes, with a new source of randomness if one is given."""
        self._encoded: tuple[Array, list[str]] = (np.zeros(0), [])
        if generator is not None:
            self._generator = torch.Generator().manual_seed(int(generator.integers(2**63)))

    def keep(self, mask: Mask) -> None:
        """Keep the episodes of the batch where ``mask`` [N] is True, and drop the others."""
        rooms, texts = self._encoded
        self._encoded = rooms[mask], [text for text, kept in zip(texts, mask, strict=True) if kept]
        self._features = self._features[torch.from_numpy(mask)]

    @torch.no_grad()
    def act(
        self,
        observations: Observation,
        instructions: Instructions = None,
        starts: Mask | None = None,
    ) -> Array:
        """Return an action, or N of them; a cloned policy remembers nothing of an episode."""
        states, texts, single = read_observations(observations, instructions, 3)
        rooms, poses = self._read(states)
        device = device_of(self.policy)
        if not (texts == self._encoded[1] and np.array_equal(rooms, self._encoded[0])):
            embedded = torch.stack([self._embed(text) for text in texts]).to(device)
            self._features = self.policy.read(torch.from_numpy(rooms).to(device), embedded)
            self._encoded = rooms.copy(), texts
        seen = torch.from_numpy(poses).unsqueeze(1).to(device)
        logits = self.policy.head(self._features, seen)[:, 0]
        chances = (logits / self.temperature).softmax(1).cpu()  # where the generator is
        actions = torch.multinomial(chances, 1, generator=self._generator)[:, 0].numpy()
        return actions[0] if single else actions
