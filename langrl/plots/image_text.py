"""Figures of language-image models: reliability, AUC by group, images with their best text."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from langrl.evaluation.image_text import RoomSample
from langrl.models.language_image.model import LanguageImageModel
from langrl.plots.base import explain, figure, panel_grid

_COLOURS = ("#2166ac", "#e08214", "#1b7837")
_SHOWN = 12  # images in a grid


def reliability_figure(rows: Sequence[Mapping[str, Any]], title: str) -> Figure:
    """Match rate over predicted probability, a line for each phrasing; the diagonal is exact."""
    fig = figure(5, 4.6)
    ax = fig.subplots()
    ax.plot([0, 1], [0, 1], color="#bbbbbb", lw=1, ls="--", label="exact")
    for row, colour in zip(rows, _COLOURS, strict=False):
        bins = row["reliability"]
        label = f"{row['phrasing'].replace('_', '-')}: ECE {row['ece']:.3f}"
        ax.plot(
            [b["probability"] for b in bins], [b["rate"] for b in bins], marker="o", ms=4, lw=1.2,
            color=colour, label=label,
        )  # fmt: skip
    ax.set(xlabel="P(match)", ylabel="share that matches", xlim=(0, 1), ylim=(0, 1))
    ax.grid(alpha=0.3)
    ax.legend(fontsize=8)
    ax.set_title(title, fontsize=10)
    explain(fig, "Good: lines on the diagonal; above it, the model is too unsure of matches.")
    return fig


def auc_figure(rows: Sequence[Mapping[str, Any]], title: str) -> Figure:
    """ROC AUC by level and by word, a panel for each phrasing and kind of group."""
    panels = [
        (f"{row['phrasing'].replace('_', '-')}, by {groups[:-1]}", row[groups], colour)
        for row, colour in zip(rows, _COLOURS, strict=False)
        for groups in ("levels", "words")
        if any(np.isfinite(value) for value in row[groups].values())
    ]
    fig = figure(10, 2.6 * max(1, len(panels)), title)
    axes = fig.subplots(max(1, len(panels)), 1, squeeze=False).ravel()
    for ax, (name, groups, colour) in zip(axes, panels, strict=False):
        ax.bar(range(len(groups)), list(groups.values()), color=colour)
        ax.set_xticks(range(len(groups)), list(groups), rotation=60, fontsize=7)
        ax.axhline(0.5, color="black", lw=0.8, ls=":")
        ax.set(ylim=(0.4, 1.01), ylabel="ROC AUC; 0.5 is chance")
        ax.set_title(name, fontsize=9)
        ax.grid(axis="y", alpha=0.3)
    explain(fig, "The chance that a match scores above a mismatch: higher is better, up to 1.")
    return fig


def grid_figure(model: LanguageImageModel, sample: RoomSample, title: str) -> Figure:
    """Images of one room, each with the text that fits it best; wrong ones in red."""
    described = np.flatnonzero(sample.matches.any(1))[:_SHOWN]
    images, texts = model.encode_image(sample.images[described]), model.encode_text(sample.texts)
    probability = model.match_probability(images, texts).detach().cpu().numpy()
    fig, axes = panel_grid(len(described), 4, 2.75, 3.1, title)
    for ax, image, scores in zip(axes, described, probability, strict=True):
        ax.axis("off")
        text = int(scores.argmax())
        ax.imshow(sample.images[image], interpolation="nearest")
        ax.set_title(
            f"{_wrap(sample.texts[text])}\n{scores[text]:.2f}", fontsize=7, parse_math=False,
            color="black" if sample.matches[image, text] else "#c0392b",
        )  # fmt: skip
    explain(fig, "Each image with its most likely text and P(match): black is right, red wrong.")
    return fig


def _wrap(text: str, width: int = 38) -> str:
    return "\n".join(textwrap.wrap(text[:160], width))
