"""What critics share that remember nothing of an episode: their contexts are empty.

Axes: ``N`` episodes.
"""

import torch
from torch import Tensor


class Memoryless:
    """The memory of a critic whose state is all that counts, and whose world never changes."""

    def initial_context(self, observations: Tensor) -> Tensor:
        """Return the contexts of episodes [N, 0]: a state needs none."""
        return observations.flatten(1)[:, :0]

    def update_memory(
        self, context: Tensor, observations: Tensor, actions: Tensor, acted: Tensor
    ) -> Tensor:
        """Return the contexts as they are; see ``Critic.update_memory``."""
        return context

    def scene_changed(self, before: Tensor, now: Tensor) -> Tensor:
        """Return False [N]: all episodes are in one world, where every state may be met."""
        return torch.zeros(len(now), dtype=torch.bool, device=now.device)
