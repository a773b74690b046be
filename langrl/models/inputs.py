"""What language-image models take: pictures and texts of several kinds, checked and brought to one.

Axes: ``M`` pictures of ``H`` x ``W`` pixels, ``K`` texts.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from langrl.errors import NonFiniteError, ShapeError
from langrl.protocols import check_instruction

_PICTURE_MODES = ("RGB", "RGBA", "L", "P", "1")  # others hold more than 8 bits, or other colours


def read_pictures(pictures: Any) -> Tensor:
    """Return pictures as one uint8 tensor [M, H, W, 3].

    Args:
        pictures: an array or tensor [M, H, W, 3] or [H, W, 3], of uint8 or of floats in [0, 1];
            a PIL image; or a list of PIL images and arrays [H, W, 3] of one size.

    Raises:
        ShapeError: for any other shape, dtype or kind of picture.
        NonFiniteError: if a float is NaN or infinite.
    """
    if isinstance(pictures, (list, tuple)):
        return _stack([_read_one(picture) for picture in pictures])
    read = _read_one(pictures)
    return read.unsqueeze(0) if read.ndim == 3 else read


def _read_one(picture: Any) -> Tensor:
    from PIL import Image

    if isinstance(picture, Image.Image):
        if picture.mode not in _PICTURE_MODES:
            raise ShapeError(f"a picture of mode {picture.mode}; give it as 8-bit RGB")
        picture = np.array(picture.convert("RGB"))
    if isinstance(picture, np.ndarray):
        _check_picture(list(picture.shape), str(picture.dtype))
        # A copy: torch takes neither read-only arrays nor negative strides.
        picture = torch.from_numpy(picture.copy())
    if not isinstance(picture, Tensor):
        raise ShapeError(
            f"a picture is an array, a tensor or a PIL image, got {type(picture).__name__};"
            " open files yourself, as with PIL.Image.open"
        )
    _check_picture(list(picture.shape), str(picture.dtype).removeprefix("torch."))
    return picture if picture.dtype == torch.uint8 else _to_bytes(picture.detach())


def _check_picture(shape: list[int], dtype: str) -> None:
    if len(shape) not in (3, 4) or shape[-1] != 3:
        raise ShapeError(
            f"pictures must be [M, H, W, 3] or [H, W, 3], got {shape}; give red, green and blue"
            " on the last axis"
        )
    if dtype != "uint8" and not dtype.startswith(("float", "bfloat")):
        raise ShapeError(f"pictures must be uint8, or floats in [0, 1], got {dtype}; convert them")


def _to_bytes(picture: Tensor) -> Tensor:
    if not picture.isfinite().all():
        raise NonFiniteError("a picture holds NaN or infinity; repair what draws it")
    if picture.numel() and (picture.amin() < 0 or picture.amax() > 1):
        low, high = picture.amin().item(), picture.amax().item()
        raise ShapeError(
            f"float pictures must lie in [0, 1], got {low:.4g} to {high:.4g}; divide by 255,"
            " or give uint8"
        )
    return (picture.float() * 255).round().to(torch.uint8)


def _stack(pictures: list[Tensor]) -> Tensor:
    if not pictures:
        raise ShapeError("the list of pictures is empty; give at least one")
    for number, picture in enumerate(pictures):
        if picture.ndim != 3 or picture.shape != pictures[0].shape:
            raise ShapeError(
                f"picture {number} is {list(picture.shape)} and picture 0"
                f" {list(pictures[0].shape)}; give a list of [H, W, 3] of one size"
            )
    return torch.stack(pictures)


def read_texts(texts: str | Sequence[str]) -> list[str]:
    """Return the texts as a list, one for a single text.

    Raises:
        InstructionError: if one of them cannot be an instruction.
    """
    return [check_instruction(text) for text in ([texts] if isinstance(texts, str) else texts)]
