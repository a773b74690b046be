import math

import pytest
import torch
from torch.distributions import MixtureSameFamily, MultivariateNormal, Normal, kl_divergence
from torch.distributions.categorical import Categorical

from langrl.errors import DomainError, NonFiniteError, ShapeError
from langrl.functional.generative import (
    gaussian_kl,
    importance_weighted,
    log_mixture,
    log_normal,
    log_normal_matrix,
    log_standard_normal,
    pointwise_information,
    prior_kl,
    product_of_experts,
    relating,
    stratified_sample,
)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def test_a_product_of_experts_is_the_normalised_product_on_a_grid():
    mean, scale = torch.tensor([[0.7], [-1.0]]), torch.tensor([[0.5], [2.0]])
    grid = torch.linspace(-8, 8, 4001, dtype=torch.float64)
    density = Normal(0.0, 1.0).log_prob(grid)
    for m, s in zip(mean, scale, strict=True):
        density = density + Normal(m.double(), s.double()).log_prob(grid)
    density = density.softmax(0)
    expected = (density * grid).sum()
    spread = (density * (grid - expected) ** 2).sum().sqrt()
    found, log_scale = product_of_experts(mean, scale.log())
    assert found.item() == pytest.approx(expected.item(), abs=1e-5)
    assert log_scale.exp().item() == pytest.approx(spread.item(), abs=1e-5)


def test_a_hand_worked_product():
    # precisions 1 (prior), 1 and 2: mean (0 + 1 * 4 + 2 * 2) / 4
    mean, log_scale = product_of_experts(
        torch.tensor([[4.0], [2.0]]), torch.tensor([[0.0], [-0.5 * math.log(2)]])
    )
    assert mean.item() == pytest.approx(2.0)
    assert log_scale.exp().item() == pytest.approx(0.5)


def test_gaussian_densities_are_torchs(generator):
    z = torch.randn(4, 3, generator=generator)
    mean, log_scale = torch.randn(2, 5, 3, generator=generator)
    law = MultivariateNormal(mean, scale_tril=torch.diag_embed(log_scale.exp()))
    slow = torch.stack([law.log_prob(row) for row in z])  # [4, 5]
    torch.testing.assert_close(log_normal_matrix(z, mean, log_scale), slow)
    torch.testing.assert_close(log_normal(z.unsqueeze(1), mean, log_scale), slow)
    torch.testing.assert_close(
        log_standard_normal(z), log_normal(z, torch.zeros(3), torch.zeros(3))
    )


def test_a_mixtures_density_is_torchs_and_one_expert_is_a_gaussian(generator):
    mean, log_scale = torch.randn(2, 2, 1, 1, generator=generator)
    z = torch.linspace(-3, 3, 7).reshape(7, 1, 1)
    mixture = MixtureSameFamily(
        Categorical(torch.ones(2)), Normal(mean.flatten(), log_scale.exp().flatten())
    )
    torch.testing.assert_close(log_mixture(z, mean, log_scale)[:, 0], mixture.log_prob(z.flatten()))
    torch.testing.assert_close(
        log_mixture(z, mean[:1], log_scale[:1]), log_normal(z, mean[0], log_scale[0])
    )


def test_divergences_are_torchs(generator):
    q, p = torch.randn(2, 2, 4, 3, generator=generator)
    laws = [Normal(m, s.exp()) for m, s in ((q[0], q[1]), (p[0], p[1]))]
    torch.testing.assert_close(
        gaussian_kl((q[0], q[1]), (p[0], p[1])), kl_divergence(*laws).sum(-1)
    )
    standard = Normal(torch.zeros(3), torch.ones(3))
    torch.testing.assert_close(prior_kl((q[0], q[1])), kl_divergence(laws[0], standard).sum(-1))


def test_samples_come_equally_often_from_each_expert(generator):
    mean = torch.tensor([-100.0, 100.0]).reshape(2, 1, 1).expand(2, 3, 1)
    z = stratified_sample(mean, torch.zeros(2, 3, 1), 5, generator)
    assert z.shape == (6, 3, 1)  # 5 is rounded up to a multiple of 2
    assert (z[:3] < 0).all()
    assert (z[3:] > 0).all()
    with pytest.raises(DomainError, match="at least 1"):
        stratified_sample(mean, mean, 0, generator)


def test_importance_weights_are_averaged_not_summed():
    assert importance_weighted(torch.tensor([1.0, 3.0]).log()).item() == pytest.approx(math.log(2))


# -- relating ------------------------------------------------------------------------------


def by_loop(scores, gamma, with_positive):
    total = 0.0
    count = len(scores)
    for n in range(count):
        row = sum(math.exp(scores[n][m]) for m in range(count) if with_positive or m != n)
        column = sum(math.exp(scores[m][n]) for m in range(count) if with_positive or m != n)
        total += -gamma * scores[n][n] + 0.5 * (math.log(row) + math.log(column))
    return total / count


@pytest.mark.parametrize("with_positive", [False, True])
@pytest.mark.parametrize("gamma", [1.0, 2.5])
def test_the_contrast_is_that_of_a_loop(with_positive, gamma, generator):
    scores = torch.randn(5, 5, generator=generator, dtype=torch.float64)
    loss, metrics = relating(scores, gamma=gamma, with_positive=with_positive)
    assert loss.item() == pytest.approx(by_loop(scores.tolist(), gamma, with_positive))
    assert metrics["log_joint"].item() == pytest.approx(scores.diagonal().mean().item(), abs=1e-6)
    left_out = scores.clone()
    left_out[0, 1] = left_out[3, 2] = -torch.inf
    loss, _ = relating(left_out, gamma=gamma, with_positive=with_positive)
    assert loss.item() == pytest.approx(by_loop(left_out.tolist(), gamma, with_positive))


def test_a_hand_worked_contrast():
    scores = torch.tensor([[0.0, -1.0], [-3.0, -2.0]])
    # rows' rivals -1 and -3, columns' -3 and -1: contrast -2; related -1 on average
    loss, metrics = relating(scores, gamma=2.0)
    assert loss.item() == pytest.approx(0.0, abs=1e-5)
    assert metrics["accuracy"].item() == pytest.approx(0.75)  # of 4: -2 < -1 in its column
    assert metrics["unrelated"].item() == pytest.approx(-2.0)
    loss, _ = relating(scores, gamma=2.0, related=torch.tensor([-5.0, -5.0]))
    assert loss.item() == pytest.approx(8.0)


def test_one_direction_and_the_hardest_rivals_of_a_hand_worked_contrast():
    scores = torch.tensor([[0.0, -1.0, -5.0], [-3.0, 0.0, -2.0], [-9.0, -4.0, 0.0]])
    loss, _ = relating(scores, gamma=1.0, both_ways=False, hardest=1)
    assert loss.item() == pytest.approx((-1 - 2 - 4) / 3)  # of rows
    loss, _ = relating(scores, gamma=1.0, hardest=1)
    assert loss.item() == pytest.approx(((-1 - 2 - 4) + (-3 - 1 - 2)) / 6)
    all_rivals, _ = relating(scores, gamma=1.0)
    torch.testing.assert_close(relating(scores, gamma=1.0, hardest=9)[0], all_rivals)
    with pytest.raises(DomainError, match="at least 1"):
        relating(scores, hardest=0)


def test_huge_likelihoods_do_not_overflow_and_gradients_are_finite():
    scores = torch.tensor([[9e3, -9e3], [-9e3, 9e3]], requires_grad=True)
    loss, _ = relating(scores, gamma=1.0, with_positive=True)
    loss.backward()
    assert loss.item() == pytest.approx(0.0, abs=1e-2)  # 9,000 has steps of 1e-3 in float32
    assert scores.grad.isfinite().all()


def test_the_contrasts_refusals_name_the_repair():
    good = torch.zeros(3, 3)
    for wrong in (torch.zeros(3, 2), torch.zeros(1, 1), torch.zeros(3, 3).long()):
        with pytest.raises(ShapeError, match="score every left side"):
            relating(wrong)
    with pytest.raises(ShapeError, match="one for each pair"):
        relating(good, related=torch.zeros(2))
    for gamma in (0.0, math.nan, math.inf):
        with pytest.raises(DomainError, match="gamma"):
            relating(good, gamma=gamma)
    for place, value in (((0, 1), math.nan), ((2, 2), -math.inf), ((1, 0), math.inf)):
        bad = good.clone()
        bad[place] = value
        with pytest.raises(NonFiniteError, match=rf"log_joint\[{place[0]}, {place[1]}\]"):
            relating(bad)
    alone = good.clone()
    alone[0, 1:] = -torch.inf
    with pytest.raises(DomainError, match="no unrelated one"):
        relating(alone)


def test_information_of_independent_observations_is_zero():
    left, right = torch.tensor([-1.0, -2.0]), torch.tensor([-3.0, -4.0, -5.0])
    joint = left.unsqueeze(1) + right
    torch.testing.assert_close(pointwise_information(joint, left, right), torch.zeros(2, 3))
    with pytest.raises(ShapeError, match="axes of one name have one size"):
        pointwise_information(joint.mT, left, right)
