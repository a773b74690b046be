"""Digits as on houses: of many fonts and colours, on textured grounds, with others at the edges.

They are drawn, not photographed, so that any number of them is at hand without a download. The
digit in the middle is the label; a digit to its left and one to its right are each there in half of
the images, cut off by the edge.

Axes: ``N`` images, of 3 colours and 32 x 32 pixels.
Source: what varies is that of street view house numbers, Netzer et al. 2011.
"""

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor
from torch.nn import functional

from langrl.data.digit_pairs import Labels, draw_shapes
from langrl.errors import DomainError
from langrl.protocols import Floats

STREET_IMAGE = (3, 32, 32)
STREET_SIZE = 3 * 32 * 32
_SIDE = 32
_ZOOM = (0.7, 0.85)  # of the window: a digit is 21 to 26 pixels high
_ASIDE = (0.95, 1.25)  # from the middle to a digit at the edge, in halves of the side
_LEAST_CONTRAST = 0.3  # between the mean brightness of ink and ground
_TEXTURE, _NOISE = 0.12, 0.03  # standard deviations, of 4 x 4 patches and of pixels


def draw_street_digits(digits: Labels, generator: Generator) -> Floats:
    """Draw an image of each digit, 0 to 9 [N]; returns float32 in [0, 1] [N, 3072].

    The generator draws fonts, transformations, colours, textures, neighbours and noise. Raises
    DomainError if a number is no digit.
    """
    wrong = (digits < 0) | (digits > 9)
    if wrong.any():
        raise DomainError(f"digits holds {digits[wrong][0]}; draw_street_digits draws 0 to 9")
    covered = draw_shapes(digits, generator, _SIDE, zoom=_ZOOM)  # [N, 1, 32, 32]
    for sign in (-1, 1):
        covered = torch.maximum(covered, _neighbours(len(digits), generator, sign))
    ground, ink = map(_pixels, _colours(len(digits), generator))  # [N, 3, 1, 1]
    images = ground + _texture(len(digits), generator) + covered * (ink - ground)
    images = images + _NOISE * _normal((len(digits), *STREET_IMAGE), generator)
    return images.clamp(0, 1).flatten(1).numpy()


def _neighbours(count: int, generator: Generator, sign: int) -> Tensor:
    """Return what digits at one edge cover [N, 1, 32, 32]; half of them are not there."""
    others = generator.integers(10, size=count)
    aside = sign * generator.uniform(*_ASIDE)
    shapes = draw_shapes(others, generator, _SIDE, zoom=_ZOOM, across=aside)
    return shapes * torch.from_numpy(generator.integers(2, size=(count, 1, 1, 1)))


def _colours(count: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """Return colours of grounds and inks [N, 3], inks the brighter ones."""
    ground, ink = generator.uniform(0.05, 0.95, (2, count, 3))
    while (near := (ink - ground).mean(1) < _LEAST_CONTRAST).any():
        ground[near], ink[near] = generator.uniform(0.05, 0.95, (2, int(near.sum()), 3))
    return torch.from_numpy(ground).float(), torch.from_numpy(ink).float()


def _texture(count: int, generator: Generator) -> Tensor:
    """Return smooth differences in brightness [N, 3, 32, 32]."""
    coarse = _TEXTURE * _normal((count, 3, 4, 4), generator)
    return functional.interpolate(coarse, _SIDE, mode="bilinear", align_corners=False)


def _pixels(colours: Tensor) -> Tensor:
    return colours[..., None, None]


def _normal(shape: tuple[int, ...], generator: Generator) -> Tensor:
    return torch.from_numpy(generator.standard_normal(shape, np.float32))
