"""Critics: learned log density ratios between two encoded modalities.

Axes: ``N`` left sides, ``M`` right sides, ``K`` texts, ``J`` alternatives of a text, ``D``
embedding size; leading axes broadcast.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from langrl.functional.energies import Energy
from langrl.models.encoders import GoalEncoder, StateActionEncoder, TextEncoder

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
        """Put the scale back below its maximum; called after each gradient step."""
        # Not a clamp in `forward`: its gradient above the bound is 0, and there is no way back.
        self.log_scale.clamp_(max=_MAX_LOG_SCALE)


class PairCritic(nn.Module):
    """f(x, y) of two vectors through an encoder each, an estimate of log p(x, y) / p(x) p(y).

    Args:
        left: encoder of x.
        right: encoder of y; two critics may share one.
        energy: how two embeddings are compared.
        scale: the inverse temperature, part of the critic.
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


class GoalCritic(nn.Module):
    """f(s, a, g), an estimate of log p(g|s,a) / p(g).

    The temperature is part of it: without it the sum over goals is wrong.
    """

    def __init__(self, state_action: StateActionEncoder, goal: GoalEncoder, energy: Energy) -> None:
        super().__init__()
        self.state_action, self.goal, self.energy, self.scale = state_action, goal, energy, Scale()

    def score(self, state_actions: Tensor, goals: Tensor) -> Tensor:
        """Compare embeddings [..., N, D] and [..., M, D]; returns f [..., N, M] in nats."""
        return self.scale(self.energy(state_actions, goals))


class LanguageCritic(nn.Module):
    """h(g, l), an estimate of log p(l|g) / p(l): a logsumexp over the text's alternatives."""

    def __init__(self, goal: GoalEncoder, text: TextEncoder, energy: Energy) -> None:
        super().__init__()
        self.goal, self.text, self.energy, self.scale = goal, text, energy, Scale()

    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """Embed texts [K, J, D]; raises InstructionError if one cannot be an instruction."""
        return self.text.encode(texts)

    def score(self, goals: Tensor, texts: Tensor) -> Tensor:
        """Compare embeddings [..., M, D] and [..., K, J, D]; returns h [..., M, K] in nats."""
        energies = self.energy(goals, texts.flatten(-3, -2))  # [..., M, K * J]
        every = self.scale(energies).unflatten(-1, texts.shape[-3:-1])  # [..., M, K, J]
        return every.logsumexp(-1)


def named_weights(critic: GoalCritic, language: LanguageCritic) -> dict[str, nn.Parameter]:
    """Return the parameters of both critics by name, the shared goal encoder's once."""
    modules = nn.ModuleDict({"critic": critic, "language": language})
    return dict(modules.named_parameters())
