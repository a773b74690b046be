"""Steps of the optimiser against those of ``torch.optim.AdamW``."""

import pytest
import torch
from torch import nn

from langrl.errors import NonFiniteError
from langrl.training.optim import Optimiser, constant_schedule


def two_models():
    torch.manual_seed(0)
    one = nn.ModuleDict({"used": nn.Linear(3, 4), "now_and_then": nn.Linear(3, 4)})
    two = nn.ModuleDict({"used": nn.Linear(3, 4), "now_and_then": nn.Linear(3, 4)})
    two.load_state_dict(one.state_dict())
    return one, two


def loss_of(model, step):
    inputs = torch.randn(8, 3, generator=torch.Generator().manual_seed(step))
    value = model["used"](inputs).square().mean()
    return value if step % 3 else value + model["now_and_then"](inputs).abs().mean()


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_steps_are_those_of_adamw_also_of_parameters_without_a_gradient(decay):
    ours, theirs = two_models()
    optimiser = Optimiser(
        dict(ours.named_parameters()), 0.01, constant_schedule, weight_decay=decay
    )
    groups = [
        {"params": [p for p in theirs.parameters() if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in theirs.parameters() if p.ndim == 1], "weight_decay": 0.0},
    ]
    adamw = torch.optim.AdamW(groups, lr=0.01, fused=True)
    for step in range(1, 12):  # the second layer has no gradient at first
        optimiser.update({}, lambda batch, step=step: (loss_of(ours, step), {}))
        adamw.zero_grad()
        loss_of(theirs, step).backward()
        adamw.step()
        for left, right in zip(ours.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(left, right, rtol=1e-6, atol=1e-7)
    state = optimiser.state()
    assert state["used.weight/step"] == 11
    assert state["now_and_then.weight/step"] == 3


def test_large_numbers_of_a_batch_are_finite_and_infinite_ones_are_not():
    model, _ = two_models()
    optimiser = Optimiser(dict(model.named_parameters()), 0.01, constant_schedule)

    def loss(batch):
        return model["used"].weight.sum(), {}

    optimiser.update({"x": torch.full((10,), 3e38)}, loss)  # their sum overflows
    optimiser.update({"x": torch.empty(0)}, loss)
    for bad in (torch.nan, torch.inf, -torch.inf):
        before = model["used"].weight.detach().clone()
        with pytest.raises(NonFiniteError, match="'x' in the training batch is not finite"):
            optimiser.update({"x": torch.tensor([1.0, bad])}, loss)
        assert torch.equal(model["used"].weight, before)
    with pytest.raises(NonFiniteError, match="'x'"):
        optimiser.update({"x": torch.tensor([torch.inf, -torch.inf])}, loss)
