"""InfoNCE where row i's one positive is column i, which takes fewer steps than other pairs."""

import pytest
import torch

from langrl.errors import DomainError, NonFiniteError
from langrl.functional.losses import (
    backward_info_nce,
    forward_info_nce,
    symmetric_info_nce,
)

LOSSES = [forward_info_nce, backward_info_nce, symmetric_info_nce]


def scores(rows=6, columns=None, scale=3.0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(rows, columns or rows, generator=generator, dtype=torch.float64)
    return (scale * drawn).to(dtype)


def gradient(loss, logits, **options):
    leaf = logits.clone().requires_grad_()
    value, metrics = loss(leaf, **options)
    (slope,) = torch.autograd.grad(value, leaf)
    return value.detach(), slope, metrics


@pytest.mark.parametrize("penalty", [0.0, 0.1])
@pytest.mark.parametrize("shape", [(6, 6), (2, 2), (3, 7)])
@pytest.mark.parametrize("loss", LOSSES)
def test_plain_pairs_are_marked_pairs_on_the_diagonal(loss, shape, penalty):
    logits = scores(*shape)
    marked = torch.eye(*shape, dtype=torch.bool)
    one = gradient(loss, logits, logsumexp_penalty=penalty)
    two = gradient(loss, logits, logsumexp_penalty=penalty, positives=marked)
    torch.testing.assert_close(one, two)


@pytest.mark.parametrize("penalty", [0.0, 0.1, (0.3, 0.1), (0.0, 0.2)])
def test_symmetric_is_the_mean_of_its_halves(penalty):
    rows, columns = penalty if isinstance(penalty, tuple) else (penalty, penalty)
    logits = scores()
    value, slope, metrics = gradient(symmetric_info_nce, logits, logsumexp_penalty=penalty)
    right = gradient(forward_info_nce, logits, logsumexp_penalty=2 * rows)
    left = gradient(backward_info_nce, logits, logsumexp_penalty=2 * columns)
    torch.testing.assert_close(value, 0.5 * (right[0] + left[0]))
    torch.testing.assert_close(slope, 0.5 * (right[1] + left[1]))
    plain = forward_info_nce(logits)[1]
    assert metrics["accuracy_right"] == right[2]["accuracy_right"]
    assert metrics["accuracy_left"] == left[2]["accuracy_left"]
    torch.testing.assert_close(metrics["information"], plain["information"])


@pytest.mark.parametrize("distance", [0.0, 60.0, 200.0, 3000.0])
@pytest.mark.parametrize("axis", [0, 1])
def test_rows_and_columns_far_below_the_rest_are_exact(axis, distance):
    logits = scores()
    logits.select(axis, 2).sub_(distance)  # beyond 70 nats, its exponentials would underflow
    value, slope, _ = gradient(symmetric_info_nce, logits, logsumexp_penalty=0.01)
    exact, expected, _ = gradient(symmetric_info_nce, logits.double(), logsumexp_penalty=0.01)
    torch.testing.assert_close(value.double(), exact, rtol=1e-5, atol=2e-5)
    torch.testing.assert_close(slope.double(), expected, rtol=1e-4, atol=1e-5)


def test_large_scores_of_all_pairs_cost_no_precision():
    logits = scores().double().add(1e4).float()
    value, slope, _ = gradient(symmetric_info_nce, logits)
    exact, expected, _ = gradient(symmetric_info_nce, logits.double())
    torch.testing.assert_close(value.double(), exact, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(slope.double(), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_as_exact_as_its_numbers(dtype):
    logits = scores(dtype=dtype)
    value, slope, _ = gradient(symmetric_info_nce, logits)
    exact, expected, _ = gradient(symmetric_info_nce, logits.double())
    torch.testing.assert_close(value.double(), exact, rtol=0.02, atol=0.02)
    torch.testing.assert_close(slope.double(), expected, rtol=0.05, atol=0.02)


def test_gradients_of_gradients_are_right():
    logits = scores(dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradgradcheck(
        lambda values: symmetric_info_nce(values, logsumexp_penalty=0.1)[0], logits
    )


@pytest.mark.parametrize("loss", LOSSES)
def test_a_pair_that_is_ruled_out_counts_nowhere(loss):
    logits = scores(3)
    logits[0, 2] = -torch.inf
    marked = torch.eye(3, dtype=torch.bool)
    torch.testing.assert_close(gradient(loss, logits), gradient(loss, logits, positives=marked))


@pytest.mark.parametrize("loss", LOSSES)
def test_ties_are_no_hits(loss):
    metrics = loss(torch.tensor([[1.0, 1.0], [0.0, 2.0]]))[1]
    expected = {"accuracy_right": 0.5, "accuracy_left": 1.0}
    for name in metrics.keys() & expected.keys():
        assert metrics[name] == expected[name]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_scores_that_are_not_finite_are_named(loss, bad):
    logits = scores()
    logits[4, 1] = bad
    with pytest.raises(NonFiniteError, match=r"logits\[4, 1\] is (nan|inf)"):
        loss(logits)


@pytest.mark.parametrize("loss", LOSSES)
def test_one_pair_alone_has_nothing_to_contrast_with(loss):
    with pytest.raises(DomainError, match=r"(row|column) 0 has no negative to contrast with"):
        loss(torch.ones(1, 1))


@pytest.mark.parametrize("penalty", [-1.0, torch.nan, torch.inf])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_penalty_is_finite_and_at_least_0(loss, penalty):
    with pytest.raises(DomainError, match="logsumexp_penalty is"):
        loss(scores(), logsumexp_penalty=penalty)
