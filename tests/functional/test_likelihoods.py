import itertools
import math

import pytest
import torch
from torch.distributions import Bernoulli, Multinomial, Normal

from langrl.errors import DomainError, NonFiniteError, ShapeError, UnknownNameError, lookup
from langrl.functional.likelihoods import (
    LIKELIHOODS,
    bernoulli,
    categorical,
    check_observations,
    gaussian,
)


def test_hand_worked_likelihoods():
    # logit 0: each pixel has probability 1/2; log(1/4)
    assert bernoulli(torch.tensor([1.0, 0.0]), torch.zeros(2)).item() == pytest.approx(-1.386294)
    # one standard deviation off, scale 2: -1/2 - log 2 - log(2 pi) / 2
    value = gaussian(torch.tensor([2.0]), torch.zeros(1), torch.tensor(2.0).log())
    assert value.item() == pytest.approx(-0.5 - 0.693147 - 0.918939, abs=1e-5)
    # two tokens, one of each, of two equally likely: 2 orders * 1/4
    assert categorical(torch.ones(2), torch.zeros(2)).exp().item() == pytest.approx(0.5)


def test_likelihoods_are_torchs():
    generator = torch.Generator().manual_seed(0)
    out = torch.randn(5, 3, generator=generator)
    binary = (torch.rand(5, 3, generator=generator) < 0.5).float()
    torch.testing.assert_close(
        bernoulli(binary, out), Bernoulli(logits=out).log_prob(binary).sum(-1)
    )
    torch.testing.assert_close(
        gaussian(binary, out, torch.tensor(0.3)),
        Normal(out, math.exp(0.3)).log_prob(binary).sum(-1),
    )
    counts = torch.tensor([2.0, 0.0, 3.0])
    torch.testing.assert_close(
        categorical(counts, out[0]), Multinomial(5, logits=out[0]).log_prob(counts)
    )


def test_probabilities_of_counts_of_one_length_sum_to_one():
    logits = torch.tensor([0.3, -1.0, 2.0])
    every = torch.tensor(
        [c for c in itertools.product(range(5), repeat=3) if sum(c) == 4], dtype=torch.float32
    )
    assert categorical(every, logits).exp().sum().item() == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_the_matrix_is_every_observation_under_every_output(name):
    generator = torch.Generator().manual_seed(1)
    likelihood, scale = LIKELIHOODS[name], torch.tensor(-0.4)
    x = torch.rand(4, 6, generator=generator)
    x = (3 * x).round() if name == "categorical" else x
    out = torch.randn(3, 6, generator=generator)
    slow = torch.stack([likelihood.log_density(x, row, scale) for row in out])  # [3, 4]
    torch.testing.assert_close(likelihood.matrix(x, out, scale), slow)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_the_mean_maximises_the_likelihood_of_itself(name):
    likelihood, scale = LIKELIHOODS[name], torch.zeros(())
    out = torch.tensor([0.5, -1.0, 0.2], requires_grad=True)
    likelihood.log_density(likelihood.mean(out).detach(), out, scale).backward()
    torch.testing.assert_close(out.grad, torch.zeros(3), atol=1e-6, rtol=0)


def test_observations_outside_the_domain_are_refused_with_the_repair():
    bernoulli_, counts = LIKELIHOODS["bernoulli"], LIKELIHOODS["categorical"]
    with pytest.raises(DomainError, match=r"image is in \[0, 2\].*rescale"):
        check_observations(torch.tensor([[0.0, 2.0]]), bernoulli_, 2, "image")
    with pytest.raises(DomainError, match="text is in"):
        check_observations(torch.tensor([[-1.0, 2.0]]), counts, 2, "text")
    with pytest.raises(NonFiniteError, match="text holds NaN"):
        check_observations(torch.tensor([[math.nan, 2.0]]), counts, 2, "text")
    for wrong in (torch.ones(3), torch.ones(3, 1), torch.ones(0, 2), torch.ones(3, 2).long()):
        with pytest.raises(ShapeError, match=r"floats \[N, 2\]"):
            check_observations(wrong, counts, 2, "text")
    with pytest.raises(UnknownNameError, match="did you mean 'bernoulli'"):
        lookup(LIKELIHOODS, "bernouli", "likelihood")
