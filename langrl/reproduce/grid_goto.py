"""``langrl reproduce grid-goto``: instructions grounded by a language-image model, in grid worlds.

One agent a seed, trained on trajectories of all four worlds without language, follows instructions
in rooms it has not seen, beside baselines; every method meets the same rooms, starts and texts.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from langrl.envs.grid.rooms import GRID_WORLDS
from langrl.envs.phrasing import PHRASINGS, Phrasing
from langrl.evaluation.comparison import compare, summarise
from langrl.evaluation.statistics import group_rows, labelled_groups, mean_and_sem, means_and_sems
from langrl.plots.base import methods_figure
from langrl.protocols import Agent
from langrl.reproduce.arguments import GridGoToArguments
from langrl.reproduce.common import digest_of, run_parts, train_timed, with_given, write_report
from langrl.tasks.grid.agent import image_language
from langrl.tasks.grid.cloning import clone, language_fingerprint
from langrl.tasks.grid.config import GridRunConfig
from langrl.tasks.grid.suite import BASELINES, make_grid_tasks
from langrl.tasks.loading import load_agent
from langrl.tasks.presets import load_config
from langrl.training.jobs import chained
from langrl.training.logs import console, print_table
from langrl.training.result_cache import ResultCache, Row

GROUNDED = ("log_sum_exp", "nearest_goal", "sampled_goal", "max_goal", "direct")
COLUMNS = (
    "world", "level", "phrasing", "method", "success", "success_sem", "spl",
    "mean_ambiguity_bits",
)  # fmt: skip


def reproduce(options: GridGoToArguments, command: str) -> None:
    """Run the whole comparison and write its table, results.json and the figures."""
    settings = (options.episodes, options.steps, options.language)
    jobs = [(options.out / "runs", seed, *settings) for seed in range(options.seeds)]
    measured = chained(
        run_parts(run_seed, jobs, options, "training and evaluating", digest_of(options.language))
    )
    rows = _over_seeds(measured)
    summary = _over_levels(rows)
    title = f"grid worlds, {options.seeds} seeds x {options.episodes} episodes"
    print_table(title, rows, COLUMNS)
    print_table("mean over levels", summary, ("world", "phrasing", "method", "success", "spl"))
    config = _config(0, *settings).model_dump(mode="json")
    seconds = {f"seed {row['seed']}": row["train_seconds"] for row in measured}
    figures = {
        f"grid-goto-{phrasing}": methods_figure(shown, f"{title}, {phrasing} phrasings", "world")
        for (phrasing,), shown in group_rows(summary, ["phrasing"]).items()
    }
    tables = {"summary": summary, "train_seconds": seconds}
    write_report(options.out, command, config, rows, figures, **tables)


def run_seed(folder: Path, seed: int, episodes: int, steps: int | None, language: str) -> list[Row]:
    """Train an agent and a cloned policy, and return a row for each method and condition."""
    config = _config(seed, episodes, steps, language)
    seconds = train_timed(
        config, folder / f"seed-{seed}", f"seed {seed}", "langrl reproduce grid-goto"
    )
    agents = _agents(config, folder / f"seed-{seed}", folder / f"seed-{seed}-cloning")
    record = ResultCache(folder / f"seed-{seed}.jsonl", _evaluation_key(config))
    if len(record):
        console.print(f"seed {seed}: {len(record)} conditions are measured already")
    rows = []
    for world in dict.fromkeys(config.world.worlds):
        for level in GRID_WORLDS[world].levels:
            for phrasing in PHRASINGS:
                measure = partial(_measure, config, agents, world, level, phrasing)
                rows += record.rows(f"{world}, {level}, {phrasing}", measure)
    return [row | {"train_seconds": seconds} for row in rows]


def _measure(
    config: GridRunConfig,
    agents: Mapping[str, Callable[[], Agent]],
    world: str,
    level: str,
    phrasing: Phrasing,
) -> list[Row]:
    """Return a row for each method in one world, with one level of instructions."""
    make_env = partial(make_grid_tasks, world, config.evaluation.episodes, (level,), phrasing)
    title = f"{world}, {level}, {phrasing}"
    results = compare(agents, make_env, config.evaluation.seed, title)
    return [
        {"world": world, "level": level, "phrasing": phrasing, "method": method}
        | summarise(done)
        | {"mean_ambiguity_bits": float(np.nanmean(done.ambiguity_bits)), "seed": config.seed}
        for method, done in results.items()
    ]


def _evaluation_key(config: GridRunConfig) -> dict[str, Any]:
    """Return what the rows of a seed depend on."""
    return config.model_dump(mode="json") | language_fingerprint(config) | {"methods": [*GROUNDED]}


def _config(seed: int, episodes: int, steps: int | None, language: str) -> GridRunConfig:
    config = load_config("grid-all", GridRunConfig)
    learner = with_given(config.learner, steps=steps)
    evaluation_seed = config.evaluation.seed + seed
    evaluation = with_given(config.evaluation, episodes=episodes, seed=evaluation_seed)
    return with_given(config, seed=seed, learner=learner, evaluation=evaluation, language=language)


def _agents(config: GridRunConfig, run: Path, cloning: Path) -> dict[str, Callable[[], Agent]]:
    agents: dict[str, Callable[[], Agent]] = {
        method: lambda method=method: load_agent(run, strategy=method, compare_separate=True)  # type: ignore[misc]
        for method in GROUNDED
    }
    texts = image_language(config.language, config.device).encode_text(["go to a ball"])
    if texts.shape[-1] != config.critic.embedding:
        del agents["direct"]  # embeddings of different sizes cannot even be compared
    return agents | {"behaviour_cloning": clone(config, cloning)} | BASELINES


def _over_seeds(measured: list[Row]) -> list[Row]:
    """Return means over training seeds with their standard errors over seeds."""
    rows = []
    for labels, group in labelled_groups(measured, ("world", "level", "phrasing", "method")):
        row: Row = labels | means_and_sems(group, ("success", "spl"))
        row["mean_ambiguity_bits"] = mean_and_sem([r["mean_ambiguity_bits"] for r in group])[0]
        row["least_success"] = min(r["success"] for r in group)
        rows.append(row)
    return rows


def _over_levels(rows: list[Row]) -> list[Row]:
    """Return the mean over the levels of each world, phrasing and method."""
    return [
        labels
        | {name: mean_and_sem([row[name] for row in group])[0] for name in ("success", "spl")}
        for labels, group in labelled_groups(rows, ("world", "phrasing", "method"))
    ]
