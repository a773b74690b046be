"""Tests of Assumption 3: goal embeddings are uniform on the sphere, or isotropic Gaussian.

Each test has a statistic with a chi-squared or normal law where the assumption holds, and states
its power: the smallest effect that it finds nearly always. With many goals a test finds effects too
small to matter for ranking; ``langrl.functional.auto`` measures what they do.

Axes: ``n`` goal embeddings, ``D`` embedding size.
"""

import math
from dataclasses import dataclass

import torch
from scipy import optimize, stats
from torch import Tensor

from langrl.errors import DomainError, ShapeError
from langrl.functional import checks as arguments
from langrl.functional.densities import widened

_MOST = 5000  # embeddings that skewness compares with one another


@dataclass(frozen=True)
class Test:
    """One test of Assumption 3.

    Attributes:
        p_value: chance of a statistic as extreme where the assumption holds, in [0, 1].
        effect: size of the departure in the unit that ``measure`` names, less what chance gives.
        detectable: effect that is found with probability ``power``.
        measure: what the effect is.
        level: chance of rejecting where the assumption holds.
        power: chance of rejecting at the detectable effect.
    """

    __test__ = False  # not a test of pytest's

    name: str
    statistic: float
    p_value: float
    effect: float
    detectable: float
    measure: str
    level: float
    power: float

    @property
    def rejects(self) -> bool:
        """Whether the assumption is rejected."""
        return self.p_value < self.level

    def __str__(self) -> str:
        """Return the result and the detectable effect in one line."""
        verdict = "rejects" if self.rejects else "does not reject"
        p_value = f"p = {self.p_value:.2g}" if self.p_value > 1e-300 else "p < 1e-300"
        return (
            f"{self.name} {verdict} (statistic {self.statistic:.4g}, {p_value},"
            f" level {self.level:g}): {self.measure} {self.effect:.3g}; {self.detectable:.2g} would"
            f" be found with probability {self.power:g}"
        )


@arguments.takes_tensors()
def uniformity(goals: Tensor, level: float = 0.01, power: float = 0.95) -> list[Test]:
    """Test whether directions are uniform on the sphere: Rayleigh's and Bingham's tests.

    Rayleigh's sees a preferred direction, Bingham's preferred axes; together they see departures
    in the first and the second moments.

    Args:
        goals: goal embeddings [n, D], normalised here; D >= 2 and n >= 10.
        level: chance of rejecting a uniform sample, for each test.
        power: chance of finding an effect, for which ``detectable`` is computed.

    Raises:
        ShapeError: if there are too few embeddings.
        NonFiniteError: if there is NaN or an infinity.
        DomainError: if an embedding is zero, or ``level`` and ``power`` are no chances.

    Source: Mardia & Jupp 2000, "Directional statistics", sections 10.4.1 and 10.7.1.
    """
    x = _sample("uniformity", goals, level, power, beyond_size=False)
    norms = torch.linalg.vector_norm(x, dim=1, keepdim=True)
    if (norms == 0).any():
        raise DomainError("uniformity got a goal embedding of zeros, which has no direction")
    x = x / norms
    n, size = x.shape
    resultant = torch.linalg.vector_norm(x.mean(0)).item()
    second = x.mT @ x / n
    anisotropy = max(0.0, size * second.square().sum().item() - 1)
    chi = _ChiSquared(level, power)
    return [
        chi.test("Rayleigh", size, n * size, resultant, "length of the mean direction", root=True),
        chi.test(
            "Bingham", (size - 1) * (size + 2) // 2, n * (size + 2) / 2, anisotropy,
            "relative variance of the eigenvalues of the second moments",
        ),
    ]  # fmt: skip


@arguments.takes_tensors()
def gaussianity(goals: Tensor, level: float = 0.01, power: float = 0.95) -> list[Test]:
    """Test whether embeddings are isotropic Gaussian: Mardia's tests of shape, John's of isotropy.

    Args:
        goals: goal embeddings [n, D]; D >= 2, n >= 10 and n > D + 1. Directions in which they do
            not vary are left out of the tests of shape.
        level: chance of rejecting an isotropic Gaussian sample, for each test.
        power: chance of finding an effect, for which ``detectable`` is computed.

    Raises:
        ShapeError: if there are too few embeddings.
        NonFiniteError: if there is NaN or an infinity.
        DomainError: if all embeddings are equal, or ``level`` and ``power`` are no chances.

    Source: Mardia 1970, "Measures of multivariate skewness and kurtosis"; John 1972, "The
        distribution of a statistic used for testing sphericity of normal distributions".
    """
    x = _sample("gaussianity", goals, level, power, beyond_size=True)
    n, size = x.shape
    values, white = _whitened(x)
    rank = white.shape[1]
    unequal = (values / values.mean() - 1).square().mean().item()
    few = x[torch.linspace(0, n - 1, min(n, _MOST)).long()]
    skewed = white if len(few) == n else _whitened(few)[1]
    skewness = (skewed @ skewed.mT).pow(3).mean().item()
    kurtosis = white.square().sum(1).square().mean().item()
    # Mardia's exact moments of it for a Gaussian sample; the asymptotic ones reject too often
    expected = rank * (rank + 2) * (n - 1) / (n + 1)
    deviation = math.sqrt(
        8 * rank * (rank + 2) * (n - 3) * (n - rank - 1) * (n - rank + 1)
        / ((n + 1) ** 2 * (n + 3) * (n + 5))
    )  # fmt: skip
    z = (kurtosis - expected) / deviation
    detectable_z = stats.norm.isf(level / 2) + stats.norm.ppf(power)
    chi = _ChiSquared(level, power)
    return [
        chi.test("Mardia's skewness", rank * (rank + 1) * (rank + 2) // 6, len(few) / 6, skewness,
                 "squared skewness"),
        Test("Mardia's kurtosis", z, 2 * float(stats.norm.sf(abs(z))), abs(kurtosis / expected - 1),
             float(detectable_z * deviation / expected), "relative excess kurtosis", level, power),
        chi.test("John's sphericity", size * (size + 1) // 2 - 1, n * size / 2, unequal,
                 "relative variance of the eigenvalues of the covariance"),
    ]  # fmt: skip


def _whitened(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the covariance's eigenvalues [D], and x with mean 0 and covariance 1 [n, rank]."""
    centred = x - x.mean(0)
    values, vectors = torch.linalg.eigh(centred.mT @ centred / len(x))
    if values[-1] <= 1e-24 * x.square().mean():  # rounding
        raise DomainError("gaussianity got equal goal embeddings; an encoder may have collapsed")
    kept = values > 1e-9 * values[-1]
    return values, centred @ vectors[:, kept] / values[kept].sqrt()


@dataclass(frozen=True)
class _ChiSquared:
    """Tests whose statistic, a factor times the effect, is chi-squared (non-central with it)."""

    level: float
    power: float

    def test(
        self, name: str, freedom: int, factor: float, measured: float, measure: str,
        *, root: bool = False,
    ) -> Test:  # fmt: skip
        """Return the test of what was measured; with ``root`` the statistic grows as its square."""
        exponent = 2 if root else 1
        statistic = factor * measured**exponent
        # measured is above 0 by chance alone: by freedom / factor on average
        effect = (max(0.0, statistic - freedom) / factor) ** (1 / exponent)
        critical = stats.chi2.isf(self.level, freedom)

        def missing(shift: float) -> float:
            return float(stats.ncx2.sf(critical, freedom, shift)) - self.power

        top = 10.0
        while missing(top) < 0:
            top *= 2
        shift = optimize.brentq(missing, 0.0, top)
        return Test(
            name, statistic, float(stats.chi2.sf(statistic, freedom)), effect,
            (shift / factor) ** (1 / exponent), measure, self.level, self.power,
        )  # fmt: skip


def _sample(
    function: str, goals: Tensor, level: float, power: float, *, beyond_size: bool
) -> Tensor:
    arguments.check_embeddings(function, "goals", goals)
    arguments.check_finite(function, "goals", goals)
    fewest = max(10, goals.shape[-1] + 2) if beyond_size else 10
    if goals.ndim != 2 or goals.shape[1] < 2 or len(goals) < fewest:
        raise ShapeError(
            f"{function} needs goals [n, D] with D >= 2 and n >= {fewest} here, got"
            f" {list(goals.shape)}; give more goals"
        )
    if not 0 < level < power < 1:
        raise DomainError(
            f"{function} needs 0 < level < power < 1, got level {level} and power {power}"
        )
    return widened(goals.detach())
