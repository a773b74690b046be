"""Actors of goal-reaching agents: from a state and a goal to an action.

Actions of a box have numbers in [-1, 1]; whoever steps the environment brings them to its bounds.

Axes: ``B`` batch, ``S`` numbers of a state, ``G`` of a goal, ``A`` of an action (discrete: how many
actions there are), ``K`` actions that are compared.
"""

import math
from typing import Protocol, Self

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional
from torch.quasirandom import SobolEngine

from langrl.errors import ConfigError
from langrl.models.config import ActorConfig
from langrl.models.critics.state_goal import StateGoalCritic
from langrl.models.goal_networks import GoalWorldDescription, InputEncoder, network
from langrl.training.seeding import seeded

_LOG_ROOT_2_PI = 0.5 * math.log(2 * math.pi)
_EDGE = 1e-3  # an action at -1 or 1 is at infinity before the tanh: data are taken as just inside


class ActorDescription(GoalWorldDescription):
    """All that shapes an actor, apart from its weights."""

    config: ActorConfig


class Actor(Protocol):
    """Chooses actions for states and goals."""

    def act(self, states: Tensor, goals: Tensor, generator: Generator | None = None) -> Tensor:
        """Return actions [B, A], or int64 [B], of states [B, S] with a goal each [B, G].

        They are drawn with a generator, and the best ones without.
        """
        ...


class _Trunk(nn.Module):
    """Maps states and goals, side by side, to some numbers [B, outputs]."""

    def __init__(self, description: ActorDescription, outputs: int) -> None:
        super().__init__()
        config = description.config
        self.state = InputEncoder(description.observation, config.octaves, config)
        self.goal = InputEncoder(description.goal, config.octaves, config)
        self.net = network(self.state.size + self.goal.size, config, outputs)

    def forward(self, states: Tensor, goals: Tensor) -> Tensor:
        """Return the numbers."""
        return self.net(torch.cat([self.state(states), self.goal(goals)], -1))


class GaussianActor(nn.Module):
    """A Gaussian with a diagonal covariance, brought into [-1, 1] by a tanh or by a clip.

    Its log standard deviations are brought into their range by a tanh. Where the range is one
    number, they are that number and no output of the network.

    Source: Haarnoja et al. 2018, arXiv:1812.05905, appendix C.
    """

    def __init__(self, description: ActorDescription) -> None:
        super().__init__()
        config = description.config
        self.size, self.squashed = description.actions, config.bounds == "tanh"
        self.range = config.log_std_low, config.log_std_high
        fixed = config.log_std_low == config.log_std_high
        self.trunk = _Trunk(description, self.size * (1 if fixed else 2))

    def forward(self, states: Tensor, goals: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log standard deviation [B, A] each, before the tanh or the clip."""
        low, high = self.range
        mean, *spread = self.trunk(states, goals).split(self.size, -1)
        if not spread:
            return mean, torch.full_like(mean, low)
        return mean, low + 0.5 * (high - low) * (spread[0].tanh() + 1)

    def mean(self, states: Tensor, goals: Tensor) -> Tensor:
        """Return the actions of the mean [B, A], with their gradient."""
        return self._bounded(self(states, goals)[0])

    def sample(self, states: Tensor, goals: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """Draw actions [B, A]; also returns their log density [B], both with gradients.

        The density of a clipped Gaussian is that before the clip.
        """
        mean, log_std = self(states, goals)
        noise = torch.randn(mean.shape, generator=generator, device=mean.device, dtype=mean.dtype)
        drawn = mean + log_std.exp() * noise
        density = -0.5 * noise.square() - log_std - _LOG_ROOT_2_PI
        return self._bounded(drawn), (density - self._log_slope(drawn)).sum(-1)

    def log_density(self, states: Tensor, goals: Tensor, actions: Tensor) -> Tensor:
        """Return the log density [B] of actions [B, A] in [-1, 1], with the actor's gradient."""
        mean, log_std = self(states, goals)
        if self.squashed:
            actions = actions.clamp(_EDGE - 1, 1 - _EDGE).atanh()
        noise = (actions - mean) * (-log_std).exp()
        density = -0.5 * noise.square() - log_std - _LOG_ROOT_2_PI
        return (density - self._log_slope(actions)).sum(-1)

    def act(self, states: Tensor, goals: Tensor, generator: Generator | None = None) -> Tensor:
        """Return actions [B, A]; see ``Actor.act``."""
        if generator is None:
            return self.mean(states, goals)
        return self.sample(states, goals, generator)[0]

    def _bounded(self, drawn: Tensor) -> Tensor:
        return drawn.tanh() if self.squashed else drawn.clamp(-1, 1)

    def _log_slope(self, drawn: Tensor) -> Tensor | float:
        """Return log(1 - tanh(x)^2), which stays finite where the tanh rounds to 1."""
        if not self.squashed:
            return 0.0
        return 2 * (math.log(2) - drawn - functional.softplus(-2 * drawn))


class CategoricalActor(nn.Module):
    """A probability for each of the actions."""

    def __init__(self, description: ActorDescription) -> None:
        super().__init__()
        self.trunk = _Trunk(description, description.actions)

    def forward(self, states: Tensor, goals: Tensor) -> Tensor:
        """Return the log probabilities [B, A]."""
        return self.trunk(states, goals).log_softmax(-1)

    def act(self, states: Tensor, goals: Tensor, generator: Generator | None = None) -> Tensor:
        """Return actions int64 [B]; see ``Actor.act``."""
        return choose(self(states, goals), generator)


class ComparingActor:
    """No network of its own: the critic compares actions.

    Args:
        critic: f(s, a, g).
        config: how many actions of a box are compared; the temperature of the softmax of their
            scores, from which one is drawn.
    """

    def __init__(self, critic: StateGoalCritic, config: ActorConfig) -> None:
        self.critic, self.temperature = critic, config.temperature
        description = critic.description
        if description.discrete:
            self.actions = torch.arange(description.actions)
        else:
            self.actions = compared_actions(description.actions, config.compared)

    def to(self, device: torch.device | str) -> Self:
        """Move what it compares to a device, as a network is moved; the critic stays."""
        self.actions = self.actions.to(device)
        return self

    def act(self, states: Tensor, goals: Tensor, generator: Generator | None = None) -> Tensor:
        """Return actions [B, A], or int64 [B]; see ``Actor.act``."""
        features, actions = self.critic.read(states), self.actions
        if actions.is_floating_point():
            actions = actions.to(features.dtype)
        embedded = self.critic.join(features.unsqueeze(1), actions)  # [B, K, D]
        scores = self.critic.score(embedded, self.critic.goal(goals).unsqueeze(1))  # [B, K, 1]
        return actions[choose(scores.squeeze(-1) / self.temperature, generator)]


def choose(logits: Tensor, generator: Generator | None) -> Tensor:
    """Return the largest of logits [B, K], or draw from their softmax; int64 [B]."""
    if generator is None:
        return logits.argmax(-1)
    return torch.multinomial(logits.softmax(-1), 1, generator=generator).squeeze(-1)


def compared_actions(size: int, count: int) -> Tensor:
    """Return actions of a box to compare [count, size], always the same ones.

    Evenly spaced ones of one number, directions of two, and a Sobol sequence of more.
    """
    if size == 1:
        return torch.linspace(-1, 1, count).unsqueeze(-1)
    if size == 2:
        angles = torch.arange(count) * (2 * math.pi / count)
        return torch.stack([angles.cos(), angles.sin()], -1)
    if size > SobolEngine.MAXDIM:
        raise ConfigError(
            f"actor.kind compare takes actions of at most {SobolEngine.MAXDIM} numbers, got"
            f" {size}; use actor"
        )
    points: Tensor = SobolEngine(size).draw(count + 1, dtype=torch.float32)
    return 2 * points[1:] - 1  # the first point of all is a corner


NetworkActor = GaussianActor | CategoricalActor


def build_actor(
    description: ActorDescription, critic: StateGoalCritic, seed: int
) -> NetworkActor | ComparingActor:
    """Return the actor of a config, its weights initialised from a seed."""
    if description.config.kind == "compare":
        return ComparingActor(critic, description.config)
    with seeded(seed):
        return CategoricalActor(description) if description.discrete else GaussianActor(description)
