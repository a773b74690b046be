"""``langrl reproduce words``: what text towers make of words that they were never told.

Each tower is scored on seen and held-out phrasings, and on development and blind texts: ROC AUC of
what a text denotes, expected calibration error, information about texts that mean something against
texts that do not, and success. Of blind texts, there are totals of their groups alone.
"""

from collections.abc import Sequence
from typing import Any

from langrl.data.word_sets import SHA256
from langrl.envs.grid.rooms import GRID_WORLDS
from langrl.errors import ConfigError
from langrl.evaluation.statistics import labelled_groups, mean_and_sem
from langrl.plots.base import Bar, draw_bars, explain, figure, with_legend
from langrl.reproduce.arguments import WordsArguments
from langrl.reproduce.common import digest_of, run_parts, write_report
from langrl.reproduce.word_cells import MAZE, STRATEGIES, score_grid, score_maze
from langrl.training.logs import print_table
from langrl.training.result_cache import Row

KEYS = ("world", "phrasing", "tower")
MEASURES = ("auc", "ece", "information_bits", *STRATEGIES, "success")
UNDERSTOOD = {"understood_auc": "auc", "p_understood_auc": "p_auc", "p_understood_ece": "p_ece"}
COLUMNS = ("world", "level", "phrasing", "tower", "texts", *MEASURES)


def reproduce(options: WordsArguments, command: str) -> None:
    """Score every tower and write rows, results.json and the figure."""
    _check_worlds(options.worlds)
    parts = [*_maze_parts(options), *_grid_parts(options)]
    rows = _over_seeds([row for part in parts for row in part["levels"]])
    understood = [
        labels | {name: _mean([row[key] for row in group]) for name, key in UNDERSTOOD.items()}
        for labels, group in labelled_groups([r for p in parts for r in p["understood"]], KEYS)
    ]
    words = [
        labels | {"texts": sum(r["texts"] for r in group), "auc": _mean([r["auc"] for r in group])}
        for labels, group in labelled_groups(
            [row for part in parts for row in part["words"]], (*KEYS, "word")
        )
    ]
    summary = _over_levels(rows, understood, words)
    title = f"words, {options.seeds} seeds"
    print_table(title, rows, COLUMNS)
    shown = (*KEYS, "auc", "least_word_auc", "ece", *UNDERSTOOD, "success")
    print_table("mean over levels", summary, shown)
    config = options.model_dump(mode="json", exclude={"out"}) | {"sha256": SHA256}
    tables = {"summary": summary, "words": words}
    write_report(options.out, command, config, rows, {"words": _figure(summary, title)}, **tables)


def _check_worlds(worlds: Sequence[str]) -> None:
    known = [f"street-{MAZE}", *(f"grid-{name}" for name in GRID_WORLDS)]
    if unknown := [name for name in worlds if name not in known]:
        raise ConfigError(f"worlds: {unknown[0]!r} is none of {', '.join(known)}")


def _maze_parts(options: WordsArguments) -> list[Any]:
    jobs = [
        (options.out / "runs", tower, seed, options.steps, options.episodes)
        for tower in options.towers
        for seed in range(options.seeds)
        if f"street-{MAZE}" in options.worlds
    ]
    digests = [SHA256, *map(digest_of, options.towers)]
    return run_parts(score_maze, jobs, options, "mazes", digests)


def _grid_parts(options: WordsArguments) -> list[Any]:
    jobs = [
        (options.out / "runs", world.removeprefix("grid-"), tower, seed, options.rooms,
         options.steps if options.episodes else None, options.episodes)
        for tower in options.languages
        for seed in range(options.seeds)
        for world in options.worlds
        if world.startswith("grid-")
    ]  # fmt: skip
    digests = [SHA256, *map(digest_of, options.languages)]
    return run_parts(score_grid, jobs, options, "grid worlds", digests)


def _mean(values: Sequence[float | None]) -> float | None:
    """Return the mean of what is known."""
    known = [value for value in values if value is not None and value == value]
    return mean_and_sem(known)[0] if known else None


def _over_seeds(measured: Sequence[Row]) -> list[Row]:
    rows = []
    for labels, group in labelled_groups(measured, ("world", "level", "phrasing", "tower")):
        row: Row = labels | {"texts": sum(each["texts"] for each in group)}
        rows.append(row | {name: _mean([r.get(name) for r in group]) for name in MEASURES})
    return rows


def _over_levels(rows: Sequence[Row], understood: Sequence[Row], words: Sequence[Row]) -> list[Row]:
    """Return means over the levels of each world, phrasing and tower, and the weakest word."""
    summary = []
    for labels, group in labelled_groups(rows, KEYS):
        row: Row = labels | {name: _mean([r[name] for r in group]) for name in MEASURES}
        same = [each for each in understood if all(each[key] == labels[key] for key in KEYS)]
        row |= {name: same[0][name] if same else None for name in UNDERSTOOD}
        named = [each["auc"] for each in words if all(each[key] == labels[key] for key in KEYS)]
        row["least_word_auc"] = min(named, default=None)
        summary.append(row)
    return summary


def _figure(summary: Sequence[Row], title: str) -> Any:
    """Draw ROC AUC and success of each world and tower, a bar for each phrasing."""
    fig = figure(11.0, 6.0, title)
    for ax, measure in zip(fig.subplots(2, 1, sharex=True), ("auc", "success"), strict=True):
        bars = [
            Bar(f"{row['world']}\n{row['tower']}", row["phrasing"].replace("_", "-"), row[measure])
            for row in summary
        ]
        draw_bars(ax, bars)
        ax.set_ylabel("ROC AUC" if measure == "auc" else "success, best strategy", fontsize=8)
    explain(
        fig,
        "Means over levels or groups of texts: higher is better. Held-out texts have words and"
        " templates that no training text has; development and blind texts were written by hand,"
        " and nothing was chosen by the blind ones.",
    )
    return with_legend(fig)
