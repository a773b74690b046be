"""The critic of grid worlds: convolutions encode a room once, poses look up their cells.

Axes: ``B`` rooms, ``H`` rows, ``W`` columns, ``S`` states of a room, ``M`` goals of a room, ``A``
actions, ``C`` channels, ``D`` embedding size.
"""

import torch
from torch import Tensor, nn

from langrl.envs.grid.grammar import EMPTY
from langrl.envs.grid.rooms import AHEAD, DOOR
from langrl.functional.energies import Energy
from langrl.models.blocks import mlp
from langrl.models.config import GridCriticConfig
from langrl.models.critics.maze import Scale
from langrl.models.protocols import in_dtype_of

_PLANES = 4  # free, doorway, and two coordinates
_FAR = 8.0  # cells; the scale of coordinates
_DIRECTIONS = 4


def coordinate_planes(kind: Tensor) -> list[Tensor]:
    """Return each cell's row and column, of the size of 1, as planes like ``kind`` [B, H, W]."""
    row = torch.arange(kind.shape[1], device=kind.device) / _FAR - 1
    column = torch.arange(kind.shape[2], device=kind.device) / _FAR - 1
    return [row[:, None].expand(kind.shape), column.expand(kind.shape)]


class RoomEncoder(nn.Module):
    """Maps rooms uint8 [B, H, W, 2] to features of every cell [B, H, W, C].

    It sees which cells can be walked on and where each cell is; colours and types of objects do not
    change the shortest paths.
    """

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(_PLANES, channels, 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.GroupNorm(1, channels), nn.SiLU(), nn.Conv2d(channels, channels, 3, padding=1)
            )
            for _ in range(depth)
        )

    def forward(self, rooms: Tensor) -> Tensor:
        """Return features."""
        kind = rooms[..., 0]
        door = kind == DOOR
        free = (kind == EMPTY) | door
        planes = torch.stack([free, door, *coordinate_planes(kind)], 1)  # [B, planes, H, W]
        features = self.first(in_dtype_of(self, planes))  # [B, C, H, W]
        for block in self.blocks:
            features = features + block(features)
        return features.permute(0, 2, 3, 1)


class PoseHead(nn.Module):
    """Maps poses in rooms with known features to outputs."""

    def __init__(self, channels: int, width: int, outputs: int) -> None:
        super().__init__()
        self.net = mlp(2 * channels + _DIRECTIONS, width, 2, outputs)
        self.ahead: Tensor
        self.register_buffer("ahead", torch.from_numpy(AHEAD), persistent=False)

    def forward(self, features: Tensor, poses: Tensor) -> Tensor:
        """Map features [B, H, W, C] and poses [B, S, 3] to [B, S, outputs].

        A pose is described by its cell, the cell that it faces, and its direction.
        """
        row, column, turn = poses.unbind(-1)  # [B, S] each
        facing = self.ahead[turn]
        width = features.shape[2]
        cells = features.flatten(1, 2)  # [B, H * W, C]
        here = row * width + column
        there = here + facing[..., 0] * width + facing[..., 1]
        each = torch.arange(len(cells), device=cells.device).unsqueeze(1)
        turned = nn.functional.one_hot(turn, _DIRECTIONS).to(cells.dtype)
        return self.net(torch.cat([cells[each, here], cells[each, there], turned], -1))


class GridCritic(nn.Module):
    """f(s, a, g) between poses of one room, an estimate of log p(g|s,a) / p(g) in that room."""

    observation_axes = 3

    def __init__(self, actions: int, energy: Energy, config: GridCriticConfig) -> None:
        super().__init__()
        self.actions, self.energy, self.scale = actions, energy, Scale()
        self.room = RoomEncoder(config.channels, config.depth)
        self.state_action = PoseHead(config.channels, config.width, actions * config.embedding)
        self.goal = PoseHead(config.channels, config.width, config.embedding)

    def initial_context(self, observations: Tensor) -> Tensor:
        """Return the contexts of episodes: features of cells [N, H, W, C], from [N, H, W, 3]."""
        return self.room(observations[..., :2])

    def update_memory(
        self, context: Tensor, observations: Tensor, actions: Tensor, acted: Tensor
    ) -> Tensor:
        """Return the contexts as they are; see ``Critic.update_memory``."""
        return context

    def scene_changed(self, before: Tensor, now: Tensor) -> Tensor:
        """Return which observations [N] show another room than they did before."""
        if before.shape != now.shape:
            return torch.ones(len(now), dtype=torch.bool, device=now.device)
        return (before[..., :2] != now[..., :2]).flatten(1).any(1)

    def embed_poses(self, features: Tensor, poses: Tensor) -> Tensor:
        """Embed poses [B, S, 3] with every action; returns [B, S, A, D]."""
        return self.state_action(features, poses).unflatten(-1, (self.actions, -1))

    def embed_actions(self, context: Tensor, observations: Tensor, actions: Tensor) -> Tensor:
        """Embed observations [N, H, W, 3] with actions, numbers [N, A]; returns [N, A, D]."""
        every = self.embed_poses(context, agent_poses(observations).unsqueeze(1)).squeeze(1)
        return every.gather(1, actions.unsqueeze(-1).expand(-1, -1, every.shape[-1]))

    def features(self, observations: Tensor, goals: Tensor) -> Tensor:
        """Return features of observations [B, H, W, 3] with a goal each [B, 3 or 4], for a policy.

        That is, f(s, a, g) of every action, the embeddings of the state with each action, and the
        embedding of the goal [B, A + A D + D].
        """
        context = self.initial_context(observations)
        states = self.embed_poses(context, agent_poses(observations).unsqueeze(1)).squeeze(1)
        goal = self.embed_goals(context, goals.long().unsqueeze(1))  # [B, 1, D]
        scores = self.score(states, goal).squeeze(-1)  # [B, A]
        return torch.cat([scores, states.flatten(1), goal.squeeze(1)], -1)

    def embed_goals(self, context: Tensor, goals: Tensor) -> Tensor:
        """Embed candidate goals, poses [N, M, 3], or with ``done`` said [N, M, 4]; [N, M, D]."""
        return self.goal(context, goals[..., :3])

    def score(self, state_actions: Tensor, goals: Tensor) -> Tensor:
        """Compare embeddings [..., N, D] and [..., M, D]; returns f [..., N, M] in nats."""
        return self.scale(self.energy(state_actions, goals))


def agent_poses(observations: Tensor) -> Tensor:
    """Return the poses [N, 3] of the agents in observations [N, H, W, 3]."""
    agent = observations[..., 2].flatten(1).long()  # [N, H * W], direction + 1 in one cell
    turn, cell = agent.max(1)
    width = observations.shape[2]
    return torch.stack([cell // width, cell % width, turn - 1], 1)
