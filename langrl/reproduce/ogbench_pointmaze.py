"""``langrl reproduce ogbench-pointmaze``: agents of recorded data, beside the published ones.

OGBench's PointMaze sets are made anew by their published recipe (the same distribution, not the
same bits), an agent learns from each without acting, and reaches OGBench's five tasks; then it
follows instructions, which it has never seen in training.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from langrl.data.recordings.making import make_recording
from langrl.evaluation.comparison import summarise
from langrl.evaluation.goal_reaching import summarise_goals
from langrl.evaluation.statistics import labelled_groups, means_and_sems
from langrl.plots.base import Bar, draw_bars, explain, figure, with_legend
from langrl.reproduce.arguments import OgbenchPointmazeArguments
from langrl.reproduce.common import digest_of, run_parts, train_timed, with_given, write_report
from langrl.tasks.goal_reaching.agent import GoalAgents
from langrl.tasks.goal_reaching.config import GoalRunConfig
from langrl.tasks.goal_reaching.held_out import HeldOutGoals
from langrl.tasks.goal_reaching.suite import GoalSuite
from langrl.tasks.loading import agents_of
from langrl.tasks.presets import load_config
from langrl.training.logs import print_table
from langrl.training.result_cache import ResultCache, Row

PUBLISHED = {  # success as published by OGBench, arXiv:2410.20092; SAW: its own paper's table
    "medium": {"GCBC": 0.09, "GCIVL": 0.63, "GCIQL": 0.53, "QRL": 0.82, "CRL": 0.29, "HIQL": 0.79,
               "SAW": 0.97},
    "large": {"GCBC": 0.29, "GCIVL": 0.45, "GCIQL": 0.34, "QRL": 0.86, "CRL": 0.39, "HIQL": 0.58,
              "SAW": 0.85},
    "giant": {"GCBC": 0.01, "GCIVL": 0.00, "GCIQL": 0.00, "QRL": 0.68, "CRL": 0.27, "HIQL": 0.46,
              "SAW": 0.68},
}  # fmt: skip
COLUMNS = (
    "maze", "seeds", "success", "success_sem", "instructions", "of_goals", "train_seconds",
    "CRL", "HIQL", "QRL", "SAW",
)  # fmt: skip
STRATEGY = "nearest_goal"


def reproduce(options: OgbenchPointmazeArguments, command: str) -> None:
    """Train on each set and write rows, results.json and the figure."""
    data = options.data or options.out / "data"
    for maze in options.mazes:
        _make(data, maze, options.workers)
    jobs = [
        (options.out / "runs", data, maze, seed, options.episodes, options.steps)
        for maze in options.mazes
        for seed in range(options.seeds)
    ]
    sets = {maze: digest_of(_file(data, maze)) for maze in options.mazes}
    measured = run_parts(run_cell, jobs, options, "training and reaching goals", sets)
    rows = _over_seeds(measured)
    title = f"OGBench's PointMaze navigate, {options.seeds} seeds x 5 x {options.episodes} episodes"
    print_table(title, rows, COLUMNS)
    config = {
        maze: _config(data, maze, 0, options.episodes, options.steps).model_dump(mode="json")
        for maze in options.mazes
    }
    figures = {"ogbench-pointmaze": _figure(rows, title)}
    write_report(options.out, command, config, rows, figures, measured=measured)


def _make(folder: Path, maze: str, workers: int | None) -> None:
    """Make a data set, unless it is there."""
    if not (file := _file(folder, maze)).exists():
        make_recording(f"ogbench/pointmaze-{maze}-navigate", file, workers=workers)


def _file(folder: Path, maze: str) -> Path:
    return folder / f"pointmaze-{maze}-navigate.npz"


def _config(data: Path, maze: str, seed: int, episodes: int, steps: int | None) -> GoalRunConfig:
    config = load_config(f"crl-pointmaze-{maze}", GoalRunConfig)
    changed = {
        "seed": seed,
        "data": config.data.model_copy(update={"file": str(_file(data, maze).resolve())}),
        "learner": with_given(config.learner, steps=steps),
        "evaluation": config.evaluation.model_copy(update={"episodes": 5 * episodes}),
    }
    return config.model_copy(update=changed)


def run_cell(
    folder: Path, data: Path, maze: str, seed: int, episodes: int, steps: int | None
) -> Row:
    """Train on one set with one seed, unless that is done; returns its success."""
    config = _config(data, maze, seed, episodes, steps)
    run = folder / f"{maze}-{seed}"
    seconds = train_timed(config, run, f"{maze}, seed {seed}", "langrl reproduce ogbench-pointmaze")
    cache = ResultCache(folder / f"{maze}-{seed}.jsonl", config.model_dump(mode="json"))
    (goals,) = cache.rows("goals", lambda: [_reach(run, config)])
    (told,) = cache.rows("instructions", lambda: [_follow(run, config, episodes)])
    return {
        "maze": maze,
        "method": "langrl",
        "seed": seed,
        "success": goals["success"],
        "instructions": told["success"],
        "train_seconds": seconds,
    }


def _agents(run: Path) -> GoalAgents:
    return cast(GoalAgents, agents_of(run))


def _reach(run: Path, config: GoalRunConfig) -> Row:
    """Return the success over the five tasks."""
    settings = config.evaluation
    policy = _agents(run).policy(settings.deterministic)
    goals = HeldOutGoals(config)
    return summarise_goals(goals.reach(policy, settings.episodes, settings.seed, run.name))


def _follow(run: Path, config: GoalRunConfig, episodes: int) -> Row:
    """Return the success in following drawn instructions, as many as episodes of a task."""
    agents = _agents(run)
    suite = GoalSuite(config, config.evaluation).for_agents(agents)
    settings = config.evaluation.model_copy(update={"episodes": episodes})
    methods = suite.agents(agents, (STRATEGY,))
    return summarise(suite.compare(methods, "instructions", settings)[STRATEGY])


def _over_seeds(measured: Sequence[Row]) -> list[Row]:
    """Return means over seeds, beside what is published."""
    rows = []
    for row, group in labelled_groups(measured, ("maze", "method")):
        row |= {"seeds": len(group)} | means_and_sems(group, ("success", "instructions"))
        row["of_goals"] = row["instructions"] / row["success"] if row["success"] else None
        seconds = [each["train_seconds"] for each in group]
        row["train_seconds"] = None if None in seconds else sum(seconds) / len(seconds)
        rows.append(row | PUBLISHED[row["maze"]])
    return rows


def _figure(rows: Sequence[Row], title: str) -> Any:
    """Draw our success beside the published ones."""
    fig = figure(8.0, 3.6, title)
    ax = fig.subplots()
    bars = []
    for row in rows:
        mine = Bar(row["maze"], "langrl", row["success"], row["success_sem"], colour="#1b7837")
        bars.append(mine)
        bars += [Bar(row["maze"], name, value) for name, value in PUBLISHED[row["maze"]].items()]
    draw_bars(ax, bars)
    ax.set_ylabel("success, share of episodes", fontsize=8)
    explain(
        fig,
        "Success over OGBench's five tasks: higher is better. Ours learned from sets made anew by"
        " the published recipe; its line is the standard error over seeds. The others are as"
        " published, with hours of training each.",
    )
    return with_legend(fig)
