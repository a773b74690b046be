"""Learning rates of some parameters by name."""

import pytest
import torch
from torch import nn

from langrl.training.optim import Optimiser


def make(**options):
    names = ("fast", "slow", "matrix")
    parameters = {name: nn.Parameter(torch.ones(2)) for name in names}
    parameters["matrix"] = nn.Parameter(torch.ones(2, 2))
    schedule = lambda step: (1.0, 0.5)[step]  # noqa: E731
    return Optimiser(parameters, 0.01, schedule, learning_rates={"fast": 0.1}, **options)


def step(optimiser):
    before = {name: p.detach().clone() for name, p in optimiser.parameters.items()}
    optimiser.update({}, lambda _: (sum(p.sum() for p in optimiser.parameters.values()), {}))
    return {name: (before[name] - p).max().item() for name, p in optimiser.parameters.items()}


def test_each_parameter_moves_at_its_own_rate():
    optimiser = make()
    # Adam's steps are the learning rate where the gradient stays the same.
    assert step(optimiser) == pytest.approx({"fast": 0.1, "slow": 0.01, "matrix": 0.01}, rel=1e-3)
    assert step(optimiser) == pytest.approx(
        {"fast": 0.05, "slow": 0.005, "matrix": 0.005}, rel=1e-3
    )


def test_only_matrices_decay_whatever_the_rates():
    moved = step(make(weight_decay=0.5))
    assert moved["matrix"] == pytest.approx(0.01 + 0.5 * 0.01, rel=1e-3)
    assert moved["slow"] == pytest.approx(0.01, rel=1e-3)


def test_a_resumed_optimiser_goes_on_at_the_same_rates():
    whole, half, resumed = make(), make(), make()
    for _ in range(2):
        step(whole)
    step(half)
    with torch.no_grad():
        for name, parameter in resumed.parameters.items():
            parameter.copy_(half.parameters[name])
    resumed.load_state({name: value.clone() for name, value in half.state().items()})
    step(resumed)
    for name, parameter in whole.parameters.items():
        assert torch.equal(parameter, resumed.parameters[name])
