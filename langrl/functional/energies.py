"""Energies: how well two embeddings fit, for all pairs.

Axes: ``N`` left embeddings, ``M`` right embeddings, ``D`` embedding size; leading axes broadcast.
Each energy maps ``[..., N, D] x [..., M, D] -> [..., N, M]`` as matrix products, so memory
grows with N * M and never with N * M * D.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from langrl.errors import ShapeError, lookup
from langrl.functional.checks import check_dtypes, takes_tensors

Energy = Callable[[Tensor, Tensor], Tensor]


def _check(left: Tensor, right: Tensor) -> None:
    if left.ndim < 2 or right.ndim < 2 or left.shape[-1] != right.shape[-1]:
        raise ShapeError(
            f"an energy needs left [..., N, D] and right [..., M, D], got {list(left.shape)} and"
            f" {list(right.shape)}; give both encoders the same embedding size"
        )
    check_dtypes("an energy", left=left, right=right)


@takes_tensors()
def dot(left: Tensor, right: Tensor) -> Tensor:
    """Inner product of every pair of embeddings [..., N, D] and [..., M, D]; returns [..., N, M].

    Raises ShapeError if the embedding sizes or dtypes differ, or one is no tensor of floats.
    """
    _check(left, right)
    return left @ right.mT


@takes_tensors()
def cosine(left: Tensor, right: Tensor) -> Tensor:
    """Cosine similarity of every pair, in [-1, 1]; each embedding has its own norm.

    Args, returns and errors: as ``dot``.
    """
    _check(left, right)
    return functional.normalize(left, dim=-1) @ functional.normalize(right, dim=-1).mT


@takes_tensors()
def neg_l2(left: Tensor, right: Tensor) -> Tensor:
    """Negative Euclidean distance of every pair; its gradient at distance 0 is 0.

    In float32, distances far below the norms of the embeddings are exact to about 1e-3 only: they
    come from a matrix product.

    Args, returns and errors: as ``dot``.
    """
    _check(left, right)
    return -torch.cdist(left, right)


@takes_tensors()
def neg_half_sq_l2(left: Tensor, right: Tensor) -> Tensor:
    """Minus half the squared Euclidean distance of every pair: a Gaussian's log density.

    Args, returns and errors: as ``dot``.
    """
    _check(left, right)
    left_half = left.square().sum(-1, keepdim=True).mul(-0.5)  # [..., N, 1]
    right_half = right.square().sum(-1, keepdim=True).mul(-0.5).mT  # [..., 1, M]
    values = (left @ right.mT + left_half).add_(right_half)
    # Rounding may leave a tiny positive number where the embeddings are equal. As ``clamp``, which
    # is slow on the way back.
    return functional.hardtanh_(values, -torch.inf, 0.0)


ENERGIES: dict[str, Energy] = {
    "dot": dot,
    "cosine": cosine,
    "neg_l2": neg_l2,
    "neg_half_sq_l2": neg_half_sq_l2,
}
"""The energies by name; functions that take an energy take its name as well."""


def energy_of(energy: Energy | str) -> Energy:
    """Return an energy that is given as a function or by its name in ``ENERGIES``.

    Raises UnknownNameError for any other name.
    """
    return energy if callable(energy) else lookup(ENERGIES, str(energy), "energy")
