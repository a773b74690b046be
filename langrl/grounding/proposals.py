"""Where to draw candidate goals for a query, so that few of them suffice.

Axes: ``B`` pairs of training, ``N`` queries, ``M`` candidate goals, ``Q`` numbers in a query, ``S``
numbers in a goal.
"""

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from langrl.errors import DomainError, ShapeError
from langrl.functional import checks as arguments


@dataclass(frozen=True, eq=False)
class GaussianProposal:
    """A mixture q(g|x) of a linear-Gaussian estimate of p(g|x) and a Gaussian estimate of p(g).

    Most goals drawn from p(g) are impossible after a given state-action; these are not. The
    mixture's share of p(g) keeps each weight p(g) / q(g) below 1 / defensive, however bad the
    estimate of p(g|x). Goals have to be vectors with a nearly Gaussian law, since p(g) is estimated
    as a Gaussian.

    Attributes:
        weights: the regression of goals on queries [Q + 1, S], constant last.
        scatter: Cholesky factor of what the regression leaves, widened [S, S].
        mean: of goals [S].
        spread: Cholesky factor of the goals' covariance [S, S].
        defensive: share of candidates drawn from p(g), in (0, 1].

    Source: regression-based posteriors as proposals; defensive mixtures: Hesterberg 1995,
        "Weighted average importance sampling and defensive mixture distributions".
    """

    weights: Tensor
    scatter: Tensor
    mean: Tensor
    spread: Tensor
    defensive: float = 0.1

    @classmethod
    def fit(
        cls,
        queries: Tensor,
        goals: Tensor,
        *,
        more_goals: Tensor | None = None,
        widening: float = 1.5,
        defensive: float = 0.1,
    ) -> "GaussianProposal":
        """Fit to pairs from training.

        Args:
            queries: state-actions, as vectors [B, Q].
            goals: the goal of each [B, S].
            more_goals: further goals without queries, for the fit of p(g) [any, S].
            widening: factor on the guess's covariance, above 0.
            defensive: share of candidates drawn from p(g), in (0, 1].

        Raises:
            ShapeError: if the pairs do not fit together or are too few for a covariance.
            NonFiniteError: if an argument holds NaN or an infinity.
            DomainError: if ``widening`` or ``defensive`` is out of range.
        """
        name = "GaussianProposal.fit"
        given = {"queries": queries, "goals": goals}
        given |= {} if more_goals is None else {"more_goals": more_goals}
        for argument, value in given.items():
            arguments.check_embeddings(name, argument, value)
            arguments.check_finite(name, argument, value)
        if (
            any(value.ndim != 2 for value in given.values())
            or len(queries) != len(goals)
            or (len(goals) <= queries.shape[-1] + goals.shape[-1] + 1)
        ):
            raise ShapeError(
                f"{name} needs queries [B, Q] and goals [B, S] with B > Q + S + 1, got"
                f" {list(queries.shape)} and {list(goals.shape)}; give more pairs"
            )
        if more_goals is not None and more_goals.shape[-1] != goals.shape[-1]:
            raise ShapeError(
                f"{name} needs more_goals [any, {goals.shape[-1]}] like goals, got"
                f" {list(more_goals.shape)}; leave them out or give goals of the same size"
            )
        if not (0 < widening < math.inf and 0 < defensive <= 1):
            raise DomainError(
                f"{name} needs widening > 0 and defensive in (0, 1], got {widening} and {defensive}"
            )
        inputs, targets = _with_constant(queries.double()), goals.double()
        # normal equations of columns of one size; not lstsq, whose last digits vary between calls
        sizes = inputs.square().mean(0).sqrt().clamp(min=1e-300)
        gram = (inputs / sizes).mT @ (inputs / sizes)
        ridge = 1e-13 * len(inputs) * torch.eye(len(gram)).to(gram)
        slopes = torch.linalg.solve(gram + ridge, (inputs / sizes).mT @ targets)
        weights = slopes / sizes.unsqueeze(1)  # [Q + 1, S]
        every = targets if more_goals is None else torch.cat([targets, more_goals.double()])
        left_over = widening * _covariance(targets - inputs @ weights)
        return cls(
            weights, _cholesky(left_over), every.mean(0), _cholesky(_covariance(every)), defensive
        )

    def draw(self, queries: Tensor, count: int, generator: Generator) -> tuple[Tensor, Tensor]:
        """Draw candidates for each query [N, Q].

        Returns:
            Goals [N, M, S] and log p(g) - log q(g|x) [N, M].

        Raises:
            ShapeError: if the queries have another size than those of the fit.
            NonFiniteError: if a query holds NaN or an infinity.
            DomainError: if ``count`` is below 1.
        """
        name = "GaussianProposal.draw"
        arguments.check_embeddings(name, "queries", queries)
        arguments.check_finite(name, "queries", queries)
        if queries.ndim != 2 or queries.shape[1] + 1 != len(self.weights):
            raise ShapeError(
                f"{name} needs queries [N, {len(self.weights) - 1}], as in the fit, got"
                f" {list(queries.shape)}"
            )
        if count < 1:
            raise DomainError(f"{name} needs count >= 1, got {count}")
        centre = _with_constant(queries.double()) @ self.weights  # [N, S]
        shape = (len(queries), count, len(self.mean))
        device = queries.device
        normal = torch.randn(shape, generator=generator, dtype=torch.float64, device=device)
        prior = torch.rand(shape[:2], generator=generator, device=device) < self.defensive
        goals = torch.where(
            prior.unsqueeze(-1),
            self.mean + normal @ self.spread.mT,
            centre.unsqueeze(1) + normal @ self.scatter.mT,
        )
        log_prior = _log_normal(goals - self.mean, self.spread)
        log_guess = _log_normal(goals - centre.unsqueeze(1), self.scatter)
        if self.defensive == 1:
            return goals.to(queries.dtype), queries.new_zeros(shape[:2])
        log_proposal = torch.logaddexp(
            log_prior + math.log(self.defensive), log_guess + math.log1p(-self.defensive)
        )
        return goals.to(queries.dtype), (log_prior - log_proposal).to(queries.dtype)


def _with_constant(queries: Tensor) -> Tensor:
    return torch.cat([queries, torch.ones_like(queries[..., :1])], -1)


def _covariance(rows: Tensor) -> Tensor:
    """Return the covariance [S, S] of rows [B, S], for S = 1 as well."""
    return torch.cov(rows.mT).reshape(rows.shape[1], rows.shape[1])


def _cholesky(covariance: Tensor) -> Tensor:
    """Return the Cholesky factor, with a little ridge where goals do not fill their space."""
    ridge = 1e-9 * covariance.diagonal().mean() + 1e-12
    return torch.linalg.cholesky(covariance + ridge * torch.eye(len(covariance)).to(covariance))


def _log_normal(offsets: Tensor, factor: Tensor) -> Tensor:
    """Return log N(offset; 0, factor factor'), up to the constant in 2 pi, of [..., S]."""
    white = torch.linalg.solve_triangular(factor, offsets.mT, upper=False)
    return -white.square().sum(-2) / 2 - factor.diagonal().log().sum()
