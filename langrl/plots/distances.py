"""Figures of a critic's distances against the true numbers of steps.

Axes: ``W`` states that were looked at.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from langrl.grounding.critic_diagnosis import CriticDiagnosis
from langrl.grounding.cutoff import SHARE
from langrl.plots.base import FAILED, PATH, explain, panel_grid

_PANEL = 4.6, 3.7  # inches
_GREY, _TRUE = "#777777", "#1b7837"
_POINTS, _EDGES = 6000, 4000  # drawn at most
_LEAST = 1e-6  # share of an axis that a logarithm can show


def distances_figure(found: CriticDiagnosis, title: str) -> Figure:
    """Draw a critic's distances, false edges, calibration, and edges where goals are in a plane."""
    flat = found.states.ndim == 2 and found.states.shape[1] >= 2
    fig, axes = panel_grid(3 + flat, 2, *_PANEL, title)
    _draw_distances(axes[0], found)
    _draw_false_edges(axes[1], found)
    _draw_calibration(axes[2], found.calibration)
    if flat:
        _draw_edges(axes[3], found)
    explain(
        fig,
        "Good: distances rise with true steps up to the horizon; hardly an edge left of the cut-off"
        " is false, while most states are joined; the critic expects as many futures as there are"
        " at every number of steps; and no magenta line joins places that are far apart.",
    )
    return fig


def _draw_distances(ax: Axes, found: CriticDiagnosis) -> None:
    off = ~np.eye(len(found.states), dtype=bool) & found.steps.isfinite().numpy()
    steps, distances = found.steps.numpy()[off], found.distances.numpy()[off]
    every = max(1, len(steps) // _POINTS)
    ax.plot(steps[::every], distances[::every], ".", color=PATH, ms=1.5, alpha=0.25)
    rows = [row for row in found.bands if np.isfinite(row["to"])]
    middle = [(row["from"] + row["to"]) / 2 for row in rows]
    ax.plot(middle, [row["median"] for row in rows], "o-", color="black", ms=3, lw=1.2,
            label="median")  # fmt: skip
    ax.fill_between(
        middle, [row["low"] for row in rows], [row["high"] for row in rows], color="black",
        alpha=0.15, lw=0, label="10 to 90 %",
    )  # fmt: skip
    ax.axvline(found.horizon, color=_GREY, ls=":", label="horizon")
    ax.axhline(found.cutoff, color=_TRUE, ls="--", label="cut-off")
    ax.set_xscale("symlog", linthresh=1)
    ax.set_xlim(left=0)
    ax.set_ylim(0, max(float(np.quantile(distances, 0.995)), 1e-3))
    _label(ax, "true steps from one state to another", "distance, nats", "distance against steps")


def _draw_false_edges(ax: Axes, found: CriticDiagnosis) -> None:
    shares = found.false
    top = found.cutoffs[-1]["cutoff"]
    ax.plot(shares.distances, np.maximum(shares.false, _LEAST), color=FAILED, label="false edges")
    ax.axhline(SHARE, color=_GREY, ls=":", label=f"{SHARE:.1%}")
    ax.axvline(found.cutoff, color=_TRUE, ls="--", label="cut-off")
    ax.set_yscale("log")
    ax.set(xlim=(0, top), ylim=(_LEAST, 1.5))
    cutoffs = [row["cutoff"] for row in found.cutoffs]
    ax.plot(cutoffs, [row["reachable"] for row in found.cutoffs], "o-", color=PATH, ms=3, lw=1,
            label="pairs of states that are joined")  # fmt: skip
    _label(ax, "cut-off, nats", "share", "edges up to a cut-off")


def _draw_calibration(ax: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    place = np.arange(len(rows))
    ax.bar(place - 0.2, [row["observed"] for row in rows], 0.4, color=_TRUE, label="futures")
    ax.bar(place + 0.2, [row["expected"] for row in rows], 0.4, color=PATH, label="expected")
    names = [f"{row['to']:g}" if np.isfinite(row["to"]) else "no way" for row in rows]
    ax.set_xticks(place, names)
    _label(ax, "true steps to the goal, up to", "share of futures", "calibration by horizon")


def _draw_edges(ax: Axes, found: CriticDiagnosis) -> None:
    """Draw the edges that are believed; those that are false on top."""
    cutoff = found.cutoff
    near = np.triu((found.edges <= cutoff).numpy(), 1)
    far = near & (found.steps.maximum(found.steps.T) > found.horizon).numpy()
    points = found.states[:, :2]
    for edges, colour, name in ((near & ~far, "#bcc3cc", "edge"), (far, FAILED, "false edge")):
        pairs = np.argwhere(edges)
        pairs = pairs[:: max(1, len(pairs) // _EDGES)]
        lines = LineCollection(
            list(points[pairs]), colors=colour, linewidths=0.5 if name == "edge" else 1.2,
            label=name,
        )  # fmt: skip
        ax.add_collection(lines)
    ax.plot(*points.T, ".", color="black", ms=1.5)
    ax.set_aspect("equal", adjustable="datalim")
    _label(ax, "number 0 of a goal", "number 1 of a goal", f"edges up to {cutoff:.2f} nats")


def _label(ax: Axes, x: str, y: str, title: str) -> None:
    ax.set_xlabel(x, fontsize=8)
    ax.set_ylabel(y, fontsize=8)
    ax.set_title(title, fontsize=9)
    ax.tick_params(labelsize=7)
    ax.grid(alpha=0.3)
    ax.legend(fontsize=7, framealpha=0.8, edgecolor="none")
