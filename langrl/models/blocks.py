"""Building blocks: Fourier features and multilayer perceptrons.

Axes: ``S`` numbers in a state, ``O`` octaves.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from langrl.errors import ShapeError


class FourierFeatures(nn.Module):
    """A position with sines and cosines of it, so that a small network can represent sharp walls.

    Maps [..., S] to [..., S * (1 + 2 O)]; the position itself is scaled from its S bounds to
    [-1, 1]. The lowest of O frequencies has the box as half a period, each further one doubles.

    Source: Tancik et al. 2020, arXiv:2006.10739 (positional encoding).
    """

    def __init__(self, low: Sequence[float], high: Sequence[float], octaves: int) -> None:
        super().__init__()
        self.low: Tensor
        self.high: Tensor
        self.register_buffer("low", torch.tensor(low, dtype=torch.float32))
        self.register_buffer("high", torch.tensor(high, dtype=torch.float32))
        self.octaves = octaves
        self.size = len(low) * (1 + 2 * octaves)

    def forward(self, position: Tensor) -> Tensor:
        """Map positions [..., S] to features; ShapeError if S differs."""
        if position.shape[-1] != len(self.low):
            raise ShapeError(
                f"a state has {len(self.low)} numbers here, got {list(position.shape)};"
                " give observations of the world that the encoder was trained in"
            )
        scaled = 2 * (position - self.low) / (self.high - self.low) - 1  # [..., S]
        if not self.octaves:
            return scaled
        frequencies = (
            math.pi
            / 2
            * 2.0 ** torch.arange(self.octaves, dtype=scaled.dtype, device=position.device)
        )
        angles = (scaled.unsqueeze(-1) * frequencies).flatten(-2)  # [..., S * O]
        return torch.cat([scaled, angles.sin(), angles.cos()], -1)


class RandomFeatures(nn.Module):
    """A position with sines and cosines along random directions.

    Maps [..., S] to [..., S + 2 F]; the position itself is scaled from its S bounds to [-1, 1].
    Unlike octaves of each number, they tell places apart equally well in all directions. The
    frequencies are drawn with the weights, stored with them, and not trained.

    Args:
        low: lower bounds of a position.
        high: upper bounds.
        count: number of directions F.
        length: distance over which a feature changes by about a radian, in units of positions.

    Source: Tancik et al. 2020, arXiv:2006.10739 (Gaussian Fourier features).
    """

    def __init__(
        self, low: Sequence[float], high: Sequence[float], count: int, length: float
    ) -> None:
        super().__init__()
        self.scaled = FourierFeatures(low, high, 0)
        drawn = torch.randn(len(low), count) / length
        self.frequencies = nn.Parameter(drawn, requires_grad=False)
        self.size = len(low) + 2 * count

    def forward(self, position: Tensor) -> Tensor:
        """Map positions [..., S] to features; ShapeError if S differs."""
        scaled = self.scaled(position)
        centre = (self.scaled.low + self.scaled.high) / 2  # small angles are exact in float32
        angles = (position - centre) @ self.frequencies
        return torch.cat([scaled, angles.sin(), angles.cos()], -1)


def mlp(inputs: int, width: int, depth: int, outputs: int) -> nn.Sequential:
    """Return ``depth`` hidden layers of linear, LayerNorm and SiLU, and a linear output."""
    layers: list[nn.Module] = []
    for size in [inputs] + [width] * (depth - 1) if depth else []:
        layers += [nn.Linear(size, width), nn.LayerNorm(width), nn.SiLU()]
    return nn.Sequential(*layers, nn.Linear(width if depth else inputs, outputs))


def batch_norm_mlp(inputs: int, width: int, outputs: int) -> nn.Sequential:
    """Return two hidden layers with ReLU, batch normalisation after the first, a linear output.

    Source: the encoders of the synthetic experiments of arXiv:2501.11326.
    """
    return nn.Sequential(
        nn.Linear(inputs, width), nn.BatchNorm1d(width), nn.ReLU(),
        nn.Linear(width, width), nn.ReLU(), nn.Linear(width, outputs),
    )  # fmt: skip
