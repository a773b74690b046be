"""Critics of grid worlds in levels of MiniGrid, where doors are shut and things picked up.

They have no weights of their own. In a grid world an agent walks through doors and says ``done``.
In a level it toggles a shut door before it walks through, and ``done``, ``pickup`` and ``toggle``
are what can be done at a pose: each is to its goals what ``done`` is in a grid world.

Axes: ``N`` episodes, ``H`` rows, ``W`` columns, ``M`` goals, ``A`` actions, ``D`` embedding size,
``V`` cells along a side of a view.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from langrl.envs.grid.grammar import WALL
from langrl.envs.grid.rooms import DONE, DOOR, FORWARD
from langrl.envs.minigrid_levels.reading import (
    ACTIONS,
    STATE_SHUT,
    TOGGLE,
    as_partial_views,
    as_rooms,
    shut_ahead,
)
from langrl.models.critics.grid import GridCritic, agent_poses
from langrl.models.critics.recurrent import RecurrentCritic

NEVER = -30.0  # nats; the log density ratio of what cannot be


def acts_one_hot(acts: Tensor, like: Tensor) -> Tensor:
    """Return actions [...] as floats [..., actions], in the dtype of another tensor."""
    return functional.one_hot(acts.long(), len(ACTIONS)).to(like.dtype)


class _OfLevels(nn.Module):
    """A critic of levels, by one of grid worlds that has the weights.

    Args:
        critic: of grid worlds.
    """

    observation_axes = 3
    critic: GridCritic | RecurrentCritic

    @property
    def goal(self) -> nn.Module:
        """The goal encoder."""
        return self.critic.goal

    def embed_goals(self, context: Tensor, goals: Tensor) -> Tensor:
        """Embed goals [N, M, any], last an action; returns [N, M, D + actions]."""
        embedded = self.critic.embed_goals(context, goals[..., :-1])
        return torch.cat([embedded, acts_one_hot(goals[..., -1], embedded)], -1)

    def score(self, state_actions: Tensor, goals: Tensor) -> Tensor:
        """Compare embeddings [..., A, any] and [..., M, any]; returns f [..., A, M] in nats."""
        return score_acts(self.critic.score, state_actions, goals)


class LevelCritic(_OfLevels):
    """f(s, a, g) in levels: a is one of their actions, g a pose and what is done there.

    Args:
        critic: of grid worlds, f between poses of one room.
    """

    def __init__(self, critic: GridCritic) -> None:
        super().__init__()
        self.critic: GridCritic = critic

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
        """Embed observations [N, H, W, 3] with actions, numbers [N, A]; see ``with_acts``."""
        poses = agent_poses(_rooms(observations)).unsqueeze(1)
        every = self.critic.embed_poses(context, poses).squeeze(1)  # [N, 4, D]
        shut = torch.from_numpy(shut_ahead(observations.cpu().numpy())).to(actions.device)
        return with_acts(every, actions, shut)


class LevelHistoryCritic(_OfLevels):
    """f(h, a, g) in levels of which the agent sees a part: g is a kind of object, and what is done.

    Args:
        critic: of grid worlds, f between histories and kinds of object.
    """

    def __init__(self, critic: RecurrentCritic) -> None:
        super().__init__()
        self.critic: RecurrentCritic = critic

    def initial_context(self, observations: Tensor) -> Tensor:
        """Return the contexts of episodes that start with views of levels [N, V, V, 3]."""
        return self.critic.initial_context(_views(observations))

    def update_memory(
        self, context: Tensor, observations: Tensor, actions: Tensor, acted: Tensor
    ) -> Tensor:
        """Return contexts after one more step; what moves nobody is not remembered."""
        moved = acted & (actions <= FORWARD)
        taken = actions.clamp(max=FORWARD)
        return self.critic.update_memory(context, _views(observations), taken, moved)

    def scene_changed(self, before: Tensor, now: Tensor) -> Tensor:
        """Return False [N]: any view may follow within an episode."""
        return self.critic.scene_changed(before, now)

    def embed_actions(self, context: Tensor, observations: Tensor, actions: Tensor) -> Tensor:
        """Embed histories [N, any] with actions, numbers [N, A]; see ``with_acts``."""
        size = observations.shape[1]
        faced = observations[:, size - 2, size // 2]
        return with_acts(
            self.critic.embed_contexts(context),
            actions,
            (faced[:, 0] == DOOR) & (faced[:, 2] == STATE_SHUT),
        )


def with_acts(every: Tensor, actions: Tensor, shut: Tensor) -> Tensor:
    """Return embeddings of the actions of levels, from those of grid worlds.

    Args:
        every: embeddings with each of the four actions of grid worlds [N, 4, D].
        actions: of levels, numbers [N, A].
        shut: who faces a shut door [N]: to toggle it comes to the same as to walk through.

    Returns:
        [N, A, 2 D + 1 + actions]: the move that an action is, what is done at the pose, whether it
        is a move, and which action it is.
    """
    opens = shut.unsqueeze(1) & (actions == TOGGLE)
    moves = (actions < FORWARD) | ((actions == FORWARD) & ~shut.unsqueeze(1)) | opens
    taken = torch.where(opens, FORWARD, actions.clamp(max=FORWARD))
    moved = every.gather(1, taken.unsqueeze(-1).expand(-1, -1, every.shape[-1]))
    stays = every[:, DONE : DONE + 1].expand(-1, actions.shape[1], -1)
    flag = moves.unsqueeze(-1).to(every.dtype)
    return torch.cat([moved, stays, flag, acts_one_hot(actions, every)], -1)


def score_acts(
    score: Callable[[Tensor, Tensor], Tensor], state_actions: Tensor, goals: Tensor
) -> Tensor:
    """Compare embeddings of ``with_acts`` [..., A, any] with goals [..., M, D + actions].

    Args:
        score: of the critic of grid worlds.
        state_actions: of levels.
        goals: those of grid worlds, with what is done there.

    Returns:
        f [..., A, M] in nats: what is done leads to the goals of which it is a part.
    """
    acts = len(ACTIONS)
    size = goals.shape[-1] - acts
    moved, stayed, moves, done = state_actions.split([size, size, 1, acts], -1)
    where, wanted = goals.split([size, acts], -1)
    by_move = score(moved, where) + NEVER * (1 - moves)
    by_act = score(stayed, where) + NEVER * (1 - done @ wanted.mT)
    return torch.maximum(by_move, by_act)


def _rooms(observations: Tensor) -> Tensor:
    """Return levels [N, H, W, 3] as rooms; a locked door is a wall to whoever has no key."""
    rooms = as_rooms(observations.cpu().numpy().astype(np.uint8), locked=WALL)
    return torch.from_numpy(rooms).to(observations.device)


def _views(observations: Tensor) -> Tensor:
    """Return views of levels [N, V, V, 3] as those of grid worlds: doors shut, nothing carried."""
    views = as_partial_views(observations.cpu().numpy().astype(np.uint8))
    return torch.from_numpy(views).to(observations.device)
