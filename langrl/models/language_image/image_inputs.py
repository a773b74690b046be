"""Inputs of language-image models: images and texts of several kinds, checked and converted.

An encoder reads its inputs itself. Functions around it pass them on unread, so that images are
converted once and texts are checked once.

Axes: ``M`` images of ``H`` x ``W`` pixels, ``K`` texts.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from langrl.errors import NonFiniteError, ShapeError
from langrl.protocols import as_texts, check_instruction

if TYPE_CHECKING:
    from PIL.Image import Image

# Of 8 bits, as their conversion to RGB expects; transparency is left out.
_IMAGE_MODES = ("RGB", "RGBA", "RGBX", "L", "LA", "P", "PA", "1", "CMYK", "YCbCr", "HSV")


def read_images(images: Any) -> Tensor:
    """Return images as one uint8 tensor [M, H, W, 3].

    Args:
        images: an array or tensor [M, H, W, 3] or [H, W, 3], of uint8 or of floats in [0, 1];
            a PIL image of 8 bits, or of 16 bits in grey; or a list of PIL images and arrays
            [H, W, 3] of one size.

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
        image = np.array(_as_rgb(image))
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


def _as_rgb(image: "Image") -> "Image":
    """Return a PIL image as 8-bit RGB; ShapeError names a mode whose range is not known."""
    from PIL import Image

    # Earlier versions of Pillow read a PNG of 16 bits as "I".
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
        scaled = np.asarray(image).astype(np.float32) / 257  # Pillow itself would clip at 255
        image = Image.fromarray(scaled.round().astype(np.uint8))
    if image.mode not in _IMAGE_MODES:
        raise ShapeError(
            f"an image of mode {image.mode}, whose range is not known; give it as 8-bit RGB"
        )
    return image.convert("RGB")


def frame_image(image: Any, size: int) -> NDArray[np.uint8]:
    """Return an image in a square of ``size`` pixels a side, uint8 [size, size, 3].

    It is resized with its proportions; black bars fill what is left, on both sides alike. A CLIP
    sees oblong images so, too.

    Args:
        image: a single one, as ``read_images`` takes it.
        size: pixels.

    Raises:
        ShapeError, NonFiniteError: as ``read_images``.
    """
    from PIL import Image

    is_read = isinstance(image, Image.Image)
    whole = _as_rgb(image) if is_read else Image.fromarray(read_images([image])[0].cpu().numpy())
    sides = [max(1, round(side * size / max(whole.size))) for side in whole.size]
    left, top = ((size - side) // 2 for side in sides)
    framed = Image.new("RGB", (size, size))
    framed.paste(whole.resize((sides[0], sides[1]), Image.Resampling.BICUBIC), (left, top))
    return np.array(framed)


def _check_image(shape: list[int], dtype: str) -> None:
    if len(shape) not in (3, 4) or shape[-1] != 3:
        raise ShapeError(
            f"images must be [M, H, W, 3] or [H, W, 3], got {shape}; give red, green and blue"
            " on the last axis"
        )
    if dtype != "uint8" and not dtype.startswith(("float", "bfloat")):
        raise ShapeError(
            f"images must be uint8, or floats in [0, 1], got {dtype}; divide them by"
            " the largest value that they may have"
        )


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
    return [check_instruction(text) for text in as_texts(texts)]
