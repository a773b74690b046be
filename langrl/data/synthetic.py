"""A world of three Gaussian modalities whose density ratios are known exactly.

Goals are ``B ~ N(mean, S)``; state-actions ``A`` and instructions ``C`` are noisy linear images of
a goal. With ``rho`` above 0 a hidden ``U``, distributed as a goal, influences both A and C but not
the goal, which violates Assumption 1.

Axes: ``N`` of A, ``M`` of B, ``K`` of C, ``S`` numbers in a goal, ``P`` numbers in A and in C.
Source: Che & Eysenbach, ICLR 2025, arXiv:2501.11326, the synthetic experiments.
"""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from langrl.errors import DomainError
from langrl.functional.energies import neg_half_sq_l2

NOISE = 2.0  # standard deviation of each number of A and of C


@dataclass(frozen=True, eq=False)
class GaussianTriples:
    """One such world.

    Attributes:
        mean: of goals [S].
        factor: goals are mean + z factor for z standard normal [S, S].
        maps: of a goal to A and to C [2, P, S].
        hidden_maps: of U to A and to C [2, P, S].
        rho: share of the signal that comes from U instead of the goal, in [0, 1].
    """

    mean: Tensor
    factor: Tensor
    maps: Tensor
    hidden_maps: Tensor
    rho: float = 0.0

    @classmethod
    def draw(
        cls, generator: Generator, rho: float = 0.0, goal_size: int = 16, size: int = 32
    ) -> "GaussianTriples":
        """Draw a world, all numbers uniform in [-1, 1]; DomainError if rho is outside [0, 1]."""
        if not 0 <= rho <= 1:
            raise DomainError(f"rho is a share in [0, 1], got {rho}")
        shapes = (goal_size,), (goal_size,) * 2, (2, size, goal_size), (2, size, goal_size)
        mean, factor, maps, hidden = (
            2 * torch.rand(shape, generator=generator) - 1 for shape in shapes
        )
        return cls(mean, factor, maps, hidden, rho)

    def goals(self, count: int, generator: Generator) -> Tensor:
        """Draw goals [M, S]."""
        return self.mean + torch.randn(count, len(self.mean), generator=generator) @ self.factor

    def pairs(self, side: int, count: int, generator: Generator) -> tuple[Tensor, Tensor]:
        """Draw (A, B) pairs for side 0, (C, B) pairs for side 1: [N, P] and [N, S]."""
        goals, hidden = self.goals(count, generator), self.goals(count, generator)
        return self._observe(side, goals, hidden, generator), goals

    def unseen_pairs(self, count: int, generator: Generator) -> tuple[Tensor, Tensor]:
        """Draw (A, C) pairs [N, P], which no method sees but the oracle and the evaluation."""
        goals, hidden = self.goals(count, generator), self.goals(count, generator)
        a, c = (self._observe(side, goals, hidden, generator) for side in (0, 1))
        return a, c

    def _observe(self, side: int, goals: Tensor, hidden: Tensor, generator: Generator) -> Tensor:
        goal_map, hidden_map = self._maps(side)
        signal = goals @ goal_map.mT + hidden @ hidden_map.mT
        return signal + NOISE * torch.randn(signal.shape, generator=generator)

    def _maps(self, side: int) -> tuple[Tensor, Tensor]:
        """Return the maps of a goal and of U to A (side 0) or C (side 1), [P, S] each."""
        return (1 - self.rho) ** 0.5 * self.maps[side], self.rho**0.5 * self.hidden_maps[side]

    def exact_ratio(self, side: int, x: Tensor, goals: Tensor) -> Tensor:
        """Return log p(x|b)/p(x), x of A (side 0) or C (side 1) [N, P], b [M, S]: [N, M] float64.

        It is the critic that Assumption 2 asks for.
        """
        x, goals, mean = x.double(), goals.double(), self.mean.double()
        goal_map, hidden_map = (each.double() for each in self._maps(side))
        spread = (self.factor.mT @ self.factor).double()
        given = hidden_map @ spread @ hidden_map.mT + NOISE**2 * torch.eye(len(goal_map)).double()
        marginal = given + goal_map @ spread @ goal_map.mT
        centre = goals @ goal_map.mT + mean @ hidden_map.mT  # [M, P]
        everywhere = (mean @ goal_map.mT + mean @ hidden_map.mT).unsqueeze(0)  # [1, P]
        return _log_normal(x, centre, given) - _log_normal(x, everywhere, marginal)

    def exact_marginal(self, a: Tensor, c: Tensor) -> Tensor:
        """Return log p(c|a)/p(c), Bayes-optimal, of a [N, P], c [K, P]: [N, K] float64."""
        a, c, mean = a.double(), c.double(), self.mean.double()
        spread = (self.factor.mT @ self.factor).double()
        maps = [[each.double() for each in self._maps(side)] for side in (0, 1)]

        def covariance(i: int, j: int) -> Tensor:
            (goal_i, hidden_i), (goal_j, hidden_j) = maps[i], maps[j]
            return goal_i @ spread @ goal_j.mT + hidden_i @ spread @ hidden_j.mT

        noise = NOISE**2 * torch.eye(a.shape[-1]).double()
        mean_a, mean_c = (mean @ (g + h).mT for g, h in maps)
        gain = torch.linalg.solve(covariance(0, 0) + noise, covariance(0, 1)).mT  # [P, P]
        given = covariance(1, 1) + noise - gain @ covariance(0, 1)
        expected = mean_c + (a - mean_a) @ gain.mT  # [N, P]
        marginal = _log_normal(c, mean_c.unsqueeze(0), covariance(1, 1) + noise)  # [K, 1]
        return _log_normal(c, expected, given).mT - marginal.mT


def _log_normal(x: Tensor, centre: Tensor, covariance: Tensor) -> Tensor:
    """Return log N(x; centre, covariance) up to log(2 pi) P / 2, [..., N, M]."""
    factor = torch.linalg.cholesky(covariance)
    whiten = torch.linalg.solve_triangular(factor, torch.eye(len(factor)).to(factor), upper=False)
    logdet = factor.diagonal().log().sum()
    return neg_half_sq_l2(x @ whiten.mT, centre @ whiten.mT) - logdet
