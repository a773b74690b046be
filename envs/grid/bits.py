"""Masks of cells as bits, for what spreads from cell to cell: a line of a room is one number.

Axes: ``N`` masks, ``H`` rows, ``W`` columns.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from langrl.errors import LayoutError
from langrl.protocols import Mask

Bits = NDArray[Any]  # [H, N], unsigned; a column is a bit, the first one the highest
_WIDTHS = (16, 32, 64)
_STRIDES = 4  # steps between looks whether anything was added


def pack(masks: Mask) -> Bits:
    """Return masks [N, H, W] as bits [H, N]; raises LayoutError for more than 64 columns."""
    count, height, width = masks.shape
    size = next((size for size in _WIDTHS if width <= size), None)
    if size is None:
        raise LayoutError(f"a room has {width} columns; use at most {_WIDTHS[-1]}")
    lines = np.zeros((height, count, size), bool)
    lines[..., :width] = masks.transpose(1, 0, 2)
    octets = np.packbits(lines)  # all in one go: line by line it takes ten times as long
    return octets.view(f">u{size // 8}").astype(f"u{size // 8}").reshape(height, count)


def unpack(bits: Bits, width: int) -> Mask:
    """Return bits [H, N] as masks [N, H, W]."""
    lines = np.ascontiguousarray(bits.T, f">u{bits.itemsize}")
    octets = lines.view(np.uint8).reshape(*lines.shape, bits.itemsize)
    return np.unpackbits(octets, axis=2, count=width).view(bool)


def spread(bits: Bits) -> Bits:
    """Return the cells that are in bits [H, N], or share an edge with one that is."""
    grown = bits << 1
    grown |= bits >> 1
    grown |= bits
    grown[1:] |= bits[:-1]
    grown[:-1] |= bits[1:]
    return grown


def flood(bits: Bits, seed: Bits) -> Bits:
    """Return the cells of bits [H, N] that hang together with those of ``seed``, some of them."""
    result, going = seed.copy(), np.arange(bits.shape[1])
    reached = seed
    while len(going):
        grown = reached
        for _ in range(_STRIDES):
            grown = spread(grown)
            grown &= bits
        more = np.flatnonzero((grown != reached).any(0))
        if 2 * len(more) < len(going):  # few masks take long, and only they go on
            result[:, going] = grown
            going, bits, grown = going[more], bits.take(more, 1), grown.take(more, 1)
        reached = grown
    return result


def one_of(bits: Bits, width: int) -> Bits:
    """Return a cell of each mask as bits [H, N], none where there is none.

    It is one near the middle, from where a flood is at all ends soonest.
    """
    height, full = len(bits), np.iinfo(bits.dtype).max
    lines = (np.arange(height) + height // 2) % height
    line = lines[(bits[lines] != 0).argmax(0)]
    each = np.arange(bits.shape[1])
    whole = bits[line, each]
    left = whole & bits.dtype.type(full ^ (full >> (width // 2)))
    left = np.where(left, left, whole)
    found = np.zeros_like(bits)
    found[line, each] = left & (~left + bits.dtype.type(1))  # the lowest
    return found
