"""Figures of the embeddings of two modalities: the gap, cosines, shifts, cones by depth.

Axes: ``n`` pairs, ``D`` embedding size.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from langrl.evaluation.diagnosis import EmbeddedPairs
from langrl.functional.gap import AMOUNTS, shift_curve
from langrl.functional.geometry import cosine_histogram, unit, unit_pairs
from langrl.plots.base import explain, figure
from langrl.plots.text import wrap

FIRST, SECOND, MATCHED, GREY = "#2166ac", "#e08214", "#1b7837", "#777777"
LINES = ("#2166ac", "#e08214", "#1b7837", "#6a51a3", "#b2182b", "#777777")
_JOINED = 120  # pairs with a line between them
_BINS = 100
_FINE = tuple(n / 8 for n in range(-8, 9))  # amounts of a curve
Rows = Sequence[Mapping[str, Any]]


def projection_figure(pairs: EmbeddedPairs, title: str) -> Figure:
    """Both modalities on the first two principal axes of both together, with lines of pairs."""
    (left, right), names = unit_pairs("projection_figure", pairs.x, pairs.y), pairs.names
    points = torch.cat([left, right])
    centred = points - points.mean(0)
    _, values, axes = torch.linalg.svd(centred, full_matrices=False)
    width = min(2, len(axes))
    flat = np.zeros((len(points), 2))
    flat[:, :width] = (centred @ axes[:width].mT).cpu().numpy()  # [2n, 2]
    a, b = flat[: len(left)], flat[len(left) :]
    fig = figure(6.4, 5.2)
    ax = fig.subplots()
    for n in np.linspace(0, len(a) - 1, min(_JOINED, len(a))).round().astype(int):
        ax.plot(*zip(a[n], b[n], strict=True), color=GREY, lw=0.4, alpha=0.4, zorder=1)
    for cloud, name, colour in ((a, names[0], FIRST), (b, names[1], SECOND)):
        ax.plot(*cloud.T, "o", ms=3, alpha=0.6, color=colour, label=name, zorder=2)
    gap = float((left.mean(0) - right.mean(0)).norm())
    ends = zip(a.mean(0), b.mean(0), strict=True)
    ax.plot(*ends, "o-", color="black", ms=5, lw=2, label=f"means: gap {gap:.3f}", zorder=3)
    shares = [*(values.square() / values.square().sum()).tolist(), 0.0]
    ax.set_xlabel(f"principal axis 1: {shares[0]:.0%} of the variance")
    ax.set_ylabel(f"principal axis 2: {shares[1]:.0%}")
    ax.set_aspect("equal", adjustable="datalim")
    ax.grid(alpha=0.3)
    ax.legend(fontsize=8)
    ax.set_title(wrap(title, fig.get_figwidth(), 10), fontsize=10, parse_math=False)
    explain(fig, "Good: both clouds cover each other, and lines between partners are short.")
    return fig


def cosines_figure(pairs: EmbeddedPairs, title: str) -> Figure:
    """How cosines are distributed: within each modality, and between them if sizes are equal."""
    left, right = (unit("cosines_figure", name, x) for name, x in (("x", pairs.x), ("y", pairs.y)))
    shown = [
        (f"within {pairs.names[0]}", cosine_histogram(left, bins=_BINS), FIRST),
        (f"within {pairs.names[1]}", cosine_histogram(right, bins=_BINS), SECOND),
    ]
    if pairs.comparable:
        matched = (left * right).sum(1)
        shown += [
            ("between, not paired", cosine_histogram(left, right, bins=_BINS), GREY),
            ("between, paired", matched.histc(_BINS, -1, 1) / len(matched), MATCHED),
        ]
    fig = figure(7, 3.6)
    ax = fig.subplots()
    edges = np.linspace(-1, 1, _BINS + 1)
    for label, shares, colour in shown:
        heights = shares.cpu().numpy() * _BINS / 2  # a density
        ax.stairs(heights, edges, fill=True, color=colour, alpha=0.25)
        ax.stairs(heights, edges, color=colour, lw=1.2, label=label)
    ax.set(xlabel="cosine", ylabel="density", xlim=(-1, 1))
    ax.set_ylim(bottom=0)
    ax.grid(alpha=0.3)
    fig.legend(*ax.get_legend_handles_labels(), loc="outside right center", fontsize=8)
    ax.set_title(wrap(title, fig.get_figwidth(), 10), fontsize=10, parse_math=False)
    within = "Good within a modality: spread around 0; all near 1 is a narrow cone."
    paired = " Good between them: paired lies to the right of not paired, with little overlap."
    explain(fig, within + paired * pairs.comparable)
    return fig


def shifts_figure(pairs: EmbeddedPairs, scale: float, title: str) -> Figure:
    """Loss and retrieval over how much of the gap is closed; dots at the amounts of the table."""
    points, names = shift_curve(pairs.x, pairs.y, scale, _FINE, matches=pairs.matches), pairs.names
    amounts = [point.amount for point in points]
    fig = figure(9, 3.6, title)
    loss, recall = fig.subplots(1, 2)
    marks = [n for n, amount in enumerate(amounts) if amount in AMOUNTS]
    loss.plot(amounts, [p.loss for p in points], "o-", color=FIRST, ms=4, markevery=marks)
    loss.set(ylabel=f"symmetric InfoNCE, nats, scale {scale:.4g}")
    to_second, to_first = (f"{names[i]} -> {names[1 - i]}" for i in (0, 1))
    right, left = [p.recall_right for p in points], [p.recall_left for p in points]
    recall.plot(amounts, right, "o-", color=FIRST, ms=4, markevery=marks, label=to_second)
    recall.plot(amounts, left, "o-", color=SECOND, ms=4, markevery=marks, label=to_first)
    recall.set(ylabel="recall@1")
    recall.set_ylim(0, 1.3 * max(*right, *left, 0.01))  # room for the legend
    recall.legend(fontsize=8, loc="upper right")
    for ax in (loss, recall):
        ax.axvline(0, color="#444444", lw=0.8, ls=":")
        ax.set_xticks((-1, -0.5, 0, 0.5, 1))
        ax.set_xlabel("lambda: share of the gap that is closed")
        ax.grid(alpha=0.3)
    explain(
        fig,
        "Lower loss and higher recall are better. Good: both are best at 0, as the model is; if"
        " they are better elsewhere, shift its embeddings.",
    )
    return fig


def layers_figure(rows: Rows, title: str) -> Figure:
    """Mean cosine by layer, a panel per modality, with a band from the 5 % to the 95 % quantile."""
    modalities = list(dict.fromkeys(row["modality"] for row in rows))
    fig = figure(4.2 * len(modalities), 3.6, title)
    axes = fig.subplots(1, len(modalities), sharey=True, squeeze=False)[0]
    lowest = min(0.0, *(row["low"] for row in rows))
    for ax, modality, colour in zip(axes, modalities, (FIRST, SECOND), strict=False):
        here = [row for row in rows if row["modality"] == modality]
        places = range(len(here))
        low, high = ([row[key] for row in here] for key in ("low", "high"))
        ax.fill_between(places, low, high, color=colour, alpha=0.15, lw=0)
        ax.plot(places, [row["mean"] for row in here], "o-", color=colour, ms=4)
        turn = 60 if len(here) > 8 else 0
        ax.set_xticks(places, [row["layer"] for row in here], fontsize=8, rotation=turn)
        ax.axhline(0, color="#444444", lw=0.8, ls=":")
        ax.set(xlabel=f"layers of {modality}", ylim=(lowest - 0.02, 1.02))
        ax.grid(alpha=0.3)
    axes[0].set_ylabel("cosine within the modality")
    explain(fig, "Good: the last layer is near 0; near 1 is a narrow cone. Bands: 5 % to 95 %.")
    return fig


# -- published phenomena -----------------------------------------------------------------------


def depth_figure(cones: Rows, gaps: Rows, title: str) -> Figure:
    """Cones and gaps of networks that were not trained, over the number of layers."""
    fig = figure(12, 4, title)
    left, right = fig.subplots(1, 2)
    _lines(left, cones, "network", "depth", "cosine")
    left.set(xlabel="layers", ylabel="mean cosine of outputs on noise", ylim=(-0.05, 1.05))
    left.set_title("one network: the cone", fontsize=9)
    _lines(right, gaps, "towers", "depth", "gap")
    right.set(xlabel="layers", ylabel="gap")
    right.set_ylim(bottom=0)
    right.set_title("two networks before training: the gap", fontsize=9)
    return fig


def sweep_figure(rows: Rows, curve: Rows, title: str) -> Figure:
    """The gap after training over the temperature, and the loss after shifts at the lowest one."""
    fig = figure(12, 4, title)
    left, right = fig.subplots(1, 2)
    _lines(left, rows, "data", "temperature", "gap")
    left.set_xscale("log")
    left.set(xlabel="temperature", ylabel="gap after training")
    left.set_ylim(bottom=0)
    left.set_title("the gap shrinks as the temperature rises", fontsize=9)
    _lines(right, curve, "temperature", "amount", "loss")
    right.axvline(0, color="#444444", lw=0.8, ls=":")
    right.set_xticks((-1, -0.5, 0, 0.5, 1))
    right.set(xlabel="lambda: share of the gap that is closed", ylabel="training loss, nats")
    right.set_title("after training: the loss when the gap is closed", fontsize=9)
    return fig


def toy_figure(losses: Rows, paths: Rows, title: str) -> Figure:
    """Loss over the height of the circles, and heights while they are trained and fixed."""
    fig = figure(14, 4, title)
    swapped, matched, trained = fig.subplots(1, 3)
    for ax, is_swapped in ((swapped, True), (matched, False)):
        here = [row for row in losses if row["swapped"] == is_swapped]
        for number, temperature in enumerate(dict.fromkeys(row["temperature"] for row in here)):
            line = [row for row in here if row["temperature"] == temperature]
            # Each less its own least: losses of different temperatures have no common zero.
            least = min(row["loss"] for row in line)
            heights, above = [r["height"] for r in line], [r["loss"] - least for r in line]
            colour, label = LINES[number], f"temperature {temperature:g}"
            ax.plot(heights, above, lw=1.2, color=colour, label=label)
            ax.plot(heights[int(np.argmin(above))], 0, "o", ms=5, color=colour, clip_on=False)
        name = "two pairs mismatched" if is_swapped else "all pairs right"
        ax.set(xlabel="height z (the gap is 2z)", ylabel="loss less its least, nats")
        ax.set(ylim=(0, 0.1), xlim=(0, 1))
        ax.set_title(name, fontsize=9)
        ax.grid(alpha=0.3)
    handles = swapped.get_legend_handles_labels()
    fig.legend(*handles, loc="outside lower center", ncols=len(handles[1]), fontsize=8)
    _lines(trained, paths, "temperature", "step", "height")
    fixed = next((row["step"] for row in paths if not row["swapped"]), None)
    if fixed is not None:
        trained.axvline(fixed, color="#444444", lw=0.8, ls=":", label="mismatch fixed")
        trained.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    trained.set(xlabel="gradient step", ylabel="height z")
    trained.set_title("trained: the gap stays, then closes", fontsize=9)
    return fig


def _lines(ax: Axes, rows: Rows, by: str, over: str, value: str) -> None:
    """Draw a line for each value of ``by``, with standard errors where there are any."""
    groups = list(dict.fromkeys(row[by] for row in rows))
    for number, group in enumerate(groups):
        here = [row for row in rows if row[by] == group]
        label = f"{by} {group:g}" if isinstance(group, float) else str(group)
        errors = np.nan_to_num([row.get(f"{value}_sem") or 0.0 for row in here])
        ax.errorbar(
            [row[over] for row in here], [row[value] for row in here], yerr=errors, lw=1.3,
            marker="o" if len(here) < 20 else None, ms=3.5, color=LINES[number % len(LINES)],
            ls="--" if number >= len(LINES) else "-", label=label,
        )  # fmt: skip
    ax.grid(alpha=0.3)
    ax.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))  # beside the lines
