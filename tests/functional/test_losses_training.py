import math

import pytest
import torch
from torch import nn

from langrl.functional.energies import ENERGIES, cosine
from langrl.functional.losses import (
    LOSSES,
    backward_info_nce,
    binary_nce,
    forward_info_nce,
    ranking_info_nce,
    sigmoid,
    symmetric_info_nce,
)


def normal(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


# -- the optimum on a table of probabilities ----------------------------------------------------

COUNTS = torch.tensor([[48, 12, 20, 40], [10, 60, 15, 5], [32, 18, 25, 35]])  # of pairs (x, y)
JOINT = COUNTS.double() / COUNTS.sum()
RATIO = (JOINT / (JOINT.sum(1, keepdim=True) * JOINT.sum(0))).log()


def fitted_table(loss):
    """Fit a free table of critic values to one batch with exactly these numbers of pairs."""
    x, y = (index.repeat_interleave(COUNTS.flatten()) for index in torch.ones(3, 4).nonzero().T)
    table = (2 * normal(3, 4, seed=5)).requires_grad_()
    optimiser = torch.optim.LBFGS(
        [table], max_iter=200, tolerance_grad=1e-6, line_search_fn="strong_wolfe"
    )

    def closure():
        optimiser.zero_grad()
        value, _ = loss(table[x][:, y])
        value.backward()
        return value

    optimiser.step(closure)
    return table.detach()


def spread(values, axes):
    return (values.amax(axes) - values.amin(axes)).max().item()


def test_binary_nce_learns_the_log_density_ratio():
    torch.testing.assert_close(fitted_table(binary_nce), RATIO, atol=0.01, rtol=0)


def test_sigmoid_learns_the_log_density_ratio_up_to_the_documented_offset():
    torch.testing.assert_close(fitted_table(sigmoid), RATIO, atol=0.01, rtol=0)
    bias = torch.tensor(-2.0)
    table = fitted_table(lambda logits: sigmoid(logits, bias))
    offset = bias + math.log(COUNTS.sum() - 1)
    torch.testing.assert_close(table + offset, RATIO, atol=0.01, rtol=0)


def test_each_info_nce_learns_the_log_density_ratio_up_to_its_free_function():
    assert spread(fitted_table(symmetric_info_nce) - RATIO, (0, 1)) < 1e-3
    forward = fitted_table(forward_info_nce) - RATIO
    assert spread(forward, 1) < 1e-3
    assert spread(forward, 0) > 0.5  # c(x) is still what it happened to be at first
    backward = fitted_table(backward_info_nce) - RATIO
    assert spread(backward, 0) < 1e-3
    assert spread(backward, 1) > 0.5


# -- training --------------------------------------------------------------------------------


def tower(generator):
    layers = nn.Sequential(nn.Linear(6, 64), nn.SiLU(), nn.Linear(64, 8))
    for parameter in layers.parameters():
        nn.init.normal_(parameter, std=parameter.shape[-1] ** -0.5, generator=generator)
    return layers


class TwoTowers:
    """Two encoders with an energy and a learned scale, and pairs for them."""

    def __init__(self, energy, scale):
        self.generator = torch.Generator().manual_seed(0)
        mixes = torch.randn(2, 6, 4, generator=self.generator)
        self.mix = torch.linalg.qr(mixes)[0].mT  # [2, 4, 6]
        self.left, self.right = tower(self.generator), tower(self.generator)
        self.energy = energy
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)))
        self.weights = [*self.left.parameters(), *self.right.parameters(), self.log_scale]

    def pairs(self, count):
        common = torch.randn(count, 4, generator=self.generator)
        noise = 0.03 * torch.randn(2, count, 6, generator=self.generator)
        return torch.tanh(common @ self.mix[0]) + noise[0], common @ self.mix[1] + noise[1]

    def score(self, left, right):
        return self.log_scale.exp() * self.energy(self.left(left), self.right(right))

    @torch.no_grad()
    def recalls(self, left, right):
        """Recall@1 of rights and of lefts, each among 32."""
        hits = [
            self.score(*batch).argmax(axis) == torch.arange(32)
            for axis in (1, 0)
            for batch in zip(left.split(32), right.split(32), strict=True)
        ]
        return torch.stack(hits).view(2, -1).float().mean(1)

    def train(self, loss, steps):
        optimiser = torch.optim.Adam(self.weights, lr=1e-2)
        for _ in range(steps):
            optimiser.zero_grad()
            loss(self.score(*self.pairs(64)))[0].backward()
            optimiser.step()


def with_learned_bias(model):
    bias = nn.Parameter(torch.tensor(-10.0))
    model.weights.append(bias)
    return lambda logits: sigmoid(logits, bias)


def against_eight_others(_model):
    def loss(logits):
        others = [logits.roll(shift, 1).diagonal() for shift in range(1, 9)]
        return ranking_info_nce(logits.diagonal(), torch.stack(others, 1))

    return loss


TRAINED = {name: lambda _model, name=name: LOSSES[name] for name in LOSSES} | {
    "sigmoid with a learned bias": with_learned_bias,
    "ranking_info_nce": against_eight_others,
}


@pytest.mark.parametrize("name", TRAINED)
def test_every_loss_trains_two_towers_to_retrieve_held_out_pairs(name):
    model = TwoTowers(cosine, scale=10.0)
    loss, held_out = TRAINED[name](model), model.pairs(256)
    assert model.recalls(*held_out).max() < 0.2
    model.train(loss, 300)
    assert model.recalls(*held_out).min() > 0.9


@pytest.mark.parametrize("name", ENERGIES)
def test_every_energy_trains_two_towers_to_retrieve_held_out_pairs(name):
    model = TwoTowers(ENERGIES[name], scale=1.0)
    held_out = model.pairs(256)
    assert model.recalls(*held_out).max() < 0.2
    model.train(lambda logits: symmetric_info_nce(logits, logsumexp_penalty=1e-3), 300)
    assert model.recalls(*held_out).min() > 0.9
