"""What is claimed of the modality gap, beside what was measured: a row for each claim.

Claims are of Liang et al. 2022 ("Mind the Gap", arXiv:2203.02053).
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from langrl.checkpoint import file_digest
from langrl.evaluation.diagnosis import Diagnosis
from langrl.evaluation.statistics import labelled_groups, mean_and_sem, means_and_sems
from langrl.functional.gap import toy_minimum
from langrl.tasks.maze.published import GAP_CLIP, GAP_LINEAR_CONE, GAP_TOY

COLUMNS = ("claim", "ours", "sem", "reference", "expected", "holds")
MISMATCHED = 0.3  # share of the pairs that are mismatched
_CLOSE = 1e-3  # of a number that has to be the same
Row = dict[str, Any]


def claim(
    text: str, ours: float, holds: bool | None, expected: str, sem: float | None = None,
    reference: float | None = None,
) -> Row:  # fmt: skip
    """Return a row of the table; a reference is a number that ours is compared with."""
    values = (text, ours, sem, reference, expected, holds)
    return dict(zip(COLUMNS, values, strict=True))


def averaged(rows: Sequence[Row], value: str) -> list[Row]:
    """Return means over seeds with standard errors, of rows that agree in all else."""
    keys = [key for key in rows[0] if key not in (value, "seed")]
    groups = labelled_groups(rows, keys)
    return [labels | means_and_sems(group, [value]) for labels, group in groups]


# -- before training ---------------------------------------------------------------------------


def depth_claims(cones: Sequence[Row], gaps: Sequence[Row]) -> list[Row]:
    """Compare cones and gaps before training with what is claimed of them."""
    last = max(row["depth"] for row in cones)

    def cosines_of(network: str) -> tuple[list[float], float]:
        here = [row for row in cones if row["network"] == network]
        return [row["cosine"] for row in here], here[-1]["cosine_sem"]

    def gaps_of(towers: str) -> tuple[list[float], float]:
        here = [row for row in gaps if row["towers"] == towers]
        return [row["gap"] for row in here], here[-1]["gap_sem"]

    claims = []
    for name in ("relu", "relu, no biases", "tanh", "sigmoid"):
        cosines, error = cosines_of(name)
        holds = cosines[-1] > 0.5 and all(b > a - 1e-3 for a, b in pairwise(cosines))
        text = f"cone of noise, {name}, {last} layers"
        claims.append(claim(text, cosines[-1], holds, "rises by layer", error))
    flat, error = cosines_of("linear, no biases")
    text = f"cone of noise, linear, no biases, {last} layers"
    claims.append(claim(text, flat[-1], max(map(abs, flat)) < 0.02, "none", error, 0.0))
    (*_, biased), error = cosines_of("linear")
    same_cone = abs(biased - GAP_LINEAR_CONE) < 0.01
    text = f"cone of noise, linear, default biases, {last} layers"
    claims.append(claim(text, biased, same_cone, "same", error, GAP_LINEAR_CONE))
    apart, error = gaps_of("two initialisations")
    grows = all(b > a for a, b in pairwise(apart))
    text = f"gap of two initialisations, {last} layers"
    claims.append(claim(text, apart[-1], grows, "rises by layer", error))
    (same, error), (chance, _) = gaps_of("one network for both"), gaps_of("chance")
    none = all(gap < 2 * noise for gap, noise in zip(same, chance, strict=True))
    claims.append(claim(f"gap of one network, {last} layers", same[-1], none, "chance", error))
    return claims


# -- trained towers ----------------------------------------------------------------------------


def of_phase(swept: Sequence[Row], data: str, phase: int) -> list[Row]:
    """Return the rows of one kind of data after a phase of training; phase 0 is the start."""
    return [row for row in swept if row["data"] == data and row["phase"] == phase]


def sweep_claims(swept: Sequence[Row]) -> list[Row]:
    """Compare trained towers with what temperature is claimed to do to them."""
    coldest = min(row["temperature"] for row in swept)
    before, after = (of_phase(swept, "right pairs", phase) for phase in (0, 1))
    cold = [row for row in after if row["temperature"] == coldest]
    start, start_sem = mean_and_sem([r["gap"] for r in before if r["temperature"] == coldest])
    kept, kept_sem = mean_and_sem([row["gap"] for row in cold])
    raised, raised_sem = mean_and_sem([row["loss_1"] - row["loss_0"] for row in cold])
    where = f"temperature {coldest:g}"
    claims = [
        claim("gap of towers before training", start, start > 0.5, "large", start_sem),
        claim(f"gap after training, {where}", kept, kept > 0.25 * start, "kept", kept_sem),
        claim(f"loss when it is closed, less before, {where}", raised, raised > 2 * raised_sem,
              "above 0", raised_sem),
    ]  # fmt: skip
    for temperature in sorted({row["temperature"] for row in after})[1:2]:
        here = [row["loss_1"] - row["loss_0"] for row in after if row["temperature"] == temperature]
        text = f"loss when it is closed, less before, temperature {temperature:g}"
        mean, sem = mean_and_sem(here)
        claims.append(claim(text, mean, None, "no claim", sem))  # a gap that is half gone
    means = averaged([{"temperature": r["temperature"], "gap": r["gap"]} for r in after], "gap")
    # Where the gap is down to chance, the order of two temperatures is chance too.
    falls = all(
        b["gap"] - a["gap"] <= 2 * (a["gap_sem"] ** 2 + b["gap_sem"] ** 2) ** 0.5
        for a, b in pairwise(means)
    )
    warm = means[-1]
    falls = falls and warm["gap"] < 0.5 * means[0]["gap"]
    text = f"gap after training, temperature {warm['temperature']:g}"
    return [*claims, claim(text, warm["gap"], falls, "falls all along", warm["gap_sem"])]


def repaired_claims(swept: Sequence[Row]) -> list[Row]:
    """Compare towers that go on with mismatched pairs and with fixed ones."""
    phases = (of_phase(swept, f"mismatched, {how}", 2) for how in ("kept", "fixed"))
    kept, fixed = ([row["gap"] for row in rows] for rows in phases)
    stays, stays_sem = mean_and_sem(kept)
    closes, closes_sem = mean_and_sem(fixed)
    lower = all(a < b for a, b in zip(fixed, kept, strict=True))
    share = f"{MISMATCHED:.0%} mismatched"
    return [
        claim(f"gap of towers, {share}, kept", stays, stays > 0.2, "stays", stays_sem),
        claim(f"gap of towers, {share}, fixed", closes, lower, "lower, each seed", closes_sem),
    ]


# -- the toy -----------------------------------------------------------------------------------


def toy_claims(toy: Sequence[Row], paths: Sequence[Row]) -> list[Row]:
    """Compare the toy's minima with the published ones, and the trained heights with both."""
    least = {(row["temperature"], row["swapped"]): row["least_at"] for row in toy}
    claims = []
    for (temperature, swapped), height in least.items():
        published = GAP_TOY[temperature] if swapped else 0.0
        kind = "two mismatched" if swapped else "none mismatched"
        text = f"toy, {kind}, temperature {temperature:g}: height of the least loss"
        same = abs(height - published) < 0.006  # two digits are published
        claims.append(claim(text, height, same, "same", None, published))
    for temperature in dict.fromkeys(row["temperature"] for row in paths):
        line = [row for row in paths if row["temperature"] == temperature]
        before = [row["height"] for row in line if row["swapped"]][-1]
        text = f"toy, trained, temperature {temperature:g}: height"
        same = abs(before - toy_minimum(temperature, swapped=True)) < 0.01
        claims.append(claim(f"{text} with the mismatch", before, same, "of the least loss"))
        after = line[-1]["height"]
        claims.append(claim(f"{text} once fixed", after, after < 0.01, "0", None, 0.0))
    return claims


# -- a file of embeddings ------------------------------------------------------------------------


def published_for(path: Path) -> Mapping[str, float]:
    """Return the numbers known for a file, by its bytes; none for others."""
    return GAP_CLIP.get(file_digest(path), {})


def feature_claims(diagnosis: Diagnosis, published: Mapping[str, float]) -> list[Row]:
    """Return what was measured on a file, beside what is known for it."""
    unmoved = diagnosis.unmoved
    values = {
        "gap": diagnosis.gap,
        "recall x -> y": unmoved.recall_right,
        "recall y -> x": unmoved.recall_left,
        "mean cosine within x": diagnosis.modalities[0].cone.mean,
        "mean cosine within y": diagnosis.modalities[1].cone.mean,
    }
    values |= {f"loss at lambda {p.amount:g}": p.loss for p in diagnosis.curve}
    rows = []
    for name, ours in values.items():
        reference = published.get(name)
        holds = None if reference is None else abs(ours - reference) <= _CLOSE
        expected = "" if reference is None else "same"
        rows.append(claim(f"features: {name}", ours, holds, expected, None, reference))
    closed = next(p for p in diagnosis.curve if p.amount == 1)
    raised = closed.loss - unmoved.loss
    holds = raised > 0 if published else None
    return [
        *rows,
        claim("features: loss when the gap is closed, less before", raised, holds, "above 0"),
        claim("features: best scale", diagnosis.best.scale, None, ""),
        claim("features: loss at the best scale", diagnosis.best.loss, None, ""),
    ]
