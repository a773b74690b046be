"""``langrl reproduce waypoints``: far goals, and goals that no trajectory connects, by waypoints.

OGBench's PointMaze sets are made anew by their published recipe. From each, critics are learned
without acting; then the five tasks are reached by the critic alone, by all paths of waypoints at
once, by one shortest path, and by the paths of an oracle that knows the maze.
"""

from collections.abc import Sequence
from typing import Any

from langrl.data.recordings.making import make_recording
from langrl.evaluation.statistics import labelled_groups, means_and_sems
from langrl.plots.base import Bar, draw_bars, explain, figure, with_legend
from langrl.reproduce import ogbench_pointmaze
from langrl.reproduce.arguments import WaypointsArguments
from langrl.reproduce.common import digest_of, run_parts, write_report
from langrl.reproduce.waypoint_cells import ORACLE, config_of, goal_of, run_cell
from langrl.training.jobs import chained
from langrl.training.logs import print_table
from langrl.training.result_cache import Row

PUBLISHED = {
    "navigate": ogbench_pointmaze.PUBLISHED,
    "stitch": {  # as published by OGBench, arXiv:2410.20092
        "medium": {"GCBC": 0.23, "GCIVL": 0.70, "GCIQL": 0.21, "QRL": 0.80, "CRL": 0.00,
                   "HIQL": 0.74},
        "large": {"GCBC": 0.07, "GCIVL": 0.12, "GCIQL": 0.31, "QRL": 0.84, "CRL": 0.00,
                  "HIQL": 0.13},
        "giant": {"GCBC": 0.00, "GCIVL": 0.00, "GCIQL": 0.00, "QRL": 0.50, "CRL": 0.00,
                  "HIQL": 0.00},
    },
}  # fmt: skip
COLUMNS = (
    "env", "data", "method", "critics", "success", "success_sem", "of_goals", "train_seconds",
)  # fmt: skip
_COLOURS = {
    "plain": "#bdbdbd",
    "marginalised": "#9ecae1",
    "committed": "#1b7837",
    ORACLE: "#756bb1",
}


def reproduce(options: WaypointsArguments, command: str) -> None:
    """Train on each set and write rows, results.json and the figure."""
    sets = {
        (maze, kind): (options.data or options.out / "data") / f"pointmaze-{maze}-{kind}.npz"
        for kind in options.kinds
        for maze in options.mazes
    }
    for (maze, kind), file in sets.items():
        if not file.exists():
            make_recording(f"ogbench/pointmaze-{maze}-{kind}", file, workers=options.workers)
    settings = (options.episodes, options.steps, options.waypoints)
    runs = options.out / "runs"
    jobs = [
        # Each with the digest of its own set: whoever goes on with other sets keeps what is there.
        (runs, file, maze, kind, seed, *settings, data)
        for (maze, kind), file in sets.items()
        for data in [digest_of(file)]
        for seed in range(options.seeds)
    ]
    measured = chained(run_parts(run_cell, jobs, options, "training and reaching goals"))
    rows = [*over_seeds(measured), *published(options.mazes, options.kinds)]
    title = f"waypoints in OGBench's PointMaze, {options.seeds} seeds x 5 x {options.episodes}"
    print_table(title, rows, COLUMNS)
    config = {
        file.stem: config_of(file, maze, 0, *settings).model_dump(mode="json")
        for (maze, _), file in sets.items()
    }
    figures = {"waypoints": _figure(rows, options.kinds, title)}
    write_report(options.out, command, config, rows, figures, measured=measured)


def over_seeds(measured: Sequence[Row]) -> list[Row]:
    """Return means over seeds, and what is followed of what is reached."""
    rows: list[Row] = []
    for labels, group in labelled_groups(measured, ("env", "data", "method", "critics")):
        row = labels | means_and_sems(group, ("success",))
        seconds = [each["train_seconds"] for each in group]
        row["train_seconds"] = None if None in seconds else sum(seconds) / len(seconds)
        rows.append(row | {"published": False, "seeds": len(group), "of_goals": None})
    for row in rows:
        method, _, followed = row["method"].partition(", ")
        same = [each for each in rows if (each["env"], each["data"]) == (row["env"], row["data"])]
        reached = goal_of(same, method, row["critics"]) if followed else None
        row["of_goals"] = row["success"] / reached if reached else None
    return rows


def published(mazes: Sequence[str], kinds: Sequence[str]) -> list[Row]:
    """Return the published success of other methods on the same tasks."""
    return [
        {
            "env": f"pointmaze-{maze}", "data": kind, "method": name, "critics": None,
            "success": success, "success_sem": None, "train_seconds": None, "published": True,
        }
        for kind in kinds
        for maze in mazes
        for name, success in PUBLISHED[kind].get(maze, {}).items()
    ]  # fmt: skip


def _figure(rows: Sequence[Row], kinds: Sequence[str], title: str) -> Any:
    """Draw the success of each composition beside the published ones, a panel for each kind."""
    fig = figure(10.0, 3.4 * len(kinds), title)
    for ax, kind in zip(fig.subplots(len(kinds), 1, squeeze=False).flat, kinds, strict=True):
        bars = []
        for row in (row for row in rows if row["data"] == kind):
            maze = row["env"].removeprefix("pointmaze-")
            if row["published"]:
                bars.append(Bar(maze, row["method"], row["success"]))
            elif row["method"] in _COLOURS and row["critics"] != 1:
                colour = _COLOURS[row["method"]]
                bars.append(
                    Bar(maze, row["method"], row["success"], row["success_sem"], colour=colour)
                )
        draw_bars(ax, bars)
        ax.set_title(kind, fontsize=9)
        ax.set_ylabel("success, share of episodes", fontsize=8)
    explain(
        fig,
        "Success over OGBench's five tasks: higher is better. Plain, marginalised, committed and"
        " oracle have the same critics, learned from sets made anew by the published recipe; their"
        " lines are standard errors over seeds. The others are as published.",
    )
    return with_legend(fig)
