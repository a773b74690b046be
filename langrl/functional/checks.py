"""Checks of the estimators' arguments: each error names the argument and the fix."""

from collections.abc import Sequence

import torch
from torch import Tensor

from langrl.errors import DomainError, NonFiniteError, ShapeError


def check_finite(function: str, name: str, value: Tensor) -> None:
    """Raise NonFiniteError if there is NaN or an infinity."""
    if not value.isfinite().all():
        raise NonFiniteError(f"{function} got NaN or an infinity in {name}; mask it or fix it")


def check_embeddings(function: str, name: str, value: Tensor) -> None:
    """Raise ShapeError unless it is [..., rows, D] of floats with at least one row."""
    if value.ndim < 2 or not value.numel() or not value.is_floating_point():
        raise ShapeError(
            f"{function} needs {name} [..., rows, D] of floats, got {list(value.shape)} of"
            f" {value.dtype}; give one embedding a row, and at least one row"
        )


def check_batches(function: str, **axes: Sequence[int]) -> None:
    """Raise ShapeError unless the leading axes of the arguments broadcast."""
    try:
        torch.broadcast_shapes(*axes.values())
    except RuntimeError:
        shapes = ", ".join(f"{name} {list(shape)}" for name, shape in axes.items())
        raise ShapeError(
            f"{function} needs leading axes that broadcast, got {shapes}; give all the same batches"
        ) from None


def check_log_weights(function: str, value: Tensor, candidates: int) -> None:
    """Raise unless there is one log weight per candidate and some candidate is possible."""
    if value.shape[-1:] != (candidates,) or not value.numel():
        raise ShapeError(
            f"{function} needs log_weights [..., {candidates}], got {list(value.shape)};"
            " give one weight per candidate"
        )
    top = value.amax(-1)
    if top.isnan().any() or (top == torch.inf).any():
        raise NonFiniteError(
            f"{function} got NaN or +inf in log_weights; log p(g) - log q(g) needs q(g) > 0"
        )
    if (top == -torch.inf).any():
        raise NonFiniteError(
            f"{function} got log_weights of -inf only, which rules every candidate out; draw"
            " candidates that are possible under p(g)"
        )


def scale(function: str, name: str, value: float | Tensor, like: Tensor) -> Tensor:
    """Return an inverse temperature as a scalar tensor on the device of ``like``.

    Raises ShapeError unless it is one number, NonFiniteError if not finite, DomainError below 0.
    """
    given = value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64)
    if given.numel() != 1:
        raise ShapeError(
            f"{function} needs {name}, one number, got {list(given.shape)}; scale the embeddings"
            " for one temperature each"
        )
    check_finite(function, name, given)
    if given < 0:
        raise DomainError(
            f"{function} needs {name} >= 0, got {given.item():.3g}; pass exp(log_scale) where it"
            " is learned"
        )
    return given.reshape(()).to(like.device)
