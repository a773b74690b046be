"""The critic of goal-reaching agents: state-actions against goals, in any goal environment.

Axes: ``N`` episodes, ``B`` batch, ``S`` numbers of a state, ``A`` numbers of an action, ``K``
actions of one state, ``G`` numbers of a goal, ``M`` goals, ``C`` critics side by side, ``D``
embedding size; an embedding of all critics has C * D numbers. States and goals may be images
[H, W, C] in the place of vectors.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from langrl.functional.energies import ENERGIES
from langrl.models.config import StateGoalCriticConfig
from langrl.models.critics.maze import Scale, encode_in_chunks
from langrl.models.critics.memoryless import Memoryless
from langrl.models.goal_networks import (
    GoalWorldDescription,
    InputEncoder,
    after_linear,
    network,
)
from langrl.training.seeding import seeded


class StateGoalCriticDescription(GoalWorldDescription):
    """All that shapes a critic, apart from its weights."""

    config: StateGoalCriticConfig


class EarlyJoin(nn.Module):
    """Maps features of states [..., F] and actions [..., A] to embeddings [..., D], together."""

    def __init__(self, features: int, actions: int, config: StateGoalCriticConfig) -> None:
        super().__init__()
        self.size = features
        self.net = network(features + actions, config, config.embedding)

    def read(self, features: Tensor) -> Tensor:
        """Return what ``forward`` takes of a state [..., size]."""
        return features

    def forward(self, features: Tensor, actions: Tensor) -> Tensor:
        """Return embeddings; states and actions broadcast over leading axes."""
        if features.shape[:-1] != actions.shape[:-1]:
            axes = torch.broadcast_shapes(features.shape[:-1], actions.shape[:-1])
            features = features.expand(*axes, features.shape[-1])
            actions = actions.expand(*axes, actions.shape[-1])
        return self.net(torch.cat([features, actions], -1))


class LateJoin(nn.Module):
    """The same, with actions that join at the last hidden layer.

    Comparing many actions in one state then costs little more than comparing two.
    """

    def __init__(self, features: int, actions: int, config: StateGoalCriticConfig) -> None:
        super().__init__()
        self.size = config.width
        self.state = network(features, config, config.width, less=1)
        self.action = nn.Linear(actions, config.width, bias=False)
        self.head = nn.Sequential(*after_linear(config), nn.Linear(config.width, config.embedding))

    def read(self, features: Tensor) -> Tensor:
        """Return what ``forward`` takes of a state [..., size]."""
        return self.state(features)

    def forward(self, features: Tensor, actions: Tensor) -> Tensor:
        """Return embeddings; states and actions broadcast over leading axes."""
        return self.head(features + self.action(actions))


_JOINS: dict[str, type[EarlyJoin | LateJoin]] = {"early": EarlyJoin, "late": LateJoin}


class GoalSide(nn.Module):
    """Maps goals [..., G] to embeddings of all critics [..., C * D]."""

    def __init__(self, description: StateGoalCriticDescription) -> None:
        super().__init__()
        config = description.config
        self.input = InputEncoder(description.goal, config.goal_octaves, config)
        self.members = nn.ModuleList(
            network(self.input.size, config, config.embedding) for _ in range(config.critics)
        )

    def forward(self, goals: Tensor) -> Tensor:
        """Return embeddings."""
        features = self.input(goals)
        return _beside([member(features) for member in self.members])


class StateGoalCritic(Memoryless, nn.Module):
    """f(s, a, g), an estimate of log p(g|s,a) / p(g); of several critics, the least.

    Where actions are discrete, they are int64 without an axis of their own.
    """

    def __init__(self, description: StateGoalCriticDescription) -> None:
        super().__init__()
        config = description.config
        self.description = description
        self.observation_axes = len(description.observation.shape)
        self.input = InputEncoder(description.observation, config.state_octaves, config)
        join = _JOINS[config.action_joins]
        members = [
            join(self.input.size, description.actions, config) for _ in range(config.critics)
        ]
        self._sizes = [member.size for member in members]
        self.members: Iterable[Any] = nn.ModuleList(members)  # EarlyJoin or LateJoin
        self.goal = GoalSide(description)
        self.energy, self.scale = ENERGIES[config.energy], Scale(config.scale)
        self.scale.log_scale.requires_grad_(config.temperature == "learned")

    # -- training ------------------------------------------------------------------------------

    def read(self, states: Tensor) -> Tensor:
        """Return what ``join`` takes of states [..., S]: [..., any]."""
        features = self.input(states)
        return _beside([member.read(features) for member in self.members])

    def join(self, features: Tensor, actions: Tensor) -> Tensor:
        """Return embeddings [..., C * D] of what ``read`` gave with actions [..., A].

        Their leading axes broadcast. Discrete actions are int64 [...].
        """
        if self.description.discrete:
            actions = functional.one_hot(actions, self.description.actions).to(features.dtype)
        parts = zip(self.members, features.split(self._sizes, -1), strict=True)
        return _beside([member(part, actions) for member, part in parts])

    def embed_pairs(self, states: Tensor, actions: Tensor) -> Tensor:
        """Embed states [B, S] with an action each [B, A]; returns [B, C * D]."""
        return self.join(self.read(states), actions)

    def member_scores(self, state_actions: Tensor, goals: Tensor) -> list[Tensor]:
        """Return f of each critic [..., N, M]; arguments as for ``score``."""
        size = self.description.config.embedding
        pairs = zip(state_actions.split(size, -1), goals.split(size, -1), strict=True)
        return [self.scale(self.energy(left, right)) for left, right in pairs]

    # -- the protocol of critics ---------------------------------------------------------------

    def embed_actions(self, context: Tensor, observations: Tensor, actions: Tensor) -> Tensor:
        """Embed observations [N, S] with each of their actions [N, K, A]; returns [N, K, C * D]."""
        return self.join(self.read(observations).unsqueeze(1), actions)

    def embed_goals(self, context: Tensor, goals: Tensor) -> Tensor:
        """Embed candidate goals [N, M, G] without gradients; returns [N, M, C * D]."""
        shape = self.description.goal.shape
        flat = goals.flatten(-len(shape))
        return encode_in_chunks(lambda chunk: self.goal(chunk.unflatten(-1, shape)), flat)

    def score(self, state_actions: Tensor, goals: Tensor) -> Tensor:
        """Compare embeddings [..., N, C * D] and [..., M, C * D]; returns f [..., N, M] in nats."""
        first, *others = self.member_scores(state_actions, goals)
        for other in others:
            first = torch.minimum(first, other)
        return first

    def features(self, observations: Tensor, goals: Tensor) -> Tensor:
        """Return features of states [B, S] with a goal each [B, G], for a policy: [B, any]."""
        return torch.cat([self.read(observations), self.goal(goals)], -1)


def _beside(parts: list[Tensor]) -> Tensor:
    """Return tensors one after another in the last axis; a single one is not copied."""
    return parts[0] if len(parts) == 1 else torch.cat(parts, -1)


def build_state_goal_critic(description: StateGoalCriticDescription, seed: int) -> StateGoalCritic:
    """Return a critic whose weights are initialised from a seed."""
    with seeded(seed):
        return StateGoalCritic(description)
