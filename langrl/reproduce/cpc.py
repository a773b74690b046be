"""``langrl reproduce cpc``: contrastive predictive coding, in parts.

Estimates of information where it is known (``gaussian_information``); what linear probes read off
histories of grid worlds (``langrl.tasks.cpc.exploration_probes``), beside codes, views and
untrained histories; and what a memory is worth to agents that see a part of the world
(``partial_memory``).
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from langrl.evaluation.statistics import mean_and_sem
from langrl.plots import cpc as cpc_plots
from langrl.plots.base import save
from langrl.reproduce import gaussian_information, partial_memory
from langrl.tasks.cpc.config import CpcRunConfig
from langrl.tasks.cpc.suite import probe_table
from langrl.tasks.run import train_or_resume
from langrl.tasks.suite import finish
from langrl.training.jobs import run_jobs
from langrl.training.logs import console, print_table, write_results
from langrl.training.result_cache import ResultCache, Row

GAUSSIAN_STEPS = 600
CLAIMS = ("claim", "expected", "ours", "holds")
ESTIMATES = (
    "information", "ceiling", "exact", "learned", "gap", "exact_many", "learned_many", "smile",
    "smile_exact", "nwj", "nwj_sd", "holds",
)  # fmt: skip
_KEYS = ("world", "features", "variable", "offset", "measure")


def reproduce(
    out: Path,
    seeds: int,
    memory_seeds: int,
    episodes: int,
    steps: int | None,
    workers: int,
    command: str,
) -> None:
    """Train, probe, act, and write the tables, results.json and the figures to ``out``.

    What was measured before, of the same settings, is used again.

    Args:
        out: folder; models go to ``out/runs``.
        seeds: trainings of each critic and each model, from 0.
        memory_seeds: trainings of each agent with and without a memory, from 0.
        episodes: that an agent is measured in, of each level and world.
        steps: gradient steps of each training, instead of our own.
        workers: processes.
        command: what the user typed, for the record.
    """
    jobs = _jobs(out, seeds, memory_seeds, episodes, steps)
    found: dict[str, list[Row]] = defaultdict(list)
    for (part, *_), rows in zip(jobs, run_jobs(measure, jobs, workers, "cpc"), strict=True):
        found[part] += rows
    probes = over_seeds(found["probes"])
    estimates = gaussian_information.over_seeds(found["gaussian"])
    success = partial_memory.over_seeds(found["agents"])
    claims = (
        gaussian_information.claims(estimates)
        + probe_claims(probes)
        + partial_memory.claims(success)
    )
    print_table(f"information in nats, seeds: {seeds}", estimates, ESTIMATES)
    print_table("read off by a linear map, in unseen rooms", *probe_table(probes))
    title = f"partially observed grid goto, seeds: {memory_seeds}"
    print_table(title, success, partial_memory.COLUMNS)
    print_table("claims", claims, CLAIMS)
    config = {
        "seeds": seeds, "memory_seeds": memory_seeds, "episodes": episodes, "steps": steps
    }  # fmt: skip
    tables = {"estimates": estimates, "probes": probes, "success": success}
    results = write_results(out, command, config, claims, **tables, episodes=found["agents"])
    figures = {
        "information": cpc_plots.information_figure(estimates, gaussian_information.PAIRS),
        "memory": cpc_plots.memory_figure(found["agents"], title),
        "probes": cpc_plots.probes_figure(probes, f"linear probes in unseen rooms, seeds: {seeds}"),
    }
    for name, figure in figures.items():
        save(figure, out / "figures" / f"{name}.png")
    console.print(f"results: {results}; figures: {out / 'figures'}")


def _jobs(
    out: Path, seeds: int, memory_seeds: int, episodes: int, steps: int | None
) -> list[tuple[Any, ...]]:
    """Return the part of each job and its arguments, the longest jobs first."""
    records = out / "records"
    agents: list[tuple[Any, ...]] = [
        ("agents", out / "partial", variant, seed, episodes, steps)
        for seed in range(memory_seeds)
        for variant in partial_memory.VARIANTS
    ]
    models = [("probes", out / "runs", records, seed, steps) for seed in range(seeds)]
    gaussian = [
        ("gaussian", records, information, seed, steps or GAUSSIAN_STEPS)
        for information in reversed(gaussian_information.INFORMATION)
        for seed in range(seeds)
    ]
    return [*agents, *models, *gaussian]


def measure(part: str, *arguments: Any) -> list[Row]:
    """Return the rows of a job of one part."""
    return PARTS[part](*arguments)


def probe_model(runs: Path, records: Path, seed: int, steps: int | None) -> list[Row]:
    """Train a model, unless it is there, and return what is read off it."""
    config = CpcRunConfig(seed=seed)
    if steps is not None:
        config = config.model_copy(update={"steps": steps})
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
    """Return means over seeds of what probes read off, with their standard errors."""
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in measured:
        groups[tuple(row[key] for key in _KEYS)].append(row)
    rows = []
    for key, group in groups.items():
        score, sem = mean_and_sem([row["score"] for row in group])
        chance = mean_and_sem([row["chance"] for row in group])[0]
        rows.append(
            dict(zip(_KEYS, key, strict=True)) | {"score": score, "sem": sem, "chance": chance}
        )
    return rows


def probe_claims(rows: Sequence[Row]) -> list[Row]:
    """Return where contexts are to know more than anything else does, and whether they do."""
    offset = max(row["offset"] for row in rows) // 2
    found = []
    for variable, at in (
        ("kinds_seen", 0),
        ("kinds_in_room", 0),
        ("hidden_object", 0),
        ("kind_faced", -offset),
        ("kind_faced", offset),
    ):
        scores = {
            row["features"]: row["score"]
            for row in rows
            if row["variable"] == variable and row["offset"] == at
        }
        if scores:
            ours = scores.pop("context")
            best = max(scores, key=lambda name: scores[name])
            where = f" {abs(at)} steps {'ago' if at < 0 else 'ahead'}" if at else ""
            expected = f"> {scores[best]:.3f}, {best}"
            values = (f"contexts know {variable}{where}", expected, ours, ours > scores[best])
            found.append(dict(zip(CLAIMS, values, strict=True)))
    return found
