"""``langrl reproduce relating``: contrasting related with unrelated pairs in generative models.

Each backbone is trained with and without the contrast on shares of the related data, in two tasks:
handwritten digits beside glyphs, and what is faced in grid worlds beside instructions. Then a model
that was trained on a fifth of the pairs finds more of them by pointwise mutual information.

Axes: ``N`` pairs, ``S`` seeds.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from langrl.agents.relating import RelatingLearner
from langrl.data.digit_pairs import written_digits
from langrl.evaluation.coherence import threshold_at
from langrl.models.vae.backbones import BACKBONES
from langrl.models.vae.config import VaeConfig
from langrl.models.vae.model import MultimodalVAE, build_vae
from langrl.plots import relating as relating_plots
from langrl.reproduce import related_goals
from langrl.reproduce.arguments import RelatingArguments
from langrl.reproduce.common import run_parts, write_report
from langrl.reproduce.relating_claims import CLAIM_COLUMNS, claims, linear_gaussian_rows, summarise
from langrl.reproduce.relating_tasks import (
    MODEL,
    TASKS,
    TRAINING,
    Pairs,
    Task,
    aligned_pmi,
    measure,
    related_scores,
    unrelated_partners,
)
from langrl.training.engines.config import EngineFlags
from langrl.training.jobs import chained
from langrl.training.logs import print_table
from langrl.training.result_cache import ResultCache, Row

SHARES = {"digits": (0.05, 0.1, 0.2, 0.5, 1.0), "worlds": (0.2, 1.0)}
"""Of the related training pairs; fewer for the worlds, to save time."""
LABELLED = 0.2  # the share from which more pairs are found
WRONG = 0.05  # of unrelated pairs apart from training and testing, that the threshold keeps
COLUMNS = ("task", "backbone", "contrast", "share", "latent", "joint", "cross", "synergy", "auc")
_SHOWN = 10  # observations in the figure of generations


def reproduce(options: RelatingArguments, command: str) -> None:
    """Train, measure, and write the tables, results.json and figures.

    What was measured before with the same settings is used again.

    Raises:
        MissingExtraError: if scikit-learn, which has the digits, is not installed.
    """
    out, steps = options.out, options.steps
    counts = {"digits": options.seeds, "worlds": options.worlds_seeds}
    goals: list[tuple[Any, ...]] = [
        ("goals", out, seed, options.episodes, None, steps) for seed in range(options.goals_seeds)
    ]
    backbones: list[tuple[Any, ...]] = [
        ("backbone", out / "records", task, backbone, seed, steps)
        for seed in range(max(counts.values()))
        for task in TASKS
        if seed < counts[task]
        for backbone in BACKBONES
    ]
    written_digits()  # refused now, not after other trainings
    parts = run_parts(measure_part, goals + backbones, options, "relating")
    success, rows = chained(parts[: len(goals)]), chained(parts[len(goals) :])
    measured = [row for row in rows if "share" in row]
    table = summarise(measured)
    print_table("means over seeds", table, COLUMNS)
    followed = related_goals.over_seeds(success)
    print_table("success in grid goto", followed, related_goals.COLUMNS)
    checked = [*linear_gaussian_rows(), *claims(measured), *related_goals.claims(followed)]
    print_table("claims", checked, CLAIM_COLUMNS)
    config: Row = options.model_dump(exclude={"out", *EngineFlags.model_fields}) | MODEL
    config |= {"training": TRAINING.model_dump() | {"steps": steps}}
    tables = {"table": table, "measured": measured, "success": followed, "episodes": success}
    write_report(out, command, config, checked, _figures(table, rows), **tables)


def _figures(table: Sequence[Row], rows: Sequence[Row]) -> dict[str, Figure]:
    figures = {}
    for task in dict.fromkeys(row["task"] for row in table):
        here = [row for row in table if row["task"] == task]
        figures[f"{task}-shares"] = relating_plots.shares_figure(here, task)
        scores = [row for row in rows if row["task"] == task and "related" in row]
        figures[f"{task}-pmi"] = relating_plots.pmi_figure(scores, task)
        shown = [row for row in rows if row["task"] == task and "generated" in row]
        figures[f"{task}-generated"] = relating_plots.generated_figure(shown, task)
    return figures


# -- one backbone in one task, one seed ------------------------------------------------------


def measure_part(part: str, *arguments: Any) -> list[Row]:
    """Return the rows of a job: a ``backbone`` in a task, or ``goals``, models in an agent."""
    return PARTS[part](*arguments)


def measure_backbone(records: Path, task: str, backbone: str, seed: int, steps: int) -> list[Row]:
    """Return a row for each share, with and without the contrast, and one for found pairs.

    Rows of seed 0 on all pairs also have scores and generations, for figures.
    """
    key = [MODEL, TRAINING.model_dump(), steps, SHARES[task], LABELLED]
    record = ResultCache(records / f"{task}-{backbone}-{seed}.jsonl", key)
    rows = []
    for share in SHARES[task]:
        for contrast in (False, True):

            def run(share: float = share, contrast: bool = contrast) -> list[Row]:
                return _run(TASKS[task](seed), backbone, contrast, share, seed, steps)

            rows += record.rows(f"{share:g} {'contrast' if contrast else 'plain'}", run)
    rows += record.rows(
        f"found at {WRONG:g}", lambda: _propagate(TASKS[task](seed), backbone, seed, steps)
    )
    common = {"task": task, "backbone": backbone, "seed": seed}
    return [common | row for row in rows]


PARTS: dict[str, Callable[..., list[Row]]] = {
    "backbone": measure_backbone,
    "goals": related_goals.run_goals,
}


def _run(
    task: Task, backbone: str, contrast: bool, share: float, seed: int, steps: int
) -> list[Row]:
    related, _ = _split(task.train, share, seed)
    model = train(task, related, backbone, contrast, seed, steps)
    generator = _generator(seed, 1)
    row: Row = {"contrast": contrast, "share": share} | measure(model, task, generator)
    if seed or share < 1:
        return [row]
    related_pmi, unrelated_pmi = map(_rounded, related_scores(model, task.test, generator))
    scores = {"contrast": contrast, "related": related_pmi, "unrelated": unrelated_pmi}
    return [row, scores, {"contrast": contrast} | _generations(model, task, generator)]


def _generator(seed: int, purpose: int) -> torch.Generator:
    return torch.Generator().manual_seed(1000 * seed + purpose)


def _split(pairs: Pairs, share: float, seed: int) -> tuple[Pairs, Pairs]:
    """Return a share of the pairs at random, larger ones containing smaller ones; and the rest."""
    order = torch.randperm(len(pairs), generator=_generator(seed, 2))
    count = max(2, math.ceil(share * len(pairs)))
    return pairs.take(order[:count]), pairs.take(order[count:])


def train(
    task: Task, related: Pairs, backbone: str, contrast: bool, seed: int, steps: int
) -> MultimodalVAE:
    """Train a backbone on related pairs of a task; the same seed has the same initial weights."""
    model = build_vae(VaeConfig(modalities=task.modalities, backbone=backbone, **MODEL), seed)
    config = TRAINING.model_copy(update={"contrast": contrast, "steps": steps})
    return RelatingLearner(model, related.observations, config, _generator(seed, 0)).train()


def _propagate(task: Task, backbone: str, seed: int, steps: int) -> list[Row]:
    """Train on a few labelled pairs, keep what scores high among unlabelled ones, train again."""
    # The candidates are the other training pairs, and as many pairs with unrelated partners; the
    # threshold is one that few unrelated pairs pass, which are neither trained nor tested on.
    labelled, rest = _split(task.train, LABELLED, seed)
    model = train(task, labelled, backbone, True, seed, steps)
    generator = _generator(seed, 3)
    threshold = threshold_at(related_scores(model, task.apart, generator)[1], WRONG)
    partners = unrelated_partners(rest.labels, generator)
    mixed = {
        name: torch.cat([value, rest.with_partners(partners)[name]])
        for name, value in rest.observations.items()
    }
    kept = aligned_pmi(model, mixed, generator) >= threshold  # [2 N]
    right = kept[: len(rest)]
    observations = {
        name: torch.cat([labelled.observations[name], value[kept]]) for name, value in mixed.items()
    }
    labels = torch.cat([labelled.labels, torch.cat([rest.labels] * 2)[kept]])
    again = train(task, Pairs(observations, labels), backbone, True, seed, steps)
    precision, recall = right.sum().item() / max(1, int(kept.sum())), right.float().mean().item()
    row: Row = {"contrast": True, "share": "found", "precision": precision, "recall": recall}
    return [row | measure(again, task, _generator(seed, 1))]


# -- for figures -----------------------------------------------------------------------------


def _rounded(values: Tensor) -> list[float]:
    return [round(value, 3) for value in values.tolist()]


def _generations(model: MultimodalVAE, task: Task, generator: torch.Generator) -> dict[str, Any]:
    """Return test observations of the first modality, and all that is generated from them."""
    first = model.names[0]
    given = task.test.observations[first][:_SHOWN]
    generated = model.generate({first: given}, generator, 4)
    prior = model.generate({}, generator, _SHOWN)
    return {
        "given": [_rounded(row) for row in given],
        "generated": {
            name: [[_rounded(row) for row in sample] for sample in value]
            for name, value in generated.items()
        },
        "prior": {name: [_rounded(row) for row in value[:, 0]] for name, value in prior.items()},
    }
