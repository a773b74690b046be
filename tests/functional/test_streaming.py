"""Marginals over candidates that are scored a chunk at a time."""

import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from langrl.errors import DomainError, NonFiniteError, ShapeError
from langrl.functional.energies import ENERGIES, cosine, dot, neg_half_sq_l2, neg_l2
from langrl.functional.log_products import log_matmul_exp
from langrl.functional.marginals import monte_carlo, monte_carlo_embeddings
from langrl.functional.streaming import streamed_log_matmul_exp

INF, NAN = float("inf"), float("nan")
CHUNKS = [1, 3, 7, 10, 4096]  # of 10 candidates


def normal(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def embeddings(dtype=torch.float64):
    """A query's, an instruction's, and the candidate goals' by the encoder of either side."""
    shapes = {"left": (4, 3), "right": (5, 2), "goals": (10, 3), "right_goals": (10, 2)}
    return {
        name: normal(*shape, seed=seed, dtype=dtype)
        for seed, (name, shape) in enumerate(shapes.items())
    }


def scores_of(left, right, goals, right_goals, energy=dot, scales=(1.0, 1.0)):
    return scales[0] * energy(left, goals), scales[1] * energy(right_goals, right)


def tables(f, h):
    """Scores that are given: f [M, N] and h [M, K], candidates first."""
    return f.mT, h


class Largest(TorchDispatchMode):
    """Notes the most numbers that any one tensor made meanwhile holds."""

    numbers = 0

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        result = function(*arguments, **(keywords or {}))
        for tensor in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(tensor, torch.Tensor):
                self.numbers = max(self.numbers, tensor.numel())
        return result


# Scores made chunk by chunk.


@pytest.mark.parametrize("chunk", [1, 2, 3])
def test_hand_worked_sum_over_chunks(chunk):
    f, h = torch.tensor([[1.0], [3.0], [2.0]]).log(), torch.tensor([[2.0], [4.0], [1.0]]).log()
    f.requires_grad_()
    total, squares, fraction = streamed_log_matmul_exp(tables, chunk, True, (f, h), ())
    assert total.item() == pytest.approx(math.log(16))  # 2 + 12 + 2
    assert squares.item() == pytest.approx(math.log(152))  # 4 + 144 + 4
    assert fraction == 0
    (gradient,) = torch.autograd.grad(16 * total.sum(), f)  # 16 times the shares of the sum
    torch.testing.assert_close(gradient, torch.tensor([[2.0], [12.0], [2.0]]))


@pytest.mark.parametrize("chunk", CHUNKS)
@pytest.mark.parametrize("scale", [1, 300, 5000])
def test_sum_is_that_of_all_scores_at_once(scale, chunk):
    f, h = scale * normal(10, 4, dtype=torch.float32), scale * normal(10, 3, seed=1)
    total, squares, _ = streamed_log_matmul_exp(tables, chunk, True, (f, h), ())
    torch.testing.assert_close(total, log_matmul_exp(f.T, h)[0], rtol=1e-6, atol=1e-6)
    exact = log_matmul_exp(2 * f.T.double(), 2 * h)[0]
    torch.testing.assert_close(squares, exact, rtol=1e-6, atol=1e-6)


def test_fraction_weighs_chunks_by_their_candidates():
    f = torch.tensor([[0.0], [-2000.0], [0.0]])
    h = torch.tensor([[-2000.0], [0.0], [0.0]])
    assert streamed_log_matmul_exp(tables, 2, False, (f, h), ())[2] == pytest.approx(2 / 3)


def test_tensors_that_are_missing_are_passed_on():
    def block(f, missing, h, scale):
        assert missing is None
        return scale * f.mT, h

    f, h, scale = normal(5, 2), normal(5, 3, seed=1), torch.tensor(2.0).double().requires_grad_()
    total, _, _ = streamed_log_matmul_exp(block, 2, False, (f, None, h), (scale,))
    (gradient,) = torch.autograd.grad(total.sum(), scale)
    (exact,) = torch.autograd.grad(log_matmul_exp(scale * f.mT, h)[0].sum(), scale)
    torch.testing.assert_close(gradient, exact)


def test_chunk_without_a_possible_candidate_adds_nothing():
    f, h = normal(6, 2), normal(6, 3, seed=1)
    f[:2], h[4:] = -INF, -INF
    f.requires_grad_()
    h.requires_grad_()
    total, squares, _ = streamed_log_matmul_exp(tables, 2, True, (f, h), ())
    torch.testing.assert_close(total, log_matmul_exp(f.mT[:, 2:4], h[2:4])[0])
    assert squares.isfinite().all()
    for gradient in torch.autograd.grad(total.sum(), (f, h)):
        assert gradient[2:4].all()
        assert gradient.isfinite().all()
        assert gradient.count_nonzero() == gradient[2:4].numel()


def test_sums_without_any_candidate_are_minus_infinity():
    f, h = torch.full((5, 2), -INF), torch.zeros(5, 3)
    total, squares, _ = streamed_log_matmul_exp(tables, 2, True, (f, h), ())
    assert (total == -INF).all()
    assert (squares == -INF).all()


# The marginal from embeddings.


def test_hand_worked_mean_over_two_goals():
    left, right = torch.tensor([[1.0]]), torch.tensor([[2.0]])
    goals = torch.tensor([[1.0], [3.0]]).log()
    estimate = monte_carlo_embeddings(left, right, goals, energy=dot)
    assert estimate.value.item() == pytest.approx(math.log(14))  # (1**3 + 3**3) / 2
    assert estimate.candidates == 2


@pytest.mark.parametrize("chunk", CHUNKS)
@pytest.mark.parametrize("energy", ENERGIES.values(), ids=ENERGIES)
def test_estimate_is_monte_carlos_over_the_same_scores(energy, chunk):
    left, right, goals = normal(4, 3), normal(5, 3, seed=1), normal(10, 3, seed=2)
    log_weights = normal(10, seed=4)
    options = {"log_weights": log_weights, "error_bars": True}
    estimate = monte_carlo_embeddings(
        left, right, goals, left_scale=2.0, right_scale=0.5, energy=energy, chunk=chunk, **options
    )
    f, h = scores_of(left, right, goals, goals, energy, (2.0, 0.5))
    expected = monte_carlo(f, h, **options)
    assert estimate.candidates == expected.candidates
    torch.testing.assert_close(estimate.value, expected.value)
    torch.testing.assert_close(estimate.standard_error, expected.standard_error)
    torch.testing.assert_close(estimate.effective_sample_size, expected.effective_sample_size)


@pytest.mark.parametrize("chunk", CHUNKS)
def test_each_side_may_have_its_own_goal_encoder_and_energy(chunk):
    given = embeddings()
    estimate = monte_carlo_embeddings(**given, energy=cosine, right_energy=neg_l2, chunk=chunk)
    f, h = cosine(given["left"], given["goals"]), neg_l2(given["right_goals"], given["right"])
    torch.testing.assert_close(estimate.value, monte_carlo(f, h).value)


@pytest.mark.parametrize(
    ("left_axes", "right_axes", "goal_axes", "weight_axes"),
    [((2,), (2,), (2,), (2,)), ((2, 1), (3,), (), ()), ((), (), (3,), ()), ((), (), (3,), (3,))],
)
def test_leading_axes_are_batches_that_broadcast(left_axes, right_axes, goal_axes, weight_axes):
    left, right = normal(*left_axes, 4, 3), normal(*right_axes, 5, 3, seed=1)
    goals, log_weights = normal(*goal_axes, 10, 3, seed=2), normal(*weight_axes, 10, seed=3)
    inputs = [x.requires_grad_() for x in (left, right, goals, log_weights)]
    value = monte_carlo_embeddings(left, right, goals, log_weights=log_weights, chunk=4).value
    f, h = scores_of(left, right, goals, goals, neg_half_sq_l2)
    expected = monte_carlo(f, h, log_weights).value
    torch.testing.assert_close(value, expected)
    pairs = (torch.autograd.grad(v.sum(), inputs, retain_graph=True) for v in (value, expected))
    torch.testing.assert_close(*pairs)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_values_have_the_dtype_of_the_embeddings(dtype):
    given = embeddings(dtype)
    scale = torch.tensor(2.0, dtype=torch.float64)
    estimate = monte_carlo_embeddings(**given, left_scale=scale, energy=dot, error_bars=True)
    f, h = scores_of(*given.values(), scales=(2.0, 1.0))
    assert estimate.value.dtype == dtype
    for bar in (estimate.standard_error, estimate.effective_sample_size):
        assert bar.dtype == torch.promote_types(dtype, torch.float32)
    torch.testing.assert_close(estimate.value, monte_carlo(f, h).value)


@pytest.mark.parametrize("chunk", CHUNKS)
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(("energy", "right_energy"), [(dot, neg_half_sq_l2), (cosine, None)])
def test_derivatives_in_every_tensor_are_those_of_the_value(energy, right_energy, shared, chunk):
    given = embeddings()
    if shared:
        given["right"], given["right_goals"] = normal(5, 3, seed=1), None
    extra = {"left_scale": torch.tensor(1.5), "right_scale": torch.tensor([0.5])}
    given |= {name: value.double() for name, value in extra.items()}
    given["log_weights"] = normal(10, seed=4)
    inputs = {name: x.requires_grad_() for name, x in given.items() if x is not None}

    def value(*tensors):
        arguments = given | dict(zip(inputs, tensors, strict=True))
        options = {"energy": energy, "right_energy": right_energy, "chunk": chunk}
        return monte_carlo_embeddings(**arguments, **options).value

    assert torch.autograd.gradcheck(value, tuple(inputs.values()), fast_mode=shared or chunk != 3)


@pytest.mark.parametrize("wanted", ["left", "right", "goals", "right_goals"])
def test_gradient_of_one_tensor_alone_is_that_of_all_scores_at_once(wanted):
    given = embeddings(torch.float32)
    given[wanted].requires_grad_()
    value = monte_carlo_embeddings(**given, energy=dot, chunk=3).value
    (gradient,) = torch.autograd.grad(value.sum(), given[wanted])
    exact = monte_carlo(*scores_of(**given)).value.sum()
    torch.testing.assert_close(gradient, *torch.autograd.grad(exact, given[wanted]))
    assert gradient.dtype == torch.float32


def test_tensor_that_plays_two_parts_gets_the_gradient_of_both():
    both, goals = normal(4, 3).requires_grad_(), normal(10, 3, seed=1).requires_grad_()
    value = monte_carlo_embeddings(both, both, goals, goals, chunk=3).value
    f, h = scores_of(both, both, goals, goals, neg_half_sq_l2)
    expected = monte_carlo(f, h).value
    pairs = (torch.autograd.grad(v.sum(), (both, goals)) for v in (value, expected))
    torch.testing.assert_close(*pairs)


@pytest.mark.parametrize("backward", [False, True])
def test_mixed_precision_regions_change_nothing(backward):
    given = embeddings(torch.float32)
    given["left"].requires_grad_()
    plain = monte_carlo_embeddings(**given, energy=dot).value
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = monte_carlo_embeddings(**given, energy=dot).value
    torch.testing.assert_close(value, plain, rtol=1e-6, atol=1e-6)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=backward):
        (gradient,) = torch.autograd.grad(value.sum(), given["left"])
    torch.testing.assert_close(gradient, *torch.autograd.grad(plain.sum(), given["left"]))


def test_second_derivatives_are_refused():
    left = normal(4, 3).requires_grad_()
    value = monte_carlo_embeddings(left, normal(5, 3), normal(10, 3)).value
    (gradient,) = torch.autograd.grad(value.square().sum(), left, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_candidates_ruled_out_by_weights_get_no_gradient():
    log_weights = torch.zeros(10, dtype=torch.float64)
    log_weights[:5] = -INF  # the whole first chunk, and two of the second
    log_weights.requires_grad_()
    given = embeddings()
    given["goals"].requires_grad_()
    value = monte_carlo_embeddings(**given, energy=dot, log_weights=log_weights, chunk=3).value
    kept = monte_carlo(*scores_of(**given | {k: given[k][5:] for k in ("goals", "right_goals")}))
    torch.testing.assert_close(value, kept.value - math.log(2))
    for gradient in torch.autograd.grad(value.sum(), (given["goals"], log_weights)):
        assert (gradient[:5].abs() < 1e-200).all()
        assert gradient[5:].all()


# Memory that does not grow with the candidates.


@pytest.mark.parametrize("chunk", [1, 64, 200])
def test_no_call_is_shown_more_than_a_chunk_forward_or_backward(chunk):
    left, right, goals = normal(2, 3), normal(2, 3, seed=1), normal(200, 3, seed=2)
    seen = {dot: [], cosine: []}

    def spy(energy):
        return lambda x, goals: seen[energy].append(goals.shape[-2]) or energy(x, goals)

    options = {"energy": spy(dot), "right_energy": spy(cosine), "chunk": chunk}
    value = monte_carlo_embeddings(left.requires_grad_(), right, goals, **options).value
    assert sum(seen[dot]) == sum(seen[cosine]) == 200
    value.sum().backward()
    assert sum(seen[dot]) == sum(seen[cosine]) == 400  # once more for the gradients
    assert max(seen[dot]) == max(seen[cosine]) == chunk


@pytest.mark.parametrize("error_bars", [False, True])
@pytest.mark.parametrize("scale", [1.0, 5000.0])
def test_no_tensor_holds_the_scores_of_all_candidates(scale, error_bars):
    given = {"left": normal(8, 4), "right": normal(8, 4, seed=1), "goals": normal(1024, 4)}
    for tensor in given.values():
        tensor.requires_grad_()
    options = {"left_scale": scale, "right_scale": scale, "chunk": 32, "error_bars": error_bars}
    kept = []
    keep = torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x) or x, lambda x: x)
    with Largest() as largest, keep:
        monte_carlo_embeddings(**given, **options).value.sum().backward()
    assert largest.numbers == 1024 * 4  # the gradient of the goals: half the scores of one side
    assert max(x.numel() for x in kept) == 1024 * 4  # the goals themselves
    assert given["goals"].grad.any()


# What cannot be averaged.

NEEDS = r"needs {} \[..., rows, D\] of floats, got \[.*\] of torch.*; give one embedding a row"


def assert_refused(error, message, **changed):
    """In one line that starts with ``message`` (a pattern) and goes on to say what to do."""
    with pytest.raises(error, match=f"^{message}.*$") as caught:
        monte_carlo_embeddings(**embeddings() | changed)
    assert type(caught.value) is error


@pytest.mark.parametrize("name", ["left", "right", "goals", "right_goals"])
@pytest.mark.parametrize(
    "value", [torch.zeros(3), torch.zeros(0, 3), torch.zeros(2, 0), torch.zeros(2, 3).long()]
)
def test_argument_that_holds_no_embeddings_is_named(name, value):
    assert_refused(ShapeError, f"monte_carlo_embeddings {NEEDS.format(name)}", **{name: value})


@pytest.mark.parametrize("name", ["left", "right", "goals", "right_goals"])
@pytest.mark.parametrize("bad", [NAN, INF])
def test_embeddings_that_are_not_finite_are_refused_by_name(name, bad):
    value = embeddings()[name]
    value[-1] = bad  # in the last chunk
    message = f"monte_carlo_embeddings got NaN or an infinity in {name}; mask it or fix it"
    assert_refused(NonFiniteError, message, **{name: value}, energy=neg_half_sq_l2, chunk=3)


def test_finite_embeddings_whose_scores_are_not_are_refused_by_side():
    message = r"NaN or \+inf in the right scores of candidates; a critic that diverged has to be"
    assert_refused(NonFiniteError, message, right_energy=lambda c, g: dot(c, g) / 0)


@pytest.mark.parametrize("name", ["left", "right", "goals", "right_goals"])
def test_embedding_sizes_that_differ_are_refused(name):
    message = (
        "monte_carlo_embeddings needs left and goals of one embedding size, right and right_goals"
        f" of one, got .*'{name}': 7.*; without right_goals, all four share one encoder's"
    )
    assert_refused(ShapeError, message, **{name: normal(10, 7)})


@pytest.mark.parametrize("name", ["left_scale", "right_scale"])
@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (torch.ones(2), ShapeError, r"needs {}, one number, got \[2\]; scale the embeddings"),
        (torch.tensor(INF), NonFiniteError, "got NaN or an infinity in {}; mask it or fix it"),
        (torch.tensor([-0.5]), DomainError, r"needs {} >= 0, got -0.5; pass exp\(log_scale\)"),
    ],
)
def test_scale_that_cannot_serve_is_named(name, value, error, message):
    assert_refused(error, f"monte_carlo_embeddings {message.format(name)}", **{name: value})


def test_other_candidates_on_the_right_and_empty_chunks_are_refused():
    needs = "monte_carlo_embeddings needs"
    message = f"{needs} goals and right_goals of the same candidates, got 10 and 6; embed the same"
    assert_refused(ShapeError, message, right_goals=normal(6, 2))
    assert_refused(DomainError, f"{needs} chunk >= 1, got 0; 4096 suits most caches", chunk=0)
