"""Figures of the estimators of Lemma 1, by their errors."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from langrl.plots.base import ESTIMATORS, LINES, Bar, draw_bars, figure, with_legend


def law_figure(rows: Sequence[Mapping[str, Any]], title: str) -> Figure:
    """Recall of each estimator, a panel per kind of models, a group per critic."""
    panels = {"shared": "one shared goal encoder", "separate": "two separate models",
              "oracle": "trained on (A, C) pairs", "exact": "exact densities"}  # fmt: skip
    present = [models for models in panels if any(row["models"] == models for row in rows)]
    sizes = {"shared": 3.0, "separate": 3.0, "oracle": 1.5, "exact": 0.9}
    fig = figure(13, 4.2, title)
    widths = [sizes[models] for models in present]
    axes = fig.subplots(1, len(present), sharey=True, width_ratios=widths, squeeze=False)[0]
    for ax, models in zip(axes, present, strict=True):
        bars = [_law_bar(row) for row in rows if row["models"] == models]
        draw_bars(ax, bars)
        ax.set_title(panels[models], fontsize=9)
    axes[0].set_ylabel("recall@1 among 32")
    return with_legend(fig)


def _law_bar(row: Mapping[str, Any]) -> Bar:
    count = "" if row["M"] is None else f", M = {row['M']:,}"
    label = f"{row['estimator'].replace('_', ' ')}{count}"
    critic = row["critic"].replace("neg_half_sq_l2", "neg. half\nsq. l2")
    return Bar(critic, label, row["recall"], row["sem"], row["published"], ESTIMATORS.get(label))


def independence_figure(rows: Sequence[Mapping[str, Any]], title: str) -> Figure:
    """Recall over rho: a line per critic and method, published ranges as bars behind."""
    fig = figure(10, 4.2, title)
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
    return with_legend(fig)


def _line_name(row: Mapping[str, Any]) -> str:
    if row["models"] == "shared":
        return str(row["critic"])
    if row["models"] == "oracle":
        return f"trained on (A, C), {row['critic']}"
    return "exact densities: Bayes" if row["estimator"] == "bayes" else "exact densities: Lemma 1"


def auto_figure(rows: Sequence[Mapping[str, Any]], title: str) -> Figure:
    """Each policy's recall in every cell against the better of direct and Monte Carlo."""
    policies = {"direct": "always direct", "monte_carlo": "always Monte Carlo", "auto": "auto"}
    fig = figure(12, 4.4, title)
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
    return with_legend(fig)
