"""``langrl reproduce relating``: contrasting related with unrelated pairs in generative models.

Each backbone is trained with and without the contrast on shares of the related data, in three
tasks: handwritten digits beside digits as on houses, and what is faced in grid worlds beside
instructions, without and with clauses.
Then a model that was trained on a fifth of the pairs finds more of them by pointwise mutual
information, and parts of the training are left out.

Axes: ``N`` pairs, ``S`` seeds.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from langrl.agents.relating import RelatingLearner
from langrl.data.digit_pairs import written_digits
from langrl.evaluation.coherence import threshold_at
from langrl.models.protocols import device_of
from langrl.models.vae.backbones import BACKBONES
from langrl.models.vae.config import VaeConfig
from langrl.models.vae.model import MultimodalVAE, build_vae
from langrl.models.vae.pairs import shared_information
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
    FEW_SAMPLES,
    LATENTS,
    MODEL,
    OWN_LATENTS,
    SAMPLES,
    TASKS,
    TRAINING,
    Pairs,
    Scale,
    Task,
    measure,
    related_scores,
)
from langrl.training.engines.config import EngineFlags
from langrl.training.jobs import chained
from langrl.training.logs import print_table
from langrl.training.result_cache import ResultCache, Row
from langrl.training.run_folder import use_device

SHARES = {"digits": (0.05, 0.2, 1.0), "worlds": (0.2, 1.0), "clauses": (0.2, 1.0)}
"""Of the related training pairs; fewer for the worlds, to save time."""
CURVE = {"digits": (0.01, 0.1), "worlds": (), "clauses": ()}
"""Further shares, of the first seed alone."""
LABELLED = 0.2  # the share from which more pairs are found
SCORED = 0.2  # of the labelled pairs, which the model that finds more is not trained on
WRONG = 0.05  # of the partners of those pairs, exchanged at random, that the threshold keeps
ROUNDS = (1, 3)  # of finding pairs
ABLATED_SHARE = 0.2  # of the related pairs
ABLATIONS: dict[str, dict[str, Row]] = {
    "mvae": {"own latents": OWN_LATENTS},
    "mmvae": {
        "without likelihood": {"gamma": 1.0},
        "one direction": {"both_ways": False},
        "hard unrelated pairs": {"hardest": 4},
        "elbo": {"objective": "elbo"},
        "without warm-up": {"warm_up": 0.0},
        "gamma 2": {"gamma": 2.0},
        "own latents": OWN_LATENTS,
        "own latents, dreg": OWN_LATENTS | {"objective": "dreg"},
    },
    "jmvae": {
        "latents of experts": {"proposal": "experts", "negatives": None},
        "kl weight 1": {"kl_weight": 1.0},
    },
}
"""What is changed of the model or its training with contrast, by backbone and name."""
COLUMNS = ("task", "backbone", "contrast", "share", "latent", "joint", "cross", "synergy", "auc")
_SHOWN = 10  # observations in the figure of generations


def reproduce(options: RelatingArguments, command: str) -> None:
    """Train, measure, and write the tables, results.json and figures.

    What was measured before with the same settings is used again.

    Raises:
        MissingExtraError: if scikit-learn, which has the digits, is not installed.
        ConfigError: if this machine has no such device.
    """
    use_device(options.device, torch.get_num_threads())
    out, steps = options.out, options.steps
    goals: list[tuple[Any, ...]] = [
        ("goals", out, seed, options.episodes, None, steps) for seed in range(options.goals_seeds)
    ]
    written_digits()  # refused now, not after other trainings
    jobs = goals + _backbone_jobs(options)
    parts = run_parts(measure_part, jobs, options, "relating")
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
    scale = _scale(options)
    config |= {"training": {task: scale.training(task).model_dump() for task in TASKS}}
    config |= {"latents": LATENTS}
    tables = {"table": table, "measured": measured, "differences": gains, "ablations": ablated}
    tables |= {"success": followed, "episodes": success}
    write_report(out, command, config, checked, _figures(table, rows), **tables)


def _scale(options: RelatingArguments) -> Scale:
    return Scale(**options.model_dump(include={each.name for each in fields(Scale)}))


def _backbone_jobs(options: RelatingArguments) -> list[tuple[Any, ...]]:
    """Return the jobs of each seed, task and backbone; those that share a task are together."""
    counts = dict.fromkeys(TASKS, options.worlds_seeds) | {"digits": options.seeds}
    jobs: list[tuple[Any, ...]] = []
    for seed in range(max(counts.values())):
        for task in [task for task in TASKS if seed < counts[task]]:
            for backbone in BACKBONES:
                run = _Run(task, backbone, seed, _scale(options))
                ablations = ABLATIONS[backbone] if task == "digits" else {}
                jobs += [("shares", options.out, run, contrast) for contrast in (False, True)]
                jobs += [("found", options.out, run)] * (seed < options.found_seeds)
                if seed < options.ablation_seeds:
                    jobs += [("ablation", options.out, run, name) for name in ablations]
    return jobs


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
    """Return the rows of a job: a part of ``PARTS``."""
    return PARTS[part](*arguments)


@dataclass(frozen=True)
class _Run:
    """A backbone in a task, one seed."""

    task: str
    backbone: str
    seed: int
    scale: Scale

    def drawn(self) -> Task:
        """Return the task's pairs."""
        return TASKS[self.task](self.seed, self.scale)

    def record(self, out: Path, part: str) -> ResultCache:
        """Return the record of a part of the run."""
        key = [MODEL, TRAINING.model_dump(), asdict(self.scale), LABELLED, SCORED, WRONG]
        key += [LATENTS[self.backbone], SAMPLES, FEW_SAMPLES]
        name = "-".join([self.task, self.backbone, str(self.seed), *part.split()])
        return ResultCache(out / "records" / f"{name}.jsonl", key)

    def labelled(self, rows: Sequence[Row]) -> list[Row]:
        """Return rows that say what they are of."""
        common = {"task": self.task, "backbone": self.backbone, "seed": self.seed}
        return [common | row for row in rows]

    def train(self, related: Pairs, **changes: Any) -> MultimodalVAE:
        """Train on related pairs; the same seed has the same initial weights."""
        task, device = self.drawn(), related.labels.device
        changed_model = {name: changes.pop(name) for name in ("kl_weight",) if name in changes}
        sizes = MODEL | changed_model
        config = VaeConfig(modalities=task.modalities, backbone=self.backbone, **sizes)
        changes = LATENTS[self.backbone] | changes
        training = self.scale.training(self.task).model_copy(update=changes)
        model = build_vae(config, self.seed).to(device)
        generator = self.generator(0, device)
        return RelatingLearner(model, related.observations, training, generator).train()

    def generator(self, purpose: int, device: torch.device | str = "cpu") -> torch.Generator:
        """Return a source of randomness for a purpose."""
        return torch.Generator(device).manual_seed(1000 * self.seed + purpose)

    def measured(self, model: MultimodalVAE) -> Row:
        """Return every measure of a trained model."""
        return measure(model, self.drawn(), self.generator(1, device_of(model)))


def measure_shares(out: Path, run: _Run, contrast: bool) -> list[Row]:
    """Return a row for each share of the related pairs, with the contrast or without.

    Rows of seed 0 on all pairs also have scores and generations, for figures.
    """
    record = run.record(out, "contrast" if contrast else "plain")
    rows = []
    for share in SHARES[run.task] + (CURVE[run.task] if run.seed == 0 else ()):
        rows += record.rows(f"{share:g}", partial(_measured, run, contrast, share))
    return run.labelled(rows)


def measure_found(out: Path, run: _Run) -> list[Row]:
    """Return a row for each number of rounds in which pairs are found."""
    return run.labelled(run.record(out, "found").rows("rounds", partial(_propagate, run)))


def measure_ablation(out: Path, run: _Run, name: str) -> list[Row]:
    """Return the row of a training that is changed in one thing."""
    record = run.record(out, f"ablated {name.replace(',', '')}")
    return run.labelled(record.rows(name, partial(_ablated, run, name)))


PARTS: dict[str, Callable[..., list[Row]]] = {
    "shares": measure_shares,
    "found": measure_found,
    "ablation": measure_ablation,
    "goals": related_goals.run_goals,
}


def _measured(run: _Run, contrast: bool, share: float) -> list[Row]:
    task, seed = run.drawn(), run.seed
    related, _ = _split(task.train, share, run)
    model = run.train(related, contrast=contrast)
    row: Row = {"contrast": contrast, "share": share} | run.measured(model)
    if seed or share < 1:
        return [row]
    generator = run.generator(4, device_of(model))
    related_pmi, unrelated_pmi = map(_rounded, related_scores(model, task.test, generator))
    scores = {"contrast": contrast, "related": related_pmi, "unrelated": unrelated_pmi}
    return [row, scores, {"contrast": contrast} | _generations(model, task, generator)]


def _ablated(run: _Run, name: str) -> list[Row]:
    related, _ = _split(run.drawn().train, ABLATED_SHARE, run)
    model = run.train(related, **ABLATIONS[run.backbone][name])
    return [{"ablation": name} | run.measured(model)]


def _split(pairs: Pairs, share: float, run: _Run) -> tuple[Pairs, Pairs]:
    """Return a share of the pairs at random, larger ones containing smaller ones; and the rest."""
    order = torch.randperm(len(pairs), generator=run.generator(2))
    count = max(2, math.ceil(share * len(pairs)))
    return pairs.take(order[:count]), pairs.take(order[count:])


def _propagate(run: _Run) -> list[Row]:
    """Find pairs among unlabelled ones with a model of a few, train on both, and so on.

    Candidates are the other training pairs, and as many pairs with unrelated partners. A part of
    the labelled pairs is kept from the models that score: the threshold is the score that few of
    its exchanged partners reach. It has no more labels than the share itself.
    """
    task = run.drawn()
    labelled, rest = _split(task.train, LABELLED, run)
    where = rest.labels.device
    generator = run.generator(3, where)
    scored = int(SCORED * len(labelled))
    known, kept_back = labelled.take(slice(scored, None)), labelled.take(slice(scored))
    partners = torch.randperm(len(rest), generator=generator, device=where)
    candidates = rest.beside(rest.with_partners(partners))
    related = rest.labels[partners] == rest.labels
    right = torch.cat([torch.ones_like(related), related])
    order = torch.randperm(len(kept_back), generator=generator, device=where)
    exchanged = kept_back.with_partners(order)
    found, rows = known.take(slice(0)), []
    for number in range(1, max(ROUNDS) + 1):
        model = run.train(known.beside(found))
        unrelated, unlabelled = (
            shared_information(model, pairs.observations, generator, FEW_SAMPLES)
            for pairs in (exchanged, candidates)
        )
        kept = unlabelled >= threshold_at(unrelated, WRONG)
        found = candidates.take(kept.nonzero().squeeze(1))
        if number not in ROUNDS:
            continue
        hits = int(right[kept].sum())
        share = "found" if number == 1 else f"found in {number} rounds"
        row: Row = {"contrast": True, "share": share}
        row |= {"precision": hits / max(1, int(kept.sum())), "recall": hits / int(right.sum())}
        again = run.train(labelled.beside(found))
        rows.append(row | run.measured(again))
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
        "words": list(task.words),
        "given": [_rounded(row) for row in given],
        "generated": {
            name: [[_rounded(row) for row in sample] for sample in value]
            for name, value in generated.items()
        },
        "prior": {name: [_rounded(row) for row in value[:, 0]] for name, value in prior.items()},
    }
