"""Contrastive reinforcement learning by acting in grid worlds, towards poses of the room.

The critic and its contrast within a room are those of ``GridContrastiveLearner``; a pose is reached
where ``done`` is said. The future of ``done`` is the pose where it was said, so that saying it is
what leads to the present pose most surely.

Axes: ``N`` environments, ``E`` episodes of a batch, ``S`` state-actions of each, ``A`` actions.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from langrl.agents.config import GridLearnerConfig
from langrl.agents.contrastive_actor_critic import GoalConditionedPolicy
from langrl.agents.grid_contrastive import GridContrastiveLearner
from langrl.models.actors import choose
from langrl.models.critics.grid import GridCritic, agent_poses
from langrl.protocols import Array
from langrl.training.learner import Experience
from langrl.training.optim import Batch


@dataclass(frozen=True, eq=False)
class _Encoded:
    """Rooms [N, H, W, 2] with their features [N, H, W, C], and copies of the encoder's weights.

    Fused optimisers change weights without counting it in their versions.
    """

    weights: list[Tensor]
    rooms: Tensor
    features: Tensor

    def is_by(self, weights: list[Tensor]) -> bool:
        """Whether the features are those that these weights would give."""
        return all(map(torch.equal, self.weights, weights))


class RoomActor:
    """Compares the actions of a grid world by their critic.

    Rooms are encoded anew only where they have changed, or the weights have.

    Args:
        critic: f(s, a, g).
        temperature: of the softmax of their scores, in nats, from which actions are drawn.
    """

    def __init__(self, critic: GridCritic, temperature: float) -> None:
        self.critic, self.temperature = critic, temperature
        self._known: _Encoded | None = None

    def act(self, states: Tensor, goals: Tensor, generator: Generator | None = None) -> Tensor:
        """Return actions int64 [N] of rooms [N, H, W, 3], to poses [N, 4]; see ``Actor.act``."""
        features = self._encode(states)
        poses = agent_poses(states).unsqueeze(1)
        every = self.critic.embed_poses(features, poses).squeeze(1)  # [N, A, D]
        embedded = self.critic.embed_goals(features, goals.long().unsqueeze(1))  # [N, 1, D]
        scores = self.critic.score(every, embedded).squeeze(-1)  # [N, A]
        return choose(scores / self.temperature, generator)

    def _encode(self, states: Tensor) -> Tensor:
        """Return the features of rooms [N, H, W, C], of which many are those of the step before."""
        rooms, known = states[..., :2], self._known
        weights: list[Tensor] = list(self.critic.room.parameters())
        if known is None or known.rooms.shape != rooms.shape or not known.is_by(weights):
            features = self.critic.initial_context(states)
            weights = [weight.detach().clone() for weight in weights]
        else:
            weights = known.weights
            changed = (known.rooms != rooms).flatten(1).any(1)
            features = known.features
            if changed.any():
                features = features.clone()
                features[changed] = self.critic.initial_context(states[changed])
        self._known = _Encoded(weights, rooms.clone(), features)
        return features


class GridGoalLearner(GridContrastiveLearner):
    """Trains f(s, a, g) on what it meets while it acts.

    Args:
        critic: f.
        actor: acts by the critic.
        experience: see ``room_batch``.
        config: the optimiser's settings.
        generator: the only source of randomness, on the device of the weights.
    """

    def __init__(
        self,
        critic: GridCritic,
        actor: RoomActor,
        experience: Experience,
        config: GridLearnerConfig,
        generator: Generator,
    ) -> None:
        super().__init__(critic, experience, config, generator)
        self.actor = actor
        self._policy = GoalConditionedPolicy(actor, critic, generator)

    def act(self, observations: Mapping[str, Array]) -> Array:
        """Draw actions int64 [N]; see ``GoalConditionedPolicy``."""
        return self._policy(observations)


def room_batch(groups: Batch) -> Batch:
    """Return a batch of ``GridContrastiveLearner`` from groups of transitions, one episode each.

    Args:
        groups: as ``GoalReplay.sample_groups`` draws them: ``state`` uint8 [E, S, H, W, 3],
            ``action`` [E, S] and ``goal`` [E, S, 4].

    Returns:
        ``room`` uint8 [E, H, W, 2], ``pose`` [E, S, 3], ``action`` [E, S] and ``goal`` [E, S, 3].
    """
    states = groups["state"]
    poses = agent_poses(states.flatten(0, 1)).unflatten(0, states.shape[:2])
    goals = groups["goal"][..., :3].to(torch.int64)
    rooms = states[:, 0, ..., :2]
    return {"room": rooms, "pose": poses, "action": groups["action"], "goal": goals}
