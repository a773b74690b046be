"""Tensors and arrays [N, ...] that hold one row for all N episodes: a view, and no copies.

Axes: ``N`` episodes, ``n`` some of them.
"""

from typing import Any

from torch import Tensor

from langrl.protocols import Array, Integers


def is_one_for_all(value: Any) -> bool:
    """Whether a tensor or array [N, ...] holds one row for all episodes."""
    strides = value.stride() if isinstance(value, Tensor) else value.strides
    return len(value) > 1 and strides[0] == 0


def chosen(value: Any, rows: Integers) -> Any:
    """Return some rows of a tensor or array [N, ...]."""
    return value[: len(rows)] if is_one_for_all(value) else value[rows]


def writable(goals: Array) -> Array:
    """Return an array that torch takes without a warning."""
    return goals if goals.flags.writeable else goals.copy()


def has_only(value: Any, row: Any) -> bool:
    """Whether each row of a tensor or array [n, ...] is ``row`` [1, ...]."""
    return bool(((value[:1] if is_one_for_all(value) else value) == row).all())
