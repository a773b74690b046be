"""Inputs of language-image models: images and texts of several kinds, checked and converted.

An encoder reads its inputs itself. Functions around it pass them on unread, so that images are
converted once and texts are checked once.

Axes: ``M`` images of ``H`` x ``W`` pixels, ``K`` texts.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from langrl.errors import NonFiniteError, ShapeError
from langrl.protocols import check_instruction

_IMAGE_MODES = ("RGB", "RGBA", "L", "P", "1")  # others hold more than 8 bits, or other colours


def read_images(images: Any) -> Tensor:
    """Return images as one uint8 tensor [M, H, W, 3].

    Args:
        images: an array or tensor [M, H, W, 3] or [H, W, 3], of uint8 or of floats in [0, 1];
            a PIL image; or a list of PIL images and arrays [H, W, 3] of one size.

    Raises:
        ShapeError: for any other shape, dtype or kind of image.
        NonFiniteError: if a float is NaN or infinite.
    """
    if isinstance(images, (list, tuple)):
        return _stack([_read_one(image) for image in images])
    read = _read_one(images)
    return read.unsqueeze(0) if read.ndim == 3 else read


def as_batch(images: Any) -> Any:
    """Return images, as ``read_images`` takes them, in a form with a length; they are not read."""
    many = isinstance(images, (list, tuple)) or getattr(images, "ndim", 0) == 4
    return images if many else [images]


def _read_one(image: Any) -> Tensor:
    from PIL import Image

    if isinstance(image, Image.Image):
        if image.mode not in _IMAGE_MODES:
            raise ShapeError(f"an image of mode {image.mode}; give it as 8-bit RGB")
        image = np.array(image.convert("RGB"))
    if isinstance(image, np.ndarray):
        _check_image(list(image.shape), str(image.dtype))
        # A copy: torch takes neither read-only arrays nor negative strides.
        image = torch.from_numpy(image.copy())
    if not isinstance(image, Tensor):
        raise ShapeError(
            f"an image is an array, a tensor or a PIL image, got {type(image).__name__};"
            " open files yourself, as with PIL.Image.open"
        )
    _check_image(list(image.shape), str(image.dtype).removeprefix("torch."))
    return image if image.dtype == torch.uint8 else _to_bytes(image.detach())


def _check_image(shape: list[int], dtype: str) -> None:
    if len(shape) not in (3, 4) or shape[-1] != 3:
        raise ShapeError(
            f"images must be [M, H, W, 3] or [H, W, 3], got {shape}; give red, green and blue"
            " on the last axis"
        )
    if dtype != "uint8" and not dtype.startswith(("float", "bfloat")):
        raise ShapeError(f"images must be uint8, or floats in [0, 1], got {dtype}; convert them")


def _to_bytes(image: Tensor) -> Tensor:
    if not image.isfinite().all():
        raise NonFiniteError("an image holds NaN or infinity; repair what draws it")
    if image.numel() and (image.amin() < 0 or image.amax() > 1):
        low, high = image.amin().item(), image.amax().item()
        raise ShapeError(
            f"float images must lie in [0, 1], got {low:.4g} to {high:.4g}; divide by 255,"
            " or give uint8"
        )
    return (image.float() * 255).round().to(torch.uint8)


def _stack(images: list[Tensor]) -> Tensor:
    if not images:
        raise ShapeError("the list of images is empty; give at least one")
    for number, image in enumerate(images):
        if image.ndim != 3 or image.shape != images[0].shape:
            raise ShapeError(
                f"image {number} is {list(image.shape)} and image 0"
                f" {list(images[0].shape)}; give a list of [H, W, 3] of one size"
            )
    return torch.stack(images)


def read_texts(texts: str | Sequence[str]) -> list[str]:
    """Return texts as a list; InstructionError if one of them cannot be an instruction."""
    return [check_instruction(text) for text in as_list(texts)]


def as_list(texts: str | Sequence[str]) -> list[str]:
    """Return the texts as a list, one for a single text; they are not checked."""
    return [texts] if isinstance(texts, str) else list(texts)
