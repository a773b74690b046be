import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from langrl.data.synthetic import NOISE, GaussianTriples
from langrl.errors import DomainError, NonFiniteError, ShapeError
from langrl.functional.marginals import monte_carlo
from langrl.grounding.proposals import GaussianProposal

INF, NAN = float("inf"), float("nan")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0, dtype=torch.float32):
    return torch.randn(shape, generator=generator(seed), dtype=torch.float64).to(dtype)


def small_world():
    """Goals of two numbers, state-actions of three."""
    return GaussianTriples.draw(generator(3), goal_size=2, size=3)


def small(seed=1, **options):
    return GaussianProposal.fit(*small_world().pairs(0, 2000, generator(seed)), **options)


def covariance_of(factor):
    return (factor @ factor.mT).numpy()


def posterior(world):
    """Slope [P, S], constant and covariance of p(goal | state-action), by Bayes' rule."""
    spread = (world.factor.mT @ world.factor).double()
    goal_map, mean = world.maps[0].double(), world.mean.double()
    precision = torch.linalg.inv(spread) + goal_map.mT @ goal_map / NOISE**2
    covariance = torch.linalg.inv(precision)
    slope = goal_map @ covariance / NOISE**2
    return slope, covariance @ torch.linalg.inv(spread) @ mean, covariance


# The fit.


def test_hand_worked_fit_of_goals_that_are_twice_the_query_plus_one():
    # in the first number, and nothing in the second; +-1 left over in each, in every combination
    queries = torch.tensor([[-1.0], [1.0]] * 4)
    left_over = torch.tensor(
        [[1.0, 1.0]] * 2 + [[-1.0, 1.0]] * 2 + [[1.0, -1.0]] * 2 + [[-1.0] * 2] * 2
    )
    fit = GaussianProposal.fit(queries, torch.cat([2 * queries + 1, 0 * queries], 1) + left_over)
    expected = torch.tensor([[2.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(fit.weights, expected, atol=1e-11, rtol=0)
    # 8 squares of 1 over 7, widened by 1.5
    np.testing.assert_allclose(covariance_of(fit.scatter), 1.5 * 8 / 7 * np.eye(2), atol=1e-7)
    torch.testing.assert_close(fit.mean, expected[1])
    # goals themselves: 4 + 1 and 1
    np.testing.assert_allclose(covariance_of(fit.spread), 8 / 7 * np.diag([5.0, 1.0]), atol=1e-7)


def test_regression_finds_the_posterior_of_a_linear_gaussian_world():
    world = small_world()
    fit = GaussianProposal.fit(*world.pairs(0, 100_000, generator()), widening=1.0)
    slope, constant, covariance = posterior(world)
    torch.testing.assert_close(fit.weights[:-1], slope, atol=0.01, rtol=0)
    torch.testing.assert_close(fit.weights[-1], constant, atol=0.02, rtol=0)
    np.testing.assert_allclose(covariance_of(fit.scatter), covariance, atol=0.01)
    torch.testing.assert_close(fit.mean, world.mean.double(), atol=0.02, rtol=0)
    spread = world.factor.mT @ world.factor
    np.testing.assert_allclose(covariance_of(fit.spread), spread, atol=0.02)


def test_widening_is_a_factor_on_the_covariance_of_the_guess_alone():
    narrow, wide = small(widening=1.0), small(widening=4.0)
    np.testing.assert_allclose(
        covariance_of(wide.scatter), 4 * covariance_of(narrow.scatter), rtol=1e-6
    )
    torch.testing.assert_close(wide.spread, narrow.spread)
    torch.testing.assert_close(wide.weights, narrow.weights)


def test_further_goals_change_the_fit_of_all_goals_alone():
    queries, goals = small_world().pairs(0, 2000, generator(1))
    more = 5 + normal(3000, 2)
    plain = GaussianProposal.fit(queries, goals)
    fit = GaussianProposal.fit(queries, goals, more_goals=more)
    every = torch.cat([goals, more]).double()
    torch.testing.assert_close(fit.mean, every.mean(0))
    np.testing.assert_allclose(covariance_of(fit.spread), np.cov(every.numpy().T), rtol=1e-6)
    torch.testing.assert_close(fit.weights, plain.weights)
    torch.testing.assert_close(fit.scatter, plain.scatter)


# What is drawn.


@pytest.mark.parametrize("defensive", [0.1, 0.5, 0.9])
def test_weights_are_those_of_the_fitted_mixture(defensive):
    fit, queries = small(defensive=defensive), normal(4, 3, dtype=torch.float64)
    goals, log_weights = fit.draw(queries, 50, generator())
    assert goals.shape == (4, 50, 2)
    assert log_weights.shape == (4, 50)
    for query, some, found in zip(queries.numpy(), goals.numpy(), log_weights.numpy(), strict=True):
        centre = np.append(query, 1.0) @ fit.weights.numpy()
        log_p = multivariate_normal(fit.mean.numpy(), covariance_of(fit.spread)).logpdf(some)
        log_guess = multivariate_normal(centre, covariance_of(fit.scatter)).logpdf(some)
        log_q = np.logaddexp(np.log(defensive) + log_p, np.log(1 - defensive) + log_guess)
        np.testing.assert_allclose(found, log_p - log_q, atol=1e-8)


@pytest.mark.parametrize("defensive", [0.02, 0.3, 1.0])
def test_no_weight_exceeds_one_over_the_defensive_share(defensive):
    fit = small(defensive=defensive, widening=0.01)
    queries = torch.cat([normal(5, 3), 1000 * normal(5, 3, seed=1)])  # guesses that are far off
    _, log_weights = fit.draw(queries, 500, generator())
    assert log_weights.max() <= math.log(1 / defensive) + 1e-6
    if defensive < 1:
        assert log_weights.max() > math.log(0.9 / defensive)  # it is reached: by the far ones


@pytest.mark.parametrize("defensive", [0.25, 0.75])
def test_goals_are_drawn_from_both_parts_by_their_shares(defensive):
    fit, query = small(defensive=defensive), torch.tensor([[4.0, -3.0, 2.0]])
    goals, log_weights = (x.double().numpy() for x in fit.draw(query, 100_000, generator()))
    centre = np.append(query.numpy(), 1.0) @ fit.weights.numpy()
    mean = defensive * fit.mean.numpy() + (1 - defensive) * centre
    offsets = np.stack([fit.mean.numpy() - mean, centre - mean])
    covariance = defensive * (covariance_of(fit.spread) + np.outer(offsets[0], offsets[0])) + (
        1 - defensive
    ) * (covariance_of(fit.scatter) + np.outer(offsets[1], offsets[1]))
    deviations = np.sqrt(covariance.diagonal())
    np.testing.assert_allclose(goals[0].mean(0) / deviations, mean / deviations, atol=0.02)
    scale = np.outer(deviations, deviations)
    np.testing.assert_allclose(np.cov(goals[0].T) / scale, covariance / scale, atol=0.03)
    # weighted, they are p(g)'s
    weights = np.exp(log_weights[0])
    assert weights.mean() == pytest.approx(1, abs=0.02)
    np.testing.assert_allclose((weights @ goals[0]) / 100_000, fit.mean.numpy(), atol=0.03)


def test_wholly_defensive_proposal_is_the_fit_of_all_goals():
    fit = small(defensive=1.0)
    goals, log_weights = fit.draw(normal(2, 3), 50_000, generator())
    assert not log_weights.any()
    for some in goals.double().numpy():
        np.testing.assert_allclose(some.mean(0), fit.mean.numpy(), atol=0.04)
        np.testing.assert_allclose(np.cov(some.T), covariance_of(fit.spread), atol=0.06)


def test_goals_in_a_plane_stay_there_and_have_finite_weights():
    queries, goals = small_world().pairs(0, 500, generator())
    flat = torch.cat([goals, goals.sum(1, keepdim=True)], 1)
    drawn, log_weights = GaussianProposal.fit(queries, flat).draw(queries[:5], 100, generator())
    assert (drawn[..., 2] - drawn[..., :2].sum(-1)).abs().max() < 1e-3
    assert log_weights.isfinite().all()
    assert log_weights.std() > 0.1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_goals_and_weights_have_the_dtype_of_the_queries(dtype):
    goals, log_weights = small().draw(normal(2, 3, dtype=dtype), 5, generator())
    assert goals.dtype == log_weights.dtype == dtype


def test_generator_decides_what_is_drawn():
    fit, queries = small(), normal(2, 3)
    once, again, other = (fit.draw(queries, 10, generator(seed)) for seed in (0, 0, 1))
    for first, same, different in zip(once, again, other, strict=True):
        assert torch.equal(first, same)
        assert not torch.equal(first, different)


def test_proposal_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        small().defensive = 0.5


# What it is for.


def test_few_candidates_from_it_do_the_work_of_many():
    world = GaussianTriples.draw(generator(), goal_size=8, size=16)
    fit = GaussianProposal.fit(
        *world.pairs(0, 20_000, generator(1)), more_goals=world.goals(200_000, generator(2))
    )
    a, c = world.unseen_pairs(40, generator(3))
    truth = world.exact_marginal(a, c).diagonal()
    plain = world.goals(2000, generator(4))
    drawn, log_weights = fit.draw(a, 2000, generator(5))

    def estimate(goals, log_weights=None):  # of each a [N, P] with its own c and goals [N, M, S]
        f, h = (
            torch.stack([world.exact_ratio(side, x[n : n + 1], goals[n]) for n in range(len(a))])
            for side, x in ((0, a), (1, c))
        )
        found = monte_carlo(f, h.mT, log_weights, error_bars=True)  # [N, 1, 1]
        errors = (found.value.flatten() - truth) / found.standard_error.flatten()
        return errors, found.effective_sample_size.flatten()

    _, usual = estimate(plain.expand(len(a), -1, -1))
    errors, effective = estimate(drawn, log_weights)
    assert usual.median() < 10  # of 2000
    assert effective.median() > 100
    assert (effective > usual).all()
    assert errors.abs().max() < 4.5
    assert errors.square().mean() < 2
    unweighted, _ = estimate(drawn)
    assert unweighted.abs().median() > 10


# What cannot be fitted.


@pytest.mark.parametrize(
    ("argument", "value", "error", "message"),
    [
        ("queries", normal(5), ShapeError, r"needs queries \[..., rows, D\] .*; give one embedd"),
        ("goals", normal(50, 2).long(), ShapeError, "needs goals .* of floats, .*; give one embed"),
        ("queries", normal(49, 3), ShapeError, r"got \[49, 3\] and \[50, 2\]; give more pairs"),
        ("queries", normal(1, 50, 3), ShapeError, r"got \[1, 50, 3\] and .*; give more pairs"),
        ("queries", normal(50, 47), ShapeError, r"with B > Q \+ S \+ 1, got .*; give more pairs"),
        ("queries", torch.full((50, 3), NAN), NonFiniteError, "got NaN .* in queries; mask it or"),
        ("goals", torch.full((50, 2), -INF), NonFiniteError, "got NaN .* in goals; mask it or"),
        ("widening", 0.0, DomainError, r"needs widening > 0 and defensive .*, got 0.0 and 0.1"),
        ("widening", NAN, DomainError, r"needs widening > 0 and .*, got nan and 0.1"),
        ("defensive", 0.0, DomainError, r"defensive in \(0, 1\], got 1.5 and 0.0"),
        ("defensive", 1.1, DomainError, r"defensive in \(0, 1\], got 1.5 and 1.1"),
        ("defensive", NAN, DomainError, r"defensive in \(0, 1\], got 1.5 and nan"),
    ],
)
def test_pairs_and_settings_that_cannot_serve_are_refused(argument, value, error, message):
    arguments = {"queries": normal(50, 3), "goals": normal(50, 2), argument: value}
    with pytest.raises(error, match=f"^GaussianProposal.fit .*{message}") as caught:
        GaussianProposal.fit(**arguments)
    assert type(caught.value) is error


@pytest.mark.parametrize(
    ("argument", "value", "error"),
    [
        ("more_goals", normal(10, 3), ShapeError),
        ("more_goals", torch.full((10, 2), NAN), NonFiniteError),
        ("goals", normal(50, 2, 2), ShapeError),
    ],
)
def test_goals_of_other_sizes_and_further_goals_with_nan_are_refused(argument, value, error):
    arguments = {"queries": normal(50, 3), "goals": normal(50, 2), argument: value}
    with pytest.raises(error):
        GaussianProposal.fit(**arguments)


def test_goals_may_be_single_numbers():
    goals, _ = GaussianProposal.fit(normal(50, 3), normal(50, 1)).draw(normal(2, 3), 5, generator())
    assert goals.shape == (2, 5, 1)


@pytest.mark.parametrize(
    ("queries", "count", "error", "message"),
    [
        (normal(2, 4), 5, ShapeError, r"needs queries \[N, 3\], as in the fit, got \[2, 4\]"),
        (normal(1, 2, 3), 5, ShapeError, r"needs queries \[N, 3\], .*, got \[1, 2, 3\]"),
        (normal(3), 5, ShapeError, r"needs queries \[..., rows, D\] of floats, got \[3\]"),
        (normal(0, 3), 5, ShapeError, r"needs queries .*, got \[0, 3\] .*; give one embedding"),
        (normal(2, 3).long(), 5, ShapeError, r"needs queries .* of floats, .*; give one embedding"),
        (torch.full((2, 3), NAN), 5, NonFiniteError, "got NaN or an infinity in queries; mask"),
        (normal(2, 3), 0, DomainError, "needs count >= 1, got 0"),
    ],
)
def test_queries_that_cannot_serve_are_refused(queries, count, error, message):
    with pytest.raises(error, match=f"^GaussianProposal.draw {message}") as caught:
        small().draw(queries, count, generator())
    assert type(caught.value) is error


def test_fit_is_the_same_to_the_bit_again_and_near_to_least_squares():
    queries, goals = small_world().pairs(0, 2000, generator(1))
    fit, again = (GaussianProposal.fit(queries, goals) for _ in range(2))
    assert torch.equal(fit.weights, again.weights)
    inputs = torch.cat([queries, torch.ones(2000, 1)], 1).double()
    expected = torch.linalg.lstsq(inputs, goals.double()).solution
    torch.testing.assert_close(fit.weights, expected, atol=1e-10, rtol=0)


def test_queries_that_hold_a_constant_are_fitted():
    queries, goals = small_world().pairs(0, 500, generator(1))
    fit = GaussianProposal.fit(torch.cat([queries, torch.ones(500, 1)], 1), goals)
    plain = GaussianProposal.fit(queries, goals)
    torch.testing.assert_close(fit.weights[:3], plain.weights[:3], atol=1e-3, rtol=0)
    torch.testing.assert_close(fit.weights[3:].sum(0), plain.weights[3], atol=1e-3, rtol=0)


def test_just_enough_pairs_are_fitted():
    assert GaussianProposal.fit(normal(7, 3), normal(7, 2, seed=1)).mean.shape == (2,)
