"""Figures of contrastive predictive coding: horizons, probes, and estimates of information."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from langrl.envs.grid.env import MAX_STEPS
from langrl.plots.base import PATH, Bar, Figure, draw_bars, explain, figure

FEATURES = {
    "context": "#2166ac",
    "code": "#1b7837",
    "untrained context": "#e08214",
    "view": "#9aa5b1",
}
VARIABLES = {
    "faced": "what is faced (type)",
    "kind_faced": "which kind of object is faced",
    "turned": "turns since the start",
    "position": "position from the start",
}
SINGLE = {
    "kinds_seen": "kinds\nseen",
    "kinds_in_room": "kinds\nin room",
    "hidden_object": "where a hidden\nobject is",
    "compass": "compass",
}
ESTIMATES = {
    "exact": ("InfoNCE, exact critic", "#9aa5b1", "-"),
    "learned": ("InfoNCE, trained critic", "#2166ac", "--"),
    "exact_many": ("InfoNCE, exact, 65,536 candidates", "#a6dba0", "-"),
    "learned_many": ("InfoNCE, trained, 65,536 candidates", "#1b7837", "--"),
    "smile": ("SMILE, trained ratio", "#e08214", "--"),
    "smile_exact": ("SMILE, exact ratio", "#fdb863", "-"),
    "nwj": ("NWJ, trained ratio", "#6a51a3", "--"),
    "nwj_exact": ("NWJ, exact ratio", "#b2abd2", "-"),
}
MEASURES = {"accuracy": "accuracy", "auc": "ROC AUC", "r2": "R²"}


def training_figure(records: Sequence[Mapping[str, float]], title: str) -> Figure:
    """The loss, and the information on each horizon, over training and at its end, below log N.

    Records are of ``metrics.jsonl``; at the end, the last tenth is averaged.
    """
    names = {name for record in records for name in record if name.startswith("information_")}
    horizons = sorted(int(name.removeprefix("information_")) for name in names)
    fig = figure(12, 3.6, title)
    loss, curves, last = fig.subplots(1, 3)
    few = "o" if len(records) < 10 else None  # a line through one point is invisible
    steps = [record["step"] for record in records]
    loss.plot(steps, [record["loss"] for record in records], color=PATH, lw=1.3, marker=few, ms=3)
    ends = []
    for k, shade in zip(horizons, np.linspace(0.25, 1.0, len(horizons)), strict=True):
        points = [(r["step"], r[f"information_{k}"]) for r in records if f"information_{k}" in r]
        label = f"k = {k}" if k in (horizons[0], horizons[-1]) else None
        colour = matplotlib.colormaps["viridis"](1.1 - shade)
        curves.plot(*zip(*points, strict=True), color=colour, lw=1.2, marker=few, ms=3, label=label)
        ends.append(float(np.mean([value for _, value in points[-max(1, len(points) // 10) :]])))
    last.plot(horizons, ends, "o-", color=PATH, ms=4)
    ceiling = float(np.mean([record["ceiling"] for record in records]))
    for ax in (curves, last):
        ax.axhline(ceiling, color="#444444", lw=1, ls=":")
        ax.annotate("log N", (0.02, ceiling), xycoords=("axes fraction", "data"), va="bottom",
                    fontsize=8)  # fmt: skip
        ax.set_ylim(min(0.0, *ends), ceiling * 1.12)
    curves.legend(fontsize=8, frameon=False)
    loss.set(xlabel="steps", ylabel="loss (nats)")
    curves.set(xlabel="steps", ylabel="log N - loss (nats)")
    last.set(xlabel="steps ahead, k", ylabel="log N - loss (nats), at the end", xticks=horizons)
    for ax in (loss, curves, last):
        _tidy(ax)
    explain(
        fig,
        "Good: the loss falls, then levels off; information rises, at most to log N (the dotted"
        " line). What is further ahead is harder to predict.",
    )
    return fig


def information_figure(rows: Sequence[Mapping[str, Any]], pairs: int) -> Figure:
    """Estimates of information over the truth, and how far one batch's estimate spreads.

    Rows are as ``gaussian_information.over_seeds`` returns, ascending; InfoNCE's N is ``pairs``.
    """
    fig = figure(12, 4.4, "mutual information of correlated Gaussians, 20 dimensions")
    left, right = fig.subplots(1, 2, width_ratios=(1.5, 1))
    truth = [row["information"] for row in rows]
    left.plot(truth, truth, color="#444444", lw=1.2, label="truth")
    left.axhline(rows[0]["ceiling"], color="#444444", lw=1, ls=":", label=f"log {pairs}")
    for name, (label, colour, style) in ESTIMATES.items():
        means = [row[name] for row in rows]
        sems = [np.nan_to_num(row.get(f"{name}_sem") or 0.0) for row in rows]
        left.errorbar(
            truth, means, yerr=sems, color=colour, ls=style, marker="o", ms=3.5, lw=1.4, label=label
        )
        right.plot(truth, [row[f"{name}_sd"] for row in rows], color=colour, ls=style, marker="o",
                   ms=3.5, lw=1.4)  # fmt: skip
    left.set(xlabel="truth (nats)", ylabel="estimate (nats)", ylim=(0, 1.3 * max(truth)))
    right.set(xlabel="truth (nats)", ylabel="sd of one batch's estimate (nats)", yscale="log")
    for ax in (left, right):
        _tidy(ax)
    fig.legend(*left.get_legend_handles_labels(), loc="outside right center", fontsize=8)
    return fig


def probes_figure(rows: Sequence[Mapping[str, Any]], title: str) -> Figure:
    """What linear probes read off each set of features: lines over offsets, and bars.

    Rows are as ``probe_explorations`` returns, means over seeds or of one.
    """
    fig = figure(12, 6.2, title)
    axes = fig.subplots(2, 3).ravel()
    for ax, (variable, name) in zip(axes, VARIABLES.items(), strict=False):
        _lines(ax, [row for row in rows if row["variable"] == variable])
        ax.set_title(name, fontsize=9)
    _bars(axes[4], [row for row in rows if row["variable"] in SINGLE])
    axes[4].set_title("now", fontsize=9)
    axes[5].axis("off")
    handles, labels = axes[0].get_legend_handles_labels()
    axes[5].legend(handles, labels, loc="center", fontsize=9, frameon=False)
    return fig


def _lines(ax: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    for name, colour in FEATURES.items():
        mine = sorted((row for row in rows if row["features"] == name), key=lambda r: r["offset"])
        offsets = [row["offset"] for row in mine]
        ax.errorbar(
            offsets, [row["score"] for row in mine],
            yerr=[np.nan_to_num(row.get("sem") or 0.0) for row in mine],
            color=colour, marker="o", ms=2.5, lw=1.4, label=name,
        )  # fmt: skip
        if name == "context":
            chance = [row["chance"] for row in mine]
            ax.plot(offsets, chance, color="#444444", lw=1, ls=":", label="chance")
    ax.axvline(0, color="#dddddd", lw=1, zorder=0)
    furthest = max((abs(row["offset"]) for row in rows), default=1)
    ticks = range(-furthest, furthest + 1, max(1, furthest // 4))
    ax.set(xlabel="steps from now", ylim=(-0.05, 1.05), xticks=list(ticks))
    if rows:
        ax.set_ylabel(MEASURES[rows[0]["measure"]])
    _tidy(ax)


def _bars(ax: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    bars = [
        Bar(
            f"{label}\n({MEASURES[row['measure']]})", name, max(0.0, row["score"]),
            row.get("sem"), row["chance"], colour, "chance",
        )
        for variable, label in SINGLE.items()
        for name, colour in FEATURES.items()
        for row in rows
        if (row["variable"], row["features"]) == (variable, name)
    ]  # fmt: skip
    if bars:
        draw_bars(ax, bars)
    ax.tick_params(axis="x", labelsize=7)


def _tidy(ax: Axes) -> None:
    ax.grid(alpha=0.3)
    ax.spines[["top", "right"]].set_visible(False)


def memory_figure(rows: Sequence[Mapping[str, Any]], title: str) -> Figure:
    """Success within so many steps of agents with and without a memory; one panel a world.

    Rows of one level each have ``world``, ``variant``, ``success`` and ``successful_after``, the
    steps after which its episodes succeeded.
    """
    worlds = list(dict.fromkeys(row["world"] for row in rows))
    fig = figure(4 * len(worlds), 3.8, title)
    axes = fig.subplots(1, len(worlds), squeeze=False, sharey=True)[0]
    budget = np.arange(MAX_STEPS + 1)
    for ax, world in zip(axes, worlds, strict=True):
        for variant in dict.fromkeys(row["variant"] for row in rows):
            mine = [r for r in rows if (r["world"], r["variant"]) == (world, variant)]
            shares = [_within(row, budget) for row in mine]
            ax.plot(budget, np.mean(shares, 0), lw=1.6, label=variant)
        ax.set(xlabel="steps", title=world, ylim=(0, 1.02), xlim=(0, MAX_STEPS))
    axes[0].set_ylabel("share of tasks done by then")
    axes[0].legend(fontsize=8, frameon=False)
    return fig


def _within(row: Mapping[str, Any], budget: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the share of a row's episodes that succeeded within each number of steps."""
    steps = np.asarray(row["successful_after"])
    if not len(steps):
        return np.zeros(len(budget))
    episodes = len(steps) / row["success"]
    return np.searchsorted(steps, budget, side="right") / episodes
