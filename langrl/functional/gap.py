"""The gap between two modalities: the effect of closing it, the best temperature, and a toy.

Axes: ``n`` pairs, ``D`` embedding size; row i of ``x`` and row i of ``y`` are a pair. Losses are
symmetric InfoNCE over all n pairs, in nats; a scale is an inverse temperature. Errors are those of
``langrl.functional.geometry``.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from langrl.errors import DomainError, ShapeError
from langrl.functional import checks as arguments
from langrl.functional.geometry import unit_pairs
from langrl.functional.losses import symmetric_info_nce

AMOUNTS = (-1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0)
LOWEST_SCALE, HIGHEST_SCALE = 1e-3, 1e4
_HALVINGS = 60  # of the interval of log scales, which leaves 1e-17 of it
_CELLS = 150  # of the grids of heights
_MISPLACED = 5.4  # degrees between the near neighbours of the toy


@arguments.takes_tensors()
def shift(x: Tensor, y: Tensor, amount: float) -> tuple[Tensor, Tensor]:
    """Move both modalities towards each other, and put them back on the sphere.

    ``x - amount / 2 * gap`` and ``y + amount / 2 * gap``, normalised again: at 1 both clouds have
    one mean before they are normalised, at 0 nothing changes, below 0 the gap widens.

    Args:
        x, y: embeddings [n, D].
        amount: share of the gap that is closed.

    Returns:
        Unit embeddings [n, D] of both.

    Raises:
        DomainError: also if an embedding is moved to 0, where it has no direction.
    Source: Liang et al. 2022, arXiv:2203.02053, section 4.2.
    """
    if not math.isfinite(amount):
        raise DomainError(f"shift needs a finite amount, got {amount}; 1 closes the gap")
    left, right = unit_pairs("shift", x, y, least=1)
    step = (left.mean(0) - right.mean(0)) * (amount / 2)
    moved = left - step, right + step
    for name, points in zip("xy", moved, strict=True):
        if not (torch.linalg.vector_norm(points, dim=1) > 1e-9).all():
            raise DomainError(
                f"shift by {amount:g} moves an embedding of {name} to 0, where it has no direction;"
                " take another amount, or embed pairs that are not all the same"
            )
    return functional.normalize(moved[0], dim=1), functional.normalize(moved[1], dim=1)


@dataclass(frozen=True)
class Shifted:
    """Loss and retrieval of pairs that were moved towards each other.

    Attributes:
        amount: share of the gap that was closed.
        gap: length of the gap that is left.
        loss: symmetric InfoNCE in nats.
        recall_right: share of x for which the nearest of all y is right.
        recall_left: share of y for which the nearest of all x is right.
    """

    amount: float
    gap: float
    loss: float
    recall_right: float
    recall_left: float


@arguments.takes_tensors()
def shift_curve(
    x: Tensor,
    y: Tensor,
    scale: float,
    amounts: Sequence[float] = AMOUNTS,
    *,
    matches: Tensor | None = None,
) -> list[Shifted]:
    """Measure loss and retrieval after shifts by several amounts.

    Args:
        x, y: embeddings [n, D].
        scale: inverse temperature that cosines are multiplied with, as trained.
        amounts: as ``shift`` takes them.
        matches: which y is right for which x, bool [n, n], for retrieval; its own by default. The
            loss takes pairs as drawn, as InfoNCE does: other matches are among its negatives.
    """
    factor = arguments.scale("shift_curve", "scale", scale, x).double()
    left, right = unit_pairs("shift_curve", x, y)
    fits = _matches("shift_curve", matches, left)
    return [_shifted(left, right, factor, amount, fits) for amount in amounts]


def _shifted(x: Tensor, y: Tensor, scale: Tensor, amount: float, matches: Tensor) -> Shifted:
    left, right = shift(x, y, amount)
    cosines = left @ right.mT  # [n, n]
    loss, _ = symmetric_info_nce(scale * cosines)
    return Shifted(
        amount,
        float((left.mean(0) - right.mean(0)).norm()),
        float(loss),
        float(_hits(cosines, matches).mean()),
        float(_hits(cosines.mT, matches.mT).mean()),
    )


@arguments.takes_tensors()
def mixed_recall(x: Tensor, y: Tensor, *, matches: Tensor | None = None) -> float:
    """Return how often the nearest other embedding of *both* modalities is a partner, in [0, 1].

    Where there is a gap, all of an embedding's own modality is nearer than its partner. The mean
    over x and y [n, D]; chance is 1 / (2n - 1) where partners are pairs. ``matches`` as for
    ``shift_curve``.
    """
    left, right = unit_pairs("mixed_recall", x, y)
    fits = _matches("mixed_recall", matches, left)
    hits = []
    for own, other, right_for in ((left, right, fits), (right, left, fits.mT)):
        within = (own @ own.mT).fill_diagonal_(-torch.inf)  # not of an embedding with itself
        cosines = torch.cat([own @ other.mT, within], 1)  # [n, 2n]
        hits.append(_hits(cosines, torch.cat([right_for, torch.zeros_like(fits)], 1)).mean())
    return float(sum(hits)) / 2


def _matches(function: str, matches: Tensor | None, points: Tensor) -> Tensor:
    """Return which y is right for which x, bool [n, n]."""
    own = torch.eye(len(points), dtype=torch.bool, device=points.device)
    if matches is None:
        return own
    if matches.shape != own.shape or matches.dtype != torch.bool:
        raise ShapeError(
            f"{function} needs matches of torch.bool {list(own.shape)}, got {matches.dtype}"
            f" {list(matches.shape)}; say which y is right for which x"
        )
    return matches.to(points.device) | own


def _hits(cosines: Tensor, matches: Tensor) -> Tensor:
    """Return for each row the chance that its nearest is a match, ties broken at random."""
    # Rounded, so that equal embeddings tie whatever the order of their sums.
    ranked = cosines.round(decimals=12)
    first = ranked == ranked.amax(1, keepdim=True)
    return (first & matches).sum(1).double() / first.sum(1)


# -- temperature -----------------------------------------------------------------------------


@dataclass(frozen=True)
class BestScale:
    """The inverse temperature that fits given pairs best.

    Attributes:
        scale: where the loss is least.
        loss: symmetric InfoNCE there, in nats.
        at_bound: whether it is the lowest or the highest scale that was tried. At the lowest
            the cosines say nothing about pairs; at the highest every pair is ranked first, and any
            higher scale fits better.
    """

    scale: float
    loss: float
    at_bound: bool


@arguments.takes_tensors()
def best_scale(x: Tensor, y: Tensor) -> BestScale:
    """Find the scale at which the symmetric loss of pairs of embeddings [n, D] is least."""
    # The loss is convex in the scale, so bisection of its derivative finds the one minimum.
    left, right = unit_pairs("best_scale", x, y)
    cosines = left @ right.mT  # [n, n]

    def slope(log_scale: float) -> float:
        scaled = math.exp(log_scale) * cosines
        expected = (scaled.softmax(1) * cosines).sum() + (scaled.softmax(0) * cosines).sum()
        return float(expected / (2 * len(cosines)) - cosines.diagonal().mean())

    low, high = math.log(LOWEST_SCALE), math.log(HIGHEST_SCALE)
    bound = low if slope(low) >= 0 else high if slope(high) <= 0 else None
    for _ in range(_HALVINGS if bound is None else 0):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    scale = math.exp(low if bound is None else bound)
    loss, _ = symmetric_info_nce(scale * cosines)
    return BestScale(scale, float(loss), bound is not None)


# -- a toy -----------------------------------------------------------------------------------


@arguments.takes_tensors()
def mismatched_circles(height: Tensor, *, swapped: bool) -> tuple[Tensor, Tensor]:
    """Return nine pairs on two circles of the unit sphere, at ``height`` and at minus it.

    Eight are evenly spaced; the ninth is 5.4 degrees from the one at 270 degrees. If swapped,
    these two near neighbours have each other's partners: mismatched data.

    Args:
        height: scalar in [-1, 1]; the gap is twice that. Gradients flow.
        swapped: whether two pairs are mismatched.

    Returns:
        Unit embeddings [9, 3] of both modalities.
    Source: Liang et al. 2022, arXiv:2203.02053, section 4.3.
    """
    if not abs(float(height.detach())) <= 1:
        raise DomainError(
            f"mismatched_circles needs a height in [-1, 1], got {float(height.detach()):g};"
            " points of the unit sphere have no other"
        )
    degrees = torch.tensor([*range(0, 360, 45), 270 + _MISPLACED], dtype=torch.float64)
    angles = (degrees * math.pi / 180).to(height.device)  # [9]
    radius = (1 - height.double().square()).clamp(min=0).sqrt()
    flat = radius * torch.stack([angles.cos(), angles.sin()], 1)  # [9, 2]
    up = height.double().expand(len(angles), 1)
    order = [*range(9)]
    if swapped:
        order[6], order[8] = order[8], order[6]
    return torch.cat([flat, up], 1), torch.cat([flat, -up], 1)[order]


@arguments.takes_tensors()
def toy_loss(height: Tensor, temperature: float, *, swapped: bool) -> Tensor:
    """Return the symmetric InfoNCE of ``mismatched_circles`` in nats, with gradients.

    Raises DomainError if the height is outside [-1, 1], or the temperature is not above 0.
    """
    if not 0 < temperature < math.inf:
        raise DomainError(f"toy_loss needs a temperature above 0, got {temperature:g}")
    left, right = mismatched_circles(height, swapped=swapped)
    loss, _ = symmetric_info_nce(left @ right.mT / temperature)
    return loss


def toy_minimum(temperature: float, *, swapped: bool) -> float:
    """Return the height in [0, 1] where ``toy_loss`` is least, to 1e-4 or better."""
    # The loss may have several minima in the height: a coarse grid, then a fine one.
    heights = torch.linspace(0, 1, _CELLS + 1, dtype=torch.float64)
    for _ in range(2):
        losses = torch.stack([toy_loss(z, temperature, swapped=swapped) for z in heights])
        best = int(losses.argmin())
        low, high = heights[max(best - 1, 0)], heights[min(best + 1, len(heights) - 1)]
        minimum = float(heights[best])
        heights = torch.linspace(float(low), float(high), _CELLS + 1, dtype=torch.float64)
    return minimum
