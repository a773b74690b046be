import math

import pytest
import torch

from langrl.errors import DomainError, NonFiniteError, ShapeError
from langrl.functional.information import (
    ESTIMATORS,
    donsker_varadhan,
    gaussian_correlation,
    gaussian_information,
    gaussian_log_ratio,
    info_nce,
    nwj,
    smile,
)
from langrl.functional.losses import forward_info_nce

TWO = torch.tensor([[math.log(3.0), 0.0], [0.0, math.log(3.0)]])  # e^f is 3 for pairs, 1 else


def test_the_hand_worked_values_of_two_pairs():
    assert info_nce(TWO).item() == pytest.approx(math.log(2) - math.log(4 / 3))
    assert donsker_varadhan(TWO).item() == pytest.approx(math.log(3))
    assert nwj(TWO).item() == pytest.approx(math.log(3))  # 1 + log 3 - 1
    assert smile(TWO - 2, clip=1.0).item() == pytest.approx(math.log(3) - 2 + 1)


def brute_force(logits):
    pairs = [logits[n, n].item() for n in range(len(logits))]
    others = [
        logits[n, m].item() for n in range(len(logits)) for m in range(logits.shape[1]) if n != m
    ]
    mean = sum(pairs) / len(pairs)
    clipped = [min(max(f, -5.0), 5.0) for f in others]
    partition = [math.log(sum(math.exp(f) for f in row.tolist())) for row in logits]
    return {
        "info_nce": math.log(logits.shape[1]) + mean - sum(partition) / len(partition),
        "nwj": 1 + mean - sum(map(math.exp, others)) / len(others),
        "donsker_varadhan": mean - math.log(sum(map(math.exp, others)) / len(others)),
        "smile": mean - math.log(sum(map(math.exp, clipped)) / len(clipped)),
    }


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("shape", [(2, 2), (5, 5), (4, 9)])
def test_an_estimator_agrees_with_a_loop_over_pairs(name, shape):
    logits = 4 * torch.randn(shape, generator=torch.Generator().manual_seed(3)).double()
    assert ESTIMATORS[name](logits).item() == pytest.approx(brute_force(logits)[name])


@pytest.mark.parametrize("name", ESTIMATORS)
def test_an_estimator_is_differentiable_and_refuses_what_it_cannot_use(name):
    estimator = ESTIMATORS[name]
    logits = torch.randn((3, 4), requires_grad=True)
    estimator(logits).backward()
    assert logits.grad.isfinite().all()
    for wrong in (torch.zeros(3), torch.zeros(4, 3), torch.zeros(1, 1), torch.zeros(2, 2).long()):
        with pytest.raises(ShapeError, match="score every left side"):
            estimator(wrong)
    with pytest.raises(NonFiniteError, match="logits"):
        estimator(torch.tensor([[0.0, math.nan], [0.0, 0.0]]))


def test_info_nce_is_the_loss_turned_around_and_never_above_its_ceiling():
    logits = torch.randn((8, 8), generator=torch.Generator().manual_seed(0))
    loss, metrics = forward_info_nce(logits)
    assert info_nce(logits).item() == pytest.approx(math.log(8) - loss.item(), abs=1e-6)
    assert info_nce(logits).item() == pytest.approx(metrics["information"].item(), abs=1e-6)
    assert info_nce(1000 * torch.eye(8)).item() <= math.log(8) + 1e-6


def test_smile_needs_a_clip_above_zero():
    with pytest.raises(DomainError, match="clip"):
        smile(TWO, clip=0.0)


# -- Gaussians -----------------------------------------------------------------------------


def test_the_log_ratio_is_that_of_the_densities():
    generator = torch.Generator().manual_seed(1)
    x, y = torch.randn((2, 3, 2), generator=generator).double()
    rho = torch.tensor([0.6, -0.3]).double()
    ratio = gaussian_log_ratio(x, y, rho)
    standard = torch.distributions.Normal(0.0, 1.0)
    for n in range(3):
        for m in range(3):
            spread = (1 - rho.square()).sqrt()
            conditional = torch.distributions.Normal(rho * x[n], spread).log_prob(y[m]).sum()
            expected = conditional - standard.log_prob(y[m]).sum()
            assert ratio[n, m].item() == pytest.approx(expected.item())


def test_information_and_correlation_are_inverse():
    rho = gaussian_correlation(3.0, 20)
    assert gaussian_information(torch.full((20,), rho)).item() == pytest.approx(3.0, abs=1e-5)
    one = -0.5 * math.log(1 - 0.25)
    assert gaussian_information(torch.tensor([0.5])).item() == pytest.approx(one)
    assert gaussian_correlation(0.0, 4) == 0.0


def test_the_exact_ratio_averages_to_the_information():
    generator = torch.Generator().manual_seed(0)
    rho = gaussian_correlation(2.0, 20)
    x, noise = torch.randn((2, 4000, 20), generator=generator)
    y = rho * x + math.sqrt(1 - rho**2) * noise
    f = gaussian_log_ratio(x, y, rho)
    assert f.diagonal().mean().item() == pytest.approx(2.0, abs=0.1)
    assert info_nce(f).item() == pytest.approx(2.0, abs=0.15)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: gaussian_log_ratio(torch.zeros(2, 3), torch.zeros(2, 4), 0.1), ShapeError, "S"),
        (lambda: gaussian_log_ratio(torch.zeros(2, 3), torch.zeros(2, 3), 1.0), DomainError, "1"),
        (
            lambda: gaussian_log_ratio(torch.zeros(2, 3), torch.zeros(2, 3), torch.zeros(2)),
            ShapeError, "2 correlations and 3",
        ),
        (lambda: gaussian_correlation(-1.0, 3), DomainError, "information >= 0"),
        (lambda: gaussian_correlation(1.0, 0), DomainError, "a dimension"),
    ],
)  # fmt: skip
def test_what_is_no_gaussian_is_refused(call, error, says):
    with pytest.raises(error, match=says):
        call()
