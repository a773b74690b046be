"""Figures of the benchmark of ambiguous instructions, small enough to stand beside each other.

Their colours are those of ``langrl.plots.svg``, so that a page can draw them in its own.

Axes: ``P`` points of a curve, ``B`` bins.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from langrl.evaluation.ambiguity import MOST_BITS
from langrl.plots.base import figure
from langrl.plots.svg import GRID, INK, MUTED, PLAIN, SERIES

Floats = NDArray[np.float64]
_DASHES = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))
_MARKERS = ("o", "s", "^", "D")
_MULTIPLE = 2.9, 2.2  # inches of a figure that stands in a row of others
_SMALL = 8  # points


@dataclass(frozen=True)
class Curve:
    """A line through P points, and a band about it.

    Args:
        name: as it stands in the legend.
        x, y: of the points [P]; y is nan where there is none.
        low, high: of the band [P].
    """

    name: str
    x: Floats
    y: Floats
    low: Floats
    high: Floats


def success_by_bits_figure(curves: Sequence[Curve], ceiling: Curve | None) -> Figure:
    """Draw success against ambiguity bits, and the best that is possible as a dashed line."""
    fig = figure(*_MULTIPLE)
    ax = fig.subplots()
    for number, curve in enumerate(curves):
        _draw(ax, curve, number, marker=True)
    if ceiling is not None:
        _draw_ceiling(ax, ceiling)
    _share_axis(ax, "success")
    lowest = min((np.nanmin(curve.low, initial=0.0) for curve in curves), default=0.0)
    ax.set_ylim(bottom=min(lowest, 0.0) - 0.03)  # questions may cost more than they bring
    ticks = np.unique(np.concatenate([curve.x for curve in curves]))
    ax.set_xticks(ticks, [f"{tick:g}" if tick < MOST_BITS else f"{tick:g}+" for tick in ticks])
    ax.set_xlabel("ambiguity [bits]", fontsize=_SMALL)
    return fig


def profiles_figure(curves: Sequence[Curve], others: Sequence[Curve], measure: str) -> Figure:
    """Draw performance profiles: the share of runs that score more than a threshold.

    Args:
        curves: at most as many as there are colours; the first ones lead.
        others: drawn in grey, without names.
        measure: what is scored.
    """
    fig = figure(6.6, 3.5 + 0.2 * (len(curves) // 2))
    ax = fig.subplots()
    for number, curve in enumerate(others):
        label = "other entrants" if number == 0 else None
        ax.plot(curve.x, curve.y, color=PLAIN, lw=0.9, label=label, zorder=1)
    for number, curve in enumerate(curves):
        _draw(ax, curve, number)
    _share_axis(ax, "share of runs above")
    ax.set_xlim(curves[0].x.min(), curves[0].x.max())
    ax.set_xlabel(f"{measure}, at least", fontsize=_SMALL)
    _legend(fig, ax, columns=2)
    return fig


def reliability_figure(
    edges: Floats, confidence: Floats, accuracy: Floats, low: Floats, high: Floats, counts: Floats
) -> Figure:
    """Draw how often the most likely intent is right, against how likely it is said to be.

    Args:
        edges: of the bins [B + 1].
        confidence, accuracy: means of the bins [B]; nan where a bin is empty.
        low, high: interval of the accuracy [B].
        counts: tasks in a bin [B].
    """
    fig = figure(_MULTIPLE[0], 2.9)
    ax, below = fig.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    ax.plot([0, 1], [0, 1], color=MUTED, lw=1, ls=_DASHES[1], label="calibrated")
    full = counts > 0
    ax.vlines(confidence[full], low[full], high[full], color=SERIES[0], lw=1.4)
    ax.plot(confidence[full], accuracy[full], "o-", color=SERIES[0], ms=4, lw=1.4)
    _share_axis(ax, "right")
    below.bar(
        edges[:-1], counts / max(counts.sum(), 1), np.diff(edges), align="edge", color=PLAIN,
        edgecolor="#ffffff", linewidth=0.6,
    )  # fmt: skip
    _plain_axis(below)
    below.set(xlim=(0, 1), ylim=(0, 1), yticks=(0, 1))
    below.set_ylabel("share", fontsize=_SMALL)
    below.set_xlabel("confidence in the most likely intent", fontsize=_SMALL)
    return fig


def asking_figure(curves: Sequence[Curve], ceiling: Curve) -> Figure:
    """Draw utility against the price of a question, and the exact ceiling as a dashed line."""
    fig = figure(3.3, 2.9)
    ax = fig.subplots()
    for number, curve in enumerate(curves):
        _draw(ax, curve, number, marker=True)
    _draw_ceiling(ax, ceiling)
    _plain_axis(ax)
    ax.set_ylabel("utility", fontsize=_SMALL)
    if len(ceiling.x) > 1 and ceiling.x.min() > 0:
        ax.set_xscale("log")
    ax.set_xticks(ceiling.x, [f"{price:g}" for price in ceiling.x])
    ax.minorticks_off()
    ax.set_xlabel("price of a question", fontsize=_SMALL)
    _legend(fig, ax, columns=2)
    return fig


def _draw(ax: Axes, curve: Curve, number: int, marker: bool = False) -> None:
    """Draw a curve with its band; colours, dashes and markers tell curves apart."""
    colour = SERIES[number % len(SERIES)]
    known = ~np.isnan(curve.y)
    if known.sum() == 1:
        ax.vlines(curve.x[known], curve.low[known], curve.high[known], color=colour, lw=1.2)
    ax.fill_between(
        curve.x[known], curve.low[known], curve.high[known], color=colour, alpha=0.16, lw=0,
    )  # fmt: skip
    style: dict[str, Any] = {"ls": _DASHES[number // 2 % len(_DASHES)], "lw": 1.7, "zorder": 3}
    if marker:
        style |= {"marker": _MARKERS[number % len(_MARKERS)], "ms": 4}
    ax.plot(curve.x[known], curve.y[known], color=colour, label=_shown(curve.name), **style)


def _draw_ceiling(ax: Axes, ceiling: Curve) -> None:
    style: dict[str, Any] = {"color": INK, "lw": 1.2, "ls": _DASHES[1], "label": ceiling.name}
    if len(ceiling.x) == 1:
        ax.axhline(ceiling.y[0], **style)
    else:
        ax.plot(ceiling.x, ceiling.y, zorder=2, **style)


def _shown(name: str) -> str:
    """Return a name as matplotlib shows it in a legend: not one that begins with _."""
    return f" {name}" if name.startswith("_") else name


def _legend(fig: Figure, ax: Axes, columns: int) -> None:
    """Put a legend below a figure; its names are of anyone's choosing, and no mathematics."""
    handles, labels = ax.get_legend_handles_labels()
    legend = fig.legend(
        handles, labels, loc="outside lower center", ncols=columns, fontsize=_SMALL, frameon=False
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def _plain_axis(ax: Axes) -> None:
    ax.set_facecolor("none")
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(MUTED)
    ax.grid(color=GRID, lw=0.6)
    ax.set_axisbelow(True)
    ax.tick_params(labelsize=_SMALL, color=MUTED, length=3)


def _share_axis(ax: Axes, label: str) -> None:
    _plain_axis(ax)
    ax.set_ylim(-0.03, 1.03)
    ax.set_ylabel(label, fontsize=_SMALL)
