"""The critic of agents that see a part of the world: it compares histories with goals.

The encoder and the GRU of contrastive predictive coding turn what the agent has seen and done so
far into a context. A goal is the type and the colour of the cell that the agent faces.

Axes: ``N`` episodes, ``B`` explorations in a batch, ``T`` time, ``V`` cells along a side of a
view, ``M`` goals, ``A`` actions, ``D`` embedding size, ``C`` numbers of a context, ``K`` kinds of
object: type and colour.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from langrl.envs.grid.grammar import COLOURS, EMPTY, TYPES
from langrl.envs.grid.rooms import DOOR
from langrl.envs.grid.views import UNSEEN
from langrl.functional.energies import Energy
from langrl.models.blocks import mlp
from langrl.models.config import RecurrentCriticConfig
from langrl.models.cpc import CPC
from langrl.models.critics.maze import Scale
from langrl.models.observation_encoders import CODES

_NEVER = -30.0  # nats; the log density ratio of what cannot be
_KINDS = len(TYPES) * len(COLOURS)


class ViewPaths(nn.Module):
    """Judges moves towards the objects in view: how much closer each move leads to each of them.

    What decides that is which cells are free; what the objects are does not. So a value is given
    to each move and cell, and an object has that of its cell.

    Args:
        size: cells along a side of a view, V.
        width: units in a hidden layer.
        moves: how many actions move, A - 1.
    """

    def __init__(self, size: int, width: int, moves: int) -> None:
        super().__init__()
        self.moves = moves
        self.net = mlp(3 * size * size, width, 2, moves * size * size)

    def forward(self, views: Tensor) -> Tensor:
        """Map views [..., V, V, 3] to values of moves for kinds [..., A - 1, K], 0 if not in view.

        Of several objects of a kind, the one that a move is best for counts.
        """
        cells = views.flatten(-3, -2)  # [..., V * V, 3]
        kind = cells[..., 0]
        planes = torch.cat([kind == EMPTY, kind == DOOR, kind == UNSEEN], -1)
        values = self.net(planes.to(next(self.net.parameters()).dtype))
        values = values.unflatten(-1, (self.moves, -1))  # [..., A - 1, V * V]
        number = kind_numbers(cells).unsqueeze(-2).expand(values.shape)
        found = values.new_zeros(*values.shape[:-1], _KINDS + 1)
        found = found.scatter_reduce(-1, number, values, "amax", include_self=False)
        return found[..., :_KINDS]


def kind_numbers(cells: Tensor) -> Tensor:
    """Return the number of the kind of each cell [..., 2 or 3], K of cells without an object."""
    kind, colour = cells[..., 0].long(), cells[..., 1].long()
    return torch.where(kind >= DOOR, (kind - DOOR) * len(COLOURS) + colour, _KINDS)


class RecurrentCritic(nn.Module):
    """f(h, a, g), an estimate of log p(g|h,a) / p(g) of a history h of views and actions.

    Args:
        history: encoder and GRU; the GRU may take the actions between views as well.
        memory: whether the GRU's state is part of h. Without it, h is the present view.
        actions: how many there are, A.

    Source: contrastive RL, Eysenbach et al. 2022, arXiv:2206.07568, on histories as beliefs, Guo
    et al. 2018, arXiv:1811.06407.
    """

    observation_axes = 3

    def __init__(
        self,
        history: CPC,
        memory: bool,
        actions: int,
        energy: Energy,
        config: RecurrentCriticConfig,
    ) -> None:
        super().__init__()
        self.history, self.memory, self.actions = history, memory, actions
        self.energy, self.scale = energy, Scale()
        sizes = history.description.config
        seen = 2 * CODES + sizes.embedding + (sizes.context if memory else 0)
        width, depth = config.width, config.depth
        size, *_ = history.description.observation
        self.towards = (
            ViewPaths(size, config.view_width, actions - 1) if config.view_width else None
        )
        self.state_action = mlp(seen, width, depth, (actions - 1) * config.embedding)
        self.stay = mlp(2 * CODES, width, depth, config.embedding)
        self.goal = mlp(2 * CODES, width, depth, config.embedding)

    def contexts(self, views: Tensor, codes: Tensor, remembered: Tensor | None) -> Tensor:
        """Return what f takes for histories [..., any].

        Args:
            views: what is seen [..., V, V, 3]; the cell that is faced is given by itself as well,
                since it is the goal that has been reached.
            codes: of the views [..., D].
            remembered: contexts of CPC [..., C]; None without memory.
        """
        size = views.shape[-2]
        parts = [_one_hot(views[..., size - 2, size // 2, :2], codes)]
        if self.towards is not None:
            parts.append(self.towards(views).flatten(-2))
        return torch.cat([*parts, codes, *([] if remembered is None else [remembered])], -1)

    def initial_context(self, observations: Tensor) -> Tensor:
        """Return the contexts [N, any] of episodes that start with views [N, V, V, 3]."""
        before = torch.full((len(observations),), self.history.none_yet, device=observations.device)
        return self._step(observations, before, None)

    def update_memory(
        self, context: Tensor, observations: Tensor, actions: Tensor, acted: Tensor
    ) -> Tensor:
        """Return contexts [N, any] after one more step, to views [N, V, V, 3].

        Actions are int [N]; else as ``Critic.update_memory``.
        """
        state = context[:, -self.history.description.config.context :] if self.memory else None
        return torch.where(acted.unsqueeze(1), self._step(observations, actions, state), context)

    def _step(self, observations: Tensor, actions: Tensor, state: Tensor | None) -> Tensor:
        codes = self.history.encode(observations)
        if not self.memory:
            return self.contexts(observations, codes, None)
        taken = actions.unsqueeze(1) if self.history.actions else None
        _, after = self.history.contexts(codes.unsqueeze(1), taken, state)
        return self.contexts(observations, codes, after)

    def scene_changed(self, before: Tensor, now: Tensor) -> Tensor:
        """Return False [N]: any view may follow within an episode."""
        return torch.zeros(len(now), dtype=torch.bool, device=now.device)

    def embed_contexts(self, contexts: Tensor) -> Tensor:
        """Embed histories [..., any] with every action; returns [..., A, D + K + 24].

        K numbers say where moves lead in view; none without ``view_width``. The last 24 say what
        an action makes final: ``done`` the faced cell, others 0.
        """
        in_view = (self.actions - 1) * self._kinds
        faced, towards, others = contexts.split(
            [2 * CODES, in_view, contexts.shape[-1] - 2 * CODES - in_view], -1
        )
        moves = self.state_action(torch.cat([faced, others], -1))
        moves = moves.unflatten(-1, (self.actions - 1, -1))
        moves = torch.cat([moves, towards.unflatten(-1, (self.actions - 1, self._kinds))], -1)
        # ``done`` ends the episode: the only goal that it reaches is what is faced now.
        faced = faced.unsqueeze(-2)
        stays = torch.cat([functional.pad(self.stay(faced), (0, self._kinds)), faced], -1)
        return torch.cat([functional.pad(moves, (0, 2 * CODES)), stays], -2)

    @property
    def _kinds(self) -> int:
        """How many kinds moves are judged for by what is in view."""
        return 0 if self.towards is None else _KINDS

    def embed_actions(self, context: Tensor, observations: Tensor, actions: Tensor) -> Tensor:
        """Embed histories [N, any] with actions, numbers [N, A]; returns [N, A, D]."""
        every = self.embed_contexts(context)
        return every.gather(1, actions.unsqueeze(-1).expand(-1, -1, every.shape[-1]))

    def encode_goals(self, goals: Tensor) -> Tensor:
        """Embed goals, type and colour [..., 2]; [..., D + K + 24], the goal itself last."""
        cells = _one_hot(goals, next(self.goal.parameters()))
        kinds = functional.one_hot(kind_numbers(goals), _KINDS + 1)[..., : self._kinds]
        return torch.cat([self.goal(cells), kinds.to(cells.dtype), cells], -1)

    def embed_goals(self, context: Tensor, goals: Tensor) -> Tensor:
        """Embed candidate goals [N, M, 2]; returns [N, M, D]."""
        return self.encode_goals(goals)

    def score(self, state_actions: Tensor, goals: Tensor) -> Tensor:
        """Compare embeddings of both, [..., N, any] and [..., M, any]; f [..., N, M] in nats.

        After ``done`` only what is faced is reached: other goals are at -30 nats, whatever the
        encoders have learned.
        """
        sizes = [state_actions.shape[-1] - self._kinds - 2 * CODES, self._kinds, 2 * CODES]
        state_action, towards, final = state_actions.split(sizes, -1)
        goal, kinds, wanted = goals.split(sizes, -1)
        learned = self.scale(self.energy(state_action, goal)) + towards @ kinds.mT
        is_final = final.sum(-1, keepdim=True) / 2  # type and colour are a 1 each
        is_reached = functional.relu(final @ wanted.mT - 1)
        return learned + _NEVER * (is_final - is_reached)


def _one_hot(cells: Tensor, like: Tensor) -> Tensor:
    """Return types and colours [..., 2] as floats [..., 2 * CODES], in the dtype of another one."""
    return functional.one_hot(cells.long(), CODES).flatten(-2).to(like.dtype)
