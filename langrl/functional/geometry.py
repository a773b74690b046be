"""Where the embeddings of two modalities lie: the gap between them, their cones, how they spread.

A contrastive model compares directions only, so every function here works on unit vectors:
its inputs are normalised first, in float64. Row i of ``x`` and row i of ``y`` are a pair.

Axes: ``n`` pairs (or embeddings of one modality), ``D`` embedding size.

Every function raises ``ShapeError`` for what is not [n, D] of floats or where the modalities do
not fit together, ``NonFiniteError`` for NaN and infinities, and ``DomainError`` for embeddings
without a direction and for what cannot be measured on so few of them.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from langrl.errors import DomainError, ShapeError
from langrl.functional import checks as arguments

_ROWS = 1024  # compared with all others at once
_BINS = 20_000  # of the histogram that quantiles are read from: exact to 1e-4
_EQUAL = 1e-9  # largest distance from the mean, below which all embeddings are one


def unit(function: str, name: str, x: Tensor, *, least: int = 2) -> Tensor:
    """Return embeddings [n, D], ``least`` or more, as unit vectors in float64.

    Messages name the function and its argument; errors as the module says.
    """
    if x.ndim != 2 or not x.numel() or not x.is_floating_point():
        raise ShapeError(
            f"{function} needs {name} [n, D] of floats, got {list(x.shape)} of {x.dtype};"
            " give one embedding a row"
        )
    if len(x) < least:
        raise DomainError(
            f"{function} needs {least} or more embeddings in {name}, got {len(x)}; embed more pairs"
        )
    arguments.check_finite(function, name, x)
    wide = x.double()
    largest = wide.abs().amax(1, keepdim=True)  # [n, 1]
    if not largest.all():
        row = int((largest == 0).nonzero()[0, 0])
        raise DomainError(
            f"{function} got a zero embedding in {name}, row {row}, which has no direction; leave"
            " it out, or repair the encoder"
        )
    # Scaled by the largest number first: squares of 1e200 overflow, of 1e-200 vanish.
    return functional.normalize(wide / largest, dim=1)


def unit_pairs(function: str, x: Tensor, y: Tensor, *, least: int = 2) -> tuple[Tensor, Tensor]:
    """Return both sides of pairs [n, D] as unit vectors in float64; errors as the module says."""
    left, right = unit(function, "x", x, least=least), unit(function, "y", y, least=least)
    if len(left) != len(right):
        raise ShapeError(
            f"{function} needs as many x as y, got {len(left)} and {len(right)}; row i of both has"
            " to be one pair"
        )
    if left.shape[1] != right.shape[1]:
        raise ShapeError(
            f"{function} needs x and y of one size, got {left.shape[1]} and {right.shape[1]};"
            " give embeddings of one space, which compares the two modalities"
        )
    return left, right


def require_varied(function: str, name: str, points: Tensor) -> None:
    """Raise DomainError if all unit vectors [n, D] are one and the same."""
    if (points - points.mean(0)).abs().amax() < _EQUAL:
        raise DomainError(
            f"{function} got {len(points)} embeddings in {name} that are all the same; the encoder"
            " is constant: check its inputs, or train it"
        )


# -- the gap ---------------------------------------------------------------------------------


@arguments.takes_tensors()
def modality_gap(x: Tensor, y: Tensor) -> Tensor:
    """Return mean(x) - mean(y) of unit embeddings [D]; its norm lies in [0, 2].

    Source: Liang et al. 2022, arXiv:2203.02053, section 4.1.
    """
    left, right = unit_pairs("modality_gap", x, y, least=1)
    return left.mean(0) - right.mean(0)


@arguments.takes_tensors()
def gap_noise(x: Tensor, y: Tensor) -> float:
    """Return how long a gap to expect of n pairs by chance where the modalities have one mean.

    The root mean square length of the standard error of mean(x - y), in the unit of the gap.
    """
    left, right = unit_pairs("gap_noise", x, y)
    spread = (left - right).var(0, unbiased=True).sum()  # over pairs, which are independent
    return float((spread / len(left)).sqrt())


@arguments.takes_tensors()
def separability(x: Tensor, y: Tensor) -> float:
    """Return how often the projection on the gap gives the modality of an embedding.

    The gap and the threshold, halfway between both means, come from the even pairs for the odd
    ones and the other way round: measured on the pairs that gave them, the result would be too
    high. 0.5 is chance, 1 is separable by a plane. n is at least 4.
    """
    left, right = unit_pairs("separability", x, y, least=4)
    correct = 0.0
    for start in (0, 1):
        a, b = left[start::2].mean(0), right[start::2].mean(0)
        direction, middle = a - b, (a + b) / 2
        held = slice(1 - start, None, 2)
        sides = torch.cat([(left[held] - middle) @ direction, (middle - right[held]) @ direction])
        correct += float((sides > 0).sum() + 0.5 * (sides == 0).sum())
    return correct / (2 * len(left))


# -- cones -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cone:
    """Cosines between different embeddings of one modality, each in [-1, 1].

    Attributes:
        mean: 0 where directions are spread evenly, 1 where all are one.
        std: standard deviation.
        minimum: of the two that are furthest apart.
        low, median, high: 5 %, 50 % and 95 % quantiles, exact to 1e-4.
    """

    mean: float
    std: float
    minimum: float
    low: float
    median: float
    high: float


@arguments.takes_tensors()
def cone(x: Tensor) -> Cone:
    """Measure how narrow the cone is that embeddings [n, D] of one modality lie in.

    Mean and deviation come from sums over embeddings, without a matrix of cosines; the rest in
    pieces of it. Source: Liang et al. 2022, arXiv:2203.02053, section 3.
    """
    points = unit("cone", "x", x)
    n = len(points)
    counts, minimum = _count_cosines(points, points, _BINS)
    mean = ((points.sum(0).square().sum() - n) / (n * (n - 1))).clamp(-1, 1)
    # sum of squared cosines = |X'X|^2, of which n are those of an embedding with itself
    square = ((points.mT @ points).square().sum() - n) / (n * (n - 1))
    reached = counts.cumsum(0) / counts.sum()
    low, median, high = (
        float(torch.searchsorted(reached, reached.new_tensor(share)) + 0.5) * 2 / _BINS - 1
        for share in (0.05, 0.5, 0.95)
    )
    deviation = (square - mean.square()).clamp(min=0).sqrt()
    return Cone(float(mean), float(deviation), minimum, low, median, high)


@arguments.takes_tensors()
def cosine_histogram(x: Tensor, y: Tensor | None = None, *, bins: int = 100) -> Tensor:
    """Return the share of cosines in each of equal bins of [-1, 1], float64 [bins], summing to 1.

    Args:
        x: embeddings [n, D]; on their own, every one is compared with every other.
        y: embeddings [n, D] of the other modality; each x is compared with those that it is not
            paired with.
        bins: how many.
    """
    if bins < 1:
        raise DomainError(f"cosine_histogram needs 1 or more bins, got {bins}")
    if y is None:
        left = right = unit("cosine_histogram", "x", x)
    else:
        left, right = unit_pairs("cosine_histogram", x, y)
    counts, _ = _count_cosines(left, right, bins)
    return counts / counts.sum()


def _count_cosines(left: Tensor, right: Tensor, bins: int) -> tuple[Tensor, float]:
    """Count cosines of different rows by bin [bins], and find the least of them."""
    counts = torch.zeros(bins, dtype=torch.float64, device=left.device)
    minimum = 1.0
    for start in range(0, len(left), _ROWS):
        cosines = left[start : start + _ROWS] @ right.mT  # [rows, n]
        each = torch.arange(len(cosines), device=left.device)
        cosines[each, start + each] = 2.0  # of a row with itself, or with its pair: left out
        kept = cosines[cosines < 1.5].clamp(-1, 1)
        minimum = min(minimum, float(kept.amin()))
        places = ((kept + 1) * (bins / 2)).long().clamp(max=bins - 1)
        counts += places.bincount(minlength=bins)
    return counts, minimum


# -- spread ----------------------------------------------------------------------------------


@arguments.takes_tensors()
def alignment(x: Tensor, y: Tensor) -> float:
    """Return E|x - y|^2 over pairs of unit embeddings [n, D], in [0, 4]; lower is closer.

    Source: Wang & Isola 2020, arXiv:2005.10242, section 4.1.
    """
    left, right = unit_pairs("alignment", x, y, least=1)
    return float((left - right).square().sum(1).mean())


@arguments.takes_tensors()
def uniformity(x: Tensor, t: float = 2.0) -> float:
    """Return log E exp(-t |x - x'|^2) over different embeddings [n, D]; lower is more even.

    0 if all are one; about -2t for many dimensions and directions spread evenly. t is above 0.

    Source: Wang & Isola 2020, arXiv:2005.10242, section 4.1.
    """
    if not 0 < t < math.inf:
        raise DomainError(f"uniformity needs t above 0, got {t:g}; the paper uses 2")
    points = unit("uniformity", "x", x)
    n, parts = len(points), []
    for start in range(0, n, _ROWS):
        cosines = points[start : start + _ROWS] @ points.mT  # [rows, n]
        energies = (2 * t * (cosines - 1)).clamp(max=0)  # |x - x'|^2 = 2 - 2 cos
        each = torch.arange(len(cosines), device=points.device)
        energies[each, start + each] = -torch.inf
        parts.append(energies.flatten().logsumexp(0))
    return float(torch.stack(parts).logsumexp(0) - math.log(n * (n - 1)))


@arguments.takes_tensors()
def effective_rank(x: Tensor, *, centred: bool = True, bounded: bool = False) -> float:
    """Return how many directions embeddings [n, D] use: exp of the entropy of singular values.

    The singular values are those of the matrix of unit embeddings, divided by their sum. Between 1
    and min(n, D), or min(n - 1, D) if centred.

    Args:
        x: embeddings.
        centred: whether the mean is taken off first. Otherwise the cone's axis, shared by all,
            counts as a direction of its own, and in a narrow cone as the only one.
        bounded: accept fewer embeddings than dimensions. They cannot span the space, so the result
            is then a lower bound on the rank of their law.

    Raises:
        DomainError: also if n is not above D and ``bounded`` is not set, or all embeddings are one.
    Source: Roy & Vetterli 2007, "The effective rank", EUSIPCO, section 2.
    """
    points = unit("effective_rank", "x", x)
    n, size = points.shape
    if n <= size and not bounded:
        raise DomainError(
            f"effective_rank got {n} embeddings of {size} dimensions, which cannot span them; embed"
            f" more than {size} pairs, or pass bounded=True for a lower bound"
        )
    if centred:
        require_varied("effective_rank", "x", points)
        points = points - points.mean(0)
    values = torch.linalg.svdvals(points)  # [min(n, D)]
    shares = values / values.sum()
    return float(torch.special.entr(shares).sum().exp())
