import math

import numpy as np
import pytest
import torch
from scipy import stats

from langrl.errors import DomainError, NonFiniteError, ShapeError
from langrl.functional import assumptions
from langrl.functional.assumptions import Test, gaussianity, uniformity

BOTH = [uniformity, gaussianity]
CROSS = [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]]


class Source:
    """Draws samples in turn from one generator."""

    def __init__(self, seed=0):
        self.generator = torch.Generator().manual_seed(seed)

    def normal(self, *shape):
        return torch.randn(shape, generator=self.generator, dtype=torch.float64)

    def uniform(self, *shape):
        return torch.rand(shape, generator=self.generator, dtype=torch.float64)

    def rotation(self, size):
        return torch.linalg.qr(self.normal(size, size))[0]

    def directions(self, count, size, density, most):
        """Unit vectors with this density (a polynomial, at most ``most``), by rejection."""
        kept = torch.zeros(0, size)
        while len(kept) < count:
            x = self.normal(4 * count, size)
            x = x / x.norm(dim=1, keepdim=True)
            kept = torch.cat([kept, x[most * self.uniform(4 * count) < density(x)]])
        return kept[:count]


def by_name(tests):
    return {test.name: test for test in tests}


def rejected(function, draw, samples):
    """Return how often each test rejects, by name."""
    with pytest.MonkeyPatch.context() as patch:
        # what would be detectable is slow to solve for, and not asked here
        patch.setattr(assumptions.optimize, "brentq", lambda *_: 0.0)
        found = [function(draw(), level=0.05, power=0.9) for _ in range(samples)]
    return {
        tests[0].name: np.mean([test.rejects for test in tests])
        for tests in zip(*found, strict=True)
    }


def lopsided(count=60, size=3, seed=0):
    """Embeddings on which every test has something to say."""
    x = Source(seed).normal(count, size)
    return x * torch.arange(1.0, size + 1) + 0.3 * x.square() + 1


# Numbers worked out by hand.


def test_hand_worked_directions_that_are_all_equal():
    tests = by_name(uniformity(torch.tensor([[3.0, 0.0], [0.5, 0.0]] * 5)))
    assert tests["Rayleigh"].statistic == pytest.approx(20)  # n D 1^2
    assert tests["Bingham"].statistic == pytest.approx(20)  # n (D + 2) / 2 (D - 1)
    for test in tests.values():
        assert test.p_value == pytest.approx(math.exp(-10))  # two degrees of freedom each
        assert test.rejects


def test_hand_worked_opposite_directions_have_an_axis_and_no_mean():
    tests = by_name(uniformity(torch.tensor([[3.0, 0.0], [-0.5, 0.0]] * 5)))
    assert tests["Rayleigh"].statistic == pytest.approx(0)
    assert tests["Rayleigh"].p_value == pytest.approx(1)
    assert tests["Bingham"].p_value == pytest.approx(math.exp(-10))


def test_hand_worked_cross_is_even_in_all_but_its_lengths():
    cross = torch.tensor(CROSS * 3)
    tests = by_name(uniformity(cross) + gaussianity(cross))
    # whitened, each has |x|^4 = 4, where a Gaussian has 8 on average
    assert tests.pop("Mardia's kurtosis").statistic < -1
    for test in tests.values():
        assert test.statistic == pytest.approx(0, abs=1e-12)
        assert test.effect == pytest.approx(0, abs=1e-7)
        assert not test.rejects


def test_hand_worked_triangle_is_skewed():
    # whitened, corners have inner products 2 with themselves and -1 with the others
    triangle = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    skewness = by_name(gaussianity(triangle.repeat(4, 1)))["Mardia's skewness"]
    assert skewness.statistic == pytest.approx(12 / 6 * (3 * 8 - 6 * 1) / 9)
    assert skewness.p_value == pytest.approx(3 * math.exp(-2))  # four degrees of freedom at 4


def test_hand_worked_ellipse_has_unequal_variances():
    tests = by_name(gaussianity(torch.tensor(CROSS * 3) * torch.tensor([3.0, 1.0])))
    # variances 9 : 1 are 1.8 and 0.2 of their mean: a relative variance of 0.64
    assert tests["John's sphericity"].statistic == pytest.approx(12 * 2 / 2 * 0.64)


# The same by other means.


def test_uniformity_agrees_with_sums_over_pairs():
    x = lopsided()
    unit = (x / x.norm(dim=1, keepdim=True)).numpy()
    tests = by_name(uniformity(x))
    cosines = unit @ unit.T  # |mean|^2 and tr T^2 as means over pairs of vectors
    rayleigh = 60 * 3 * cosines.mean()
    bingham = 60 * (3 + 2) / 2 * (3 * (cosines**2).mean() - 1)
    assert tests["Rayleigh"].statistic == pytest.approx(rayleigh)
    assert tests["Rayleigh"].p_value == pytest.approx(stats.chi2.sf(rayleigh, 3))
    assert tests["Bingham"].statistic == pytest.approx(bingham)
    assert tests["Bingham"].p_value == pytest.approx(stats.chi2.sf(bingham, 5))


def test_gaussianity_agrees_with_mahalanobis_distances():
    x = lopsided()
    centred = x.numpy() - x.numpy().mean(0)
    covariance = np.cov(x.numpy().T, bias=True)
    inner = centred @ np.linalg.inv(covariance) @ centred.T
    tests = by_name(gaussianity(x))
    skewness = 60 / 6 * (inner**3).mean()
    assert tests["Mardia's skewness"].statistic == pytest.approx(skewness)
    assert tests["Mardia's skewness"].p_value == pytest.approx(stats.chi2.sf(skewness, 10))
    # Mardia 1974, theorem 4: moments of the kurtosis of 60 Gaussian embeddings of size 3
    variance = 8 * 15 * 57 * 56 * 58 / (61**2 * 63 * 65)
    kurtosis = ((inner.diagonal() ** 2).mean() - 15 * 59 / 61) / math.sqrt(variance)
    assert tests["Mardia's kurtosis"].statistic == pytest.approx(kurtosis)
    assert tests["Mardia's kurtosis"].p_value == pytest.approx(2 * stats.norm.sf(abs(kurtosis)))
    ratio = covariance / (covariance.trace() / 3) - np.eye(3)
    john = 60 / 2 * (ratio @ ratio).trace()
    assert tests["John's sphericity"].statistic == pytest.approx(john)
    assert tests["John's sphericity"].p_value == pytest.approx(stats.chi2.sf(john, 5))


def assert_same(tests, others):
    for one, other in zip(tests, others, strict=True):
        assert one.name == other.name
        assert other.statistic == pytest.approx(one.statistic, rel=1e-6, abs=1e-9)
        assert other.p_value == pytest.approx(one.p_value, rel=1e-5)
        assert other.effect == pytest.approx(one.effect, rel=1e-6, abs=1e-9)
        assert other.detectable == one.detectable


@pytest.mark.parametrize("function", BOTH)
def test_rotation_and_order_of_embeddings_do_not_matter(function):
    x, order = lopsided(), torch.randperm(60, generator=torch.Generator().manual_seed(0))
    assert_same(function(x), function(x @ Source(1).rotation(3)))
    assert_same(function(x), function(x[order]))


def test_lengths_do_not_matter_to_uniformity_nor_origin_and_unit_to_gaussianity():
    x = lopsided()
    assert_same(uniformity(x), uniformity(x * (0.1 + Source(1).uniform(60, 1))))
    assert_same(gaussianity(x), gaussianity(1e3 * x + 50))


def test_affine_maps_do_not_matter_to_the_tests_of_shape():
    x = lopsided()
    moved = x @ Source(1).normal(3, 3) + 5
    assert_same(gaussianity(x)[:2], gaussianity(moved)[:2])
    assert gaussianity(x)[2].statistic != pytest.approx(gaussianity(moved)[2].statistic, rel=0.01)


def test_directions_without_variation_are_left_out_of_the_tests_of_shape():
    x = lopsided(size=2)
    flat = torch.cat([x, torch.full((60, 2), 7.0)], 1).float() @ Source(1).rotation(4).float()
    for plain, within in zip(gaussianity(x)[:2], gaussianity(flat)[:2], strict=True):
        assert within.statistic == pytest.approx(plain.statistic, rel=1e-4)
        assert within.p_value == pytest.approx(plain.p_value, rel=1e-3)
        assert within.detectable == pytest.approx(plain.detectable)
    assert gaussianity(flat)[2].p_value < 1e-9  # but not isotropic in four dimensions


def test_effect_is_what_was_measured_less_what_chance_gives():
    x = lopsided()
    freedoms = {"Rayleigh": 3, "Bingham": 5, "Mardia's skewness": 10, "John's sphericity": 5}
    factors = {
        "Rayleigh": 60 * 3,
        "Bingham": 60 * 5 / 2,
        "Mardia's skewness": 60 / 6,
        "John's sphericity": 60 * 3 / 2,
    }
    tests = by_name(uniformity(x) + gaussianity(x))
    kurtosis = tests.pop("Mardia's kurtosis")
    for name, test in tests.items():
        excess = max(0.0, test.statistic - freedoms[name]) / factors[name]
        assert excess > 0
        assert test.effect == pytest.approx(math.sqrt(excess) if name == "Rayleigh" else excess)
    deviation = math.sqrt(8 * 15 * 57 * 56 * 58 / (61**2 * 63 * 65)) / (15 * 59 / 61)
    assert kurtosis.effect == pytest.approx(abs(kurtosis.statistic) * deviation)


@pytest.mark.parametrize("size", [2, 8, 9, 20])
def test_just_enough_goals_are_tested(size):
    goals = Source().normal(max(10, size + 2), size)
    for test in uniformity(goals[:10]) + gaussianity(goals):
        assert 0 <= test.p_value <= 1
        assert 0 <= test.effect < math.inf
        assert 0 < test.detectable < math.inf


# Chances, over many samples.


@pytest.mark.parametrize(("count", "size"), [(60, 2), (100, 4)])
@pytest.mark.parametrize("function", BOTH)
def test_each_test_rejects_at_about_its_level_where_the_assumption_holds(function, count, size):
    source = Source(count)
    rates = rejected(function, lambda: source.normal(count, size), 200)
    assert all(0.01 <= rate <= 0.1 for rate in rates.values()), rates


def test_kurtosis_keeps_its_level_with_few_goals_for_their_size():
    source = Source()
    assert rejected(gaussianity, lambda: source.normal(60, 12), 100)["Mardia's kurtosis"] <= 0.12


def test_skewness_keeps_its_level_where_only_a_part_of_the_goals_is_compared(monkeypatch):
    monkeypatch.setattr(assumptions, "_MOST", 100)
    source = Source()
    assert rejected(gaussianity, lambda: source.normal(2000, 3), 100)["Mardia's skewness"] <= 0.12


@pytest.mark.parametrize("function", BOTH)
def test_effect_without_a_departure_is_below_the_detectable_one(function):
    tests = function(Source().normal(1000, 16))
    assert not any(test.rejects for test in tests)
    assert all(test.effect < test.detectable for test in tests)


D = 4
HALVES = torch.tensor([1.0, 1.0, -1.0, -1.0], dtype=torch.float64)


def shifted(source, count, effect):
    """A mean direction of that length."""
    return source.directions(count, D, lambda x: 1 + D * effect * x[:, 0], 1 + D * effect)


def two_axes(source, count, effect):
    """Second moments (1 +- root of effect) / D."""
    tilt = math.sqrt(effect) * (D + 2) / 2
    return source.directions(count, D, lambda x: 1 + tilt * (x.square() @ HALVES), 1 + tilt)


def skewed(source, count, effect):
    """A coordinate with an exponential part, of skewness 2 part^3."""
    x, part = source.normal(count, D), (effect / 4) ** (1 / 6)
    exponential = -source.uniform(count).log() - 1
    x[:, 0] = math.sqrt(1 - part**2) * x[:, 0] + part * exponential
    return x


def scales_mixed(source, count, effect):
    """Each embedding with a variance 1 +- root of effect."""
    sign = source.normal(count, 1).sign()
    return source.normal(count, D) * (1 + math.sqrt(effect) * sign).sqrt()


def two_variances(source, count, effect):
    """Each coordinate with a variance 1 +- root of effect."""
    return source.normal(count, D) * (1 + math.sqrt(effect) * HALVES).sqrt()


# where the effect is sought, how it is made, goals that suffice for the law, fall with their root
ALTERNATIVES = {
    "Rayleigh": (uniformity, shifted, 400, 1),
    "Bingham": (uniformity, two_axes, 400, 2),
    "Mardia's skewness": (gaussianity, skewed, 600, 2),
    "Mardia's kurtosis": (gaussianity, scales_mixed, 4000, 1),
    "John's sphericity": (gaussianity, two_variances, 600, 2),
}


@pytest.mark.parametrize("name", ALTERNATIVES)
def test_detectable_effect_is_found_about_as_often_as_stated(name, monkeypatch):
    monkeypatch.setattr(assumptions, "_MOST", 600)  # more are for kurtosis alone
    function, draw, count, _ = ALTERNATIVES[name]
    source = Source(7)
    null = by_name(function(source.normal(count, D), level=0.05, power=0.9))[name]
    rate = rejected(function, lambda: draw(source, count, null.detectable), 100)[name]
    assert 0.7 <= rate <= 0.98
    rate = rejected(function, lambda: draw(source, count, null.detectable / 3), 30)[name]
    assert rate < 0.65


@pytest.mark.parametrize("name", ALTERNATIVES)
def test_less_is_detectable_from_more_goals_or_with_weaker_promises(name):
    function, _, _, roots = ALTERNATIVES[name]

    def detectable(count, **options):
        return by_name(function(lopsided(count), **options))[name].detectable

    # from 400 on: kurtosis has another variance in small samples
    assert detectable(1600) == pytest.approx(detectable(400) / 2**roots, rel=0.05)
    assert detectable(100, power=0.5) < detectable(100, power=0.9) < detectable(100, power=0.99)
    assert detectable(100, level=0.05) < detectable(100, level=0.001)


# The line that is read.


def test_line_says_what_was_found_and_what_would_have_been():
    test = Test("Rayleigh", 12.3456, 0.0321, 0.0456, 0.0789, "length", 0.01, 0.95)
    assert str(test) == (
        "Rayleigh does not reject (statistic 12.35, p = 0.032, level 0.01): length 0.0456;"
        " 0.079 would be found with probability 0.95"
    )
    assert not test.rejects


def test_line_of_a_rejection_without_a_chance():
    goals = torch.cat([torch.ones(2000, 1), 0.01 * Source().normal(2000, 2)], 1)
    rayleigh, bingham = uniformity(goals, level=0.05, power=0.9)
    for test in (rayleigh, bingham):
        assert test.rejects
        assert str(test).startswith(f"{test.name} rejects (statistic ")
        assert ", p < 1e-300, level 0.05): " in str(test)
        assert str(test).endswith(" would be found with probability 0.9")
        assert "\n" not in str(test)


@pytest.mark.parametrize("function", BOTH)
def test_level_decides_and_is_kept_with_the_power(function):
    p_values = [test.p_value for test in function(lopsided())]
    for level in (0.001, 0.5):
        tests = function(lopsided(), level=level, power=0.8)
        assert [test.p_value for test in tests] == pytest.approx(p_values)
        assert [test.rejects for test in tests] == [p < level for p in p_values]
        assert {(test.level, test.power) for test in tests} == {(level, 0.8)}


# What cannot be tested.


@pytest.mark.parametrize(
    ("function", "goals", "error", "message"),
    [
        (uniformity, torch.ones(9, 3), ShapeError, r"n >= 10 here, got \[9, 3\]; give more goals"),
        (uniformity, torch.ones(20, 1), ShapeError, "with D >= 2 .*; give more goals"),
        (gaussianity, torch.ones(9, 3), ShapeError, r"n >= 10 here, got \[9, 3\]; give more goals"),
        (gaussianity, torch.ones(13, 12), ShapeError, r"n >= 14 here, got \[13, 12\]; give more"),
        (gaussianity, torch.ones(20, 1), ShapeError, "with D >= 2 .*; give more goals"),
        (uniformity, torch.eye(12).long(), ShapeError, "of floats, .*; give one embedding a row"),
        (gaussianity, torch.ones(12), ShapeError, "of floats, .*; give one embedding a row"),
        (uniformity, torch.ones(2, 12, 3), ShapeError, r"got \[2, 12, 3\]; give more goals"),
        (uniformity, torch.eye(12) / 0, NonFiniteError, "got NaN or an infinity in goals; mask"),
        (gaussianity, torch.full((12, 3), math.inf), NonFiniteError, "in goals; mask it or fix"),
        (uniformity, torch.eye(12, 3), DomainError, "got a goal embedding of zeros, which has no"),
        (gaussianity, torch.ones(12, 3), DomainError, "got equal goal embeddings; an encoder"),
    ],
)
def test_goals_that_cannot_serve_are_refused(function, goals, error, message):
    with pytest.raises(error, match=f"^{function.__name__} .*{message}") as caught:
        function(goals)
    assert type(caught.value) is error


@pytest.mark.parametrize(
    ("goals", "error"),
    [
        (torch.tensor(1.0), ShapeError),
        (torch.full((77, 3), 0.1, dtype=torch.float64), DomainError),  # not a mean of 0.1 exactly
    ],
)
def test_single_number_and_embeddings_that_differ_by_rounding_are_refused(goals, error):
    with pytest.raises(error, match=r"^gaussianity "):
        gaussianity(goals)


@pytest.mark.parametrize("function", BOTH)
@pytest.mark.parametrize(
    ("level", "power"),
    [(0, 0.9), (1, 0.9), (-0.1, 0.9), (math.nan, 0.9), (0.01, 1), (0.05, 0.05), (0.01, math.nan)],
)
def test_level_and_power_that_are_no_chances_are_refused(function, level, power):
    message = f"^{function.__name__} needs 0 < level < power < 1, got level {level} and power"
    with pytest.raises(DomainError, match=message):
        function(lopsided(), level=level, power=power)
