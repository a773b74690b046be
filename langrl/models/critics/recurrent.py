"""The critic of agents that see a part of the world: it compares histories with goals.

The encoder and the GRU of contrastive predictive coding turn what the agent has seen and done so
far into a context. A goal is the type and the colour of the cell that the agent faces.

Axes: ``N`` episodes, ``B`` explorations in a batch, ``T`` time, ``V`` cells along a side of a
view, ``M`` goals, ``A`` actions, ``D`` embedding size, ``C`` numbers of a context.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from langrl.functional.energies import Energy
from langrl.models.blocks import mlp
from langrl.models.config import RecurrentCriticConfig
from langrl.models.cpc import CPC
from langrl.models.critics.maze import Scale
from langrl.models.observation_encoders import CODES

_NEVER = -30.0  # nats; the log density ratio of what cannot be


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
        faced = _one_hot(views[..., size - 2, size // 2, :2], codes)
        return torch.cat([faced, codes] if remembered is None else [faced, codes, remembered], -1)

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
        """Embed histories [..., any] with every action; returns [..., A, D + 24].

        The last 24 numbers say what an action makes final: ``done`` the faced cell, others 0.
        """
        moves = self.state_action(contexts).unflatten(-1, (self.actions - 1, -1))
        # ``done`` ends the episode: the only goal that it reaches is what is faced now.
        faced = contexts[..., : 2 * CODES].unsqueeze(-2)
        stays = torch.cat([self.stay(faced), faced], -1)
        return torch.cat([functional.pad(moves, (0, 2 * CODES)), stays], -2)

    def embed_actions(self, context: Tensor, observations: Tensor, actions: Tensor) -> Tensor:
        """Embed histories [N, any] with actions, numbers [N, A]; returns [N, A, D]."""
        every = self.embed_contexts(context)
        return every.gather(1, actions.unsqueeze(-1).expand(-1, -1, every.shape[-1]))

    def encode_goals(self, goals: Tensor) -> Tensor:
        """Embed goals, type and colour [..., 2]; returns [..., D + 24], the goal itself last."""
        cells = _one_hot(goals, next(self.goal.parameters()))
        return torch.cat([self.goal(cells), cells], -1)

    def embed_goals(self, context: Tensor, goals: Tensor) -> Tensor:
        """Embed candidate goals [N, M, 2]; returns [N, M, D]."""
        return self.encode_goals(goals)

    def score(self, state_actions: Tensor, goals: Tensor) -> Tensor:
        """Compare embeddings [..., N, D + 24] and [..., M, D + 24]; returns f [..., N, M] in nats.

        After ``done`` only what is faced is reached: other goals are at -30 nats, whatever the
        encoders have learned.
        """
        size = state_actions.shape[-1] - 2 * CODES
        learned = self.scale(self.energy(state_actions[..., :size], goals[..., :size]))
        final, wanted = state_actions[..., size:], goals[..., size:]
        is_final = final.sum(-1, keepdim=True) / 2  # type and colour are a 1 each
        is_reached = functional.relu(final @ wanted.mT - 1)
        return learned + _NEVER * (is_final - is_reached)


def _one_hot(cells: Tensor, like: Tensor) -> Tensor:
    """Return types and colours [..., 2] as floats [..., 2 * CODES], in the dtype of another one."""
    return functional.one_hot(cells.long(), CODES).flatten(-2).to(like.dtype)
