import numpy as np
import pytest

from langrl.errors import DomainError, ShapeError
from langrl.evaluation.intervals import (
    AGGREGATES,
    Interval,
    bootstrap_interval,
    draw_seeds,
    draw_tasks,
    iqm,
    median_score,
    newcombe,
    percentiles,
    performance_profile,
    probability_of_improvement,
    resample_seeds,
    resample_tasks,
    wilson,
)

# Scores of two algorithms, [5 seeds, 8 tasks] and [3 seeds, 8 tasks], and what rliable 1.2.0 (with
# arch 7.2.0) says of them; its bootstraps have 200,000, 20,000 and 50,000 resamples.
FIRST = np.array([
    [0.68, 0.58, 0.51, 0.65, 0.78, 0.45, 0.84, 0.76],
    [0.42, 0.62, 0.85, 0.4, 0.4, 0.62, 0.63, 0.52],
    [0.83, 0.38, 0.75, 0.8, 0.78, 0.49, 0.57, 0.65],
    [0.51, 0.87, 0.71, 0.7, 0.65, 0.74, 0.32, 0.62],
    [0.88, 0.79, 0.6, 0.75, 0.62, 0.6, 0.72, 0.51],
])  # fmt: skip
SECOND = np.array([
    [0.68, 0.65, 0.65, 0.48, 0.65, 0.54, 0.74, 0.7],
    [0.55, 0.63, 0.49, 0.8, 0.92, 0.58, 0.52, 0.58],
    [0.63, 0.42, 0.39, 0.27, 0.43, 0.6, 0.31, 0.27],
])  # fmt: skip
RLIABLE = [
    (FIRST, "iqm", 0.649, 0.5925, 0.6990),
    (FIRST, "mean_score", 0.63875, 0.59375, 0.68225),
    (FIRST, "median_score", 0.647, 0.585, 0.693),
    (FIRST, "optimality_gap", 0.36125, 0.31775, 0.40625),
    (SECOND, "iqm", 0.575, 0.50667, 0.62833),
    (SECOND, "mean_score", 0.56167, 0.50292, 0.62083),
    (SECOND, "median_score", 0.545, 0.50333, 0.62),
    (SECOND, "optimality_gap", 0.43833, 0.37917, 0.49708),
]
IMPROVEMENT = (0.60833, 0.45417, 0.75)
THRESHOLDS = (0.0, 0.3, 0.5, 0.6, 0.7, 0.9)
PROFILE = (
    (1.0, 1.0, 0.825, 0.625, 0.375, 0.0),
    (1.0, 1.0, 0.7, 0.475, 0.225, 0.0),
    (1.0, 1.0, 0.925, 0.775, 0.525, 0.0),
)
RESAMPLES = 20_000


def rng(seed=0):
    return np.random.default_rng(seed)


def test_wilson_is_as_worked_by_hand():
    low, high = wilson([20, 0, 15], [20, 20, 20])  # z^2 = 3.8415; at 20 of 20: n / (n + z^2)
    assert low == pytest.approx([20 / 23.8415, 0, 0.5313], abs=1e-4)
    assert high == pytest.approx([1, 3.8415 / 23.8415, 0.8881], abs=1e-4)


def test_wilson_of_no_trials_is_everything():
    assert [limit.item() for limit in wilson(0, 0)] == [0, 1]


def test_wilson_covers_the_true_proportion():
    share, trials = np.array([0.5, 0.9, 0.99]), 60
    hits = rng().binomial(trials, share, size=(4000, 3))
    low, high = wilson(hits, np.full_like(hits, trials))
    covered = ((low <= share) & (share <= high)).mean(0)
    assert (covered > 0.92).all()
    assert covered.mean() == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize(
    ("successes", "confidence", "message"),
    [(21, 0.95, "between 0 and trials"), (-1, 0.95, "between 0"), (5, 95, "confidence")],
)
def test_wilson_refuses_what_is_no_proportion(successes, confidence, message):
    with pytest.raises(DomainError, match=message):
        wilson(successes, 20, confidence)


def test_the_difference_of_two_perfect_proportions_has_a_width():
    whole = Interval(1.0, *(float(limit) for limit in wilson(20, 20)), "Wilson")
    found = newcombe(whole, whole)
    assert found.value == 0
    assert (found.low, found.high) == pytest.approx((-0.1611, 0.1611), abs=1e-4)


def test_newcombe_agrees_with_the_published_example():
    # Newcombe 1998, table II, example (a), method 10: 56 of 70 less 48 of 80.
    first, second = (
        Interval(k / n, *(float(limit) for limit in wilson(k, n)), "Wilson")
        for k, n in ((56, 70), (48, 80))
    )
    found = newcombe(first, second)
    assert found[:3] == pytest.approx((0.2, 0.0524, 0.3339), abs=1e-4)


def test_the_interquartile_mean_leaves_a_quarter_out_at_each_end():
    assert iqm(np.array([[9.0, 1.0, 2.0, 3.0], [0.0, 4.0, 5.0, 6.0]])) == (2 + 3 + 4 + 5) / 4
    assert iqm(np.array([[1.0, 2.0, 6.0]])) == 3  # a quarter of three values is none


@pytest.mark.parametrize(("scores", "name", "value", "low", "high"), RLIABLE)
def test_aggregates_and_their_intervals_are_those_of_rliable(scores, name, value, low, high):
    found = bootstrap_interval(scores, AGGREGATES[name], rng(), RESAMPLES)
    assert found.value == pytest.approx(value, abs=1e-5)
    assert found[1:3] == pytest.approx((low, high), abs=0.004)  # 4 times the Monte Carlo error
    assert found.method == "bootstrap over seeds"


def test_the_probability_of_improvement_is_that_of_rliable():
    value = probability_of_improvement(FIRST, SECOND)
    assert value == pytest.approx(IMPROVEMENT[0], abs=1e-5)
    generator = rng()
    resampled = [resample_seeds(scores, RESAMPLES, generator) for scores in (FIRST, SECOND)]
    limits = percentiles(probability_of_improvement(*resampled))
    assert limits == pytest.approx(IMPROVEMENT[1:], abs=0.01)
    assert probability_of_improvement(SECOND, FIRST) == pytest.approx(1 - value)
    assert probability_of_improvement(FIRST, FIRST) == 0.5


def test_performance_profiles_are_those_of_rliable():
    assert performance_profile(FIRST, THRESHOLDS) == pytest.approx(PROFILE[0])
    resampled = performance_profile(resample_seeds(FIRST, RESAMPLES, rng()), THRESHOLDS)
    low, high = percentiles(resampled)
    assert low == pytest.approx(PROFILE[1], abs=0.026)  # the values are steps of 1 / 40
    assert high == pytest.approx(PROFILE[2], abs=0.026)


def test_resamples_keep_each_score_in_its_stratum():
    resampled = resample_seeds(FIRST, 50, rng())
    assert resampled.shape == (50, 5, 8)
    for stratum in range(8):
        assert set(np.unique(resampled[:, :, stratum])) <= set(FIRST[:, stratum])
    together = (resampled[:, :, :, None] == FIRST.T[None, None]).argmax(-1)
    assert (together[:, :, 0] != together[:, :, 1]).any()  # strata are resampled apart


def test_resampled_tasks_are_the_same_for_all_seeds():
    sums = rng().random((2, 6, 3))  # [S, U, F]
    draws = draw_tasks(6, 4, rng(1))
    assert (draws.sum(1) == 6).all()
    found = resample_tasks(sums, draws)
    assert found == pytest.approx(np.einsum("ru,suf->rsf", draws, sums))
    drawn = draw_seeds(found, rng(2))
    assert drawn.shape == found.shape
    for resample, seeds in enumerate(drawn):
        assert all(any(np.array_equal(row, own) for own in found[resample]) for row in seeds)


def test_an_interval_of_values_that_are_often_undefined_is_of_the_others():
    values = np.stack([np.r_[np.full(50, np.nan), np.arange(51.0)], np.full(101, np.nan)], 1)
    low, high = percentiles(values)
    assert (low[0], high[0]) == pytest.approx((1.25, 48.75))
    assert np.isnan([low[1], high[1]]).all()


def test_intervals_cover_the_true_mean():
    generator, covered = rng(5), 0
    for _ in range(300):
        scores = generator.normal(0.5, 0.1, (8, 6))
        found = bootstrap_interval(scores, AGGREGATES["mean_score"], generator, 300)
        covered += found.low <= 0.5 <= found.high
    assert 0.88 < covered / 300 < 0.98  # of few seeds, slightly below 0.95


@pytest.mark.parametrize("scores", [np.zeros(3), np.zeros((0, 4)), np.zeros((4, 0))])
@pytest.mark.parametrize("function", [iqm, median_score, lambda s: performance_profile(s, [0.5])])
def test_scores_of_another_shape_are_refused(function, scores):
    with pytest.raises(ShapeError, match=r"\[seeds, worlds\]"):
        function(scores)


def test_improvement_needs_the_same_strata():
    with pytest.raises(ShapeError, match="same worlds"):
        probability_of_improvement(FIRST, SECOND[:, :4])
