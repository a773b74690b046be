"""Encoders of single observations: views of minigrid, and vectors.

Axes: ``V`` cells along a side of a view, ``S`` numbers of a vector, ``D`` of a code; dots are
leading axes.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from langrl.errors import ShapeError
from langrl.models.blocks import mlp

CODES = 12  # minigrid's numbers of types, colours and states are below it
_PLACE, _BAG = 16, 32  # numbers that describe a cell at its place, and wherever it is
_CELL = _PLACE + _BAG


class ViewEncoder(nn.Module):
    """Maps views of minigrid to codes: what is at each place, and what is there at any place.

    The shape (V, V, 3) of a view is of type, colour and state of each cell, numbers below 12.
    """

    def __init__(self, shape: tuple[int, ...], outputs: int, width: int, depth: int) -> None:
        super().__init__()
        self.shape = shape
        self.numbers = nn.Parameter(torch.randn(3, CODES, _CELL))  # of types, colours and states
        self.describe = nn.Linear(_CELL, _CELL)
        self.head = mlp(shape[0] * shape[1] * _PLACE + _BAG, width, depth, outputs)
        self.straight = nn.Linear(_BAG, outputs)

    def forward(self, views: Tensor) -> Tensor:
        """Map views [..., V, V, 3] to codes [..., D].

        Raises ShapeError for another shape or dtype, and for numbers that are not 0 to 11.
        """
        check_observations(views, self.shape)
        if views.is_floating_point() or views.is_complex():
            raise ShapeError(f"views hold whole numbers, got {views.dtype}; give them as uint8")
        low, high = (int(views.min()), int(views.max())) if views.numel() else (0, 0)
        if low < 0 or high >= CODES:
            raise ShapeError(
                f"a view holds {low} to {high}, and minigrid's types, colours and states are 0 to"
                f" {CODES - 1}; give views, not images"
            )
        kind, colour, state = views.long().unbind(-1)  # [..., V, V] each
        cells = functional.embedding((kind * CODES + colour) * CODES + state, self._table())
        places, bag = cells.split((_PLACE, _BAG), -1)  # [..., V, V, 16] and [..., V, V, 32]
        present = bag.flatten(-3, -2).amax(-2)  # [..., 32], the maximum over cells
        return self.head(torch.cat([places.flatten(-3), present], -1)) + self.straight(present)

    def _table(self) -> Tensor:
        """Return the description of every possible cell [CODES^3, 48]."""
        # A batch of views has more cells than there are different ones: a look-up is faster.
        kind, colour, state = self.numbers
        sums = kind[:, None, None] + colour[:, None] + state  # [CODES, CODES, CODES, 48]
        return functional.silu(self.describe(functional.silu(sums))).flatten(0, 2)


class VectorEncoder(nn.Module):
    """Maps vectors to codes; a linear map is added to the output of the hidden layers."""

    def __init__(self, shape: tuple[int, ...], outputs: int, width: int, depth: int) -> None:
        super().__init__()
        self.shape = shape
        self.head = mlp(shape[0], width, depth, outputs)
        self.straight = nn.Linear(shape[0], outputs)

    def forward(self, vectors: Tensor) -> Tensor:
        """Map floats [..., S] to codes [..., D]; raises ShapeError if S differs."""
        check_observations(vectors, self.shape)
        if not vectors.is_floating_point():
            raise ShapeError(
                f"vectors hold floats, got {vectors.dtype}; convert them with .float()"
            )
        return self.head(vectors) + self.straight(vectors)


def check_observations(observations: Tensor, shape: tuple[int, ...]) -> None:
    """Raise ShapeError unless observations are [..., *shape]."""
    if observations.shape[-len(shape) :] != shape:
        raise ShapeError(
            f"observations are [..., {', '.join(map(str, shape))}] here, got"
            f" {list(observations.shape)}; give those of the world that the model was made for"
        )
