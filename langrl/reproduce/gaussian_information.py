"""Estimates of mutual information where it is known: correlated Gaussians.

A critic of contrastive predictive coding's form, z(y)' W c(x), is trained by InfoNCE on fresh
draws and compared with the exact log density ratio on the same batches. Above InfoNCE's ceiling,
the same critic with more candidates and other estimators are compared.

Axes: ``N`` = 512 pairs in a batch, ``M`` candidates, ``S`` = 20 dimensions, ``D`` numbers of a
code.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from langrl.evaluation.statistics import gather, group_rows, mean_and_sem
from langrl.functional.information import (
    donsker_varadhan,
    gaussian_correlation,
    gaussian_log_ratio,
    info_nce,
    nwj,
    smile,
)
from langrl.functional.losses import binary_nce, forward_info_nce
from langrl.models.observation_encoders import VectorEncoder
from langrl.training.optim import Optimiser, cosine_schedule
from langrl.training.result_cache import ResultCache, Row
from langrl.training.seeding import seeded

INFORMATION = (1.0, 2.0, 4.0, 6.0, 8.0, 10.0)  # nats, the truths
DIMENSIONS = 20  # S
PAIRS = 512  # N
CANDIDATES = 65_536  # M of the bound with more of them
TOLERANCE = 0.1  # nats between a trained critic's estimate and the exact one's
SHORTFALL = (0.28, 0.75)  # nats, of the exact critic where the truth is log N - 1
_BATCHES, _WIDE_BATCHES, _WIDE_ROWS = 32, 8, 128
_CODE, _WIDTH, _DEPTH, _RATE = 32, 128, 2, 3e-3
_EVALUATION = 2**32  # seeds from here on are of batches to evaluate on
LOSSES = {"info_nce": forward_info_nce, "binary_nce": binary_nce}
Draw = Callable[[int], tuple[Tensor, Tensor]]
Critic = Callable[[Tensor, Tensor], Tensor]


class BilinearCritic(nn.Module):
    """f(x, y) = z(y)' W c(x), contrastive predictive coding's critic of one step."""

    def __init__(self) -> None:
        super().__init__()
        self.context = VectorEncoder((DIMENSIONS,), _CODE, _WIDTH, _DEPTH)
        self.code = VectorEncoder((DIMENSIONS,), _CODE, _WIDTH, _DEPTH)
        self.ahead = nn.Linear(_CODE, _CODE, bias=False)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Score x [N, S] against y [M, S]; returns f [N, M] in nats."""
        scores: Tensor = self.ahead(self.context(x)) @ self.code(y).mT
        return scores


def correlated(information: float, seed: int) -> Draw:
    """Return what draws pairs x and y [count, S] of so many nats."""
    rho = gaussian_correlation(information, DIMENSIONS)
    generator = torch.Generator().manual_seed(seed)

    def draw(count: int) -> tuple[Tensor, Tensor]:
        x, noise = torch.randn((2, count, DIMENSIONS), generator=generator)
        return x, rho * x + math.sqrt(1 - rho**2) * noise

    return draw


def train(information: float, seed: int, loss: str, steps: int) -> BilinearCritic:
    """Train a critic on fresh pairs."""
    draw = correlated(information, seed)
    with seeded(seed):
        critic = BilinearCritic()
    schedule = cosine_schedule(steps, warmup=max(1, steps // 20))
    optimiser = Optimiser(dict(critic.named_parameters()), _RATE, schedule, clip=1.0)
    for _ in range(steps):
        x, y = draw(PAIRS)
        optimiser.update({"x": x, "y": y}, lambda pairs: LOSSES[loss](critic(**pairs)))
    return critic.eval()


def measure(folder: Path, information: float, seed: int, steps: int) -> list[Row]:
    """Return the row of every estimate of one truth and seed, from the cache if it is there."""
    key = {"information": information, "seed": seed, "steps": steps, "pairs": PAIRS}
    record = ResultCache(folder / f"gaussian-{information:g}-{seed}.jsonl", key)
    return record.rows("estimates", lambda: [_measure(information, seed, steps)])


@torch.no_grad()
def _measure(information: float, seed: int, steps: int) -> Row:
    rho = gaussian_correlation(information, DIMENSIONS)
    with torch.enable_grad():
        learned = train(information, seed, "info_nce", steps)
        ratio = train(information, seed, "binary_nce", steps)

    def exact(x: Tensor, y: Tensor) -> Tensor:
        return gaussian_log_ratio(x, y, rho)

    draw = correlated(information, _EVALUATION + seed)
    critics: dict[str, tuple[Critic, Callable[[Tensor], Tensor]]] = {
        "exact": (exact, info_nce),
        "learned": (learned, info_nce),
        "smile": (ratio, smile),
        "smile_exact": (exact, smile),
        "donsker_varadhan": (ratio, donsker_varadhan),
        "nwj": (ratio, nwj),
        "nwj_exact": (exact, nwj),
    }
    row: Row = {"information": information, "seed": seed}
    row |= _estimates(critics, [draw(PAIRS) for _ in range(_BATCHES)])
    wide = {"exact_many": critics["exact"], "learned_many": critics["learned"]}
    return row | _estimates(wide, (_with_more(draw) for _ in range(_WIDE_BATCHES)))


def _with_more(draw: Draw) -> tuple[Tensor, Tensor]:
    """Return x [rows, S], their y and further ones [M, S], independent of them."""
    x, y = draw(_WIDE_ROWS)
    return x, torch.cat([y, draw(CANDIDATES - _WIDE_ROWS)[1]])


def _estimates(
    critics: Mapping[str, tuple[Critic, Callable[[Tensor], Tensor]]], batches: Any
) -> dict[str, float]:
    """Return each estimate's mean over batches, and the sd of that of one batch."""
    estimates = gather(
        {name: estimator(critic(x, y)).item() for name, (critic, estimator) in critics.items()}
        for x, y in batches
    )
    values = {name: torch.tensor(each, dtype=torch.float64) for name, each in estimates.items()}
    means = {name: value.mean().item() for name, value in values.items()}
    return means | {f"{name}_sd": value.std().item() for name, value in values.items()}


def over_seeds(measured: Sequence[Row]) -> list[Row]:
    """Return a row for each truth: means over seeds, and how far the learned estimate is off."""
    rows = []
    for (information,), mine in sorted(group_rows(measured, ["information"]).items()):
        row: Row = {"information": information, "ceiling": math.log(PAIRS)}
        for name in mine[0]:
            if name not in ("information", "seed"):
                row[name], sem = mean_and_sem([each[name] for each in mine])
                if not name.endswith("_sd"):
                    row[f"{name}_sem"] = sem
        row["gap"] = max(abs(each["learned"] - each["exact"]) for each in mine)
        row["holds"] = row["gap"] <= TOLERANCE
        rows.append(row)
    return rows


@torch.no_grad()
def shortfall() -> float:
    """Return by how many nats the exact critic falls short where the truth is log N - 1."""
    truth = math.log(PAIRS) - 1
    rho, draw = gaussian_correlation(truth, DIMENSIONS), correlated(truth, _EVALUATION - 1)
    estimates = [
        info_nce(gaussian_log_ratio(*draw(PAIRS), rho)).item() for _ in range(8 * _BATCHES)
    ]
    return truth - mean_and_sem(estimates)[0]


def claims(rows: Sequence[Row]) -> list[Row]:
    """Return a row per claim about the estimates: expected, measured, and whether it holds."""
    gap = max(row["gap"] for row in rows)
    above = max(row["learned"] - row["ceiling"] for row in rows)
    short = shortfall()
    (low, high), truth = SHORTFALL, math.log(PAIRS) - 1
    claims = [
        ("trained critic within 0.1 nat of the exact one, same N", "<= 0.1", gap, gap <= TOLERANCE),
        ("no estimate above log N", "<= 0", above, above <= 0),
        (f"exact critic short at truth log N - 1 = {truth:.2f}", f"{low} to {high}", short,
         low <= short <= high),
    ]  # fmt: skip
    if far := [row for row in rows if row["information"] >= 6]:
        few, many = (
            max(abs(row[name] - row["information"]) for row in far)
            for name in ("learned", "learned_many")
        )
        text = f"{CANDIDATES:,} candidates: largest error from 6 nats on"
        claims.append((text, f"< {few:.2f}, that of N = {PAIRS}", many, many < few))
    return [dict(zip(("claim", "expected", "ours", "holds"), each, strict=True)) for each in claims]
