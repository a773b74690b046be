import math

import numpy as np
import pytest
import torch

from langrl.errors import NonFiniteError, ShapeError
from langrl.functional import marginals
from langrl.functional.marginals import monte_carlo

INF = float("inf")


def uniform(*shape, scale=1.0, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return ((2 * torch.rand(shape, generator=generator, dtype=dtype)) - 1) * scale


def broadcast(left, right, log_weights=None):
    """The same in float64, holding all of [..., N, M, K]."""
    terms = left.double().unsqueeze(-1) + right.double().unsqueeze(-3)
    if log_weights is not None:
        terms = terms + log_weights.double()[..., None, :, None]
    return terms.logsumexp(-2) - math.log(left.shape[-1])


def assert_close_to_broadcast(value, *arguments):
    exact = broadcast(*arguments)
    assert value.shape == exact.shape
    error = (value.double() - exact).abs() / exact.abs().clamp(min=1)
    assert error.max() < 2e-5


def test_hand_worked_mean_of_products():
    left, right = torch.tensor([[1.0, 3.0]]).log(), torch.tensor([[2.0], [4.0]]).log()
    value, metrics = monte_carlo(left, right)
    assert value.item() == pytest.approx(math.log(7))  # (1 * 2 + 3 * 4) / 2
    assert metrics["recomputed_fraction"].item() == 0


def test_hand_worked_mean_with_weights():
    left, right = torch.tensor([[1.0, 3.0]]).log(), torch.tensor([[2.0], [4.0]]).log()
    value, _ = monte_carlo(left, right, torch.tensor([0.5, 1.5]).log())
    assert value.item() == pytest.approx(math.log(9.5))  # (0.5 * 1 * 2 + 1.5 * 3 * 4) / 2


def test_one_candidate_gives_the_sum_of_its_scores():
    value, _ = monte_carlo(torch.tensor([[1.5], [-2.0]]), torch.tensor([[0.25, 3.0]]))
    torch.testing.assert_close(value, torch.tensor([[1.75, 4.5], [-1.75, 1.0]]))


def test_repeated_candidates_change_nothing():
    left, right = uniform(3, 5), uniform(5, 2, seed=1)
    once, _ = monte_carlo(left, right)
    twice, _ = monte_carlo(torch.cat([left, left], 1), torch.cat([right, right], 0))
    torch.testing.assert_close(once, twice)


@pytest.mark.parametrize("scale", [1, 20, 100, 500])
def test_value_equals_broadcasting_at_every_scale(scale):
    left, right = uniform(64, 64, scale=scale), uniform(64, 8, scale=scale, seed=1)
    value, metrics = monte_carlo(left, right)
    assert_close_to_broadcast(value, left, right)
    assert (metrics["recomputed_fraction"] > 0) == (scale >= 100)


def test_plain_product_of_exponentials_is_wrong_at_a_large_scale():
    left, right = uniform(16, 64, scale=500), uniform(64, 8, scale=500, seed=1)
    scaled = (left - left.amax(1, keepdim=True)).exp() @ (right - right.amax(0)).exp()
    assert (scaled == 0).any()
    assert monte_carlo(left, right)[0].isfinite().all()


def test_product_that_underflows_in_part_is_recomputed():
    # exp(-50 - 50) survives in float32; 512 terms of exp(-106 + 0), worth 1.27 of it, do not
    left = torch.tensor([[0.0, -50.0, *[-106.0] * 512]])
    right = torch.tensor([[-300.0], [-50.0], *[[0.0]] * 512])
    plain = (left.exp() @ right.exp()).log() - math.log(514)
    value, metrics = monte_carlo(left, right)
    assert plain.isfinite().all()
    assert value - plain > 0.5
    assert metrics["recomputed_fraction"] == 1
    assert_close_to_broadcast(value, left, right)


@pytest.mark.parametrize("scale", [1, 500])
@pytest.mark.parametrize(
    ("left_axes", "right_axes"), [((2, 3), (2, 3)), ((2, 1), (3,)), ((), (4,)), ((4,), ())]
)
def test_leading_axes_are_batches_that_broadcast(left_axes, right_axes, scale):
    left = uniform(*left_axes, 5, 16, scale=scale)
    right = uniform(*right_axes, 16, 3, scale=scale, seed=1)
    value, _ = monte_carlo(left, right)
    assert value.shape == (*np.broadcast_shapes(left_axes, right_axes), 5, 3)
    assert_close_to_broadcast(value, left, right)


@pytest.mark.parametrize("scale", [1, 500])
@pytest.mark.parametrize("axes", [(), (2,), (3, 1)])
def test_weights_are_added_to_every_term(axes, scale):
    left, right = uniform(2, 5, 16, scale=scale), uniform(2, 16, 3, scale=scale, seed=1)
    log_weights = uniform(*axes, 16, scale=2, seed=2)
    value, _ = monte_carlo(left, right, log_weights)
    assert_close_to_broadcast(value, left, right, log_weights)


def test_recomputing_in_small_chunks_gives_the_same(monkeypatch):
    left, right = uniform(2, 16, 64, scale=500), uniform(64, 8, scale=500, seed=1)
    whole, _ = monte_carlo(left, right)
    monkeypatch.setattr(marginals, "_CHUNK", 200)
    torch.testing.assert_close(monte_carlo(left, right)[0], whole, rtol=0, atol=0)


def test_candidates_at_minus_infinity_are_ruled_out():
    left, right = torch.tensor([[1.0, 3.0, 5.0]]).log(), torch.tensor([[2.0], [4.0], [9.0]]).log()
    masked = left.clone()
    masked[0, 2] = -INF
    value, _ = monte_carlo(masked, right)
    assert value.item() == pytest.approx(math.log(14 / 3))  # the mean still counts it
    weights = torch.tensor([0.0, 0.0, -INF])
    torch.testing.assert_close(monte_carlo(left, right, weights)[0], value)


def test_only_entries_without_any_candidate_are_minus_infinity():
    left = torch.tensor([[-INF, -INF], [0.0, -INF], [0.0, 0.0]])
    right = torch.tensor([[-INF, 0.0], [0.0, 0.0]])
    value, _ = monte_carlo(left, right)
    expected = torch.tensor([[0.0, 0.0], [0.0, 0.5], [0.5, 1.0]]).log()
    torch.testing.assert_close(value, expected)


def test_all_candidates_ruled_out_gives_minus_infinity():
    value, _ = monte_carlo(torch.full((2, 3), -INF), torch.zeros(3, 2))
    assert (value == -INF).all()
    value, _ = monte_carlo(torch.zeros(2, 3), torch.zeros(3, 2), torch.full((3,), -INF))
    assert (value == -INF).all()


@pytest.mark.parametrize("bad", [float("nan"), INF])
@pytest.mark.parametrize("argument", [0, 1, 2])
def test_nan_and_plus_infinity_are_refused(argument, bad):
    arguments = [uniform(4, 3), uniform(3, 2), uniform(3)]
    arguments[argument].view(-1)[1] = bad
    with pytest.raises(NonFiniteError, match="NaN or"):
        monte_carlo(*arguments)


def test_plus_infinity_is_refused_where_the_other_side_rules_it_out():
    with pytest.raises(NonFiniteError):
        monte_carlo(torch.tensor([[-INF, 0.0]]), torch.tensor([[INF], [0.0]]))


@pytest.mark.parametrize(
    ("left", "right"), [((2, 3), (4, 2)), ((3,), (3, 2)), ((2, 3), (3,)), ((2, 0), (0, 2))]
)
def test_mismatched_candidates_are_refused_with_both_shapes(left, right):
    with pytest.raises(ShapeError) as caught:
        monte_carlo(torch.zeros(left), torch.zeros(right))
    assert str(list(left)) in str(caught.value)
    assert str(list(right)) in str(caught.value)


@pytest.mark.parametrize("shape", [(2,), (3, 1), ()])
def test_weights_of_another_number_of_candidates_are_refused(shape):
    with pytest.raises(ShapeError, match="log_weights"):
        monte_carlo(torch.zeros(2, 3), torch.zeros(3, 2), torch.zeros(shape))


@pytest.mark.parametrize(("scale", "recomputed"), [(1, 0), (800, 0.01)])
def test_gradient_is_that_of_broadcasting(scale, recomputed):
    shapes = [(2, 5, 16), (16, 3), (16,)]
    arguments = [
        uniform(*shape, scale=scale, seed=seed, dtype=torch.float64).requires_grad_()
        for seed, shape in enumerate(shapes)
    ]
    upstream = uniform(2, 5, 3, seed=9, dtype=torch.float64)
    value, metrics = monte_carlo(*arguments)
    fraction = metrics["recomputed_fraction"]
    assert recomputed <= fraction < 1  # at the large scale, some entries of each sort
    assert (fraction > 0) == (scale > 1)
    gradients = torch.autograd.grad(value, arguments, upstream)
    expected = torch.autograd.grad(broadcast(*arguments), arguments, upstream)
    for gradient, exact in zip(gradients, expected, strict=True):
        torch.testing.assert_close(gradient, exact, rtol=1e-8, atol=1e-12)


def test_half_precision_is_recomputed_where_it_underflows():
    left, right = uniform(16, 64, scale=100).half(), uniform(64, 8, scale=100, seed=1).half()
    value, _ = monte_carlo(left, right)
    exact = broadcast(left, right)
    assert ((value.double() - exact).abs() < 0.5).all()  # half precision steps by 0.06 at 100
