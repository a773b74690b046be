"""``langrl reproduce relating``: contrasting related with unrelated pairs in generative models.

Each backbone is trained with and without the contrast on shares of the related data, in two tasks:
handwritten digits beside digits as on houses, and what is faced in grid worlds beside instructions.
Then a model that was trained on a fifth of the pairs finds more of them by pointwise mutual
information, and parts of the training are left out.

Axes: ``N`` pairs, ``S`` seeds.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
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
from langrl.reproduce.relating_claims import (
    ABLATION_KEYS,
    CLAIM_COLUMNS,
    DIFFERENCE_COLUMNS,
    claims,
    differences,
    linear_gaussian_rows,
    summarise,
)
from langrl.reproduce.relating_tasks import (
    MODEL,
    TASKS,
    TRAININGS,
    Pairs,
    Task,
    aligned_scores,
    measure,
    related_scores,
)
from langrl.training.engines.config import EngineFlags
from langrl.training.jobs import chained
from langrl.training.logs import print_table
from langrl.training.result_cache import ResultCache, Row

SHARES = {"digits": (0.05, 0.2, 1.0), "worlds": (0.2, 1.0)}
"""Of the related training pairs; fewer for the worlds, to save time."""
CURVE = {"digits": (0.01, 0.1), "worlds": ()}
"""Further shares, of the first seed alone."""
LABELLED = 0.2  # the share from which more pairs are found
SCORED = 0.2  # of the labelled pairs, which the model that finds more is not trained on
WRONG = 0.05  # of the partners of those pairs, exchanged at random, that the threshold keeps
ROUNDS = (1, 3)  # of finding pairs
ABLATED = ("mmvae", 0.2)  # backbone, and share of the related pairs
ABLATIONS: dict[str, Row] = {
    "without likelihood": {"gamma": 1.0},
    "one direction": {"both_ways": False},
    "hard unrelated pairs": {"hardest": 4},
    "elbo": {"objective": "elbo"},
    "without warm-up": {"warm_up": 0.0},
    "gamma 2": {"gamma": 2.0},
    "one bound": {"proposal": "posterior", "negatives": 4},
}
"""What is changed of the training with contrast, by name."""
COLUMNS = ("task", "backbone", "contrast", "share", "latent", "joint", "cross", "synergy", "auc")
_SHOWN = 10  # observations in the figure of generations


def reproduce(options: RelatingArguments, command: str) -> None:
    """Train, measure, and write the tables, results.json and figures.

    What was measured before with the same settings is used again.

    Raises:
        MissingExtraError: if scikit-learn, which has the digits, is not installed.
    """
    out, steps = options.out, options.steps
    goals: list[tuple[Any, ...]] = [
        ("goals", out, seed, options.episodes, None, steps) for seed in range(options.goals_seeds)
    ]
    backbones = _backbone_jobs(options)
    written_digits()  # refused now, not after other trainings
    parts = run_parts(measure_part, goals + backbones, options, "relating")
    success, rows = chained(parts[: len(goals)]), chained(parts[len(goals) :])
    measured = [row for row in rows if "share" in row]
    ablated = summarise([row for row in rows if "ablation" in row], ABLATION_KEYS)
    table, gains = summarise(measured), differences(measured)
    print_table("means over seeds", table, COLUMNS)
    print_table("contrast less plain, with half a 95 % interval", gains, DIFFERENCE_COLUMNS)
    print_table("ablations", ablated, (*ABLATION_KEYS, *COLUMNS[4:]))
    followed = related_goals.over_seeds(success)
    print_table("success in grid goto", followed, related_goals.COLUMNS)
    checked = [*linear_gaussian_rows(), *claims(measured), *related_goals.claims(followed)]
    print_table("claims", checked, CLAIM_COLUMNS)
    config: Row = options.model_dump(exclude={"out", *EngineFlags.model_fields}) | MODEL
    config |= {"training": {name: value.model_dump() for name, value in TRAININGS.items()}}
    tables = {"table": table, "measured": measured, "differences": gains, "ablations": ablated}
    tables |= {"success": followed, "episodes": success}
    write_report(out, command, config, checked, _figures(table, rows), **tables)


def _backbone_jobs(options: RelatingArguments) -> list[tuple[Any, ...]]:
    """Return a job for each seed, task and backbone, and how many rounds of finding pairs."""
    counts = {"digits": options.seeds, "worlds": options.worlds_seeds}
    return [
        (
            "backbone", options.out / "records", task, backbone, seed, options.steps,
            max(ROUNDS) if seed < options.found_seeds else 0, seed < options.ablation_seeds,
        )
        for seed in range(max(counts.values()))
        for task in TASKS
        if seed < counts[task]
        for backbone in BACKBONES
    ]  # fmt: skip


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


def measure_backbone(
    records: Path, task: str, backbone: str, seed: int, steps: int, rounds: int, ablate: bool
) -> list[Row]:
    """Return a row for each share, with and without the contrast, and for found pairs if any.

    Rows of seed 0 on all pairs also have scores and generations, for figures.
    """
    key = [MODEL, TRAININGS[task].model_dump(), steps, LABELLED, SCORED, WRONG]
    record = ResultCache(records / f"{task}-{backbone}-{seed}.jsonl", key)
    run = _Run(task, backbone, seed, steps)
    rows = []
    for share in SHARES[task] + (CURVE[task] if seed == 0 else ()):
        for name, contrast in (("plain", False), ("contrast", True)):
            rows += record.rows(f"{share:g} {name}", partial(_measured, run, contrast, share))
    if rounds:
        rows += record.rows(f"found in up to {rounds} rounds", partial(_propagate, run, rounds))
    if ablate and task == "digits" and backbone == ABLATED[0]:
        for name in ABLATIONS:
            rows += record.rows(f"ablated: {name}", partial(_ablated, run, name))
    common = {"task": task, "backbone": backbone, "seed": seed}
    return [common | row for row in rows]


PARTS: dict[str, Callable[..., list[Row]]] = {
    "backbone": measure_backbone,
    "goals": related_goals.run_goals,
}


@dataclass(frozen=True)
class _Run:
    """A backbone in a task, one seed."""

    task: str
    backbone: str
    seed: int
    steps: int

    def drawn(self) -> Task:
        """Return the task's pairs."""
        return TASKS[self.task](self.seed)

    def train(self, related: Pairs, **changes: Any) -> MultimodalVAE:
        """Train on related pairs; the same seed has the same initial weights."""
        config = VaeConfig(
            modalities=self.drawn().modalities, backbone=self.backbone, **MODEL
        )  # fmt: skip
        training = TRAININGS[self.task].model_copy(update={"steps": self.steps} | changes)
        model, generator = build_vae(config, self.seed), _generator(self.seed, 0)
        return RelatingLearner(model, related.observations, training, generator).train()


def _measured(run: _Run, contrast: bool, share: float) -> list[Row]:
    task, seed = run.drawn(), run.seed
    related, _ = _split(task.train, share, seed)
    model = run.train(related, contrast=contrast)
    generator = _generator(seed, 1)
    row: Row = {"contrast": contrast, "share": share} | measure(model, task, generator)
    if seed or share < 1:
        return [row]
    related_pmi, unrelated_pmi = map(_rounded, related_scores(model, task.test, generator))
    scores = {"contrast": contrast, "related": related_pmi, "unrelated": unrelated_pmi}
    return [row, scores, {"contrast": contrast} | _generations(model, task, generator)]


def _ablated(run: _Run, name: str) -> list[Row]:
    task = run.drawn()
    related, _ = _split(task.train, ABLATED[1], run.seed)
    model = run.train(related, **ABLATIONS[name])
    return [{"ablation": name} | measure(model, task, _generator(run.seed, 1))]


def _generator(seed: int, purpose: int) -> torch.Generator:
    return torch.Generator().manual_seed(1000 * seed + purpose)


def _split(pairs: Pairs, share: float, seed: int) -> tuple[Pairs, Pairs]:
    """Return a share of the pairs at random, larger ones containing smaller ones; and the rest."""
    order = torch.randperm(len(pairs), generator=_generator(seed, 2))
    count = max(2, math.ceil(share * len(pairs)))
    return pairs.take(order[:count]), pairs.take(order[count:])


def _propagate(run: _Run, rounds: int) -> list[Row]:
    """Find pairs among unlabelled ones with a model of a few, train on both, and so on.

    Candidates are the other training pairs, and as many pairs with unrelated partners. A part of
    the labelled pairs is kept from the models that score: the threshold is the score that few of
    its exchanged partners reach. It has no more labels than the share itself.
    """
    task, generator = run.drawn(), _generator(run.seed, 3)
    labelled, rest = _split(task.train, LABELLED, run.seed)
    scored = int(SCORED * len(labelled))
    known, kept_back = labelled.take(slice(scored, None)), labelled.take(slice(scored))
    partners = torch.randperm(len(rest), generator=generator)
    candidates = rest.beside(rest.with_partners(partners))
    related = rest.labels[partners] == rest.labels
    right = torch.cat([torch.ones_like(related), related])
    order = torch.randperm(len(kept_back), generator=generator)
    exchanged = kept_back.with_partners(order)
    found, rows = known.take(slice(0)), []
    for number in range(1, rounds + 1):
        model = run.train(known.beside(found))
        threshold = threshold_at(aligned_scores(model, exchanged, generator), WRONG)
        kept = aligned_scores(model, candidates, generator) >= threshold
        found = candidates.take(kept.nonzero().squeeze(1))
        if number not in ROUNDS:
            continue
        hits = int(right[kept].sum())
        share = "found" if number == 1 else f"found in {number} rounds"
        row: Row = {"contrast": True, "share": share}
        row |= {"precision": hits / max(1, int(kept.sum())), "recall": hits / int(right.sum())}
        again = run.train(labelled.beside(found))
        rows.append(row | measure(again, task, _generator(run.seed, 1)))
    return rows


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
