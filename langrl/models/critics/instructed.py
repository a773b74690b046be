"""Instruction-conditioned networks: features of an observation, given a text.

Axes: ``B`` rows of a batch, ``C`` channels, ``H`` rows and ``W`` columns of images, ``V`` cells
along a side of a view, ``L`` words, ``T`` numbers of a text, ``F`` features.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from langrl.envs.grid.grammar import EMPTY, WALL
from langrl.envs.grid.rooms import DOOR
from langrl.errors import ShapeError
from langrl.words import PAD

CODES = 12  # minigrid's numbers of types and colours are below it
_CODE = 16  # numbers that describe a place
_SMALLEST = 12  # places along a side, down to which images are scaled by strides
_WORD = 32  # numbers in a word's embedding
_FEW = 4  # channels of grey, RGB and RGBA images at most


class Conditioned(nn.Module):
    """Scales and shifts F features by T numbers of a text.

    Source: Perez et al. 2018, arXiv:1709.07871.
    """

    def __init__(self, text: int, features: int) -> None:
        super().__init__()
        self.film = nn.Linear(text, 2 * features)

    def forward(self, x: Tensor, text: Tensor) -> Tensor:
        """Change x [B, F] or [B, P, F] by texts [B, T]."""
        scale, shift = self.film(text).chunk(2, -1)
        if x.ndim == 3:
            scale, shift = scale.unsqueeze(1), shift.unsqueeze(1)
        return x * (1 + scale) + shift


class ImageReader:
    """Converts images to one layout, and checks that images of codes hold codes.

    Args:
        shape: of an image as it comes, (C, H, W) or (H, W, C). Stable-Baselines3 moves the
            channels of some images first before a policy gets them.
        codes: how many values a channel takes, where images hold codes and not brightness.
        channels: how many channels there are, which says what axis they are on wherever it is
            moved; or "first" or "last", in ``shape``. If not given, they are on the one axis of
            at most four.

    Raises:
        ShapeError: if it is not certain which axis the channels are on.
    """

    def __init__(
        self,
        shape: Sequence[int],
        codes: int | None = None,
        channels: int | Literal["first", "last"] | None = None,
    ) -> None:
        self._axis, self.codes = _channel_axis(shape, channels), codes
        count, *sides = shape[self._axis], *shape[: self._axis], *shape[self._axis + 1 :]
        self.shape = (count, sides[0], sides[1])

    def __call__(self, images: Tensor) -> Tensor:
        """Return images [B, C, H, W]; ShapeError if they should hold codes and do not."""
        if self.codes is not None and len(images):
            if _is_divided(images):
                raise ShapeError(
                    "images of codes came in divided by 255; pass"
                    ' policy_kwargs={"normalize_images": False} to the algorithm'
                )
            check_values(images, 0, torch.inf, "observation", whole=True)
            if (highest := int(images.max())) >= self.codes:
                raise ShapeError(
                    f"an image holds {highest}, and codes are below {self.codes} here; pass more"
                    " codes, or none where images hold brightness"
                )
        return images if self._axis == 0 else images.movedim(self._axis + 1, 1)


def _channel_axis(shape: Sequence[int], channels: int | Literal["first", "last"] | None) -> int:
    """Return which axis of an image holds its channels; ShapeError if that is not certain."""
    if channels in ("first", "last"):
        return 0 if channels == "first" else 2
    if isinstance(channels, str) or channels == 0:
        raise ShapeError(f"channels is their number, 'first' or 'last', got {channels!r}")
    fits = [n <= _FEW if channels is None else n == channels for n in shape]
    if sum(fits) == 1 and (channels is not None or not fits[1]):
        return fits.index(True)
    given = "" if channels is None else f", given {channels} channels"
    raise ShapeError(
        f"images are {list(shape)}, and{given} it is not certain which axis the channels are on;"
        " give channels, their number, 'first' or 'last', in features_extractor_kwargs, or images"
        " of another size"
    )


def _is_divided(images: Tensor) -> bool:
    """Return whether images that should hold codes have fractions, all of them of 255."""
    if not images.is_floating_point() or not bool(images.frac().any()):
        return False
    shades = images * 255
    return bool(((shades - shades.round()).abs() < 1e-3).all())


def check_values(
    values: Tensor,
    low: float,
    high: float,
    name: str,
    *,
    whole: bool = False,
    free: Sequence[str] = (),
) -> None:
    """Raise ShapeError if what a policy gets is not what the environment's space holds.

    Args:
        values: a batch of a part of the observations.
        low: least number of its space; a hundredth of the range below it passes.
        high: largest number of its space, in the same way.
        name: of the part.
        whole: whether the numbers are whole ones.
        free: parts of the observations that may be normalised.
    """
    if not values.numel():
        return
    slack = 0.0 if whole or high == torch.inf else 0.01 * (high - low)
    least, most = float(values.min()), float(values.max())
    fractions = whole and values.is_floating_point() and bool(values.frac().any())
    if low - slack <= least and most <= high + slack and not fractions:
        return
    kind = "whole numbers" if whole else "numbers"
    span = f"from {low:g}" if high == torch.inf else f"{low:g} to {high:g}"
    raise ShapeError(
        f"{name!r} is {kind} {span} and came in as {least:g} to {most:g}: where VecNormalize does"
        f" that, leave it out by VecNormalize(env, norm_obs_keys={list(free)}); or else fix the"
        " environment's space"
    )


class ImageBody(nn.Module):
    """Features of an image, conditioned on a text: of each place, and then of all of them.

    Images of shape (C, H, W) with more than 12 places a side are scaled down by convolutions of
    stride 2 first. ``codes`` is as for ``ImageReader``.
    """

    def __init__(
        self, shape: tuple[int, int, int], text: int, features: int, codes: int | None = None
    ) -> None:
        super().__init__()
        self.codes = codes
        channels, height, width = shape
        layers: list[nn.Module] = []
        size = channels * (codes or 1)
        while max(height, width) > _SMALLEST:
            layers += [nn.Conv2d(size, 2 * _CODE, 3, 2, padding=1), nn.SiLU()]
            size, height, width = 2 * _CODE, -(-height // 2), -(-width // 2)
        self.scale = nn.Sequential(*layers)
        self.describe = nn.Linear(size, _CODE)
        self.condition = Conditioned(text, _CODE)
        self.read = nn.Linear(_CODE, _CODE)
        self.head = nn.Linear(height * width * _CODE, features)

    def forward(self, images: Tensor, text: Tensor) -> Tensor:
        """Map images [B, C, H, W] and texts [B, T] to features [B, F]."""
        if self.codes:
            coded = functional.one_hot(images.long().clamp(0, self.codes - 1), self.codes)
            images = coded.permute(0, 1, 4, 2, 3).flatten(1, 2).float()  # [B, C * codes, H, W]
        places = self.scale(images).flatten(2).mT  # [B, P, size]
        x = functional.silu(self.condition(self.describe(places), text))
        x = functional.silu(self.read(x))  # [B, P, 16]
        return functional.silu(self.head(x.flatten(1)))


class VectorBody(nn.Module):
    """F features of a vector of S numbers, conditioned on T numbers of a text."""

    def __init__(self, size: int, text: int, features: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(size, features), nn.Linear(features, features)
        self.condition = Conditioned(text, features)

    def forward(self, vectors: Tensor, text: Tensor) -> Tensor:
        """Map vectors [B, S] and texts [B, T] to features [B, F]."""
        x = functional.silu(self.condition(self.first(vectors), text))
        return functional.silu(self.second(x))


class EmbeddedTextBody(nn.Module):
    """Numbers that describe a text, from its embedding."""

    def __init__(self, size: int, text: int) -> None:
        super().__init__()
        # Text encoders differ in the norm of their embeddings, so it is normalised.
        self.net = nn.Sequential(nn.LayerNorm(size), nn.Linear(size, text), nn.SiLU())

    def forward(self, embeddings: Tensor) -> Tensor:
        """Map embeddings [B, D] to [B, T]."""
        return self.net(embeddings)


class TokenisedTextBody(nn.Module):
    """Numbers that describe a text, from numbers of words, padded with 0 at the end."""

    def __init__(self, words: int, text: int) -> None:
        super().__init__()
        self.words = nn.Embedding(words, _WORD, padding_idx=PAD)
        # One direction only: read backwards, a text would start with its padding.
        self.read = nn.GRU(_WORD, text, batch_first=True)
        self.head = nn.Linear(text, text)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map numbers of words [B, L] to [B, T]."""
        numbers = tokens.long()
        read, _ = self.read(self.words(numbers))  # [B, L, T]
        last = (numbers != PAD).sum(1).clamp(min=1) - 1  # [B]
        return functional.silu(self.head(read[torch.arange(len(read)), last]))


def view_side(height: int, width: int) -> int:
    """Return V, the cells along a side of the view of a room of some size, walls included.

    All of the room inside its walls is seen from anywhere. Raises ShapeError if nothing is there.
    """
    if min(height, width) < 3:
        raise ShapeError(f"a room is at least 3 x 3, walls included, got {height} x {width}")
    return 2 * max(height, width) - 5


def agent_view(images: Tensor) -> Tensor:
    """Return rooms as the agent sees them: it is in the middle and looks up.

    Args:
        images: observations of grid worlds [B, 3, H, W].

    Returns:
        Type and colour of the cells around the agent [B, 2, V, V], V by ``view_side``. What is
        outside is wall.

    Raises:
        ShapeError: if images are of another shape, or show no agent.
    """
    if images.ndim != 4 or images.shape[1] != 3:
        raise ShapeError(f"agent_view needs images [B, 3, H, W], got {list(images.shape)}")
    height, width = images.shape[2:]
    reach = view_side(height, width) // 2
    turn, cell = images[:, 2].flatten(1).max(1)
    turn = turn.long() - 1
    if bool(((turn < 0) | (turn > 3)).any()):
        raise ShapeError(
            "an image shows the agent in one cell, as direction + 1 in its third channel, not"
            " divided by 255; give observations of a grid world"
        )
    row, column = cell // width, cell % width
    steps = torch.arange(-reach, reach + 1, device=images.device)
    up, right = (-steps)[:, None].expand(len(steps), -1), steps.expand(len(steps), -1)  # [V, V]
    # Ahead and to the right of each direction, as (row, column); 0 is east, then clockwise.
    ahead = torch.tensor([[0, 1], [1, 0], [0, -1], [-1, 0]], device=images.device)[turn]
    side = torch.tensor([[1, 0], [0, -1], [-1, 0], [0, 1]], device=images.device)[turn]
    at = [
        here[:, None, None] + ahead[:, axis, None, None] * up + side[:, axis, None, None] * right
        for axis, here in enumerate((row, column))
    ]  # [B, V, V] each
    inside = (at[0] >= 0) & (at[0] < height) & (at[1] >= 0) & (at[1] < width)
    index = (at[0].clamp(0, height - 1) * width + at[1].clamp(0, width - 1)).flatten(1)
    cells = images[:, :2].flatten(2).gather(2, index.unsqueeze(1).expand(-1, 2, -1))
    view = cells.unflatten(2, inside.shape[1:])  # [B, 2, V, V]
    outside = torch.tensor([WALL, 0], dtype=view.dtype, device=view.device)[:, None, None]
    return torch.where(inside.unsqueeze(1), view, outside)


def free_cells(view: Tensor) -> Tensor:
    """Return 1 where cells of a view [B, 2, V, V] can be stood on, 0 elsewhere [B, V, V]."""
    return ((view[:, 0] == EMPTY) | (view[:, 0] == DOOR)).float()


def pose_offset(here: Tensor, there: Tensor) -> Tensor:
    """Return where poses are for an agent.

    Args:
        here: the agent's goals, (row, column, direction, done said) [B, 4].
        there: the poses, in the same way [B, 4].

    Returns:
        Cells ahead and to the right, the turn to the pose's direction as one of four, and both
        flags [B, 8].
    """
    turn = here[:, 2].long()
    gap = there[:, :2] - here[:, :2]
    ahead = gap.new_tensor([[0, 1], [1, 0], [0, -1], [-1, 0]])[turn]
    side = gap.new_tensor([[1, 0], [0, -1], [-1, 0], [0, 1]])[turn]
    turned = functional.one_hot((there[:, 2].long() - turn) % 4, 4).to(gap)
    way = torch.stack([(gap * ahead).sum(1), (gap * side).sum(1)], 1)
    return torch.cat([way, turned, here[:, 3:], there[:, 3:]], 1)
