import numpy as np
import pytest
import torch
from goal_line import vector
from pydantic import ValidationError

from langrl.errors import ShapeError
from langrl.models.config import GoalNetworkConfig
from langrl.models.goal_networks import InputDescription, InputEncoder, describe_input, network
from langrl.training.seeding import seeded


def test_vectors_are_scaled_from_their_range():
    description = InputDescription(shape=(2,), low=(0.0, -4.0), high=(10.0, 4.0))
    encoder = InputEncoder(description, 0, GoalNetworkConfig())
    assert encoder(torch.tensor([[0.0, 0.0], [10.0, 2.0]])).tolist() == [[-1, 0], [1, 0.5]]
    raw = InputEncoder(description, 0, GoalNetworkConfig(scaled=False))
    assert raw(torch.tensor([[3.0, -7.0]])).tolist() == [[3, -7]]


def test_octaves_add_sines_and_cosines():
    encoder = InputEncoder(vector(1), 2, GoalNetworkConfig())
    features = encoder(torch.tensor([[0.5]]))
    angles = torch.tensor([0.25, 0.5]) * torch.pi
    torch.testing.assert_close(
        features[0], torch.cat([torch.tensor([0.5]), angles.sin(), angles.cos()])
    )
    assert encoder.size == 5


@pytest.mark.parametrize("shape", [(7, 9, 3), (64, 64, 1), (1, 1, 4)])
def test_images_become_features_whatever_their_leading_axes(shape):
    with seeded(0):
        encoder = InputEncoder(InputDescription(shape=shape), 0, GoalNetworkConfig())
    images = torch.randint(0, 256, (6, *shape), dtype=torch.uint8)
    features = encoder(images)
    assert features.shape == (6, encoder.size)
    torch.testing.assert_close(encoder(images.unflatten(0, (2, 3))), features.unflatten(0, (2, 3)))
    assert not torch.equal(features[0], features[1])


@pytest.mark.parametrize(("shape", "given"), [((2,), (3, 4)), ((4, 4, 3), (3, 4, 4))])
def test_inputs_of_another_shape_are_refused(shape, given):
    description = vector(2) if shape == (2,) else InputDescription(shape=shape)
    with pytest.raises(ShapeError, match=r"give those of the world"):
        InputEncoder(description, 0, GoalNetworkConfig())(torch.zeros(given))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"shape": (2, 2)}, "flatten"),
        ({"shape": (0,)}, "flatten"),
        ({"shape": (2,), "low": (0.0,), "high": (1.0,)}, "has 2 bounds, got 1 and 1"),
        ({"shape": (1,), "low": (1.0,), "high": (1.0,)}, "widen the range"),
        ({"shape": (2, 2, 3), "low": (0.0,), "high": (1.0,)}, "has 0 bounds"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(fields, words):
    with pytest.raises(ValidationError, match=words):
        InputDescription(**fields)


def test_a_range_is_that_of_the_space_or_of_what_was_seen():
    low = np.array([-1.0, -np.inf, 0.0, -1e30, -np.inf])
    high = np.array([3.0, np.inf, np.inf, 1e30, np.inf])
    samples = np.array([[0, 10, 5, 7, 0.0], [0, 14, 5, 9, 0.0]])
    described = describe_input((5,), low, high, samples)
    # two deviations (2, 1) around the mean; 1 around numbers that are constant
    np.testing.assert_allclose(described.low, [-1, 8, 4, 6, -1])
    np.testing.assert_allclose(described.high, [3, 16, 6, 10, 1])
    assert describe_input((5,), low, high).low == (-1, -1, -1, -1, -1)
    assert describe_input((4, 4, 3), low, high).shape == (4, 4, 3)


def linears(module):
    return sum(isinstance(part, torch.nn.Linear) for part in module.modules())


def test_layers_are_counted_as_the_config_does():
    for depth in (0, 1, 3):
        assert linears(network(5, GoalNetworkConfig(width=8, depth=depth), 3)) == depth + 1
    deep = GoalNetworkConfig(width=8, depth=64, residual=True)
    assert linears(network(5, deep, 3)) == 64 + 2  # one that reads, and the output
    assert not any("norm" in type(part).__name__.lower() for part in plain_parts(layer_norm=False))


def plain_parts(**config):
    return network(5, GoalNetworkConfig(width=8, **config), 3).modules()


@pytest.mark.parametrize("depth", [4, 64])
def test_deep_residual_networks_have_finite_gradients_of_their_first_layer(depth):
    def outputs(residual):
        with seeded(0):
            config = GoalNetworkConfig(width=16, depth=depth, residual=residual)
            net = network(5, config, 3)
        given = net(torch.linspace(-1, 1, 40).view(8, 5))
        given.square().mean().backward()
        return given.detach(), next(net.parameters()).grad.norm()

    (plain, faded), (residual, kept) = outputs(False), outputs(True)
    assert residual.isfinite().all()
    assert kept.isfinite()
    assert kept > 1e-3
    assert not torch.allclose(plain, residual)
    if depth == 64:  # the reason for adding a block's input: without it, the gradient fades
        assert kept > 10 * faded


def test_a_block_adds_what_it_is_given():
    net = network(5, GoalNetworkConfig(width=8, depth=4, residual=True), 3)
    block = net[1]
    with torch.no_grad():
        for weight in block.parameters():
            weight.zero_()
    features = torch.randn(2, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(block(features), features)


def test_residual_depth_counts_whole_blocks():
    for depth in (0, 6):
        with pytest.raises(ValidationError, match=r"depth counts four layers a residual block"):
            GoalNetworkConfig(depth=depth, residual=True)
