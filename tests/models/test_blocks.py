import math

import pytest
import torch
from torch import nn

from langrl.errors import ShapeError
from langrl.models.blocks import FourierFeatures, RandomFeatures, mlp


@pytest.mark.parametrize(
    ("position", "expected"),
    [
        # scaled to -1, 0, 1; sines and cosines of scaled * pi / 2 and scaled * pi
        (2.0, [-1, -1, 0, 0, -1]),
        (3.0, [0, 0, 0, 1, 1]),
        (4.0, [1, 1, 0, 0, -1]),
    ],
)
def test_fourier_features_worked_by_hand(position, expected):
    features = FourierFeatures([2.0], [4.0], octaves=2)(torch.tensor([position]))
    assert torch.allclose(features, torch.tensor(expected, dtype=torch.float32), atol=1e-6)


@pytest.mark.parametrize("octaves", [0, 1, 5])
def test_fourier_features_are_as_wide_as_they_say(octaves):
    block = FourierFeatures([0.0, 0.0, 0.0], [1.0, 2.0, 3.0], octaves)
    assert block(torch.zeros(4, 7, 3)).shape == (4, 7, block.size)
    assert block.size == 3 * (1 + 2 * octaves)


def test_each_coordinate_has_its_own_bounds():
    features = FourierFeatures([0.0, 10.0], [2.0, 30.0], octaves=0)
    assert features(torch.tensor([[2.0, 10.0], [0.5, 25.0]])).tolist() == [[1, -1], [-0.5, 0.5]]


def test_one_more_octave_tells_positions_half_as_far_apart_from_each_other():
    position = torch.tensor([[0.0], [0.01]])
    gaps = [
        (torch.diff(FourierFeatures([0.0], [1.0], octaves)(position), dim=0)).abs().max().item()
        for octaves in (3, 4, 5)
    ]
    assert gaps[0] * 1.8 < gaps[1]
    assert gaps[1] * 1.8 < gaps[2]


def test_bounds_are_no_weights():
    block = FourierFeatures([0.0], [1.0], 2)
    assert not list(block.parameters())
    assert block.double()(torch.zeros(1, 1, dtype=torch.float64)).dtype == torch.float64


@pytest.mark.parametrize(("depth", "layers"), [(0, 1), (1, 2), (3, 4)])
def test_an_mlp_has_as_many_hidden_layers_as_asked_for(depth, layers):
    net = mlp(3, 5, depth, 2)
    linear = [module for module in net.modules() if isinstance(module, nn.Linear)]
    assert len(linear) == layers
    assert net(torch.zeros(4, 6, 3)).shape == (4, 6, 2)


def test_an_mlp_without_hidden_layers_is_linear():
    net = mlp(3, 5, 0, 2)
    x, y = torch.randn(2, 8, 3)
    assert torch.allclose(net(x + y), net(x) + net(y) - net(torch.zeros(3)), atol=1e-6)


def test_an_mlp_learns_a_function_that_is_not_linear():
    torch.manual_seed(0)
    net = mlp(1, 16, 2, 1)
    x = torch.linspace(-1, 1, 64).unsqueeze(1)
    target = (math.pi * x).cos()
    optimizer = torch.optim.Adam(net.parameters(), 0.02)
    for _ in range(150):
        loss = (net(x) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05 * target.var().item()


def test_random_features_worked_by_hand():
    block = RandomFeatures([0.0, 10.0], [2.0, 30.0], count=2, length=1.0)
    with torch.no_grad():
        block.frequencies.copy_(torch.tensor([[math.pi, 0.0], [0.0, math.pi / 20]]))
    features = block(torch.tensor([[1.5, 30.0]]))
    # scaled to 0.5 and 1; half a unit and ten units from the centre (1, 20) are quarters of a turn
    expected = [[0.5, 1, 1, 1, 0, 0]]
    assert torch.allclose(features, torch.tensor(expected), atol=1e-6)
    assert block.size == 6


def test_random_frequencies_are_as_high_as_the_length_says():
    torch.manual_seed(0)
    for length in (0.5, 4.0):
        frequencies = RandomFeatures([0.0] * 3, [9.0] * 3, 20_000, length).frequencies
        assert frequencies.shape == (3, 20_000)
        assert float(frequencies.std()) == pytest.approx(1 / length, rel=0.02)


def test_random_frequencies_are_stored_and_not_trained():
    block, other = (RandomFeatures([0.0], [1.0], 4, 1.0) for _ in range(2))
    position = torch.rand(5, 1)
    assert not torch.equal(block(position), other(position))
    other.load_state_dict(block.state_dict())
    assert torch.equal(block(position), other(position))
    assert [name for name, _ in block.named_parameters()] == ["frequencies"]
    assert not any(weight.requires_grad for weight in block.parameters())


def test_random_features_are_for_positions_of_one_size():
    with pytest.raises(ShapeError, match="a state has 2 numbers here"):
        RandomFeatures([0.0, 0.0], [1.0, 1.0], 4, 1.0)(torch.zeros(3, 1))
