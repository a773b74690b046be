import dataclasses
import math

import pytest
import torch

from langrl.errors import DomainError, NonFiniteError, ShapeError
from langrl.functional.energies import dot, neg_half_sq_l2
from langrl.functional.estimates import adaptive, from_sums, pooled
from langrl.functional.marginals import gaussian, monte_carlo, monte_carlo_embeddings

NAN, INF = float("nan"), float("inf")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=generator(seed), dtype=torch.float64).to(dtype)


def of_weights(*weights, dtype=torch.float64):
    """The estimate of one entry from candidates of these weights."""
    left = torch.tensor([weights], dtype=dtype).log()
    return monte_carlo(left, torch.zeros_like(left.mT), error_bars=True)


def lognormal(replications, candidates, sigma, seed=0):
    """Independent estimates [replications] of a truth that is sigma^2 / 2."""
    left = sigma * normal(replications, candidates, seed=seed)
    estimate = monte_carlo(left, torch.zeros(candidates, 1).double(), error_bars=True)
    return estimate, sigma**2 / 2


def assert_same_estimate(one, other):
    assert one.candidates == other.candidates
    assert one.recomputed_fraction == pytest.approx(other.recomputed_fraction)
    for name in ("value", "standard_error", "effective_sample_size"):
        torch.testing.assert_close(getattr(one, name), getattr(other, name), msg=name)


class Stream:
    """Draws scores of new candidates in turn from a fixed table, and notes how many."""

    def __init__(self, left, right):
        self.left, self.right, self.counts = left, right, []

    def __call__(self, count):
        start = sum(self.counts)
        assert start + count <= self.left.shape[-1]
        self.counts.append(count)
        window = slice(start, start + count)
        return monte_carlo(self.left[:, window], self.right[window], error_bars=True)

    def whole(self):
        count = sum(self.counts)
        return monte_carlo(self.left[:, :count], self.right[:count], error_bars=True)


def stream(candidates=1024, scale=0.5):
    return Stream(scale * normal(2, candidates), scale * normal(candidates, 3, seed=1))


# Error bars.


def test_hand_worked_error_bars_of_weights_one_and_three():
    estimate = of_weights(1, 3)  # mean 2, standard deviation sqrt(2)
    assert estimate.value.item() == pytest.approx(math.log(2))
    assert estimate.standard_error.item() == pytest.approx(0.5)  # sqrt(2) / (2 sqrt(2))
    assert estimate.effective_sample_size.item() == pytest.approx(1.6)  # 4^2 / (1 + 9)
    assert estimate.bias_corrected.item() == pytest.approx(math.log(2) + 0.125)


@pytest.mark.parametrize(("target", "count"), [(0.3, 6), (0.24, 9), (0.6, 2), (0.8, 1), (50.0, 1)])
def test_hand_worked_candidates_needed(target, count):
    needed = of_weights(1, 3).candidates_needed(target)  # 2 (0.5 / target)^2, rounded up
    assert needed.tolist() == [[count]]
    assert needed.dtype == torch.int64


def test_hand_worked_error_bars_with_importance_weights():
    scores = torch.tensor([[1.0, 1.0, 2.0]]).log(), torch.tensor([[1.0], [2.0], [1.0]]).log()
    log_weights = torch.tensor([2.0, 1.0, 0.0]).log()  # weights 2, 2, 0: a mean of 4 / 3
    estimate = monte_carlo(*scores, log_weights, error_bars=True)
    assert estimate.value.item() == pytest.approx(math.log(4 / 3))
    assert estimate.effective_sample_size.item() == pytest.approx(2)
    assert estimate.standard_error.item() == pytest.approx(0.5)  # sqrt(4 / 3) / (4 / 3 sqrt(3))


def test_equal_weights_are_certain_and_all_count():
    estimate = of_weights(*[7.0] * 50)
    assert estimate.standard_error.item() == pytest.approx(0, abs=1e-7)
    assert estimate.effective_sample_size.item() == pytest.approx(50)
    assert estimate.candidates_needed(0.1).item() == 1


def test_one_candidate_that_decides_leaves_an_effective_sample_of_one():
    estimate = of_weights(1e30, *[1.0] * 49)
    assert estimate.effective_sample_size.item() == pytest.approx(1)
    assert estimate.standard_error.item() == pytest.approx(1)  # the largest that there is


@pytest.mark.parametrize(("offset", "scale"), [(0, 1), (3000, 1), (0, 20), (-3000, 2000)])
def test_error_bars_are_those_of_the_weights_at_any_scale(offset, scale):
    left, right = scale * normal(3, 40) + offset, scale * normal(40, 2, seed=1)
    estimate = monte_carlo(left, right, error_bars=True)
    terms = left.unsqueeze(-1) + right
    weights = (terms - terms.amax(1, keepdim=True)).exp()  # [N, M, K]
    error = weights.std(1) / weights.mean(1) / math.sqrt(40)
    torch.testing.assert_close(estimate.standard_error, error, rtol=1e-6, atol=1e-7)
    effective = weights.sum(1).square() / weights.square().sum(1)
    torch.testing.assert_close(estimate.effective_sample_size, effective)


def test_estimate_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        of_weights(1, 3).value = torch.zeros(1, 1)


def test_bias_correction_keeps_the_gradient_of_the_value():
    left, right = normal(2, 8).requires_grad_(), normal(8, 3, seed=1)
    estimate = monte_carlo(left, right, error_bars=True)
    gradients = [
        torch.autograd.grad(value.sum(), left, retain_graph=True)
        for value in (estimate.value, estimate.bias_corrected)
    ]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize(
    "use",
    [
        lambda estimate: estimate.bias_corrected,
        lambda estimate: estimate.candidates_needed(0.1),
        lambda estimate: pooled(estimate, of_weights(1, 3)),
        lambda estimate: pooled(of_weights(1, 3), estimate),
        lambda estimate: adaptive(lambda count: estimate, 0.1),
    ],
)
def test_what_needs_error_bars_says_how_to_ask_for_them(use):
    message = "^this estimate has no error bars; ask for them by error_bars=True$"
    with pytest.raises(ShapeError, match=message) as caught:
        use(monte_carlo(torch.zeros(1, 2), torch.zeros(2, 1)))
    assert type(caught.value) is ShapeError


@pytest.mark.parametrize("target", [0, -0.1, NAN, INF])
@pytest.mark.parametrize(
    "use", [of_weights(1, 3).candidates_needed, lambda target: adaptive(stream(), target)]
)
def test_target_that_no_error_can_meet_is_refused(use, target):
    message = f"^target_error is in nats and above 0, got {target}; try 0.1$"
    with pytest.raises(DomainError, match=message) as caught:
        use(target)
    assert type(caught.value) is DomainError


def test_sums_without_candidates_and_error_bars_of_one_are_refused():
    possible = torch.zeros(2, 3)
    impossible = possible.clone()
    impossible[1, 2] = -INF
    with pytest.raises(
        NonFiniteError, match=r"^no candidate .* query 1 and instruction 2: .*; add"
    ):
        from_sums(impossible, None, 8, 0.0, torch.float32)
    with pytest.raises(
        ShapeError, match=r"^error bars need at least 2 candidates, got 1; draw more"
    ):
        from_sums(possible, possible, 1, 0.0, torch.float32)


def test_error_bars_of_many_half_precision_scores_are_finite():
    left, right = torch.zeros(1, 100_000).half(), (0.3 * normal(100_000, 1)).half()
    estimate = monte_carlo(left, right, error_bars=True)
    assert estimate.effective_sample_size.item() == pytest.approx(1e5 / math.exp(0.09), rel=0.01)
    assert pooled(estimate, estimate).standard_error > 0


def test_candidates_needed_for_a_tiny_error_do_not_overflow():
    assert of_weights(1, 3).candidates_needed(1e-12).item() == 2**62


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("target", "count"), [(0.25, 8), (0.5, 2), (0.05, 200), (0.005, 20_000)])
def test_candidates_needed_are_not_rounded_up_from_a_whole_number(target, count, dtype):
    assert of_weights(1, 3, dtype=dtype).candidates_needed(target).item() == count


# Estimates put together.


@pytest.mark.parametrize("scale", [1, 2000])
@pytest.mark.parametrize("counts", [(2, 2), (5, 12), (100, 2)])
def test_pooled_estimate_is_the_one_over_all_the_candidates(counts, scale):
    draw = stream(sum(counts), scale)
    estimate = pooled(draw(counts[0]), draw(counts[1]))
    fraction = sum(
        count * monte_carlo(draw.left[:, part], draw.right[part]).recomputed_fraction
        for count, part in zip(counts, (slice(counts[0]), slice(counts[0], None)), strict=True)
    )
    expected = dataclasses.replace(draw.whole(), recomputed_fraction=fraction / sum(counts))
    assert_same_estimate(estimate, expected)


def test_hand_worked_pool_of_unequal_estimates():
    estimate = pooled(of_weights(1, 3), of_weights(2, 4, 5))
    assert estimate.candidates == 5
    assert estimate.value.item() == pytest.approx(math.log(3))
    assert estimate.effective_sample_size.item() == pytest.approx(225 / 55)
    # sum of squares about the mean 10, over 4 is 2.5
    assert estimate.standard_error.item() == pytest.approx(math.sqrt(2.5 / 5) / 3)


def test_pooled_estimate_keeps_dtype_and_gradient():
    left, right = normal(2, 9, dtype=torch.float32).requires_grad_(), normal(9, 3).float()
    draw = Stream(left, right)
    estimate = pooled(draw(4), draw(5))
    assert estimate.value.dtype == estimate.standard_error.dtype == torch.float32
    gradients = (torch.autograd.grad(e.value.sum(), left) for e in (estimate, draw.whole()))
    torch.testing.assert_close(*gradients)


# As many candidates as an error takes.


def test_one_draw_that_meets_the_target_is_all():
    draw = stream()
    estimate = adaptive(draw, 0.9, first=16)
    assert draw.counts == [16]
    assert_same_estimate(estimate, draw.whole())


def test_candidates_double_until_every_entry_meets_the_target():
    draw = stream()
    estimate = adaptive(draw, 0.05, first=16)
    assert draw.counts in ([16, 16, 32, 64, 128], [16, 16, 32, 64, 128, 256])
    assert estimate.standard_error.max() <= 0.05
    assert_same_estimate(estimate, draw.whole())
    before = pooled_before_last(draw)
    assert before.standard_error.max() > 0.05  # not one draw more than needed


def pooled_before_last(draw):
    count = sum(draw.counts[:-1])
    return monte_carlo(draw.left[:, :count], draw.right[:count], error_bars=True)


@pytest.mark.parametrize(
    ("first", "most", "counts"),
    [
        (16, 100, [16, 16, 32, 36]),
        (16, 16, [16]),
        (16, 17, [16]),  # one candidate more has no error bars
        (16, 18, [16, 2]),
        (2, 9, [2, 2, 4]),
    ],
)
def test_candidates_never_exceed_the_most(first, most, counts):
    draw = stream()
    estimate = adaptive(draw, 1e-6, first=first, most=most)
    assert draw.counts == counts
    assert estimate.standard_error.max() > 1e-6  # it says how close it came
    assert_same_estimate(estimate, draw.whole())


@pytest.mark.parametrize(("first", "most"), [(1, 10), (0, 10), (-4, 10), (11, 10)])
def test_counts_that_make_no_sense_are_refused(first, most):
    message = (
        f"^adaptive needs 2 <= first <= most, got first {first} and most {most}; lower first or"
        " raise most$"
    )
    with pytest.raises(DomainError, match=message) as caught:
        adaptive(stream(), 0.1, first=first, most=most)
    assert type(caught.value) is DomainError


# What the error bars promise, on average over many estimates.


@pytest.mark.parametrize(("sigma", "candidates"), [(0.3, 100), (0.7, 400), (1.0, 1000)])
def test_truth_is_within_two_standard_errors_as_often_as_it_should(sigma, candidates):
    estimate, truth = lognormal(2000, candidates, sigma)
    errors = (estimate.value - truth) / estimate.standard_error
    assert 0.935 < (errors.abs() < 2).double().mean() < 0.97  # 0.954 if normal
    assert 0.95 < errors.std() < 1.08


def test_bias_correction_brings_the_mean_error_down():
    estimate, truth = lognormal(20_000, 50, 1.0)
    bias = (estimate.value - truth).mean().item()
    assert bias == pytest.approx(-(math.e - 1) / 100, abs=0.005)  # Jensen's, to first order
    assert abs((estimate.bias_corrected - truth).mean().item()) < abs(bias) / 2


def test_candidates_needed_foretell_the_error_reached():
    pilot, _ = lognormal(1, 4000, 1.0)
    needed = pilot.candidates_needed(0.05).item()
    estimate, truth = lognormal(1000, needed, 1.0, seed=1)
    assert (estimate.value - truth).square().mean().sqrt().item() == pytest.approx(0.05, rel=0.1)
    assert estimate.standard_error.mean().item() == pytest.approx(0.05, rel=0.1)


def test_adaptive_estimates_are_as_near_the_truth_as_they_say():
    source = generator(2)

    def draw(count):
        left = 0.8 * torch.randn(1, count, generator=source, dtype=torch.float64)
        return monte_carlo(left, torch.zeros(count, 1).double(), error_bars=True)

    estimates = [adaptive(draw, 0.06, first=32) for _ in range(200)]
    errors = torch.cat([(e.value - 0.32) / e.standard_error for e in estimates])
    assert 0.9 < (errors.abs() < 2).double().mean() <= 1
    assert all(e.standard_error.item() <= 0.06 for e in estimates)


@pytest.mark.parametrize("energy", [dot, neg_half_sq_l2])
def test_candidates_from_another_proposal_give_the_same_answer(energy):
    left, right = 0.7 * normal(4, 2), 0.7 * normal(3, 2, seed=1)
    ours = normal(20_000, 2, seed=2)  # from p = N(0, 1)
    theirs = 0.3 + 1.4 * normal(20_000, 2, seed=3)  # from q = N(0.3, 1.4^2)
    log_p, log_q = (
        torch.distributions.Normal(mean, sd).log_prob(theirs).sum(-1)
        for mean, sd in ((0.0, 1.0), (0.3, 1.4))
    )
    estimates = [
        monte_carlo_embeddings(left, right, goals, energy=energy, error_bars=True, **options)
        for goals, options in ((ours, {}), (theirs, {"log_weights": log_p - log_q}))
    ]
    truth = gaussian(left, right, torch.zeros(2), torch.eye(2), energy=energy)
    errors = [(e.value - truth) / e.standard_error for e in estimates]
    for error, estimate in zip(errors, estimates, strict=True):
        assert estimate.standard_error.max() < 0.05
        assert error.abs().max() < 3.5
    unweighted = monte_carlo_embeddings(left, right, theirs, energy=energy, error_bars=True)
    assert ((unweighted.value - truth) / unweighted.standard_error).abs().max() > 10


@pytest.mark.parametrize("given", [torch.zeros(3), None, "0.5"])
def test_what_is_no_estimate_is_refused_with_how_to_get_one(given):
    one = monte_carlo(torch.zeros(2, 5), torch.zeros(5, 3), error_bars=True)
    with pytest.raises(ShapeError, match="pooled needs estimates, as monte_carlo"):
        pooled(one, given)
    with pytest.raises(ShapeError, match="adaptive needs estimates, as monte_carlo"):
        adaptive(lambda count: given, 0.1)
