"""Claims about contrasting related and unrelated pairs, beside what was measured.

Axes: ``S`` seeds.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from langrl.evaluation.statistics import labelled_groups, mean_and_sem
from langrl.reproduce.linear_gaussian import linear_gaussian_errors
from langrl.reproduce.relating_tasks import MEASURES
from langrl.training.result_cache import Row

CLAIM_COLUMNS = ("task", "backbone", "claim", "ours", "interval", "wanted", "holds")
IMPROVED = MEASURES[:3]  # latent, joint, cross
_EXACT = 0.15  # nats: what an importance-weighted estimate of 4,096 latents may be off
_T975 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""Student's t at 0.975, by degrees of freedom from 1."""
_LEAST_DISTANCE = 0.01  # between a fifth and all of the pairs, below which no share is given


def half_interval(values: Sequence[float]) -> float:
    """Return half the width of the 95 % interval of the mean of S values; nan for one value."""
    sem = mean_and_sem(values)[1]
    freedom = len(values) - 1
    return sem * (_T975[freedom - 1] if 1 <= freedom <= len(_T975) else 2.0)


def summarise(rows: Sequence[Row]) -> list[Row]:
    """Return a row per task, backbone, contrast and share: means, and half 95 % intervals."""
    keys = ("task", "backbone", "contrast", "share")
    table = []
    for labels, seeds in labelled_groups(rows, keys):
        summed: Row = labels
        for name in [name for name in seeds[0] if name not in (*keys, "seed")]:
            values = [row[name] for row in seeds]
            summed |= {name: mean_and_sem(values)[0], f"{name}_half": half_interval(values)}
        table.append(summed | {"seeds": len(seeds)})
    return table


def claims(rows: Sequence[Row]) -> list[Row]:
    """Return a row per claim, task and backbone: ours, what is wanted, and whether it holds."""
    keys = ("task", "backbone", "contrast", "share")
    table = {tuple(row[key] for key in keys): row for row in summarise(rows)}
    listed = []
    for task, backbone in dict.fromkeys((row["task"], row["backbone"]) for row in rows):
        here = [row for row in rows if (row["task"], row["backbone"]) == (task, backbone)]
        few, every, found = (table[task, backbone, True, share] for share in (0.2, 1.0, "found"))
        plain = table[task, backbone, False, 1.0]
        checked = [_improvement(here, name) for name in IMPROVED]
        reached = [name for name in MEASURES if few[name] >= plain[name]]
        checked.append(
            claim_row("measures where 20 % with contrast reaches plain 100 %", len(reached), 3)
        )
        checked.append(claim_row("AUC of PMI", every["auc"], 0.95, every["auc_half"]))
        checked += [_recovered(few, every, found, name) for name in MEASURES]
        listed += [{"task": task, "backbone": backbone} | row for row in checked]
    return listed


def claim_row(claim: str, ours: float | None, wanted: float, half: float | None = None) -> Row:
    """Return what is claimed beside what we have, and whether it holds; `half` an interval."""
    interval = "" if half is None or ours is None else f"{ours - half:.3f} to {ours + half:.3f}"
    holds = None if ours is None else ours >= wanted
    return {"claim": claim, "ours": ours, "interval": interval, "wanted": wanted, "holds": holds}


def _improvement(rows: Sequence[Row], name: str) -> Row:
    """Return by how much the contrast raises a measure, over shares, seeds paired."""
    by_seed: dict[int, list[float]] = defaultdict(list)
    plain = {(row["seed"], row["share"]): row[name] for row in rows if not row["contrast"]}
    for row in rows:
        if row["contrast"] and row["share"] != "found":
            by_seed[row["seed"]].append(row[name] - plain[row["seed"], row["share"]])
    differences = [sum(values) / len(values) for values in by_seed.values()]
    mean, half = mean_and_sem(differences)[0], half_interval(differences)
    row = claim_row(f"contrast improves {name}, mean over shares", mean, 0.0, half)
    return row | {"holds": mean - half > 0}


def _recovered(few: Row, every: Row, found: Mapping[str, Any], name: str) -> Row:
    distance = every[name] - few[name]
    share = (found[name] - few[name]) / distance if distance >= _LEAST_DISTANCE else None
    return claim_row(f"pairs found by PMI: share of 20 % to 100 % recovered, {name}", share, 0.5)


def linear_gaussian_rows() -> list[Row]:
    """Return the errors of estimates of log p(x, y) where it is known exactly."""
    return [
        {
            "task": "linear-Gaussian", "backbone": name.split()[-1],
            "claim": "largest error of log p(x, y), nats", "ours": error, "interval": "",
            "wanted": _EXACT, "holds": error <= _EXACT,
        }
        for name, error in linear_gaussian_errors().items()
    ]  # fmt: skip
