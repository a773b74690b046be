"""The critic of grid worlds in levels of MiniGrid, where doors are shut and things picked up.

It has no weights of its own. In a grid world an agent walks through doors and says ``done``. In a
level it toggles a shut door before it walks through, and ``done``, ``pickup`` and ``toggle`` are
what can be done at a pose: each is to its goals what ``done`` is in a grid world.

Axes: ``N`` episodes, ``H`` rows, ``W`` columns, ``M`` goals, ``A`` actions, ``D`` embedding size.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from langrl.envs.grid.grammar import WALL
from langrl.envs.grid.rooms import DONE, FORWARD
from langrl.envs.minigrid_levels.reading import ACTIONS, TOGGLE, as_rooms, shut_ahead
from langrl.models.critics.grid import GridCritic, agent_poses

NEVER = -30.0  # nats; the log density ratio of what cannot be


def acts_one_hot(acts: Tensor, like: Tensor) -> Tensor:
    """Return actions [...] as floats [..., actions], in the dtype of another tensor."""
    return functional.one_hot(acts.long(), len(ACTIONS)).to(like.dtype)


class LevelCritic(nn.Module):
    """f(s, a, g) in levels: a is one of their actions, g a pose and what is done there.

    Args:
        critic: of grid worlds, f between poses of one room.
    """

    observation_axes = 3

    def __init__(self, critic: GridCritic) -> None:
        super().__init__()
        self.critic = critic

    @property
    def goal(self) -> nn.Module:
        """The goal encoder."""
        return self.critic.goal

    def initial_context(self, observations: Tensor) -> Tensor:
        """Return the contexts of episodes, from observations of whole levels [N, H, W, 3]."""
        return self.critic.initial_context(_rooms(observations))

    def update_memory(
        self, context: Tensor, observations: Tensor, actions: Tensor, acted: Tensor
    ) -> Tensor:
        """Return the contexts as they are; see ``Critic.update_memory``."""
        return context

    def scene_changed(self, before: Tensor, now: Tensor) -> Tensor:
        """Return where something was picked up, dropped or unlocked, or all is another level."""
        return self.critic.scene_changed(_rooms(before), _rooms(now))

    def embed_actions(self, context: Tensor, observations: Tensor, actions: Tensor) -> Tensor:
        """Embed observations [N, H, W, 3] with actions, numbers [N, A].

        Returns:
            [N, A, 2 D + 1 + actions]: the move that an action is, what is done at the pose,
            whether it is a move, and which action it is.
        """
        poses = agent_poses(_rooms(observations)).unsqueeze(1)
        every = self.critic.embed_poses(context, poses).squeeze(1)  # [N, 4, D]
        shut = torch.from_numpy(shut_ahead(observations.cpu().numpy())).to(actions.device)[:, None]
        opens = shut & (actions == TOGGLE)  # a step later it is through
        moves = (actions < FORWARD) | ((actions == FORWARD) & ~shut) | opens
        taken = torch.where(opens, FORWARD, actions.clamp(max=FORWARD))
        index = taken.unsqueeze(-1).expand(-1, -1, every.shape[-1])
        stays = every[:, DONE : DONE + 1].expand(-1, actions.shape[1], -1)
        flag = moves.unsqueeze(-1).to(every.dtype)
        return torch.cat([every.gather(1, index), stays, flag, acts_one_hot(actions, every)], -1)

    def embed_goals(self, context: Tensor, goals: Tensor) -> Tensor:
        """Embed goals [N, M, 4], a pose and an action; returns [N, M, D + actions]."""
        embedded = self.critic.embed_goals(context, goals[..., :3])
        return torch.cat([embedded, acts_one_hot(goals[..., 3], embedded)], -1)

    def score(self, state_actions: Tensor, goals: Tensor) -> Tensor:
        """Compare embeddings [..., A, any] and [..., M, any]; returns f [..., A, M] in nats."""
        acts = len(ACTIONS)
        size = goals.shape[-1] - acts
        moved, stayed, moves, done = state_actions.split([size, size, 1, acts], -1)
        poses, wanted = goals.split([size, acts], -1)
        by_move = self.critic.score(moved, poses) + NEVER * (1 - moves)
        by_act = self.critic.score(stayed, poses) + NEVER * (1 - done @ wanted.mT)
        return torch.maximum(by_move, by_act)


def _rooms(observations: Tensor) -> Tensor:
    """Return levels [N, H, W, 3] as rooms; a locked door is a wall to whoever has no key."""
    rooms = as_rooms(observations.cpu().numpy().astype(np.uint8), locked=WALL)
    return torch.from_numpy(rooms).to(observations.device)
