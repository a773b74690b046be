"""What figures share: colours, panels, bars and legends; comparisons and training curves.

Axes: ``R`` rows, ``C`` columns, ``M`` candidate goals, ``T`` time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
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


def figure(width: float, height: float, title: str = "") -> Figure:
    """Return an empty figure of a size in inches that needs no display, with a title above it."""
    fig = Figure(figsize=(width, height), layout="constrained")
    if title:
        fig.suptitle(title, fontsize=11, parse_math=False)  # it may be an instruction: untrusted
    return fig


def panel_grid(
    count: int, columns: int, width: float, height: float, title: str
) -> tuple[Figure, list[Axes]]:
    """Return a figure with panels in rows of ``columns``, each of a size in inches."""
    rows = -(-count // columns)
    fig = figure(width * columns, height * rows, title)
    axes = fig.subplots(rows, columns, squeeze=False).ravel()
    for ax in axes[count:]:
        ax.axis("off")
    return fig, list(axes[:count])


def to_image(fig: Figure) -> NDArray[np.uint8]:
    """Return a figure as an image uint8 [height, width, 3]."""
    canvas = FigureCanvasAgg(fig)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def save(fig: Figure, path: Path) -> Path:
    """Write a figure as PNG, creating its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fig.savefig(path, dpi=150)
    return path


def methods_figure(rows: Sequence[Mapping[str, Any]], title: str, group: str) -> Figure:
    """Success and SPL of each method, published values as black ticks; ``group`` names a column."""
    groups = list(dict.fromkeys(row[group] for row in rows))
    fig = figure(3.2 + 2.4 * len(groups), 5.6, title)
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
    return with_legend(fig)


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


def with_legend(fig: Figure) -> Figure:
    """Put one legend beside a figure, each label once."""
    handles: dict[str, Any] = {}
    for ax in fig.axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    ticks = {label: handles.pop(label) for label in ("published", CEILING) if label in handles}
    handles |= ticks  # last
    fig.legend(handles.values(), handles.keys(), loc="outside right upper", fontsize=8)
    return fig


def curves_figure(records: Sequence[Mapping[str, float]], title: str) -> Figure:
    """Training curves: a panel per metric over steps."""
    names = list(dict.fromkeys(name for r in records for name in r if name != "step"))
    fig, axes = panel_grid(len(names), 4, 3, 2.2, title)
    for ax, name in zip(axes, names, strict=True):
        points = [(r["step"], r[name]) for r in records if name in r]
        few = "o" if len(points) < 10 else None  # a line through one point is invisible
        ax.plot(*zip(*points, strict=True), color=PATH, lw=1.2, marker=few, ms=3)
        ax.set_title(name, fontsize=8)
        ax.tick_params(labelsize=7)
        ax.grid(alpha=0.3)
    return fig
