import math

import pytest
import torch
from torch import nn

from langrl.errors import NonFiniteError
from langrl.training.optim import Optimiser, constant_schedule, cosine_schedule


def make(**options):
    weights = {
        "matrix": nn.Parameter(torch.ones(2, 2)),
        "vector": nn.Parameter(torch.ones(2)),
        "frozen": nn.Parameter(torch.ones(2), requires_grad=False),
    }
    return Optimiser(weights, 0.1, options.pop("schedule", constant_schedule), **options)


def quadratic(optimiser, factor=1.0):
    def loss(batch):
        values = [optimiser.parameters[name].square().sum() for name in ("matrix", "vector")]
        return factor * sum(values), {}

    return loss


def copied(optimiser):
    return {name: value.detach().clone() for name, value in optimiser.parameters.items()}


@pytest.mark.parametrize(
    ("step", "expected"),
    [(0, 0.25), (3, (1 + math.cos(0.3 * math.pi)) / 2), (5, 0.5), (10, 0.0)],
)
def test_the_cosine_rises_and_falls_to_0(step, expected):
    assert cosine_schedule(10, warmup=4)(step) == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_without_warmup_the_cosine_starts_at_1():
    assert cosine_schedule(7)(0) == 1
    assert constant_schedule(10**6) == 1


def test_each_step_takes_the_share_that_the_schedule_gives():
    optimiser = make(schedule=lambda step: (1.0, 0.0, 0.5)[step])
    moved = []
    for _ in range(3):
        before = copied(optimiser)["vector"]
        optimiser.update({}, quadratic(optimiser))
        moved.append((before - optimiser.parameters["vector"]).abs().max().item())
    assert moved[0] == pytest.approx(0.1, rel=1e-3)  # Adam's first step is the learning rate
    assert moved[1] == 0
    assert moved[2] == pytest.approx(0.05, rel=0.01)


def test_parameters_that_need_no_gradient_are_left_out():
    assert set(make().parameters) == {"matrix", "vector"}


def test_only_matrices_decay():
    optimiser = make(weight_decay=0.5)
    optimiser.update({}, quadratic(optimiser, factor=0.0))
    assert optimiser.parameters["matrix"][0, 0].item() == pytest.approx(1 - 0.1 * 0.5)
    assert optimiser.parameters["vector"][0].item() == 1


def test_long_gradients_are_shortened_to_the_clip():
    optimiser = make(clip=0.5)
    metrics = optimiser.update({}, quadratic(optimiser))
    assert metrics["gradient_norm"].item() == pytest.approx(math.sqrt(6 * 2**2))
    norm = torch.stack([p.grad.square().sum() for p in optimiser.parameters.values()]).sum().sqrt()
    assert norm.item() == pytest.approx(0.5, rel=1e-4)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("where", ["batch", "loss", "refused loss", "gradient"])
def test_what_is_not_finite_is_refused_before_a_weight_changes(where, bad):
    optimiser = make()
    optimiser.update({}, quadratic(optimiser))
    before, moments = copied(optimiser), {k: v.clone() for k, v in optimiser.state().items()}
    batch = {"x": torch.tensor([1.0, bad])} if where == "batch" else {}

    def loss(batch):
        if where == "refused loss":
            raise NonFiniteError("a logit is not finite")
        value, metrics = quadratic(optimiser)(batch)
        if where == "gradient":
            value.register_hook(lambda gradient: gradient * bad)
        return value * (bad if where == "loss" else 1.0), metrics

    problem = "'x' in the training batch" if where == "batch" else "lower the learning rate"
    with pytest.raises(NonFiniteError, match=problem):
        optimiser.update(batch, loss)
    assert optimiser.step == 1
    assert all(torch.equal(value, before[name]) for name, value in optimiser.parameters.items())
    assert all(torch.equal(value, moments[key]) for key, value in optimiser.state().items())
