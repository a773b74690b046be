"""``langrl reproduce cpc``: contrastive predictive coding (CPC), in three parts.

Estimates of mutual information where it is known (``gaussian_information``); what linear probes
read off histories of grid worlds (``langrl.tasks.cpc.exploration_probes``), compared with codes,
views and untrained histories; and the success of agents that see a part of the world, with and
without a memory (``partial_memory``).
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from langrl.evaluation.statistics import labelled_groups, mean_and_sem
from langrl.plots import cpc as cpc_plots
from langrl.reproduce import gaussian_information, partial_memory
from langrl.reproduce.arguments import CpcArguments
from langrl.reproduce.common import run_parts, with_given, write_report
from langrl.tasks.cpc.config import CpcRunConfig
from langrl.tasks.cpc.suite import probe_table
from langrl.tasks.run import train_or_resume
from langrl.tasks.suite import finish
from langrl.training.logs import print_table
from langrl.training.result_cache import ResultCache, Row

GAUSSIAN_STEPS = 600
CLAIMS = ("claim", "expected", "ours", "holds")
ESTIMATES = (
    "information", "ceiling", "exact", "learned", "gap", "exact_many", "learned_many", "smile",
    "smile_exact", "nwj", "nwj_sd", "holds",
)  # fmt: skip
_KEYS = ("world", "features", "variable", "offset", "measure")


def reproduce(options: CpcArguments, command: str) -> None:
    """Train, probe, act, and write the tables, results.json and the figures.

    What was measured before with the same settings is used again.
    """
    jobs = _jobs(options)
    measured: dict[str, list[Row]] = defaultdict(list)
    for (part, *_), rows in zip(jobs, run_parts(measure, jobs, options, "cpc"), strict=True):
        measured[part] += rows
    probes = over_seeds(measured["probes"])
    estimates = gaussian_information.over_seeds(measured["gaussian"])
    success = partial_memory.over_seeds(measured["agents"])
    claims = (
        gaussian_information.claims(estimates)
        + probe_claims(probes)
        + partial_memory.claims(success)
    )
    print_table(f"information in nats, seeds: {options.seeds}", estimates, ESTIMATES)
    print_table("read off by a linear map, in unseen rooms", *probe_table(probes))
    title = f"partially observed grid goto, seeds: {options.memory_seeds}"
    print_table(title, success, partial_memory.COLUMNS)
    print_table("claims", claims, CLAIMS)
    config = options.model_dump(include={"seeds", "memory_seeds", "episodes", "steps"})
    tables = {"estimates": estimates, "probes": probes, "success": success}
    tables["episodes"] = measured["agents"]
    figures = {
        "information": cpc_plots.information_figure(estimates, gaussian_information.PAIRS),
        "memory": cpc_plots.memory_figure(measured["agents"], title),
        "probes": cpc_plots.probes_figure(
            probes, f"linear probes in unseen rooms, seeds: {options.seeds}"
        ),
    }
    write_report(options.out, command, config, claims, figures, **tables)


def _jobs(options: CpcArguments) -> list[tuple[Any, ...]]:
    """Return the part of each job and its arguments, the longest jobs first."""
    out, seeds, steps = options.out, range(options.seeds), options.steps
    records = out / "records"
    agents: list[tuple[Any, ...]] = [
        ("agents", out / "partial", variant, seed, options.episodes, steps)
        for seed in range(options.memory_seeds)
        for variant in partial_memory.VARIANTS
    ]
    models = [("probes", out / "runs", records, seed, steps) for seed in seeds]
    gaussian = [
        ("gaussian", records, information, seed, steps or GAUSSIAN_STEPS)
        for information in reversed(gaussian_information.INFORMATION)
        for seed in seeds
    ]
    return [*agents, *models, *gaussian]


def measure(part: str, *arguments: Any) -> list[Row]:
    """Return the rows of a job of one part."""
    return PARTS[part](*arguments)


def probe_model(runs: Path, records: Path, seed: int, steps: int | None) -> list[Row]:
    """Train a model, unless it is there, and return the scores of its probes."""
    config = with_given(CpcRunConfig(seed=seed), steps=steps)
    record = ResultCache(records / f"probes-{seed}.jsonl", config.model_dump(mode="json"))
    return record.rows("probes", lambda: _pretrain(config, runs / f"seed-{seed}"))


def _pretrain(config: CpcRunConfig, folder: Path) -> list[Row]:
    """Train a model, or go on where training stopped; returns its rows."""
    run, seconds = train_or_resume(config, folder, f"seed {config.seed}")
    return finish(run, folder, "langrl reproduce cpc", seconds).rows


PARTS: dict[str, Callable[..., list[Row]]] = {
    "agents": partial_memory.run_variant,
    "probes": probe_model,
    "gaussian": gaussian_information.measure,
}


def over_seeds(measured: Sequence[Row]) -> list[Row]:
    """Return means of probe scores over seeds, with their standard errors."""
    rows = []
    for labels, group in labelled_groups(measured, _KEYS):
        score, sem = mean_and_sem([row["score"] for row in group])
        chance = mean_and_sem([row["chance"] for row in group])[0]
        rows.append(labels | {"score": score, "sem": sem, "chance": chance})
    return rows


def probe_claims(rows: Sequence[Row]) -> list[Row]:
    """Return whether contexts have the best probe scores, for each variable where they should."""
    offset = max(row["offset"] for row in rows) // 2
    claims = []
    now = ("kinds_seen", "kinds_in_room", "hidden_object")
    faced = [("kind_faced", -offset), ("kind_faced", offset)]
    for variable, at in [*((variable, 0) for variable in now), *faced]:
        here = [row for row in rows if (row["variable"], row["offset"]) == (variable, at)]
        scores = {row["features"]: row["score"] for row in here}
        if scores:
            ours = scores.pop("context")
            best = max(scores, key=scores.__getitem__)
            where = f" {abs(at)} steps {'ago' if at < 0 else 'ahead'}" if at else ""
            expected = f"> {scores[best]:.3f}, {best}"
            values = (f"contexts know {variable}{where}", expected, ours, ours > scores[best])
            claims.append(dict(zip(CLAIMS, values, strict=True)))
    return claims
