"""Lemma 1 of a critic and itself: brute force, a chain world, gradients and error bars."""

import math

import pytest
import torch

from langrl.errors import DomainError, NonFiniteError, ShapeError
from langrl.functional.log_products import log_matmul_exp
from langrl.functional.waypoints import closure, stages, successor_distance, two_stage

STATES = 12


def normal(*shape, seed=0, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(*shape, generator=generator, dtype=torch.float64)


def scaled_rows(edges):
    """Return edges whose rows average 1, as those of a density ratio."""
    return edges - edges.logsumexp(-1, keepdim=True) + math.log(edges.shape[-1])


def chain():
    """Return the transitions of a ring of states that mostly goes one way [W, W]."""
    moves = torch.zeros(STATES, STATES, dtype=torch.float64)
    for state in range(STATES):
        for step, chance in ((1, 0.7), (-1, 0.2), (0, 0.1)):
            moves[state, (state + step) % STATES] += chance
    return moves


def occupancy(discount):
    """Return the law of a geometric future of at least one step [W, W]."""
    moves = chain()
    system = torch.eye(STATES, dtype=torch.float64) - discount * moves
    return (1 - discount) * torch.linalg.solve(system, moves)


def log_ratio(law):
    return (law * STATES).log()  # states are drawn uniformly


# -- two stages -----------------------------------------------------------------------------------


def test_two_stages_by_hand():
    to, onward = torch.tensor([[1.0, 3.0]]).log(), torch.tensor([[2.0], [4.0]]).log()
    assert two_stage(to, onward).value.item() == pytest.approx(math.log(7))  # (1*2 + 3*4) / 2


def test_two_stages_are_the_brute_force_sum():
    to, onward, weights = normal(2, 5, 7, scale=9), normal(7, 4, seed=1, scale=9), normal(7, seed=2)
    terms = to.unsqueeze(-1) + onward + weights[:, None]
    exact = terms.logsumexp(-2) - math.log(7)
    torch.testing.assert_close(two_stage(to, onward, weights).value, exact)


def test_two_stages_are_the_exact_occupancy_of_a_chain():
    one = log_ratio(occupancy(0.6))
    both = log_ratio(occupancy(0.6) @ occupancy(0.6))
    torch.testing.assert_close(two_stage(one, one).value, both)
    assert not torch.allclose(one, both, atol=0.1)


def test_gradients_of_two_stages():
    inputs = [normal(3, 4).requires_grad_(), normal(4, 2, seed=1).requires_grad_()]
    assert torch.autograd.gradcheck(lambda *x: two_stage(*x).value, inputs)


# -- several stages -------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_stages_are_the_exact_occupancy_of_a_chain(count):
    law = torch.linalg.matrix_power(occupancy(0.6), count)
    torch.testing.assert_close(stages(log_ratio(occupancy(0.6)), count).value, log_ratio(law))


def test_weights_make_waypoints_of_another_law_right():
    """Some states are drawn twice as often; their weights are half."""
    twice = torch.tensor([*range(STATES), 0, 1, 2])
    often = torch.bincount(twice)[twice].double()
    weights = (len(twice) / STATES / often).log()
    edges = log_ratio(occupancy(0.6))[twice][:, twice]
    for found, exact in (
        (stages(edges, 3, weights), stages(log_ratio(occupancy(0.6)), 3)),
        (closure(edges, 0.7, weights), closure(log_ratio(occupancy(0.6)), 0.7)),
    ):
        torch.testing.assert_close(found.value, exact.value[twice][:, twice])


def test_two_stages_have_the_error_bars_of_the_marginal():
    edges = scaled_rows(normal(9, 9))
    one = stages(edges, 2, error_bars=True)
    other = two_stage(edges, edges, error_bars=True)
    torch.testing.assert_close(one.value, other.value)
    torch.testing.assert_close(one.standard_error, other.standard_error)
    torch.testing.assert_close(one.effective_sample_size, other.effective_sample_size)


def line_law(points, spread):
    """Return log ratios of Gaussian steps on a ring of length 1 to uniform points [W, W]."""
    gap = (points[:, None] - points).abs()
    gap = torch.minimum(gap, 1 - gap)
    return -0.5 * (gap / spread).square() - math.log(spread * math.sqrt(2 * math.pi))


@pytest.mark.parametrize("compose", [
    lambda edges: stages(edges, 3, error_bars=True),
    lambda edges: closure(edges - 0.05, 0.6, error_bars=True),
], ids=["stages", "closure"])  # fmt: skip
def test_error_bars_are_those_of_other_draws(compose):
    ends = torch.tensor([0.1, 0.3], dtype=torch.float64)
    values, bars = [], []
    for seed in range(300):
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.rand(60, generator=generator, dtype=torch.float64)
        found = compose(line_law(torch.cat([ends, drawn]), 0.15))
        values.append(found.value[0, 1])
        bars.append(found.standard_error[0, 1])
    spread = torch.stack(values).std().item()
    assert torch.stack(bars).mean().item() == pytest.approx(spread, rel=0.25)


def test_one_stage_is_certain():
    found = stages(normal(4, 4), 1, error_bars=True)
    assert (found.standard_error == 0).all()
    assert found.recomputed_fraction == 0


def test_gradients_of_stages():
    edges = normal(4, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: stages(x, 3).value, [edges])


# -- a geometric number of stages -----------------------------------------------------------------


@pytest.mark.parametrize("discount", [0.0, 0.5, 0.9])
def test_closure_is_the_occupancy_of_a_longer_horizon(discount):
    """A geometric number of geometric times is geometric."""
    longer = occupancy(1 - (1 - 0.6) * (1 - discount))
    found = closure(log_ratio(occupancy(0.6)), discount)
    torch.testing.assert_close(found.value, log_ratio(longer))


def test_closure_is_the_sum_over_stages():
    edges = scaled_rows(normal(6, 6))
    terms = [stages(edges, k).value + math.log(0.5) * k for k in range(1, 60)]
    torch.testing.assert_close(closure(edges, 0.5).value, torch.stack(terms).logsumexp(0))


def test_small_values_of_the_closure_are_precise():
    """On a line with edges to neighbours alone: by doubling, which adds positive terms."""
    places = torch.arange(200, dtype=torch.float64)
    edges = -3.0 * (places[:, None] - places).abs()
    edges = scaled_rows(edges.masked_fill(edges < -7, -torch.inf))
    step = edges - math.log(200) + math.log(0.9)
    total = torch.full_like(step, -torch.inf).fill_diagonal_(0.0)
    for _ in range(11):
        total = total.logaddexp(log_matmul_exp(step, total)[0])
        step = log_matmul_exp(step, step)[0]
    exact = log_matmul_exp(total, edges)[0] + math.log(0.1)
    found = closure(edges, 0.9).value
    assert exact.min() < -200
    torch.testing.assert_close(found, exact, rtol=1e-9, atol=1e-9)


def test_pieces_are_not_joined():
    edges = torch.full((4, 4), -torch.inf, dtype=torch.float64)
    edges[:2, :2] = edges[2:, 2:] = math.log(2)
    for found in (closure(edges, 0.8, error_bars=True), stages(edges, 3, error_bars=True)):
        assert (found.value[:2, 2:] == -torch.inf).all()
        torch.testing.assert_close(found.value[:2, :2], edges[:2, :2])
        assert found.standard_error.isfinite().all()


def test_gradients_of_the_closure():
    edges = scaled_rows(normal(5, 5)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: closure(x, 0.6).value, [edges])


def test_values_have_the_dtype_of_the_edges():
    edges = scaled_rows(normal(5, 5)).float()
    assert closure(edges, 0.5).value.dtype == torch.float32
    assert stages(edges, 2, error_bars=True).standard_error.dtype == torch.float32


# -- distances ------------------------------------------------------------------------------------


def test_distances_by_hand():
    own, scores = torch.tensor([3.0, 1.0]), torch.tensor([[1.0, 2.0], [3.0, -1.0]])
    assert successor_distance(own, scores).tolist() == [[2.0, 0.0], [0.0, 2.0]]


def test_distances_of_futures_that_may_be_now_are_a_quasimetric():
    system = torch.eye(STATES, dtype=torch.float64) - 0.8 * chain()
    ratio = log_ratio(0.2 * torch.linalg.inv(system))
    far = successor_distance(ratio.diagonal(), ratio)
    through = (far[:, :, None] + far[None]).amin(1)
    assert (far <= through + 1e-9).all()
    assert (far[0, 1:7].diff() > 0).all()
    assert far[1, 0] > far[0, 1]  # against the stream


# -- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda e: stages(e, 0), DomainError, "stages needs count >= 1, got 0"),
        (lambda e: closure(e, 1.0), DomainError, r"closure needs a discount in \[0, 1\), got 1.0"),
        (lambda e: closure(e + 1, 0.9), DomainError, "has no limit.*log mean exp of each row"),
        (lambda e: closure(e * torch.nan, 0.5), NonFiniteError, "NaN or .inf in the edges"),
        (lambda e: stages(e[:2], 2), ShapeError, r"edges \[..., W, W\]"),
        (lambda e: closure(e, 0.5, e[0, :2]), ShapeError, "axes of one name have one size"),
        (lambda e: two_stage(e, e[:2]), ShapeError, r"waypoint_to_goal \[..., W, M\]"),
        (lambda e: successor_distance(e[0], e[:, :2]), ShapeError, "axes of one name"),
        (lambda e: closure(e.numpy(), 0.5), ShapeError, "convert it with torch.as_tensor"),
    ],
)
def test_bad_input_is_one_clear_line(call, error, message):
    with pytest.raises(error, match=message) as caught:
        call(scaled_rows(normal(4, 4)))
    assert "\n" not in str(caught.value)
