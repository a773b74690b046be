import numpy as np
import pytest
import torch

from langrl.errors import ShapeError
from langrl.functional.energies import ENERGIES, cosine, dot, neg_half_sq_l2, neg_l2

ORACLES = {
    "dot": lambda x, y: x @ y,
    "cosine": lambda x, y: x @ y / (np.linalg.norm(x) * np.linalg.norm(y)),
    "neg_l2": lambda x, y: -np.linalg.norm(x - y),
    "neg_half_sq_l2": lambda x, y: -0.5 * np.linalg.norm(x - y) ** 2,
}

every_energy = pytest.mark.parametrize("name", ENERGIES)


def normal(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=dtype)


def test_dot_of_hand_worked_pairs():
    left, right = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0], [-2.0, 1.0]])
    torch.testing.assert_close(dot(left, right), torch.tensor([[11.0, 0.0]]))


def test_cosine_of_hand_worked_pairs():
    left, right = torch.tensor([[3.0, 4.0]]), torch.tensor([[8.0, 6.0], [-6.0, -8.0], [-4.0, 3.0]])
    torch.testing.assert_close(cosine(left, right), torch.tensor([[0.96, -1.0, 0.0]]))


def test_neg_l2_of_hand_worked_pairs():
    left, right = torch.tensor([[1.0, 1.0]]), torch.tensor([[4.0, 5.0], [1.0, 1.0]])
    torch.testing.assert_close(neg_l2(left, right), torch.tensor([[-5.0, 0.0]]))


def test_neg_half_sq_l2_of_hand_worked_pairs():
    left, right = torch.tensor([[1.0, 1.0]]), torch.tensor([[4.0, 5.0], [1.0, 1.0]])
    torch.testing.assert_close(neg_half_sq_l2(left, right), torch.tensor([[-12.5, 0.0]]))


def test_every_energy_has_an_oracle():
    assert set(ENERGIES) == set(ORACLES)


@every_energy
@pytest.mark.parametrize("counts", [(3, 4), (1, 1), (40, 30)])  # cdist changes method above 25
def test_energy_of_all_pairs_equals_the_pairwise_formula(name, counts):
    left, right = normal(counts[0], 5), normal(counts[1], 5, seed=1)
    expected = [[ORACLES[name](x, y) for y in right.numpy()] for x in left.numpy()]
    np.testing.assert_allclose(ENERGIES[name](left, right), expected, atol=1e-12)


@every_energy
@pytest.mark.parametrize(
    ("left_axes", "right_axes"), [((2, 3), (2, 3)), ((2, 1), (3,)), ((), (2,)), ((2,), ())]
)
def test_leading_axes_are_batches_that_broadcast(name, left_axes, right_axes):
    left, right = normal(*left_axes, 3, 5), normal(*right_axes, 4, 5, seed=1)
    values = ENERGIES[name](left, right)
    batch = np.broadcast_shapes(left_axes, right_axes)
    assert values.shape == (*batch, 3, 4)
    lefts = np.broadcast_to(left, (*batch, 3, 5))
    rights = np.broadcast_to(right, (*batch, 4, 5))
    for place in np.ndindex(*batch, 3, 4):
        *axes, n, m = place
        expected = ORACLES[name](lefts[(*axes, n)], rights[(*axes, m)])
        assert values[place].item() == pytest.approx(expected, abs=1e-12)


@every_energy
def test_gradients_are_those_of_finite_differences(name):
    left, right = normal(2, 3, 4).requires_grad_(), normal(2, 4, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(ENERGIES[name], (left, right))


@every_energy
@pytest.mark.parametrize("shapes", [((3, 4), (3, 5)), ((4,), (3, 4)), ((3, 4), (4,))])
def test_mismatched_embeddings_are_refused_with_both_shapes(name, shapes):
    left, right = torch.zeros(shapes[0]), torch.zeros(shapes[1])
    with pytest.raises(ShapeError) as caught:
        ENERGIES[name](left, right)
    assert str(list(shapes[0])) in str(caught.value)
    assert str(list(shapes[1])) in str(caught.value)


@every_energy
@pytest.mark.parametrize("counts", [(0, 3), (3, 0)])
def test_no_embeddings_give_no_energies(name, counts):
    values = ENERGIES[name](torch.zeros(counts[0], 2), torch.zeros(counts[1], 2))
    assert values.shape == counts


@every_energy
def test_energy_keeps_the_dtype(name):
    for dtype in (torch.float32, torch.float64):
        assert ENERGIES[name](normal(2, 3, dtype=dtype), normal(4, 3, dtype=dtype)).dtype == dtype


@pytest.mark.parametrize("count", [3, 40])  # cdist changes method above 25
def test_neg_l2_has_a_finite_gradient_at_distance_zero(count):
    left = torch.ones(count, 4, requires_grad=True)
    right = torch.ones(count, 4, requires_grad=True)
    neg_l2(left, right).sum().backward()
    torch.testing.assert_close(left.grad, torch.zeros(count, 4))
    torch.testing.assert_close(right.grad, torch.zeros(count, 4))


def test_neg_half_sq_l2_is_never_positive():
    embeddings = 100 * normal(200, 7, dtype=torch.float32)
    values = neg_half_sq_l2(embeddings, embeddings)
    assert (values <= 0).all()
    assert values.diagonal().abs().max() < 0.1  # of squares around 70,000


def test_neg_half_sq_l2_has_no_gradient_at_distance_zero_at_the_origin():
    left = torch.zeros(2, 3, requires_grad=True)
    neg_half_sq_l2(left, torch.zeros(2, 3)).sum().backward()
    torch.testing.assert_close(left.grad, torch.zeros(2, 3))


def test_cosine_ignores_the_length_of_each_embedding():
    left, right = normal(3, 5), normal(4, 5, seed=1)
    lengths = torch.tensor([[0.1], [1.0], [30.0]], dtype=torch.float64)
    torch.testing.assert_close(cosine(lengths * left, 7 * right), cosine(left, right))


def test_cosine_of_a_zero_embedding_is_zero_with_a_finite_gradient():
    left = torch.zeros(1, 3, requires_grad=True)
    value = cosine(left, torch.ones(1, 3))
    value.sum().backward()
    assert value.item() == 0
    assert left.grad.isfinite().all()
