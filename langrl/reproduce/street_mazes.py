"""``langrl reproduce street-mazes``: marginalising over goals against its alternatives.

Trains on blank, fork and island, several seeds each, and evaluates every method on the same
starts, instructions and noise, beside the numbers published in arXiv:2501.11326.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from langrl.envs.maze.grammar import KINDS
from langrl.envs.phrasing import PHRASINGS
from langrl.evaluation.comparison import compare, summarise
from langrl.evaluation.statistics import labelled_groups, mean_and_sem, means_and_sems
from langrl.plots.base import methods_figure
from langrl.reproduce.arguments import ReproduceArguments
from langrl.reproduce.common import run_parts, train_timed, with_given, write_report
from langrl.tasks.loading import AgentMaker, agents_of
from langrl.tasks.maze import suite as maze_suite
from langrl.tasks.maze.config import MazeRunConfig
from langrl.tasks.maze.published import STREET_MAZES
from langrl.tasks.presets import load_config
from langrl.training.jobs import chained
from langrl.training.logs import print_table
from langrl.training.result_cache import Row

MAZES = ("blank", "fork", "island")
AS_PUBLISHED = {"directions": 8, "weighting": "none"}  # for the two published methods
COLUMNS = (
    "maze", "method", "success", "success_sem", "spl", "spl_sem", "published_success",
    "published_spl", "train_seconds",
)  # fmt: skip


def reproduce(options: ReproduceArguments, command: str) -> None:
    """Run the whole comparison and write its table, results.json and the figure."""
    jobs = [
        (options.out / "runs", maze, seed, options.episodes, options.steps)
        for maze in MAZES
        for seed in range(options.seeds)
    ]
    parts = run_parts(run_seed, jobs, options, "training and evaluating")
    averaged = ("success", "spl")
    rows = [
        labels | means_and_sems(measured, averaged) | _published(labels["maze"], labels["method"])
        | {"train_seconds": _mean_seconds([row["train_seconds"] for row in measured])}
        for labels, measured in labelled_groups(
            chained(part["methods"] for part in parts), ("maze", "method")
        )
    ]  # fmt: skip
    keys = ("maze", "method", "kind", "phrasing")
    phrased = [
        labels | means_and_sems(measured, averaged)
        for labels, measured in labelled_groups(chained(part["phrasings"] for part in parts), keys)
    ]
    title = f"street mazes, {options.seeds} seeds x {options.episodes} episodes"
    print_table(title, rows, COLUMNS)
    print_table("seen and held-out phrasings, by kind", phrased, (*keys, *COLUMNS[2:6]))
    figures = {"street-mazes": methods_figure(rows, title, "maze")}
    last = _config(MAZES[-1], options.seeds - 1, options.episodes, options.steps)
    settings = last.model_dump(mode="json")
    write_report(options.out, command, settings, rows, figures, phrasings=phrased)


def run_seed(
    folder: Path, maze: str, seed: int, episodes: int, steps: int | None
) -> dict[str, list[Row]]:
    """Train an agent, unless it is there; returns rows of ``methods`` and of ``phrasings``."""
    config = _config(maze, seed, episodes, steps)
    run = folder / f"{maze}-{seed}"
    seconds = train_timed(config, run, f"{maze}, seed {seed}", "langrl reproduce street-mazes")
    agent = agents_of(run)
    keys = ("maze", "method", "kind", "phrasing")
    return {
        "methods": [
            {"maze": maze, "method": method} | row | {"train_seconds": seconds}
            for method, row in _evaluate(agent, config).items()
        ],
        "phrasings": [
            dict(zip(keys, (maze, *key), strict=True)) | row
            for key, row in _evaluate_phrasings(agent, config).items()
        ],
    }


def _mean_seconds(seconds: Sequence[float | None]) -> float | None:
    """Return the mean; None if a training was stopped in between."""
    known = [value for value in seconds if value is not None]
    return round(mean_and_sem(known)[0], 1) if len(known) == len(seconds) else None


def _config(maze: str, seed: int, episodes: int, steps: int | None) -> MazeRunConfig:
    config = load_config(f"street-{maze}", MazeRunConfig)
    learner = with_given(config.learner, steps=steps)
    evaluation_seed = config.evaluation.seed + seed
    evaluation = with_given(config.evaluation, episodes=episodes, seed=evaluation_seed)
    return with_given(config, seed=seed, learner=learner, evaluation=evaluation)


def _evaluate(agent: AgentMaker, config: MazeRunConfig) -> dict[str, dict[str, Any]]:
    """Evaluate every method as published, and log_sum_exp with candidates weighted to p(g)."""
    evaluation = config.evaluation
    suite = maze_suite.of(config)
    agents = suite.agents(agent)
    for method in ("direct", "log_sum_exp"):
        agents[method] = lambda method=method: agent(strategy=method, **AS_PUBLISHED)  # type: ignore[misc]
    agents["log_sum_exp, weighted"] = lambda: agent(
        **AS_PUBLISHED | {"strategy": "log_sum_exp", "weighting": "data"}
    )
    order = ["direct", "log_sum_exp", "log_sum_exp, weighted"]
    agents = {name: agents[name] for name in dict.fromkeys([*order, *agents])}
    results = compare(agents, lambda: suite.tasks(evaluation), evaluation.seed, config.world.layout)
    return {method: summarise(episodes) for method, episodes in results.items()}


def _evaluate_phrasings(
    agent: AgentMaker, config: MazeRunConfig
) -> dict[tuple[str, ...], dict[str, Any]]:
    """Evaluate on seen and held-out phrasings, on rows and columns and on every kind."""
    evaluation = config.evaluation
    suite = maze_suite.of(config)
    agents = suite.agents(agent, ("nearest_goal",))
    agents |= {"log_sum_exp": lambda: agent(strategy="log_sum_exp", **AS_PUBLISHED)}
    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    for kinds in (("row", "column"), *((kind,) for kind in KINDS)):
        for phrasing in PHRASINGS:
            results = compare(
                agents if len(kinds) > 1 else {"nearest_goal": agents["nearest_goal"]},
                lambda kinds=kinds, phrasing=phrasing: suite.tasks(  # type: ignore[misc]
                    evaluation, kinds, phrasing
                ),
                evaluation.seed,
                f"{config.world.layout}, {phrasing}",
            )
            for method, episodes in results.items():
                rows[method, " or ".join(kinds), phrasing] = summarise(episodes)
    return rows


def _published(maze: str, method: str) -> dict[str, float | None]:
    success, spl = STREET_MAZES.get((maze, method), (None, None))
    return {"published_success": success, "published_spl": spl}
