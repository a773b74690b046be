"""Networks of goal-reaching agents: what they take, and plain and residual layers.

Axes: ``S`` numbers of a vector, ``H`` x ``W`` x ``C`` an image; dots are leading axes.
"""

from collections.abc import Sequence
from typing import Self

import numpy as np
from pydantic import Field, model_validator
from torch import Tensor, nn

from langrl.errors import NonFiniteError, ShapeError
from langrl.models.blocks import FourierFeatures, RandomFeatures
from langrl.models.config import GoalNetworkConfig
from langrl.protocols import Array
from langrl.settings import Settings

BLOCK = 4  # layers of a residual block
_ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "silu": nn.SiLU, "gelu": nn.GELU}
_CHANNELS = (32, 64, 64)  # of the convolutions of an image, each of which halves its sides
_LARGEST = 1e4  # of a bound that says something about the numbers that are met
_SPREAD = 2.0  # standard deviations around the mean that become -1 ... 1


class InputDescription(Settings):
    """What one side of a network takes: vectors [S] with their range, or uint8 images."""

    shape: tuple[int, ...] = Field(description="(S,), or (H, W, C) of an image")
    low: tuple[float, ...] = Field((), description="what becomes -1, of each number of a vector")
    high: tuple[float, ...] = Field((), description="what becomes 1, of each number of a vector")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(self.shape) not in (1, 3) or min(self.shape) < 1:
            raise ValueError(f"shape is (S,) or (H, W, C), got {self.shape}; flatten what it is of")
        wanted = self.shape[0] if len(self.shape) == 1 else 0
        if not len(self.low) == len(self.high) == wanted:
            raise ValueError(
                f"an input of shape {self.shape} has {wanted} bounds, got {len(self.low)} and"
                f" {len(self.high)}; give low and high of each number of a vector"
            )
        if any(not low < high for low, high in zip(self.low, self.high, strict=True)):
            raise ValueError("low must be below high; widen the range of numbers that are constant")
        return self


def describe_input(
    shape: Sequence[int], low: Array, high: Array, samples: Array | None = None
) -> InputDescription:
    """Return the description of an input from the bounds of its space and what has been seen.

    Numbers whose bounds are finite and at most 10,000 in size are scaled by these. The others are
    scaled by two standard deviations of the samples around their mean, or by 1 where they are
    constant, or not at all without samples.

    Args:
        shape: of one input: (S,) or (H, W, C).
        low: lower bounds of the space [S]; unused for images, as the next two.
        high: upper bounds [S].
        samples: what has been seen [any, S].

    Raises:
        NonFiniteError: if a sample is NaN or infinite.
    """
    if len(shape) != 1:
        return InputDescription(shape=tuple(shape))
    lower, upper = np.asarray(low, np.float64), np.asarray(high, np.float64)
    known = (np.abs(lower) <= _LARGEST) & (np.abs(upper) <= _LARGEST) & (lower < upper)
    middle, half = np.zeros(lower.shape), np.ones(lower.shape)
    if samples is not None and len(samples):
        if not np.isfinite(samples).all():
            raise NonFiniteError(
                "what the environment shows at first is NaN or inf somewhere; fix the environment"
            )
        middle, spread = samples.mean(0, np.float64), samples.std(0, np.float64)
        half = np.where(spread > 1e-6 * (1 + np.abs(middle)), _SPREAD * spread, 1.0)
    return InputDescription(
        shape=tuple(shape),
        low=tuple(np.where(known, lower, middle - half).tolist()),
        high=tuple(np.where(known, upper, middle + half).tolist()),
    )


class GoalWorldDescription(Settings):
    """What the networks of a goal environment take and give, apart from their sizes."""

    observation: InputDescription
    goal: InputDescription
    actions: int = Field(ge=1, description="numbers in an action; discrete: how many there are")
    discrete: bool = Field(False, description="actions are numbers 0 to actions - 1")


class InputEncoder(nn.Module):
    """Maps vectors [..., S] or uint8 images [..., H, W, C] to features [..., size].

    Vectors are scaled from their range to [-1, 1], with Fourier features: random ones where the
    config has some, else of each number if there are octaves.
    """

    def __init__(
        self, description: InputDescription, octaves: int, config: GoalNetworkConfig
    ) -> None:
        super().__init__()
        self.shape = description.shape
        self.read: nn.Module
        if len(self.shape) == 1:
            low, high = description.low, description.high
            if not config.scaled:
                low, high = (-1.0,) * len(low), (1.0,) * len(high)
            features: FourierFeatures | RandomFeatures
            if config.random_features:
                features = RandomFeatures(low, high, config.random_features, config.feature_length)
            else:
                features = FourierFeatures(low, high, octaves)
            self.read, self.size = features, features.size
            return
        height, width, channels = self.shape
        layers: list[nn.Module] = []
        for outputs in _CHANNELS:
            layers += [nn.Conv2d(channels, outputs, 3, stride=2, padding=1), nn.ReLU()]
            height, width, channels = (height + 1) // 2, (width + 1) // 2, outputs
        self.read = nn.Sequential(*layers, nn.Flatten())
        self.size = height * width * channels

    def forward(self, inputs: Tensor) -> Tensor:
        """Return features; raises ShapeError for inputs of another shape."""
        axes = len(self.shape)
        if inputs.shape[-axes:] != self.shape:
            raise ShapeError(
                f"inputs are [..., {', '.join(map(str, self.shape))}] here, got"
                f" {list(inputs.shape)}; give those of the world that the network was made for"
            )
        if axes == 1:
            return self.read(inputs)
        images = inputs.reshape(-1, *self.shape).movedim(-1, 1)
        weight = next(self.read.parameters())
        features = self.read(images.to(weight.dtype) / 255)
        return features.unflatten(0, inputs.shape[:-axes])


class ResidualBlock(nn.Module):
    """Four layers of linear, LayerNorm and activation, whose input is added to their output.

    Source: Wang et al. 2025, arXiv:2503.14858, section 3.
    """

    def __init__(self, config: GoalNetworkConfig) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(hidden_layer(config.width, config) for _ in range(BLOCK)),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Map features [..., width] to features [..., width]."""
        return features + self.layers(features)


def after_linear(config: GoalNetworkConfig) -> nn.Sequential:
    """Return what follows the linear map of a hidden layer."""
    norm = [nn.LayerNorm(config.width)] if config.layer_norm else []
    return nn.Sequential(*norm, _ACTIVATIONS[config.activation]())


def hidden_layer(inputs: int, config: GoalNetworkConfig) -> nn.Sequential:
    """Return one hidden layer: linear, LayerNorm where the config has it, activation."""
    return nn.Sequential(nn.Linear(inputs, config.width), *after_linear(config))


def network(
    inputs: int, config: GoalNetworkConfig, outputs: int, *, less: int = 0
) -> nn.Sequential:
    """Return hidden layers and a linear output.

    Args:
        inputs: numbers that it takes.
        config: plain layers, or one layer and then residual blocks of four.
        outputs: numbers that it gives.
        less: plain hidden layers to leave out.
    """
    layers: list[nn.Module]
    if config.residual:
        blocks = [ResidualBlock(config) for _ in range(config.depth // BLOCK)]
        layers = [hidden_layer(inputs, config), *blocks]
    else:
        depth = max(config.depth - less, 0)
        sizes = [inputs] + [config.width] * (depth - 1) if depth else []
        layers = [hidden_layer(size, config) for size in sizes]
    return nn.Sequential(*layers, nn.Linear(config.width if layers else inputs, outputs))
