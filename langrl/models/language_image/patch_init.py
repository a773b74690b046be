"""Initial patch embeddings: the directions in which patches of the training images differ.

With random filters, an image tower ignores rare patches, such as the agent, for its first hundreds
of steps, since most patches are empty floor; with whitened patches it distinguishes them at once.

Axes: ``M`` images of ``H`` x ``W`` pixels, ``C`` channels, ``X`` numbers in a patch.
"""

import torch
from torch import Tensor
from torch.nn import functional

from langrl.models.language_image.image_inputs import read_images
from langrl.models.language_image.towers import CompactImageTower

_LEAST = 1e-4  # of the largest variance, below which directions are not amplified


@torch.no_grad()
def whiten_patches(tower: CompactImageTower, images: Tensor, generator: torch.Generator) -> None:
    """Set a tower's patch embedding to whiten the patches of some images, rotated at random.

    Images are uint8 [M, H, W, 3]; their sides are multiples of the tower's patch.

    Source: whitened patches as in Coates, Lee & Ng 2011 (AISTATS).
    """
    patch, channels = tower.config.patch, tower.config.channels
    bright = read_images(images).permute(0, 3, 1, 2).double() / 127.5 - 1
    flat = functional.unfold(bright, patch, stride=patch).mT.flatten(0, 1)  # [patches, X]
    mean = flat.mean(0)
    variance, axes = torch.linalg.eigh((flat - mean).T @ (flat - mean) / len(flat))
    variance, axes = variance.flip(0)[:channels], axes.flip(1)[:, :channels]
    floor = (_LEAST * variance[0]).clamp(min=1e-12)
    whiten = (axes / (variance.clamp(min=0) + floor).sqrt()).T  # [C or X, X]
    rotation, _ = torch.linalg.qr(
        torch.randn(channels, len(whiten), generator=generator, dtype=torch.float64)
    )
    filters = rotation @ whiten  # [C, X]
    weight, bias = tower.patches.weight, tower.patches.bias
    assert bias is not None
    weight.copy_(filters.reshape(weight.shape))
    bias.copy_(-(filters @ mean))
