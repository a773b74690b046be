"""Claims about contrasting related and unrelated pairs, beside what was measured.

Axes: ``S`` seeds.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from langrl.evaluation.statistics import labelled_groups, mean_and_sem
from langrl.reproduce.linear_gaussian import linear_gaussian_errors
from langrl.reproduce.relating_tasks import MEASURES
from langrl.training.result_cache import Row

CLAIM_COLUMNS = ("task", "backbone", "claim", "ours", "interval", "wanted", "holds")
DIFFERENCE_COLUMNS = ("task", "backbone", "share", "measure", "difference", "half", "seeds")
ABLATION_KEYS = ("ablation", "task", "backbone")
_KEYS = ("task", "backbone", "contrast", "share")
_EXACT = 0.15  # nats: what an importance-weighted estimate of 4,096 latents may be off
_T975 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""Student's t at 0.975, by degrees of freedom from 1."""
_LEAST_DISTANCE = 0.01  # between a fifth and all of the pairs, below which no share is given


def half_interval(values: Sequence[float]) -> float:
    """Return half the width of the 95 % interval of the mean of S values; nan for one value."""
    sem = mean_and_sem(values)[1]
    freedom = len(values) - 1
    return sem * (_T975[freedom - 1] if 1 <= freedom <= len(_T975) else 2.0)


def summarise(rows: Sequence[Row], keys: Sequence[str] = _KEYS) -> list[Row]:
    """Return a row for each value of the keys: means over seeds, and half 95 % intervals."""
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
    table = {tuple(row[key] for key in _KEYS): row for row in summarise(rows)}
    listed = []
    for task, backbone in dict.fromkeys((row["task"], row["backbone"]) for row in rows):
        here = [row for row in rows if (row["task"], row["backbone"]) == (task, backbone)]
        few, every = (table[task, backbone, True, share] for share in (0.2, 1.0))
        plain = table[task, backbone, False, 1.0]
        checked = [_improvement(row) for row in differences(here) if row["share"] == 0.2]
        reached = [name for name in MEASURES if few[name] >= plain[name]]
        checked.append(
            claim_row("measures where 20 % with contrast reaches plain 100 %", len(reached), 3)
        )
        checked.append(claim_row("AUC of PMI", every["auc"], 0.95, every["auc_half"]))
        checked += _recovered(here)
        listed += [{"task": task, "backbone": backbone} | row for row in checked]
    return listed


def claim_row(claim: str, ours: float | None, wanted: float, half: float | None = None) -> Row:
    """Return what is claimed beside what we have, and whether it holds; `half` an interval."""
    interval = "" if half is None or ours is None else f"{ours - half:.3f} to {ours + half:.3f}"
    holds = None if ours is None else ours >= wanted
    return {"claim": claim, "ours": ours, "interval": interval, "wanted": wanted, "holds": holds}


def differences(rows: Sequence[Row]) -> list[Row]:
    """Return by how much the contrast raises each measure and the AUC, seeds paired.

    A row per task, backbone, share and measure: the mean, and half its 95 % interval.
    """
    numbered = [row for row in rows if not isinstance(row["share"], str)]
    listed = []
    for labels, here in labelled_groups(numbered, ("task", "backbone", "share")):
        plain = {row["seed"]: row for row in here if not row["contrast"]}
        pairs = [(row, plain[row["seed"]]) for row in here if row["contrast"]]
        for name in (*MEASURES, "auc"):
            gains = [ours[name] - theirs[name] for ours, theirs in pairs]
            mean, half = mean_and_sem(gains)[0], half_interval(gains)
            row = {"measure": name, "difference": mean, "half": half, "seeds": len(gains)}
            listed.append(labels | row)
    return listed


def _improvement(row: Row) -> Row:
    mean, half = row["difference"], row["half"]
    claim = claim_row(f"contrast improves {row['measure']} at 20 %", mean, 0.0, half)
    return claim | {"holds": mean - half > 0}


def _recovered(rows: Sequence[Row]) -> list[Row]:
    """Return the share of the distance from 20 to 100 % that found pairs recover, seeds paired."""
    contrasted = [row for row in rows if row["contrast"]]
    found = {row["seed"] for row in contrasted if isinstance(row["share"], str)}
    table = {row["share"]: row for row in summarise([r for r in contrasted if r["seed"] in found])}
    return [
        _share_of(table, share, name)
        for share in table
        if isinstance(share, str)
        for name in MEASURES
    ]


def _share_of(table: Mapping[Any, Row], share: str, name: str) -> Row:
    few, every, ours = (table[which][name] for which in (0.2, 1.0, share))
    distance = every - few
    recovered = (ours - few) / distance if distance >= _LEAST_DISTANCE else None
    return claim_row(f"{share} by PMI: share of 20 % to 100 % recovered, {name}", recovered, 0.5)


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
