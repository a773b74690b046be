"""A diagnosis of the embeddings of two modalities: measures on pairs, and findings in words.

Axes: ``n`` pairs, ``D`` and ``E`` embedding sizes of the two modalities.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from langrl.functional.gap import AMOUNTS, BestScale, Shifted, best_scale, mixed_recall, shift_curve
from langrl.functional.geometry import (
    Cone,
    alignment,
    cone,
    effective_rank,
    gap_noise,
    modality_gap,
    require_varied,
    separability,
    uniformity,
    unit,
    unit_pairs,
)

SMALL, LARGE = 0.01, 0.1  # nats of loss: what does not matter, and what does
COLUMNS = ("measure", "first", "second", "both")
Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class EmbeddedPairs:
    """Embeddings of pairs, and what is known of them.

    Args:
        x: embeddings [n, D] of one modality.
        y: embeddings [n, E] of the other; row i of both is a pair. Only of one size, E = D, can
            they be compared.
        names: of the modalities, in the plural.
        scale: inverse temperature of the model; None if it is not known.
        matches: which y fits which x, bool [n, n], where more than pairs do.
    """

    x: Tensor
    y: Tensor
    names: tuple[str, str]
    scale: float | None = None
    matches: Tensor | None = None

    @property
    def comparable(self) -> bool:
        """Whether both modalities have one embedding size."""
        return self.x.shape[1] == self.y.shape[1]


@dataclass(frozen=True)
class Modality:
    """What was measured of the embeddings of one modality alone."""

    name: str
    dimensions: int
    cone: Cone
    rank: float
    uniformity: float


def measure(name: str, points: Tensor) -> Modality:
    """Measure the embeddings [n, D] of one modality; errors as ``diagnose``."""
    vectors = unit("diagnose", name, points, least=4)
    require_varied("diagnose", name, vectors)
    # Bounded: the findings mention too few pairs.
    rank = effective_rank(vectors, bounded=True)
    return Modality(name, vectors.shape[1], cone(vectors), rank, uniformity(vectors))


@dataclass(frozen=True)
class Diagnosis:
    """What was measured; ``findings`` describes it in words."""

    names: tuple[str, str]
    pairs: int
    dimensions: int
    chance: float
    gap: float
    noise: float
    separable: float
    modalities: tuple[Modality, Modality]
    alignment: float
    mixed: float
    scale: float | None
    best: BestScale
    curve: list[Shifted]

    @property
    def unmoved(self) -> Shifted:
        """Return loss and retrieval where nothing is moved."""
        return next(point for point in self.curve if point.amount == 0)

    @property
    def recall(self) -> float:
        """Return how often the nearest of the other modality fits, mean of both directions."""
        return (self.unmoved.recall_right + self.unmoved.recall_left) / 2

    @property
    def corresponds(self) -> bool:
        """Whether partners are found more often than by chance, by three standard deviations."""
        deviation = math.sqrt(self.chance * (1 - self.chance) / self.pairs)
        return self.recall > self.chance + 3 * deviation

    @property
    def safe(self) -> bool:
        """Whether embeddings of one modality can stand in for the other's."""
        return self.corresponds and self.mixed >= self.recall / 2


def diagnose(pairs: EmbeddedPairs) -> Diagnosis:
    """Measure gap, cones, spread, retrieval and temperature of pairs.

    Raises:
        ShapeError: if the modalities do not have as many embeddings of one size.
        NonFiniteError: if there is NaN or an infinity.
        DomainError: if there are fewer than 4 pairs, or embeddings that are zero or all the same.
    """
    x, y = unit_pairs("diagnose", pairs.x, pairs.y, least=4)
    modalities = measure(pairs.names[0], x), measure(pairs.names[1], y)
    best = best_scale(x, y)
    scale = best.scale if pairs.scale is None else pairs.scale
    return Diagnosis(
        names=pairs.names,
        pairs=len(x),
        dimensions=x.shape[1],
        chance=1 / len(x) if pairs.matches is None else float(pairs.matches.double().mean()),
        gap=float(modality_gap(x, y).norm()),
        noise=gap_noise(x, y),
        separable=separability(x, y),
        modalities=modalities,
        alignment=alignment(x, y),
        mixed=mixed_recall(x, y, matches=pairs.matches),
        scale=pairs.scale,
        best=best,
        curve=shift_curve(x, y, scale, AMOUNTS, matches=pairs.matches),
    )


def rows(result: Diagnosis) -> list[Row]:
    """Return the table: a measure a row, of both modalities and of what joins them."""
    unmoved = result.unmoved
    listed = [
        ("alignment", None, None, result.alignment),
        ("gap", None, None, result.gap),
        ("gap by chance", None, None, result.noise),
        ("told apart by a plane", None, None, result.separable),
        ("recall@1 of partners", unmoved.recall_right, unmoved.recall_left, result.recall),
        ("recall@1 in a mixed pool", None, None, result.mixed),
        ("own scale", None, None, result.scale),
        ("best scale", None, None, result.best.scale),
        ("loss at own scale", None, None, None if result.scale is None else unmoved.loss),
        ("loss at best scale", None, None, result.best.loss),
    ]
    joint = [dict(zip(COLUMNS, row, strict=True)) for row in listed]
    return rows_apart(*result.modalities) + joint


def rows_apart(first: Modality, second: Modality) -> list[Row]:
    """Return the rows of the table that need one modality only."""
    listed = [
        ("cosine within, mean", first.cone.mean, second.cone.mean, None),
        ("cosine within, 5 % quantile", first.cone.low, second.cone.low, None),
        ("cosine within, 95 % quantile", first.cone.high, second.cone.high, None),
        ("effective rank", first.rank, second.rank, None),
        ("uniformity", first.uniformity, second.uniformity, None),
    ]
    return [dict(zip(COLUMNS, row, strict=True)) for row in listed]


def shift_rows(result: Diagnosis) -> list[Row]:
    """Return a row for each amount that the gap was closed by."""
    return [asdict(point) for point in result.curve]


# -- in words --------------------------------------------------------------------------------


def findings(result: Diagnosis) -> list[str]:
    """Return the findings in words, the verdict first; a line each."""
    return [
        _comparison(result), _gap(result), _cones(result.modalities), _temperature(result),
        _closing(result), _spread(result.modalities, result.pairs, result.alignment),
    ]  # fmt: skip


def findings_apart(modalities: tuple[Modality, Modality], pairs: int) -> list[str]:
    """Return the findings on modalities of different embedding sizes; a line each."""
    sizes = " and ".join(f"{modality.dimensions} of {modality.name}" for modality in modalities)
    return [
        f"No cosine compares embeddings of different sizes, {sizes}: recall, gap, alignment,"
        " temperature and shifts are left out. A critic over both, or goals in between"
        " (log_sum_exp), can compare them.",
        _cones(modalities),
        _spread(modalities, pairs),
    ]


def _comparison(result: Diagnosis) -> str:
    first, second = result.names
    unmoved = result.unmoved
    recall = (
        f"the nearest of {result.pairs} {second} is right for {unmoved.recall_right:.1%} of"
        f" {first}, and of {first} for {unmoved.recall_left:.1%} of {second} (chance"
        f" {result.chance:.1%})"
    )
    if not result.corresponds:
        return f"Direct comparison is unsafe, since it does not find what fits: {recall}."
    mixed = f"in a pool of both, what is nearest is right {result.mixed:.1%} of the time"
    if result.safe:
        return f"Direct comparison is safe here: {recall}; {mixed}."
    return (
        f"Direct comparison is unsafe, but for ranking one modality against the other: {recall};"
        f" but {mixed}. Embeddings of {second} cannot stand in for those of {first}: compare each"
        " with what it was trained with, and marginalise (log_sum_exp over goals)."
    )


def _gap(result: Diagnosis) -> str:
    times = result.gap / max(result.noise, 1e-12)
    plane = f"a plane separates {result.separable:.1%} of held-out embeddings (chance 50%)"
    if times < 2:
        return (
            f"There is no gap beyond chance: {result.gap:.3f}, where {result.pairs} pairs of one"
            f" mean would show {result.noise:.3f}; {plane}."
        )
    extent = next(
        word
        for least, word in ((0.99, ""), (0.9, "nearly "), (0, "not, by that plane, "))
        if result.separable >= least
    )
    return (
        f"There is a gap of {result.gap:.3f} (from 0 to 2), {times:.3g} times what chance gives;"
        f" {plane}: the modalities are {extent}linearly separable."
    )


def _cones(modalities: tuple[Modality, Modality]) -> str:
    parts = [
        f"{name} {narrow.mean:.3f} (90% within {narrow.low:.2f} to {narrow.high:.2f})"
        for name, narrow in ((modality.name, modality.cone) for modality in modalities)
    ]
    return f"Cones, as the mean cosine between two of one modality: {parts[0]}, {parts[1]}."


def _temperature(result: Diagnosis) -> str:
    best = result.best
    where = f"the scale that fits these pairs best is {best.scale:.4g}, with a loss of"
    where += f" {best.loss:.3f} nats"
    if best.at_bound:
        every = "every pair is ranked first, and any higher one fits better"
        nothing = "cosines say nothing about pairs"
        where += f", the end of the range: {every if best.scale > 1 else nothing}"
    if result.scale is None:
        return f"Temperature: the model's scale is not known (give --scale); {where}."
    loss = result.unmoved.loss
    excess = loss - best.loss
    side = "too sure of itself" if result.scale > best.scale else "not sure enough"
    verdict = "calibrated"
    if excess >= SMALL:
        verdict = f"{'nearly calibrated' if excess < LARGE else 'not calibrated'}, {side}"
    return f"Temperature: {verdict}. At its own scale {result.scale:.4g} loss {loss:.3f}; {where}."


def _closing(result: Diagnosis) -> str:
    closed = next(point for point in result.curve if point.amount == 1)
    least = min(result.curve, key=lambda point: point.loss)
    change = closed.loss - result.unmoved.loss
    word = "makes no difference" if abs(change) < SMALL else "hurts" if change > 0 else "helps"
    recall = (closed.recall_right + closed.recall_left) / 2
    best = "where they are" if least.amount == 0 else f"at lambda = {least.amount:g}"
    return (
        f"Closing the gap {word}: the loss goes from {result.unmoved.loss:.3f} to {closed.loss:.3f}"
        f" nats, recall@1 from {result.recall:.3f} to {recall:.3f}; of the shifts tried, the loss"
        f" is least {best}, {least.loss:.3f}."
    )


def _spread(
    modalities: tuple[Modality, Modality], pairs: int, alignment: float | None = None
) -> str:
    first, second = modalities
    sizes = dict.fromkeys((first.dimensions, second.dimensions))
    bound, largest = "", max(sizes)
    if pairs <= largest:
        bound = (
            f" (a lower bound: only {pairs} pairs for {largest} dimensions; more than {largest}"
            " would settle it)"
        )
    spread = "Uniformity" if alignment is None else f"Alignment {alignment:.3f}; uniformity"
    return (
        f"Effective rank of {' and '.join(map(str, sizes))}: {first.name} {first.rank:.1f},"
        f" {second.name} {second.rank:.1f}{bound}. {spread} {first.name} {first.uniformity:.2f},"
        f" {second.name} {second.uniformity:.2f} (lower is better)."
    )
