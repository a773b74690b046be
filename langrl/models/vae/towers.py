"""Encoders and decoders of one modality: perceptrons, or convolutions for images.

Convolutions are 4 x 4 with stride 2, from 4 x 4 pixels with the most channels to the whole image
with C of them; each layer towards the image has half the channels of the one before it.

Axes: ``N`` observations, ``X`` numbers in one, ``F`` features, ``D`` numbers in a latent.
Source: the towers of Shi et al. 2019, arXiv:1911.03393, appendix; there C = 32.
"""

import itertools

import torch
from torch import Tensor, nn

from langrl.errors import ConfigError
from langrl.models.blocks import mlp
from langrl.models.vae.config import ModalityConfig

_SMALLEST = 4  # pixels along a side of the deepest layer


def build_encoder(modality: ModalityConfig, width: int, depth: int) -> tuple[nn.Module, int]:
    """Return the hidden layers of an encoder, [N, X] to [N, F], and F.

    ConfigError if the image of a modality has other sizes than convolutions take.
    """
    if modality.image is None:
        hidden = mlp(modality.size, width, depth, width)[:-1]
        return hidden, width if depth else modality.size
    channels = _channels(modality)
    layers: list[nn.Module] = [nn.Unflatten(-1, modality.image), _ChannelsLast()]
    for inputs, outputs in itertools.pairwise(channels):
        layers += [nn.Conv2d(inputs, outputs, 4, 2, 1), nn.ReLU()]
    flat = channels[-1] * _SMALLEST**2
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(flat, width), nn.ReLU()), width


def build_decoder(modality: ModalityConfig, latent: int, width: int, depth: int) -> nn.Module:
    """Return a decoder, [..., D] to [..., X]; ConfigError as ``build_encoder``."""
    if modality.image is None:
        return mlp(latent, width, depth, modality.size)
    return ImageDecoder(modality, latent)


class _ChannelsLast(nn.Module):
    """Lays images out pixel by pixel: convolutions of few channels are faster on CPUs."""

    def forward(self, images: Tensor) -> Tensor:
        return images.contiguous(memory_format=torch.channels_last)


class ImageDecoder(nn.Module):
    """Transposed convolutions from latents [..., D] to images [..., X]."""

    def __init__(self, modality: ModalityConfig, latent: int) -> None:
        super().__init__()
        channels = _channels(modality)[::-1]
        self.deepest = (channels[0], _SMALLEST, _SMALLEST)
        self.first = nn.Linear(latent, channels[0] * _SMALLEST**2)
        layers: list[nn.Module] = [_ChannelsLast()]
        for inputs, outputs in itertools.pairwise(channels):
            layers += [nn.ReLU(), nn.ConvTranspose2d(inputs, outputs, 4, 2, 1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        """Map latents [..., D] to [..., X]."""
        deepest = self.first(z).reshape(-1, *self.deepest)
        images: Tensor = self.layers(deepest)
        return images.reshape(*z.shape[:-1], -1)


def _channels(modality: ModalityConfig) -> list[int]:
    """Return the channels of all layers, from the image to the deepest."""
    assert modality.image is not None
    colours, height, side = modality.image
    layers = (side // _SMALLEST).bit_length() - 1
    if height != side or layers < 1 or side != _SMALLEST << layers:
        raise ConfigError(
            f"modalities: {modality.name}.image is {height} x {side} pixels; give squares of 8,"
            " 16, 32 or a higher power of two"
        )
    if modality.size != colours * height * side:
        raise ConfigError(
            f"modalities: {modality.name}.size is {modality.size}, its image has"
            f" {colours * height * side} numbers; give that"
        )
    return [colours, *(modality.channels << layer for layer in range(layers))]
