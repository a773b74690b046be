"""What figures share: colours, panels, bars and legends; comparisons and training curves.

Axes: ``R`` rows, ``C`` columns, ``M`` candidate goals, ``T`` time.
"""

import itertools
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
from PIL import Image, ImageDraw

from langrl.plots.metrics import Meaning, line_of, meaning_of, panel_of
from langrl.plots.text import make_legible, wrap

WALL, DENOTED, PATH, FAILED = "#3c4048", "#2e9e5b", "#1f5fbf", "#a0169c"
WAY: dict[str, Any] = {
    "color": "#1a1a1a", "ls": "--", "marker": "o", "lw": 0.8, "ms": 3, "mfc": "white", "mew": 0.8
}  # fmt: skip
"""How a planned path is drawn, with its waypoints."""
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
UNKNOWN = "Nothing is outlined: what the text denotes is not known, nor whether a walk succeeds."
_LEGEND_COLUMN = 2.1  # inches
_BORDER = 4  # pixels around the last frame of a film
_CURVES = 3.6, 2.9  # a panel of training curves, in inches
_CURVE_COLOURS = (PATH, "#e08214", "#1b7837", "#6a51a3", "#b2182b", "#777777", "#92c5de", "#a6dba0")
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
        # It may be an instruction: untrusted.
        fig.suptitle(wrap(title, width, 11), fontsize=11, parse_math=False)
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
    make_legible(fig)
    canvas = FigureCanvasAgg(fig)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def save(fig: Figure, path: Path) -> Path:
    """Write a figure as PNG, creating its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    make_legible(fig)
    fig.savefig(path, dpi=150)
    return path


def draw_path(
    ax: Axes,
    path: NDArray[Any],
    success: bool | None,
    colours: tuple[str, str] = (PATH, FAILED),
) -> None:
    """Draw positions over time (row, column) [T, 2], and what they end in.

    Args:
        ax: where; its x axis is the columns.
        path: the positions.
        success: whether the episode succeeded; None where that is not known.
        colours: of a path that is no failure, and of one that is.
    """
    colour = colours[success is False]
    marker, label = {True: ("*", "success"), False: ("X", "failure"), None: ("s", "end")}[success]
    rows, columns = path.T
    ax.plot(columns, rows, color=colour, lw=1.7, alpha=0.85, zorder=4)
    ends: dict[str, Any] = {"ls": "none", "clip_on": False}  # one at the border is seen in full
    ax.plot(
        columns[:1], rows[:1], marker="o", color="white", mec="#333333", ms=6, mew=1.5, zorder=6,
        label="start", **ends,
    )  # fmt: skip
    ax.plot(
        columns[-1:], rows[-1:], marker=marker, color=colour, mec="white", ms=10, mew=0.6, zorder=7,
        label=label, **ends,
    )  # fmt: skip


def mark_outcome(
    frames: Sequence[NDArray[np.uint8]], success: bool | None
) -> list[NDArray[np.uint8]]:
    """Return a film [T, H, W, 3] whose last frame has a border: green for success.

    Failure is magenta, and nothing is said where the outcome is not known.
    """
    if success is None:
        return list(frames)
    last = Image.fromarray(frames[-1])
    size = (last.width - 1, last.height - 1)
    colour = DENOTED if success else FAILED
    ImageDraw.Draw(last).rectangle((0, 0, *size), outline=colour, width=_BORDER)
    return [*frames[:-1], np.asarray(last)]


def types_figure(rows: Sequence[Mapping[str, Any]], title: str, group: str) -> Figure:
    """Success of each method by instruction type, a panel for each phrasing.

    Args:
        rows: with ``method``, ``phrasing``, ``success``, ``success_sem`` and ``group``.
        title: of the figure.
        group: the column with the instruction type.
    """
    phrasings = list(dict.fromkeys(row["phrasing"] for row in rows))
    groups = dict.fromkeys(row[group] for row in rows)
    fig = figure(max(6.0, 3.0 + 1.3 * len(groups)), 1.2 + 2.4 * len(phrasings), title)
    panels = fig.subplots(len(phrasings), 1, sharex=True, squeeze=False).ravel()
    for ax, phrasing in zip(panels, phrasings, strict=True):
        bars = [
            Bar(
                row[group], row["method"].replace("_", " "), row["success"], row["success_sem"],
                colour=COLOURS.get(row["method"]),
            )
            for row in rows
            if row["phrasing"] == phrasing
        ]  # fmt: skip
        draw_bars(ax, bars)
        ax.set_ylabel("share of episodes", fontsize=8)
        ax.set_title(f"{phrasing.replace('_', '-')} phrasings", fontsize=9)
    panels[-1].set_xlabel(f"{group} of instruction", fontsize=8)
    explain(
        fig,
        "Success: higher is better, and no bar is 0, or that there was nothing to do. Lines at the"
        " tops of bars are standard errors over episodes. The oracle plans on the world, and random"
        " acts at random.",
    )
    return with_legend(fig)


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
        ax.set_ylabel("SPL" if measure == "spl" else "success, share of episodes")
    explain(
        fig,
        "Higher is better. SPL is success times shortest / own path length; lines at the tops of"
        " bars are standard errors, black ticks published values.",
    )
    return with_legend(fig)


@dataclass(frozen=True)
class Bar:
    """One bar of a comparison: in which group, of what, how high, and a value to compare with.

    Where the height is unknown (None), there is no bar, and room for it.
    """

    group: str
    label: str
    height: float | None
    error: float | None = None
    tick: float | None = None
    colour: str | None = None
    ticked: str = "published"  # what the tick is


def draw_bars(ax: Axes, bars: Sequence[Bar]) -> None:
    """Draw groups of bars between 0 and 1, one bar per label, with black ticks.

    A label has one colour in all groups: the bar's own, or one of Matplotlib's cycle.
    """
    groups = list(dict.fromkeys(bar.group for bar in bars))
    labels = list(dict.fromkeys(bar.label for bar in bars))
    width = 0.85 / len(labels)
    plain = [label for label in labels if any(b.label == label and not b.colour for b in bars)]
    cycle = {label: f"C{number}" for number, label in enumerate(plain)}
    for bar in bars:
        x = groups.index(bar.group) + (labels.index(bar.label) - (len(labels) - 1) / 2) * width
        height = np.nan if bar.height is None else bar.height
        error = np.nan_to_num(bar.error or 0.0)
        colour = bar.colour or cycle[bar.label]
        ax.bar(x, height, width * 0.92, yerr=error, color=colour, label=bar.label)
        if bar.tick is not None:
            ends = [x - width / 2, x + width / 2]
            ax.plot(ends, [bar.tick] * 2, color="black", lw=2, label=bar.ticked)
    ax.set(ylim=(0, 1.05))
    ax.set_xticks(range(len(groups)), groups)
    ax.grid(axis="y", alpha=0.3)
    ax.spines[["top", "right"]].set_visible(False)


def with_legend(fig: Figure, below: str | None = None) -> Figure:
    """Put one legend beside a figure, or below it under a sentence, each label once."""
    handles: dict[str, Any] = {}
    for ax in fig.axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    ticks = {label: handles.pop(label) for label in ("published", CEILING) if label in handles}
    handles |= ticks  # last
    width = fig.get_figwidth()
    shown: dict[str, Any] = {"fontsize": 8}
    if below is None:
        fig.legend(handles.values(), handles.keys(), loc="outside right center", **shown)
    else:
        shown |= {"title": wrap(below, width, 8), "title_fontsize": 8}
        columns = max(1, int(width / _LEGEND_COLUMN))
        fig.legend(
            handles.values(), handles.keys(), loc="outside lower center", ncols=columns, **shown
        )
    return fig


def explain(fig: Figure, sentence: str) -> None:
    """Say below a figure what it shows, and what would be good."""
    fig.supxlabel(wrap(sentence, fig.get_figwidth(), 8), fontsize=8, color="#555555")


def curves_figure(records: Sequence[Mapping[str, float]], title: str) -> Figure:
    """Training curves over steps; metrics of one kind share a panel, and success comes first."""
    names = list(dict.fromkeys(name for r in records for name in r if name != "step"))
    panels: dict[str, list[str]] = {}
    for name in sorted(names, key=lambda name: not meaning_of(panel_of(name)).first):
        panels.setdefault(panel_of(name), []).append(name)
    fig, axes = panel_grid(len(panels), min(3, len(panels)), *_CURVES, title)
    for ax, (panel, lines) in zip(axes, panels.items(), strict=True):
        points = {n: [(r["step"], r[n]) for r in records if n in r] for n in lines}
        curves = {line_of(n, names): at for n, at in points.items()}
        _draw_curves(ax, panel, curves, meaning_of(panel, names))
    return fig


def _draw_curves(
    ax: Axes, panel: str, lines: Mapping[str, Sequence[tuple[float, float]]], meaning: Meaning
) -> None:
    """Draw the metrics of a panel by label, each a line through points (step, value)."""
    colours = itertools.cycle(_CURVE_COLOURS)
    for (label, points), colour in zip(lines.items(), colours, strict=False):
        few = "o" if len(points) < 10 else None  # a line through one point is invisible
        steps, values = zip(*points, strict=True)
        ax.plot(steps, values, color=colour, lw=1.2, marker=few, ms=3, label=label)
    width = _CURVES[0]
    if meaning.share:
        ax.set_ylim(-0.03, 1.03)
    ax.set_title(wrap(panel.replace("_", " "), width, 9), fontsize=9, parse_math=False)
    ax.set_ylabel(meaning.axis, fontsize=7)
    ax.set_xlabel("training steps\n" + wrap(meaning.sentence, width, 8), fontsize=7)
    ax.tick_params(labelsize=7)
    ax.grid(alpha=0.3)
    if len(lines) > 1:
        ax.margins(y=0.2)  # room for the legend
        ax.legend(fontsize=6, frameon=False)
