import math
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from langrl.errors import DomainError, NonFiniteError, ShapeError
from langrl.functional.energies import ENERGIES, cosine, dot, neg_half_sq_l2, neg_l2
from langrl.functional.marginals import direct, monte_carlo, monte_carlo_embeddings

INF, NAN = float("inf"), float("nan")
STATED = 20e-6  # accuracy of float32


def uniform(*shape, scale=1.0, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return ((2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1) * scale).to(dtype)


def double(*shape, seed=0):
    return uniform(*shape, scale=2, seed=seed, dtype=torch.float64)


def brute_force(left, right, log_weights=None):
    """The same in float64, holding all of [..., N, M, K]."""
    terms = left.double().unsqueeze(-1) + right.double().unsqueeze(-3)
    if log_weights is not None:
        terms = terms + log_weights.double()[..., None, :, None]
    return terms.logsumexp(-2) - math.log(left.shape[-1])


def assert_accurate(value, *arguments, tolerance=STATED):
    exact = brute_force(*arguments)
    assert value.shape == exact.shape
    assert ((value.double() - exact).abs() <= tolerance * exact.abs().clamp(min=1)).all()


def assert_refused(error, message, function, *arguments, **options):
    """In one line that starts with ``message`` (a pattern) and goes on to say what to do."""
    with pytest.raises(error, match=f"^{message}.*$") as caught:
        function(*arguments, **options)
    assert type(caught.value) is error


# The instruction in the goal's place.


@pytest.mark.parametrize(
    ("energy", "expected"), [(neg_half_sq_l2, -12.5), (neg_l2, -5.0), (dot, 0.0), (cosine, 0.0)]
)
def test_direct_hand_worked_distance_of_five(energy, expected):
    left, right = torch.tensor([[4.0, 3.0]]), torch.tensor([[0.0, 0.0]])
    assert direct(left, right, energy=energy).item() == pytest.approx(expected)
    assert direct(left, right, 3.0, energy).item() == pytest.approx(3 * expected)
    assert direct(left, right).item() == pytest.approx(-12.5)  # half the squared one by default


def test_direct_is_the_marginal_over_one_goal_that_is_certain():
    left, right, goal = double(4, 3), double(5, 3, seed=1), double(1, 3, seed=2)
    value = monte_carlo_embeddings(left, right, goal, left_scale=2.0, right_scale=0.5).value
    torch.testing.assert_close(value, direct(left, goal, 2.0) + direct(right, goal, 0.5).T)


@pytest.mark.parametrize("energy", ENERGIES.values(), ids=ENERGIES)
def test_direct_gradients_are_those_of_its_scores(energy):
    scale = torch.tensor(1.5, dtype=torch.float64)
    inputs = [x.requires_grad_() for x in (double(2, 3, 4), double(5, 4, seed=1), scale)]
    assert torch.autograd.gradcheck(lambda *x: direct(*x, energy), inputs)


def test_direct_scores_have_the_dtype_of_the_embeddings():
    scale = torch.tensor(2.0, dtype=torch.float64)
    assert direct(uniform(4, 3), uniform(2, 3), scale).dtype == torch.float32


@pytest.mark.parametrize(
    ("argument", "value", "error", "message"),
    [
        ("left", torch.zeros(3), ShapeError, r"needs left \[..., rows, D\] .*; give one"),
        ("right", torch.zeros(0, 3), ShapeError, r"needs right \[..., rows, D\] .*; give one"),
        ("right", torch.zeros(2, 3).long(), ShapeError, "needs right .* of floats, .*; give one"),
        ("left", torch.full((2, 3), NAN), NonFiniteError, "got NaN .* in left; mask it"),
        ("right", torch.full((2, 3), -INF), NonFiniteError, "got NaN .* in right; mask it"),
        ("scale", torch.ones(2), ShapeError, "needs scale, one number, got .*; scale the embed"),
        ("scale", NAN, NonFiniteError, "got NaN or an infinity in scale; mask it or fix it"),
        ("scale", -0.5, DomainError, r"needs scale >= 0, got -0.5; pass exp\(log_scale\)"),
    ],
)
def test_direct_names_the_argument_that_cannot_serve(argument, value, error, message):
    arguments = {"left": uniform(2, 3), "right": uniform(4, 3), argument: value}
    assert_refused(error, f"direct {message}", direct, **arguments)


def test_direct_refuses_embedding_sizes_that_differ():
    message = (
        r"an energy needs .*, got \[2, 3\] and \[4, 5\]; give both encoders the same embedding"
    )
    assert_refused(ShapeError, message, direct, uniform(2, 3), uniform(4, 5))


# An average over candidates.


def test_hand_worked_mean_of_products():
    left, right = torch.tensor([[1.0, 3.0]]).log(), torch.tensor([[2.0], [4.0]]).log()
    estimate = monte_carlo(left, right)
    assert estimate.value.item() == pytest.approx(math.log(7))  # (1 * 2 + 3 * 4) / 2
    assert estimate.candidates == 2
    assert estimate.recomputed_fraction == 0


def test_hand_worked_mean_with_weights():
    left, right = torch.tensor([[1.0, 3.0]]).log(), torch.tensor([[2.0], [4.0]]).log()
    value = monte_carlo(left, right, torch.tensor([0.5, 1.5]).log()).value
    assert value.item() == pytest.approx(math.log(9.5))  # (0.5 * 1 * 2 + 1.5 * 3 * 4) / 2


def test_one_candidate_gives_the_sum_of_its_scores():
    value = monte_carlo(torch.tensor([[1.5], [-2.0]]), torch.tensor([[0.25, 3.0]])).value
    torch.testing.assert_close(value, torch.tensor([[1.75, 4.5], [-1.75, 1.0]]))


def test_fraction_counts_the_entries_that_no_product_can_hold():
    left = torch.tensor([[0.0, -1000.0], [0.0, 0.0]])
    right = torch.tensor([[-1000.0, 0.0], [0.0, 0.0]])
    assert monte_carlo(left, right).recomputed_fraction == 0.25


@pytest.mark.parametrize("scale", [1, 20, 100, 500, 5000])
def test_value_equals_broadcasting_at_every_scale(scale):
    left, right = uniform(64, 64, scale=scale), uniform(64, 8, scale=scale, seed=1)
    estimate = monte_carlo(left, right)
    assert estimate.value.dtype == torch.float32
    assert_accurate(estimate.value, left, right)
    assert (estimate.recomputed_fraction > 0) == (scale == 5000)


@pytest.mark.parametrize("scale", [1, 5000])
@pytest.mark.parametrize("axes", [(), (2,), (1,)])  # leading axes broadcast
def test_weights_are_added_to_every_term(axes, scale):
    left, right = uniform(2, 5, 16, scale=scale), uniform(2, 16, 3, scale=scale, seed=1)
    log_weights = uniform(*axes, 16, scale=2, seed=2)
    estimate = monte_carlo(left, right, log_weights, error_bars=True)
    assert_accurate(estimate.value, left, right, log_weights)
    assert estimate.standard_error.shape == estimate.value.shape


def test_weights_keep_the_stated_accuracy_under_opposite_offsets():
    left, right = uniform(64, 64) - 5000, uniform(64, 8, seed=1) + 5000
    log_weights = uniform(64, seed=2)
    assert_accurate(monte_carlo(left, right, log_weights).value, left, right, log_weights)


@pytest.mark.parametrize(("dtype", "far"), [(torch.float16, 60_000.0), (torch.float32, 5000.0)])
def test_weights_keep_the_stated_accuracy_far_below_the_columns_top(dtype, far):
    left, right = torch.tensor([[-far, far]]).to(dtype), torch.tensor([[far + 0.1], [-far - 0.3]])
    arguments = left, right.to(dtype), torch.zeros(2)
    assert_accurate(monte_carlo(*arguments).value, *arguments)


@pytest.mark.parametrize("far", [5.0, 20.0, 39.0])
def test_weights_keep_the_stated_accuracy_near_the_columns_top(far):
    left, right = torch.tensor([[-far, far]]), torch.tensor([[far + 0.1], [-far - 0.3]])
    weights = torch.tensor([0.111, 0.0333])
    assert_accurate(monte_carlo(left, right, weights).value, left, right, weights)


def test_weights_leave_columns_that_are_far_from_one_another_alone():
    left, right = uniform(3, 20), uniform(20, 4, seed=1) + torch.tensor([0.0, -1e5, 1e5, 300.0])
    weights = uniform(20, seed=2)
    assert_accurate(monte_carlo(left, right, weights).value, left, right, weights)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weighted_half_precision_scores_are_rounded_once_only(dtype):
    # sums of opposite scores, each within the 80 nats that count as near
    left = torch.tensor([[-39.0, 39.0]], dtype=dtype)
    right, weights = torch.tensor([[39.0], [-39.0]], dtype=dtype), torch.tensor([0.111, 0.0333])
    value = monte_carlo(left, right, weights).value
    tolerance = torch.finfo(dtype).eps
    assert_accurate(value, left, right, weights, tolerance=tolerance / 8)


def test_log_weights_beyond_half_precision_count():
    left, right = torch.full((1, 2), 60_000.0).half(), torch.full((2, 1), 10_000.0).half()
    weights = torch.tensor([-70_000.5, -70_000.25])
    arguments = left, right, weights
    assert_accurate(monte_carlo(*arguments).value, *arguments, tolerance=5e-4)


def test_log_weights_that_are_all_far_keep_the_stated_accuracy():
    left, right = torch.full((1, 2), 900_000.0), torch.zeros(2, 1)
    weights = torch.tensor([-900_000.3, -900_000.1], dtype=torch.float64)
    assert_accurate(monte_carlo(left, right, weights).value, left, right, weights)


@pytest.mark.parametrize("weights", [torch.float16, torch.float32, torch.float64])
def test_values_have_the_dtype_of_the_scores_whatever_that_of_the_weights(weights):
    left, right = uniform(4, 8).half(), uniform(8, 3).half()
    value = monte_carlo(left, right, torch.zeros(8, dtype=weights)).value
    assert value.dtype == torch.float16


@pytest.mark.parametrize("scale", [1, 100, 5000])
def test_half_precision_scores_are_rounded_once_only(scale):
    left, right = uniform(16, 64, scale=scale).half(), uniform(64, 8, scale=scale, seed=1).half()
    value = monte_carlo(left, right).value
    assert value.dtype == torch.float16
    assert_accurate(value, left, right, tolerance=5e-4)


def test_candidates_at_minus_infinity_are_ruled_out_and_counted():
    left, right = torch.tensor([[1.0, 3.0, 5.0]]).log(), torch.tensor([[2.0], [4.0], [9.0]]).log()
    masked = left.clone()
    masked[0, 2] = -INF
    value = monte_carlo(masked, right).value
    assert value.item() == pytest.approx(math.log(14 / 3))
    weights = torch.tensor([0.0, 0.0, -INF])
    torch.testing.assert_close(monte_carlo(left, right, weights).value, value)


def test_error_bars_change_nothing_else_and_carry_no_gradient():
    left, right = uniform(4, 9).requires_grad_(), uniform(9, 2).requires_grad_()
    plain, barred = monte_carlo(left, right), monte_carlo(left, right, error_bars=True)
    torch.testing.assert_close(plain.value, barred.value, rtol=1e-6, atol=1e-6)
    assert plain.standard_error is None
    assert plain.effective_sample_size is None
    assert barred.value.requires_grad
    assert not barred.standard_error.requires_grad
    assert not barred.effective_sample_size.requires_grad


@pytest.mark.parametrize("scale", [1, 800])
def test_gradient_is_that_of_broadcasting(scale):
    arguments = [
        uniform(*shape, scale=scale, seed=seed, dtype=torch.float64).requires_grad_()
        for seed, shape in enumerate([(2, 5, 16), (16, 3), (16,)])
    ]
    upstream = uniform(2, 5, 3, seed=9, dtype=torch.float64)
    estimate = monte_carlo(*arguments)
    assert (0 < estimate.recomputed_fraction < 1) == (scale > 1)  # some entries of each sort
    gradients = torch.autograd.grad(estimate.value, arguments, upstream)
    expected = torch.autograd.grad(brute_force(*arguments), arguments, upstream)
    for gradient, exact in zip(gradients, expected, strict=True):
        torch.testing.assert_close(gradient, exact, rtol=1e-8, atol=1e-12)


def test_gradients_and_their_gradients_are_those_of_the_value():
    inputs = [x.requires_grad_() for x in (double(2, 5), double(3, 5, 2, seed=1), double(5))]
    assert torch.autograd.gradcheck(lambda *x: monte_carlo(*x).value, inputs)
    assert torch.autograd.gradgradcheck(lambda *x: monte_carlo(*x).value, inputs)


def test_gradients_of_ruled_out_candidates_are_zero():
    left, right, log_weights = uniform(3, 6), uniform(6, 2, seed=1), uniform(6, seed=2)
    left[:, 0], right[1], log_weights[2] = -INF, -INF, -INF
    inputs = [x.requires_grad_() for x in (left, right, log_weights)]
    gradients = torch.autograd.grad(monte_carlo(*inputs).value.sum(), inputs)
    for gradient in gradients:
        assert gradient.isfinite().all()
    assert not gradients[0][:, :3].any()
    assert gradients[0][:, 3:].all()
    assert gradients[2].count_nonzero() == 3


# What cannot be averaged.


@pytest.mark.parametrize("bad", [NAN, INF])
@pytest.mark.parametrize("name", ["left", "right"])
def test_nan_and_plus_infinity_in_scores_are_refused_by_name(name, bad):
    arguments = {"left": uniform(4, 3), "right": uniform(3, 2)}
    arguments[name].view(-1)[1] = bad
    message = rf"NaN or \+inf in the {name} scores of candidates; a critic that diverged has to be"
    assert_refused(NonFiniteError, message, monte_carlo, **arguments)


@pytest.mark.parametrize(
    ("left", "right"), [((2, 3), (4, 2)), ((3,), (3, 2)), ((2, 3), (3,)), ((2, 0), (0, 2))]
)
def test_mismatched_candidates_are_refused_with_both_shapes(left, right):
    shapes = re.escape(f"the same M >= 1, got {list(left)} and {list(right)}; score both against")
    message = f"monte_carlo needs left .* and right .* with {shapes} the same candidates"
    assert_refused(ShapeError, message, monte_carlo, torch.zeros(left), torch.zeros(right))


@pytest.mark.parametrize(
    ("left", "right"), [((0, 3), (3, 2)), ((2, 3), (3, 0)), ((0, 2, 3), (3, 2))]
)
def test_no_query_or_no_instruction_is_refused(left, right):
    message = r"monte_carlo got no query or no instruction: left and right are .* and .*; give at"
    assert_refused(ShapeError, message, monte_carlo, torch.zeros(left), torch.zeros(right))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (torch.zeros(2, 3).long(), torch.zeros(3, 2).long()),  # values would be cut to integers
        (torch.zeros(2, 3), torch.zeros(3, 2).long()),
        (torch.zeros(2, 3).bool(), torch.zeros(3, 2)),
    ],
)
def test_scores_that_are_no_floats_are_refused(left, right):
    message = rf"monte_carlo needs .* of floats, got {left.dtype} and {right.dtype}; convert them"
    assert_refused(ShapeError, message, monte_carlo, left, right)


def test_leading_axes_that_do_not_broadcast_are_refused():
    left, right = torch.zeros(2, 5, 3), torch.zeros(3, 3, 2)
    message = (
        r"monte_carlo needs leading axes that broadcast, got left \[2\], right \[3\]; give all"
    )
    assert_refused(ShapeError, message, monte_carlo, left, right)
    message = r"monte_carlo needs leading axes .*, right \[2\], log_weights \[3\]; give all"
    assert_refused(ShapeError, message, monte_carlo, left, right[:2], torch.zeros(3, 3))


def test_leading_axes_of_embeddings_that_do_not_broadcast_are_refused():
    left, right, goals = torch.zeros(2, 5, 3), torch.zeros(4, 3), torch.zeros(3, 6, 3)
    message = r"monte_carlo_embeddings needs leading axes .* left \[2\], right \[\], goals \[3\]"
    assert_refused(ShapeError, message, monte_carlo_embeddings, left, right, goals)
    message = r"monte_carlo_embeddings needs leading axes .* log_weights \[3\]; give all the same"
    given = left, right, goals[:2], None
    assert_refused(
        ShapeError, message, lambda: monte_carlo_embeddings(*given, log_weights=torch.zeros(3, 6))
    )


HALF_RULED_OUT = torch.tensor([[0.0] * 5, [-INF] * 5])


def both_forms():
    left, right, goals = uniform(2, 3), uniform(4, 3, seed=1), uniform(5, 3, seed=2)
    return {
        "monte_carlo": (monte_carlo, (uniform(2, 5), uniform(5, 4))),
        "monte_carlo_embeddings": (monte_carlo_embeddings, (left, right, goals)),
    }


@pytest.mark.parametrize("name", both_forms())
@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        (torch.zeros(4), ShapeError, r"needs log_weights \[..., 5\], got \[4\]; give one weight"),
        (torch.zeros(5, 1), ShapeError, r"needs log_weights \[..., 5\], got \[5, 1\]; give one"),
        (torch.zeros(0, 5), ShapeError, r"needs log_weights \[..., 5\], got \[0, 5\]; give one"),
        (torch.tensor(0.0), ShapeError, r"needs log_weights \[..., 5\], got \[\]; give one weight"),
        (torch.tensor([0, 0, NAN, 0, -INF]), NonFiniteError, r"got NaN or \+inf in log_weights; "),
        (torch.tensor([0, 0, INF, 0, -INF]), NonFiniteError, r"got NaN or \+inf in log_weights; "),
        (torch.full((5,), -INF), NonFiniteError, "got log_weights of -inf only, .*; draw candid"),
        (HALF_RULED_OUT, NonFiniteError, "got log_weights of -inf only, .* every candidate out; "),
    ],
)
def test_weights_that_cannot_serve_are_refused(name, weights, error, message):
    function, arguments = both_forms()[name]
    assert_refused(error, f"{name} {message}", function, *arguments, log_weights=weights)


@pytest.mark.parametrize("error_bars", [False, True])
def test_entry_without_any_possible_candidate_is_named(error_bars):
    left = torch.tensor([[0.0, -INF], [0.0, 0.0]])
    right = torch.tensor([[0.0, -INF, 0.0], [0.0, 0.0, 0.0]])
    message = (
        "no candidate is possible for both query 0 and instruction 1: each has -inf in left, right"
        " or log_weights; add candidates, or rule fewer of them out"
    )
    for axes in ((), (2,)):
        arguments = left.expand(*axes, 2, 2), right.expand(*axes, 2, 3)
        assert_refused(NonFiniteError, message, monte_carlo, *arguments, error_bars=error_bars)


@pytest.mark.parametrize("name", both_forms())
def test_error_bars_of_one_candidate_are_refused(name):
    function, (left, right, *goals) = both_forms()[name]
    arguments = (left, right, goals[0][:1]) if goals else (left[:, :1], right[:1])
    message = "error bars need at least 2 candidates, got 1; draw more"
    assert_refused(ShapeError, message, function, *arguments, error_bars=True)
    assert function(*arguments).value.isfinite().all()


@given(st.integers(0, 2**31), st.floats(0.1, 1000), st.permutations(range(6)), st.integers(2, 4))
@settings(deadline=None, max_examples=50)
def test_order_and_repetition_of_all_candidates_do_not_matter(seed, scale, order, copies):
    left, right = uniform(3, 6, scale=scale, seed=seed), uniform(6, 2, scale=scale, seed=seed + 1)
    once = monte_carlo(left, right, error_bars=True)
    order = [candidate + 6 * copy for copy in range(copies) for candidate in order]
    repeated = left.repeat(1, copies)[:, order], right.repeat(copies, 1)[order]
    again = monte_carlo(*repeated, error_bars=True)
    torch.testing.assert_close(again.value, once.value, rtol=1e-6, atol=1e-6)
    expected = copies * once.effective_sample_size
    torch.testing.assert_close(again.effective_sample_size, expected, rtol=1e-4, atol=1e-4)
