"""Replay of contrastive reinforcement learning for Stable-Baselines3.

Axes: ``B`` rows of a batch.
"""

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import HerReplayBuffer

from langrl.errors import ConfigError, ShapeError
from langrl.protocols import Array, Integers


class ContrastiveReplayBuffer(HerReplayBuffer):
    """Hindsight replay whose goals are geometric futures, those that contrastive RL learns from.

    A goal is what is achieved t steps on, t of a geometric distribution; what lies beyond the end
    of an episode is its last state. Relabelled transitions that reach their goal end there, as
    episodes of ``GoalEnv`` do. Pass it as ``replay_buffer_class`` of an off-policy algorithm.

    Args:
        discount: of the future; the chance that it lies a step further. In [0, 1).
        **options: of ``HerReplayBuffer``; ``goal_selection_strategy`` has no meaning here.

    Raises:
        ConfigError: if the discount is not in [0, 1), or a strategy is given.

    Source: Eysenbach et al. 2022, arXiv:2206.07568, eq. 2.
    """

    def __init__(self, *arguments: Any, discount: float = 0.95, **options: Any) -> None:
        if not 0 <= discount < 1:
            raise ConfigError(f"discount is in [0, 1), got {discount}")
        if "goal_selection_strategy" in options:
            raise ConfigError(
                "ContrastiveReplayBuffer draws geometric futures; leave goal_selection_strategy out"
            )
        space = options.get("observation_space", arguments[1] if len(arguments) > 1 else None)
        if not (isinstance(space, spaces.Dict) and "achieved_goal" in space.spaces):
            raise ShapeError(
                "ContrastiveReplayBuffer relabels goals, and the observations have none; wrap the"
                " environment in GoalEnv of langrl.envs.wrappers.goals"
            )
        super().__init__(*arguments, **options)
        self.discount = discount

    def _sample_goals(self, batch_indices: Integers, env_indices: Integers) -> Array:
        start = self.ep_start[batch_indices, env_indices]
        last = self.ep_length[batch_indices, env_indices] - 1
        now = (batch_indices - start) % self.buffer_size
        # SB3 seeds NumPy's global generator, and draws from it everywhere.
        ahead = np.random.geometric(1 - self.discount, len(now)) - 1  # noqa: NPY002
        future = (start + now + np.minimum(ahead, last - now)) % self.buffer_size
        return self.next_observations["achieved_goal"][future, env_indices]

    def _get_virtual_samples(
        self, batch_indices: Integers, env_indices: Integers, env: Any = None
    ) -> Any:
        samples = super()._get_virtual_samples(batch_indices, env_indices, env)
        if not len(batch_indices):
            return samples
        # The reward of a goal that is certainly reached, on the scale of the others.
        first = batch_indices[:1], env_indices[:1]
        goal = self.next_observations["achieved_goal"][first]
        assert self.env is not None
        rewards = self.env.env_method("compute_reward", goal, goal, self.infos[first], indices=[0])
        at_goal = self._normalize_reward(np.asarray(rewards[0], np.float32), env)
        reached = (samples.rewards >= float(at_goal[0])).to(samples.dones)
        return samples._replace(dones=torch.maximum(samples.dones, reached))
