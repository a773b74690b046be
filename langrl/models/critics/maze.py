"""Critics: learned log density ratios between two encoded modalities.

Axes: ``N`` left sides, ``M`` right sides, ``K`` texts, ``J`` alternatives of a text, ``D``
embedding size; leading axes broadcast.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from langrl.functional.energies import Energy
from langrl.models.critics.memoryless import Memoryless
from langrl.models.encoders import GoalEncoder, StateActionEncoder, TextEncoder
from langrl.models.regions import ROLES, Regions
from langrl.models.understanding import Understanding
from langrl.settings import Settings

_GOALS_AT_ONCE = 4096
_MAX_LOG_SCALE = 6.9  # a scale of 1,000; beyond it float32 softmaxes are steps


class Scale(nn.Module):
    """A positive inverse temperature: learned, 1 at first and at most 1,000; or fixed."""

    def __init__(self, fixed: float | None = None) -> None:
        super().__init__()
        initial = torch.zeros(()) if fixed is None else torch.tensor(fixed).log()
        self.log_scale = nn.Parameter(initial, requires_grad=fixed is None)

    def forward(self, energies: Tensor) -> Tensor:
        """Return energies in nats."""
        return energies * self.log_scale.exp()

    @torch.no_grad()
    def bound(self) -> None:
        """Lower the scale to its maximum; called after each gradient step."""
        # Not a clamp in `forward`: its gradient is 0 above the maximum, so the scale would stay.
        self.log_scale.clamp_(max=_MAX_LOG_SCALE)


class PairCritic(nn.Module):
    """f(x, y) of two vectors through an encoder each, an estimate of log p(x, y) / p(x) p(y).

    Two critics may share an encoder. The inverse temperature is part of the critic.
    """

    def __init__(
        self, left: nn.Module, right: nn.Module, energy: Energy, scale: Scale | None = None
    ) -> None:
        super().__init__()
        self.left, self.right, self.energy, self.scale = left, right, energy, scale or Scale()

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Score x [N, any] against y [M, any]; returns f [N, M] in nats."""
        scores: Tensor = self.scale(self.energy(self.left(x), self.right(y)))
        return scores


class GoalCritic(Memoryless, nn.Module):
    """f(s, a, g), an estimate of log p(g|s,a) / p(g).

    The temperature is part of it: without it the sum over goals is wrong.
    """

    observation_axes = 1

    def __init__(self, state_action: StateActionEncoder, goal: GoalEncoder, energy: Energy) -> None:
        super().__init__()
        self.state_action, self.goal, self.energy, self.scale = state_action, goal, energy, Scale()

    def embed_actions(self, context: Tensor, observations: Tensor, actions: Tensor) -> Tensor:
        """Embed observations [N, S] with each of their actions [N, A, ...]; returns [N, A, D]."""
        return self.state_action(observations.unsqueeze(1), actions)

    def features(self, observations: Tensor, goals: Tensor) -> Tensor:
        """Return features of states [B, S] with a goal each [B, S], for a policy.

        That is, what the state encoder gives before an action joins, and the embeddings of the
        state as a goal and of the goal [B, width + 2 D].
        """
        states = self.state_action.read(observations)
        return torch.cat([states, self.goal(observations), self.goal(goals)], -1)

    def embed_goals(self, context: Tensor, goals: Tensor) -> Tensor:
        """Embed candidate goals [N, M, S] without gradients; returns [N, M, D]."""
        return encode_in_chunks(self.goal, goals)

    def score(self, state_actions: Tensor, goals: Tensor) -> Tensor:
        """Compare embeddings [..., N, D] and [..., M, D]; returns f [..., N, M] in nats."""
        return self.scale(self.energy(state_actions, goals))


@torch.no_grad()
def encode_in_chunks(encoder: Callable[[Tensor], Tensor], goals: Tensor) -> Tensor:
    """Encode goals [..., S] in chunks, so that hidden layers stay in a CPU's cache."""
    chunks = goals.flatten(0, -2).split(_GOALS_AT_ONCE)
    return torch.cat([encoder(chunk) for chunk in chunks]).unflatten(0, goals.shape[:-1])


class LanguageCritic(nn.Module):
    """h(g, l), an estimate of log p(l|g) / p(l): a logsumexp over the text's alternatives.

    Where texts exclude regions as well, ``langrl.models.regions`` joins them.
    ``description`` is what shapes it, apart from its weights; it is needed to store it.
    ``understanding`` tells texts that mean something, once it is fitted.
    """

    sees_goals_alone = True

    def __init__(
        self,
        goal: GoalEncoder,
        text: TextEncoder,
        energy: Energy,
        description: Settings | None = None,
    ) -> None:
        super().__init__()
        self.description = description
        self.understanding: Understanding | None = None
        self.goal, self.text, self.energy, self.scale = goal, text, energy, Scale()
        self.regions = None if getattr(text, "roles", None) is None else Regions()

    def embed_goals(self, observations: Tensor, goals: Tensor) -> Tensor:
        """Embed candidate goals [N, M, S], of any numbers, without gradients; [N, M, D]."""
        return encode_in_chunks(self.goal, goals.to(self.scale.log_scale.dtype))

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Embed texts [K, J, D]; raises InstructionError if one cannot be an instruction."""
        return self.text.encode(texts)

    def score(self, goals: Tensor, texts: Tensor, trust: float = 1.0) -> Tensor:
        """Compare embeddings [..., M, D] and [..., K, J, D]; returns h [..., M, K] in nats.

        ``trust`` in roles is below 1 in training alone: ``langrl.models.regions.trust_in_roles``.
        """
        energies = self.energy(goals, self.as_goals(texts).flatten(-3, -2))  # [..., M, K * J]
        every = self.scale(energies).unflatten(-1, texts.shape[-3:-1])  # [..., M, K, J]
        if self.regions is None:
            return every.logsumexp(-1)
        return self.regions(every, texts[..., -ROLES:], trust)

    def as_goals(self, texts: Tensor) -> Tensor:
        """Return a text's embeddings [..., J, D] in the space of goals, without their roles."""
        return texts if self.regions is None else texts[..., :-ROLES]


def named_weights(critic: GoalCritic, language: LanguageCritic) -> dict[str, nn.Parameter]:
    """Return the parameters of both critics by name, the shared goal encoder's once."""
    modules = nn.ModuleDict({"critic": critic, "language": language})
    return dict(modules.named_parameters())
