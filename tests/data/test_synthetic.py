import math

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from langrl.data.synthetic import NOISE, GaussianTriples
from langrl.errors import DomainError
from langrl.functional.marginals import monte_carlo
from langrl.functional.retrieval import recall_at_1

SIZES = [(1, 2, 0.0), (2, 3, 0.3), (3, 2, 1.0), (4, 6, 0.75)]  # of goals, of A and C; rho


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def draw(goal_size=2, size=3, rho=0.0, seed=0):
    return GaussianTriples.draw(generator(seed), rho, goal_size, size)


def joint(world):
    """Mean and covariance of (B, A, C), as one linear map of (B, U, noise of A, noise of C)."""
    mean, factor = world.mean.double().numpy(), world.factor.double().numpy()
    (to_a, to_c), (hidden_a, hidden_c) = (
        maps.double().numpy() for maps in (world.maps, world.hidden_maps)
    )
    size, goal_size = to_a.shape
    open_share, hidden_share = math.sqrt(1 - world.rho), math.sqrt(world.rho)
    linear = np.block(
        [
            [np.eye(goal_size), np.zeros((goal_size, goal_size + 2 * size))],
            [open_share * to_a, hidden_share * hidden_a, np.eye(size), np.zeros((size, size))],
            [open_share * to_c, hidden_share * hidden_c, np.zeros((size, size)), np.eye(size)],
        ]
    )
    latent = np.zeros((2 * goal_size + 2 * size,) * 2)
    latent[:goal_size, :goal_size] = factor.T @ factor
    latent[goal_size : 2 * goal_size, goal_size : 2 * goal_size] = factor.T @ factor
    latent[2 * goal_size :, 2 * goal_size :] = 4 * np.eye(2 * size)
    centre = np.concatenate([mean, mean, np.zeros(2 * size)])
    return linear @ centre, linear @ latent @ linear.T


def places(world):
    """Where B, A and C lie in the joint law."""
    goal_size, size = len(world.mean), world.maps.shape[1]
    return np.split(np.arange(goal_size + 2 * size), [goal_size, goal_size + size])


def log_density(world, where, values):
    mean, covariance = joint(world)
    return multivariate_normal(mean[where], covariance[np.ix_(where, where)]).logpdf(values)


def pointwise_information(world, one, other, x, y):
    """log p(x, y) / (p(x) p(y)) for all pairs."""
    pairs = np.stack([[np.concatenate([a, b]) for b in y] for a in x])
    together = log_density(world, np.concatenate([one, other]), pairs)
    return together - log_density(world, one, x)[:, None] - log_density(world, other, y)


def some(world, count, seed=1):
    """Goals, state-actions and instructions, far apart too."""
    goals = world.goals(count, generator(seed))
    a, c = world.unseen_pairs(count, generator(seed + 1))
    return 1.5 * goals, 1.5 * a, 1.5 * c


def assert_law(samples, mean, covariance):
    """Within five standard errors of the means and the covariances of a Gaussian."""
    count, samples = len(samples), samples.double().numpy()
    variances = covariance.diagonal()
    assert (abs(samples.mean(0) - mean) < 5 * np.sqrt(variances / count)).all()
    error = np.sqrt((np.outer(variances, variances) + covariance**2) / count)
    assert (abs(np.cov(samples.T) - covariance) < 5 * error).all()


def test_hand_worked_world_of_single_numbers():
    # goals N(0, 9); A = B + noise, C = 2 B + noise, both of variance 4
    world = GaussianTriples(
        torch.zeros(1),
        torch.tensor([[3.0]]),
        torch.tensor([[[1.0]], [[2.0]]]),
        torch.zeros(2, 1, 1),
    )
    x, goal = torch.tensor([[1.0]]), torch.tensor([[3.0]])
    # N(1; 3, 4) over N(1; 0, 13)
    expected = -((1 - 3) ** 2) / 8 - math.log(4) / 2 + 1 / 26 + math.log(13) / 2
    assert world.exact_ratio(0, x, goal).item() == pytest.approx(expected)
    # N(1; 6, 4) over N(1; 0, 40)
    expected = -((1 - 6) ** 2) / 8 - math.log(4) / 2 + 1 / 80 + math.log(40) / 2
    assert world.exact_ratio(1, x, goal).item() == pytest.approx(expected)
    # given A = 1, C has mean 18 / 13 and variance 40 - 18^2 / 13 = 196 / 13
    expected = -((1 - 18 / 13) ** 2) * 13 / 392 - math.log(196 / 13) / 2 + 1 / 80 + math.log(40) / 2
    assert world.exact_marginal(x, x).item() == pytest.approx(expected)


@pytest.mark.parametrize(("goal_size", "size", "rho"), SIZES)
@pytest.mark.parametrize("side", [0, 1])
def test_exact_ratio_is_that_of_the_joint_densities(side, goal_size, size, rho):
    world = draw(goal_size, size, rho)
    goals, *others = some(world, 5)
    x, (first, *images) = others[side][:4], places(world)
    ratio = world.exact_ratio(side, x, goals)
    assert ratio.dtype == torch.float64
    expected = pointwise_information(
        world, images[side], first, x.double().numpy(), goals.double().numpy()
    )
    np.testing.assert_allclose(ratio.numpy(), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("goal_size", "size", "rho"), SIZES)
def test_exact_marginal_is_that_of_the_joint_densities(goal_size, size, rho):
    world = draw(goal_size, size, rho)
    _, a, c = some(world, 5)
    marginal = world.exact_marginal(a[:4], c)
    assert marginal.dtype == torch.float64
    _, *images = places(world)
    expected = pointwise_information(world, *images, a[:4].double().numpy(), c.double().numpy())
    np.testing.assert_allclose(marginal.numpy(), expected, rtol=1e-6, atol=1e-6)


def test_a_goal_says_nothing_where_all_comes_from_behind_its_back():
    world = draw(rho=1.0)
    goals, a, c = some(world, 20)
    for side, x in enumerate((a, c)):
        ratio = world.exact_ratio(side, x, goals)
        torch.testing.assert_close(ratio, torch.zeros_like(ratio))
    assert world.exact_marginal(a, c).abs().max() > 1


@pytest.mark.parametrize("rho", [0.0, 0.6])
def test_samples_have_the_stated_means_and_covariances(rho):
    world = draw(rho=rho)
    mean, covariance = joint(world)
    b, *images = places(world)
    assert_law(world.goals(50_000, generator(1)), mean[b], covariance[np.ix_(b, b)])
    for side in (0, 1):
        x, goals = world.pairs(side, 50_000, generator(2 + side))
        both = np.concatenate([images[side], b])
        assert_law(torch.cat([x, goals], 1), mean[both], covariance[np.ix_(both, both)])
    both = np.concatenate(images)
    pairs = torch.cat(world.unseen_pairs(50_000, generator(4)), 1)
    assert_law(pairs, mean[both], covariance[np.ix_(both, both)])


def lemma_1(world, candidates, count=8):
    """How far the average of exact ratios over candidates is from the exact marginal, in errors."""
    a, c = world.unseen_pairs(count, generator(5))
    goals = world.goals(candidates, generator(6))
    ratios = world.exact_ratio(0, a, goals), world.exact_ratio(1, c, goals).mT
    estimate = monte_carlo(*ratios, error_bars=True)
    off = estimate.value - world.exact_marginal(a, c)
    return off, estimate.standard_error


@pytest.mark.parametrize("goal_size", [1, 2])
def test_average_over_goals_comes_to_the_exact_marginal_under_assumption_1(goal_size):
    world = draw(goal_size, 2)
    for candidates, most in ((1000, 0.2), (100_000, 0.02)):
        off, error = lemma_1(world, candidates)
        assert (off.abs() < 4.5 * error).all()
        assert error.max() < most


@pytest.mark.parametrize("rho", [0.3, 0.8])
def test_average_over_goals_comes_to_another_value_where_assumption_1_fails(rho):
    off, error = lemma_1(draw(2, 2, rho), 100_000)
    assert (off.abs() > 20 * error).double().mean() > 0.5
    assert off.abs().max() > 0.1


def test_exact_marginal_finds_nearly_every_partner_in_the_published_world():
    world = GaussianTriples.draw(generator())
    a, c = world.unseen_pairs(320, generator(1))
    groups = zip(a.split(32), c.split(32), strict=True)
    chances = torch.stack([recall_at_1(world.exact_marginal(*group)) for group in groups])
    assert chances.mean() > 0.97


def test_world_has_the_published_sizes_and_numbers_between_minus_one_and_one():
    world = GaussianTriples.draw(generator())
    shapes = {"mean": (16,), "factor": (16, 16), "maps": (2, 32, 16), "hidden_maps": (2, 32, 16)}
    for name, shape in shapes.items():
        value = getattr(world, name)
        assert value.shape == shape
        assert -1 <= value.min() < -0.5 < 0.5 < value.max() <= 1
    assert world.rho == 0
    assert NOISE == 2


def test_generator_decides_the_world_and_the_samples():
    one, same, other = draw(seed=0), draw(seed=0, rho=0.5), draw(seed=1)
    for name in ("mean", "factor", "maps", "hidden_maps"):
        assert torch.equal(getattr(one, name), getattr(same, name))  # whatever rho is
        assert not torch.equal(getattr(one, name), getattr(other, name))
    for use in (
        lambda seed: (one.goals(4, generator(seed)),),
        lambda seed: one.pairs(0, 4, generator(seed)),
        lambda seed: one.unseen_pairs(4, generator(seed)),
    ):
        for first, again, else_ in zip(use(1), use(1), use(2), strict=True):
            assert torch.equal(first, again)
            assert not torch.equal(first, else_)


@pytest.mark.parametrize("rho", [-0.1, 1.1, math.nan])
def test_share_outside_zero_and_one_is_refused(rho):
    with pytest.raises(DomainError, match=rf"^rho is a share in \[0, 1\], got {rho}"):
        draw(rho=rho)
