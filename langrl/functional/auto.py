"""Choose an estimator of the marginal: direct, a closed form, or Monte Carlo.

Theory says when direct comparison and the closed forms are exact (one shared goal encoder,
Assumption 3), and when Monte Carlo is precise (a large effective sample). Otherwise the estimators
are rehearsed: for held-out state-actions, whose goals are known, an instruction is drawn from the
language critic's own p(l|g). Every estimator is scored on the pairs of state-action and instruction
that result; they need no annotation, and follow Assumption 1.

Axes: ``N`` state-actions, ``M`` candidate goals, ``K`` instructions, ``D`` and ``E`` embedding
sizes of the critic and of the language side.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from langrl.errors import DomainError, ShapeError
from langrl.functional import checks as arguments
from langrl.functional.assumptions import Test, gaussianity, uniformity
from langrl.functional.energies import Energy, cosine, dot, energy_of, neg_half_sq_l2
from langrl.functional.estimates import Estimate
from langrl.functional.marginals import (
    direct,
    gaussian,
    gaussian_law,
    monte_carlo_embeddings,
    von_mises_fisher,
)
from langrl.functional.retrieval import recall_at_1

Scorer = Callable[[Tensor, Tensor], Tensor]
_FEW = 30  # effective candidates, below which a Monte Carlo estimate rests on a handful


@dataclass(frozen=True)
class Choice:
    """An estimator, and why.

    Attributes:
        estimator: ``direct``, ``von_mises_fisher``, ``gaussian`` or ``monte_carlo``.
        score: compares state-action embeddings [..., N, D] with instruction embeddings
            [..., K, E] by that estimator, [..., N, K].
        reasons: a line each.
        tests: of Assumption 3, on the critic's goal embeddings; empty if there are too few.
        rehearsed: recall among the alternatives, and its standard error, by estimator.
        effective_sample_size: median over rehearsed pairs, out of M.
    """

    estimator: str
    score: Scorer
    reasons: tuple[str, ...]
    tests: tuple[Test, ...]
    rehearsed: dict[str, tuple[float, float]]
    effective_sample_size: float

    def __str__(self) -> str:
        """Return the choice and its reasons, a line each."""
        return "\n  ".join([f"{self.estimator}:", *self.reasons])


@dataclass(frozen=True)
class _Critics:
    """Both critics on embeddings."""

    energy: Energy
    right_energy: Energy
    left_scale: float
    right_scale: float
    goals: Tensor
    right_goals: Tensor | None

    def scorers(self) -> dict[str, Scorer]:
        """Return the estimators that are defined for these critics, the cheap ones first."""
        scorers: dict[str, Scorer] = {}
        if self.right_goals is None:
            scorers["direct"] = lambda a, c: direct(a, c, energy=self.energy)
        if self.energy is self.right_energy and self.energy in (dot, cosine, neg_half_sq_l2):
            mean, covariance = gaussian_law(self.goals, self.right_goals, self.energy)
            scorers["gaussian"] = lambda a, c: gaussian(
                a, c, mean, covariance, self.left_scale, self.right_scale, self.energy
            )
        scorers["monte_carlo"] = lambda a, c: self.monte_carlo(a, c).value
        return scorers

    def monte_carlo(self, a: Tensor, c: Tensor, error_bars: bool = False) -> Estimate:
        return monte_carlo_embeddings(
            a, c, self.goals, self.right_goals,
            left_scale=self.left_scale, right_scale=self.right_scale,
            energy=self.energy, right_energy=self.right_energy, error_bars=error_bars,
            # as many scores at a time as fit in a cache, whatever the batch
            chunk=max(64, (1 << 19) // max(1, a.numel() // a.shape[-1])),
        )  # fmt: skip


@arguments.takes_tensors()
@torch.no_grad()
def choose(
    left: Tensor,
    left_goals: Tensor,
    right: Tensor,
    goals: Tensor,
    right_goals: Tensor | None = None,
    *,
    generator: torch.Generator,
    energy: Energy | str = neg_half_sq_l2,
    right_energy: Energy | str | None = None,
    left_scale: float | Tensor = 1.0,
    right_scale: float | Tensor = 1.0,
    alternatives: int = 32,
    level: float = 0.01,
) -> Choice:
    """Choose an estimator from data, without a single pair of state-action and instruction.

    Args:
        left: embeddings of state-actions, best not those of training [N, D].
        left_goals: the goal that each of them is paired with, embedded by the language side's goal
            encoder [N, E].
        right: embeddings of instructions, as they occur [K, E].
        goals: the candidate goals that Monte Carlo will use, embedded by the critic's goal
            encoder [M, D].
        right_goals: the same, by the language side's goal encoder [M, E]; None where one is shared.
        generator: for the rehearsed instructions.
        energy: of the critic, and of the language side where ``right_energy`` is None.
        right_energy: of the language side.
        left_scale: inverse temperature of the critic.
        right_scale: inverse temperature of the language side.
        alternatives: instructions in each group of the rehearsal; N >= 2 * alternatives.
        level: of the tests of Assumption 3.

    Raises:
        ShapeError: if sizes do not fit, or there is too little of something.
        NonFiniteError: if there is NaN or an infinity.
        DomainError: if a scale is negative, or ``alternatives`` below 2.
    """
    _check(left, left_goals, right, goals, right_goals, alternatives)
    if right_goals is not None and torch.equal(goals, right_goals):
        right_goals = None
    t1 = arguments.scale("choose", "left_scale", left_scale, left).item()
    t2 = arguments.scale("choose", "right_scale", right_scale, right).item()
    energy = energy_of(energy)
    other = energy if right_energy is None else energy_of(right_energy)
    critics = _Critics(energy, other, t1, t2, goals, right_goals)
    instructions = _rehearsed_instructions(critics, left_goals, right, generator)
    groups = len(left) // alternatives
    a = left[: groups * alternatives].unflatten(0, (groups, alternatives))
    c = instructions[: groups * alternatives].unflatten(0, (groups, alternatives))
    scorers = critics.scorers()
    estimate = critics.monte_carlo(a, c, error_bars=True)
    rehearsed = {}
    for name, score in scorers.items():
        values = estimate.value if name == "monte_carlo" else score(a, c)
        recall = recall_at_1(values).mean(-1)  # [groups]
        rehearsed[name] = (recall.mean().item(), (recall.std() / groups**0.5).item())
    assert estimate.effective_sample_size is not None
    effective = estimate.effective_sample_size.diagonal(dim1=-2, dim2=-1).median().item()
    return _choice(scorers, rehearsed, _tests(energy, goals, level), effective, critics)


def _rehearsed_instructions(
    critics: _Critics, left_goals: Tensor, right: Tensor, generator: torch.Generator
) -> Tensor:
    """Draw an instruction for each goal from the language side's p(l|g); [N, E]."""
    fits = critics.right_scale * critics.right_energy(left_goals, right)  # [N, K]
    chosen = torch.multinomial(fits.double().softmax(-1), 1, generator=generator).squeeze(1)
    return right[chosen]


def _tests(energy: Energy, goals: Tensor, level: float) -> tuple[Test, ...]:
    """Test Assumption 3; with no test where there are too few goals, or all are embedded alike."""
    if goals.shape[1] < 2 or len(goals) < max(10, goals.shape[1] + 2):
        return ()
    try:
        return tuple((uniformity if energy is cosine else gaussianity)(goals, level))
    except DomainError:  # an encoder that collapsed, or an embedding without a direction
        return ()


def _choice(
    scorers: dict[str, Scorer],
    rehearsed: dict[str, tuple[float, float]],
    tests: tuple[Test, ...],
    effective: float,
    critics: _Critics,
) -> Choice:
    shared = critics.right_goals is None
    law = "uniform on the sphere" if critics.energy is cosine else "isotropic Gaussian"
    holds = bool(tests) and not any(test.rejects for test in tests)
    best = max(rehearsed, key=lambda name: rehearsed[name][0])  # the first of equals: the cheapest
    reasons = [
        "one goal encoder is shared: direct comparison is meaningful"
        if shared
        else "the critics have goal encoders of their own: direct comparison is meaningless",
        f"goal embeddings {'pass for' if holds else 'are not'} {law} (Assumption 3)"
        if tests
        else f"too few goals ({len(critics.goals)}), or too much alike, to test whether embeddings"
        f" are {law}",
        *map(str, tests),
        f"Monte Carlo: {effective:.3g} of {len(critics.goals)} candidates are effective (median)"
        + (", so that a handful decides" if effective < _FEW else ""),
        "rehearsed recall: "
        + ", ".join(f"{name} {r:.3f} +- {e:.3f}" for name, (r, e) in rehearsed.items()),
    ]
    score = scorers[best]
    if best == "direct" and holds and critics.energy is cosine:
        best = "von_mises_fisher"
        reasons.append("von_mises_fisher ranks as direct does, and its values are log ratios")

        def score(a: Tensor, c: Tensor) -> Tensor:
            return von_mises_fisher(a, c, critics.left_scale, critics.right_scale)

    return Choice(best, score, tuple(reasons), tests, rehearsed, effective)


def _check(
    left: Tensor,
    left_goals: Tensor,
    right: Tensor,
    goals: Tensor,
    right_goals: Tensor | None,
    alternatives: int,
) -> None:
    others = goals if right_goals is None else right_goals
    given = {"left": left, "left_goals": left_goals, "right": right, "goals": goals}
    for name, value in (given | {"right_goals": others}).items():
        arguments.check_embeddings("choose", name, value)
        arguments.check_finite("choose", name, value)
        if value.ndim != 2:
            raise ShapeError(f"choose needs {name} [rows, D], got {list(value.shape)}; flatten it")
    if alternatives < 2:
        raise DomainError(f"choose needs alternatives >= 2, got {alternatives}")
    if len(left) != len(left_goals) or len(left) < 2 * alternatives:
        raise ShapeError(
            f"choose needs left [N, D] and left_goals [N, E] with N >= {2 * alternatives}, got"
            f" {list(left.shape)} and {list(left_goals.shape)}; give more held-out pairs"
        )
    if len(goals) < 2 or len(goals) != len(others):
        raise ShapeError(
            "choose needs the same M >= 2 candidates in goals and right_goals, got"
            f" {len(goals)} and {len(others)}; embed the same goals twice"
        )
    language_sizes = {right.shape[1], left_goals.shape[1], others.shape[1]}
    if left.shape[1] != goals.shape[1] or len(language_sizes) != 1:
        raise ShapeError(
            "choose needs left and goals of one embedding size, and right, left_goals and"
            f" right_goals of one, got { ({k: v.shape[1] for k, v in given.items()}) }"
        )
