"""Logistic regression by Newton's method, with Platt's targets.

Axes: ``N`` examples, ``F`` numbers of each.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from langrl.errors import DomainError


def fit_logistic(logits: Tensor, matches: Tensor) -> tuple[float, float]:
    """Return slope and offset of P(match) = sigmoid(slope * logit + offset), by Newton's method.

    Logits are floats [N], matches bool [N]. Targets are Platt's, slightly inside 0 and 1, so that
    separable pairs have a finite slope.

    Raises:
        DomainError: if one class is missing, a logit is not finite, or the slope is not above 0.
    Source: Platt 1999; Lin, Lin & Weng 2007, Machine Learning 68:267-276.
    """
    hits, count = int(matches.sum()), matches.numel()
    if not 0 < hits < count or not logits.isfinite().all():
        raise DomainError(
            f"calibration needs finite logits of matches and of mismatches, got {hits} matches"
            f" among {count} pairs; hold out more pairs"
        )
    x = logits.double()
    design = torch.stack([x, torch.ones_like(x)], 1)  # [N, 2]
    slope, offset = newton(design, platt_targets(matches)).tolist()
    if not (0 < slope < math.inf and math.isfinite(offset)):
        raise DomainError(
            f"matches do not score above mismatches (slope {slope:.3g}); train the model first"
        )
    return slope, offset


def platt_targets(matches: Tensor) -> Tensor:
    """Return what is to be predicted for matches bool [N]: doubles, slightly inside 0 and 1."""
    hits, count = int(matches.sum()), matches.numel()
    target = torch.where(matches, (hits + 1) / (hits + 2), 1 / (count - hits + 2))
    return target.double()


def newton(design: Tensor, target: Tensor, ridge: float = 0.0) -> Tensor:
    """Return the weights of a logistic regression, from slopes of 0 and the base rate.

    Args:
        design: doubles [N, F]; the last column is 1, of which the weight is not penalised.
        target: probabilities [N], inside 0 and 1.
        ridge: half of it times the squared slopes is added to the mean loss.
    """
    penalty = design.new_full((design.shape[1],), ridge)
    penalty[-1] = 0.0

    def loss(weights: Tensor) -> Tensor:
        missed = functional.binary_cross_entropy_with_logits(design @ weights, target)
        return missed + (penalty * weights.square()).sum() / 2

    weights = design.new_zeros(design.shape[1])
    weights[-1] = target.mean().logit()
    for _ in range(100):
        p = (design @ weights).sigmoid()
        gradient = design.T @ (p - target) / len(p) + penalty * weights
        curvature = (design * (p * (1 - p)).unsqueeze(1)).T @ design / len(p)
        curvature.diagonal().add_(1e-12 * curvature.trace() + penalty)  # may all be equal
        step = torch.linalg.solve(curvature, gradient)
        if gradient @ step < 1e-18:
            break
        size = 1.0
        while size > 1e-6 and loss(weights - size * step) > loss(weights):
            size /= 2  # far from the optimum, a whole step may overshoot
        weights = weights - size * step
    return weights
