"""Every figure: mazes with posteriors and paths, comparisons of methods, training curves.

Axes: ``R`` rows, ``C`` columns, ``M`` candidate goals, ``T`` time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

WALL, DENOTED, PATH = "#3c4048", "#2e9e5b", "#1f5fbf"
HEAT = LinearSegmentedColormap.from_list("heat", ["#ffffff", "#fdd49e", "#ef6548", "#7f0000"])
COLOURS = {
    "direct": "#9aa5b1",
    "log_sum_exp": "#2166ac",
    "log_sum_exp, weighted": "#6a51a3",
    "sampled_goal": "#92c5de",
    "nearest_goal": "#1b7837",
    "max_goal": "#a6dba0",
    "behaviour_cloning": "#e08214",
    "nearest_object": "#fdd0a2",
    "oracle": "#444444",
    "random": "#d9d9d9",
}
CEILING = "given goals"
ESTIMATORS = {
    "direct": "#9aa5b1",
    "gaussian": "#6a51a3",
    "monte carlo, M = 5,000": "#92c5de",
    "monte carlo, M = 100,000": "#2166ac",
    "proposal, M = 500": "#a6dba0",
    "proposal, M = 5,000": "#1b7837",
    "auto, M = 5,000": "#e08214",
    "bayes": "#444444",
}
LINES = {
    "cosine": "#2166ac",
    "dot": "#e08214",
    "neg_half_sq_l2": "#1b7837",
    "exact densities: Lemma 1": "#444444",
    "exact densities: Bayes": "#999999",
}


def figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches that needs no display."""
    return Figure(figsize=(width, height), layout="constrained")


def save(fig: Figure, path: Path) -> Path:
    """Write a figure as PNG, creating its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fig.savefig(path, dpi=150)
    return path


def draw_maze(
    ax: Axes,
    walls: NDArray[np.bool_],
    *,
    denoted: NDArray[np.bool_] | None = None,
    heat: NDArray[np.float64] | None = None,
    paths: Sequence[NDArray[np.float32]] = (),
    title: str = "",
) -> Any:
    """Draw a maze from above, row 0 at the top.

    Args:
        ax: where to draw.
        walls: bool [R, C].
        denoted: cells that the instruction denotes, outlined, bool [R, C].
        heat: probability mass of each cell [R, C].
        paths: positions over time, each [T, 2]; a dot marks the start, a star the end.
        title: above the picture.

    Returns:
        The image of the heat, for a colour bar; None without heat.
    """
    height, width = walls.shape
    extent = (0.0, float(width), float(height), 0.0)
    image = None
    if heat is not None:
        image = ax.imshow(heat, cmap=HEAT, extent=extent, vmin=0, interpolation="nearest")
    wall_layer = np.ma.masked_where(~walls, np.ones(walls.shape))
    ax.imshow(
        wall_layer, cmap=matplotlib.colors.ListedColormap([WALL]), extent=extent,
        interpolation="nearest",
    )  # fmt: skip
    if denoted is not None:
        _outline(ax, denoted)
    for path in paths:
        ax.plot(path[:, 1], path[:, 0], color=PATH, lw=1.6, alpha=0.85, zorder=4)
        ax.plot(path[0, 1], path[0, 0], "o", color="white", mec=PATH, ms=6, mew=1.5, zorder=5)
        ax.plot(path[-1, 1], path[-1, 0], "*", color=PATH, mec="white", ms=11, mew=0.6, zorder=6)
    ax.set(xlim=(0, width), ylim=(height, 0))
    ax.set_xticks(np.arange(width) + 0.5, [str(c) for c in range(width)], fontsize=6)
    ax.set_yticks(np.arange(height) + 0.5, [str(r) for r in range(height)], fontsize=6)
    ax.tick_params(length=0)
    ax.set_title(title, fontsize=9, parse_math=False)  # it may be an instruction: untrusted
    return image


def _outline(ax: Axes, cells: NDArray[np.bool_]) -> None:
    """Draw the border of a set of cells."""
    padded = np.pad(cells, 1)
    for row, column in np.argwhere(padded[1:, 1:-1] != padded[:-1, 1:-1]):
        ax.plot([column, column + 1], [row, row], color=DENOTED, lw=2, zorder=3)
    for row, column in np.argwhere(padded[1:-1, 1:] != padded[1:-1, :-1]):
        ax.plot([column, column], [row, row + 1], color=DENOTED, lw=2, zorder=3)


def cell_mass(
    goals: NDArray[np.float32], probabilities: NDArray[Any], shape: tuple[int, ...]
) -> NDArray[np.float64]:
    """Sum the probabilities [M] of goals [M, 2] by cell [R, C]."""
    rows, columns = np.floor(goals).astype(int).T
    mass = np.zeros(shape)
    np.add.at(mass, (rows, columns), probabilities)
    return mass


def posterior_figure(
    walls: NDArray[np.bool_],
    panels: Sequence[Mapping[str, Any]],
    title: str,
) -> Figure:
    """One maze per panel, with the posterior over goals as heat; panels as ``draw_maze`` takes."""
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    fig = figure(4.1 * columns + 0.4, 4.3 * rows + 0.4)
    axes = fig.subplots(rows, columns, squeeze=False).ravel()
    for ax, panel in zip(axes, panels, strict=False):
        image = draw_maze(ax, walls, **panel)
        if image is not None:
            bar = fig.colorbar(image, ax=ax, shrink=0.75)
            bar.ax.tick_params(labelsize=6)
    for ax in axes[len(panels) :]:
        ax.axis("off")
    fig.suptitle(title, fontsize=11, parse_math=False)
    return fig


def methods_figure(rows: Sequence[Mapping[str, Any]], title: str, group: str) -> Figure:
    """Success and SPL of each method, published values as black ticks; ``group`` names a column."""
    groups = list(dict.fromkeys(row[group] for row in rows))
    fig = figure(3.2 + 2.4 * len(groups), 5.6)
    for ax, measure in zip(fig.subplots(2, 1, sharex=True), ("success", "spl"), strict=True):
        bars = [
            Bar(
                row[group], row["method"].replace("_", " "), row[measure],
                row.get(f"{measure}_sem"), row.get(f"published_{measure}"),
                COLOURS.get(row["method"]),
            )
            for row in rows
        ]  # fmt: skip
        draw_bars(ax, bars)
        ax.set_ylabel(measure.upper() if measure == "spl" else measure)
    return _with_legend(fig, title)


def followed_figure(rows: Sequence[Mapping[str, Any]], title: str) -> Figure:
    """Success of each grounding, a panel per phrasing, with the success in given goals as ticks."""
    phrasings = list(dict.fromkeys(row["phrasing"] for row in rows))
    fig = figure(8.0, 2.8 * len(phrasings))
    panels = fig.subplots(len(phrasings), 1, sharex=True, squeeze=False).ravel()
    for ax, phrasing in zip(panels, phrasings, strict=True):
        bars = [
            Bar(
                f"{row['world']}, {row['algorithm']}", row["grounding"].replace("_", " "),
                row["success"], row["success_sem"], row["goal_success"],
                COLOURS.get(row["grounding"]), CEILING,
            )
            for row in rows
            if row["phrasing"] == phrasing
        ]  # fmt: skip
        draw_bars(ax, bars)
        ax.set_ylabel(f"success, {phrasing.replace('_', ' ')}")
    return _with_legend(fig, title)


def law_figure(rows: Sequence[Mapping[str, Any]], title: str) -> Figure:
    """Recall of each estimator, a panel per sort of models, a group per critic."""
    panels = {"shared": "one shared goal encoder", "separate": "two separate models",
              "oracle": "trained on (A, C) pairs", "exact": "exact densities"}  # fmt: skip
    present = [models for models in panels if any(row["models"] == models for row in rows)]
    widths = [
        {"shared": 3.0, "separate": 3.0, "oracle": 1.5}.get(models, 0.9) for models in present
    ]
    fig = figure(13, 4.2)
    axes = fig.subplots(1, len(present), sharey=True, width_ratios=widths, squeeze=False)[0]
    for ax, models in zip(axes, present, strict=True):
        bars = [_law_bar(row) for row in rows if row["models"] == models]
        draw_bars(ax, bars)
        ax.set_title(panels[models], fontsize=9)
    axes[0].set_ylabel("recall@1 among 32")
    return _with_legend(fig, title)


def _law_bar(row: Mapping[str, Any]) -> "Bar":
    count = "" if row["M"] is None else f", M = {row['M']:,}"
    label = f"{row['estimator'].replace('_', ' ')}{count}"
    critic = row["critic"].replace("neg_half_sq_l2", "neg. half\nsq. l2")
    return Bar(critic, label, row["recall"], row["sem"], row["published"], ESTIMATORS.get(label))


@dataclass(frozen=True)
class Bar:
    """One bar of a comparison: in which group, of what, how high, and a value to compare with."""

    group: str
    label: str
    height: float
    error: float | None = None
    tick: float | None = None
    colour: str | None = None
    ticked: str = "published"  # what the tick is


def draw_bars(ax: Axes, bars: Sequence[Bar]) -> None:
    """Draw groups of bars between 0 and 1, one bar per label, with black ticks."""
    groups = list(dict.fromkeys(bar.group for bar in bars))
    labels = list(dict.fromkeys(bar.label for bar in bars))
    width = 0.85 / len(labels)
    for bar in bars:
        x = groups.index(bar.group) + (labels.index(bar.label) - (len(labels) - 1) / 2) * width
        error = np.nan_to_num(bar.error or 0.0)
        ax.bar(x, bar.height, width * 0.92, yerr=error, color=bar.colour, label=bar.label)
        if bar.tick is not None:
            ends = [x - width / 2, x + width / 2]
            ax.plot(ends, [bar.tick] * 2, color="black", lw=2, label=bar.ticked)
    ax.set(ylim=(0, 1.05))
    ax.set_xticks(range(len(groups)), groups)
    ax.grid(axis="y", alpha=0.3)
    ax.spines[["top", "right"]].set_visible(False)


def _with_legend(fig: Figure, title: str) -> Figure:
    """Put a title above a figure and one legend beside it, each label once."""
    found: dict[str, Any] = {}
    for ax in fig.axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    ticks = {label: found.pop(label) for label in ("published", CEILING) if label in found}
    found |= ticks  # last
    fig.legend(found.values(), found.keys(), loc="outside right upper", fontsize=8)
    fig.suptitle(title, fontsize=11, parse_math=False)
    return fig


def independence_figure(rows: Sequence[Mapping[str, Any]], title: str) -> Figure:
    """Recall over rho: a line per critic and method, published ranges as bars behind."""
    fig = figure(10, 4.2)
    methods = {("shared", "direct"): "direct", ("shared", "monte_carlo"): "Monte Carlo"}
    for ax, (method, name) in zip(fig.subplots(1, 2, sharey=True), methods.items(), strict=True):
        lines: dict[str, list[Mapping[str, Any]]] = {}
        for row in rows:
            exact = row["models"] == "exact" and row["estimator"] in ("bayes", "monte_carlo")
            if (row["models"], row["estimator"]) == method or exact or row["models"] == "oracle":
                lines.setdefault(_line_name(row), []).append(row)
        for label, points in lines.items():
            aside = points[0]["models"] != "shared"
            ax.errorbar(
                [row["rho"] for row in points], [row["recall"] for row in points],
                yerr=[np.nan_to_num(row["sem"]) for row in points], label=label, lw=1.4,
                marker="o", ms=3, ls="--" if aside else "-", color=LINES.get(label),
            )  # fmt: skip
        for row in rows:
            if (row["models"], row["estimator"]) == method and row["published_low"] is not None:
                ends = [row["published_low"] - 0.004, row["published_high"] + 0.004]
                ax.plot([row["rho"]] * 2, ends, color="black", lw=9, alpha=0.12, label="published")
        ax.axhline(1 / 32, color="#bbbbbb", lw=1, ls=":", label="chance")
        ax.set(xlabel="rho: share of the signal past the goal", ylim=(0, 1.05))
        ax.set_title(name, fontsize=9)
        ax.grid(alpha=0.3)
    fig.axes[0].set_ylabel("recall@1 among 32")
    return _with_legend(fig, title)


def _line_name(row: Mapping[str, Any]) -> str:
    if row["models"] == "shared":
        return str(row["critic"])
    if row["models"] == "oracle":
        return f"trained on (A, C), {row['critic']}"
    return "exact densities: Bayes" if row["estimator"] == "bayes" else "exact densities: Lemma 1"


def auto_figure(rows: Sequence[Mapping[str, Any]], title: str) -> Figure:
    """Each policy's recall in every cell against the better of direct and Monte Carlo."""
    policies = {"direct": "always direct", "monte_carlo": "always Monte Carlo", "auto": "auto"}
    fig = figure(12, 4.4)
    axes = fig.subplots(1, 3, sharey=True, sharex=True)
    better = np.array([max(row["direct"], row["monte_carlo"]) for row in rows])
    for ax, (policy, name) in zip(axes, policies.items(), strict=True):
        ax.fill_between([0, 1], [-0.02, 0.98], [1, 1], color="#e5f5e0", lw=0, label="passes")
        for models, colour in (("shared", "#2166ac"), ("separate", "#e08214")):
            here = np.array([row["models"] == models for row in rows])
            recall = np.array([row[policy] for row in rows])
            ax.plot(better[here], recall[here], "o", ms=3.5, color=colour, alpha=0.7, label=models)
        passed = np.mean([policy in row["passes"] for row in rows])
        ax.set_title(f"{name}: passes in {passed:.0%} of {len(rows)} cells", fontsize=9)
        ax.set(xlabel="better of direct and Monte Carlo", xlim=(0, 1.02), ylim=(0, 1.02))
        ax.grid(alpha=0.3)
    axes[0].set_ylabel("recall@1 among 32")
    return _with_legend(fig, title)


def curves_figure(records: Sequence[Mapping[str, float]], title: str) -> Figure:
    """Training curves: a panel per metric over steps."""
    names = list(dict.fromkeys(name for r in records for name in r if name != "step"))
    columns = 4
    rows = -(-len(names) // columns)
    fig = figure(3 * columns, 2.2 * rows)
    axes = fig.subplots(rows, columns, squeeze=False).ravel()
    for ax, name in zip(axes, names, strict=False):
        known = [(r["step"], r[name]) for r in records if name in r]
        few = "o" if len(known) < 10 else None  # a line through one point is invisible
        ax.plot(*zip(*known, strict=True), color=PATH, lw=1.2, marker=few, ms=3)
        ax.set_title(name, fontsize=8)
        ax.tick_params(labelsize=7)
        ax.grid(alpha=0.3)
    for ax in axes[len(names) :]:
        ax.axis("off")
    fig.suptitle(title, fontsize=11, parse_math=False)
    return fig
