"""Figures of multimodal generative models with and without contrasting pairs.

Axes: ``N`` pairs, ``X`` numbers in an observation, ``K`` samples.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from langrl.data.related_pairs import CROP_SIZE
from langrl.envs.grid.grammar import COLOURS, TYPES
from langrl.grounding.generated import TEXT
from langrl.plots.base import figure

PANELS = {
    "latent": "latent accuracy", "joint": "joint coherence", "cross": "cross coherence",
    "synergy": "synergy coherence", "auc": "AUC of PMI",
}  # fmt: skip
BACKBONES = {"mvae": "#2166ac", "mmvae": "#e08214", "jmvae": "#1b7837"}
_RELATED, _UNRELATED = "#2166ac", "#e08214"
Rows = Sequence[Mapping[str, Any]]


def shares_figure(table: Rows, title: str) -> Figure:
    """Each measure over the share of related data: solid with contrast, dashed without."""
    fig = figure(15, 3.6, f"{title}: means over seeds, 95 % intervals")
    panels = fig.subplots(1, len(PANELS))
    numbered = [row for row in table if not isinstance(row["share"], str)]  # without found pairs
    for ax, (name, label) in zip(panels, PANELS.items(), strict=True):
        for backbone, colour in BACKBONES.items():
            for contrast in (True, False):
                points = sorted(
                    (
                        row for row in numbered
                        if (row["backbone"], row["contrast"]) == (backbone, contrast)
                    ),
                    key=lambda row: row["share"],
                )  # fmt: skip
                if points:
                    ax.errorbar(
                        [100 * row["share"] for row in points], [row[name] for row in points],
                        yerr=[np.nan_to_num(row[f"{name}_half"]) for row in points],
                        color=colour, ls="-" if contrast else "--", marker="o" if contrast else "s",
                        ms=3.5, lw=1.4, capsize=2, mfc=colour if contrast else "white",
                        label=f"{backbone}, contrast" if contrast else backbone,
                    )  # fmt: skip
        low, high = ax.get_ylim()
        ax.set_ylim(max(low, 0.0), min(high, 1.01))  # intervals of few seeds reach beyond
        ax.set_xscale("log")
        shares = sorted({100 * row["share"] for row in numbered})
        ax.set_xticks(shares, [f"{share:g}" for share in shares])
        ax.minorticks_off()
        ax.set_xlabel("related data, %")
        ax.set_title(label, fontsize=9)
        ax.grid(alpha=0.3)
    fig.legend(*panels[0].get_legend_handles_labels(), loc="outside right center", fontsize=8)
    return fig


def pmi_figure(scores: Rows, title: str) -> Figure:
    """Histograms of the PMI of related and unrelated test pairs, and their ROC curves."""
    backbones = list(dict.fromkeys(row["backbone"] for row in scores))
    title = f"{title}: pointwise mutual information of test pairs, seed 0, all related data"
    fig = figure(3.4 * len(backbones) + 1, 7.4, title)
    panels = fig.subplots(3, len(backbones), squeeze=False)
    for column, backbone in zip(panels.T, backbones, strict=True):
        here = {row["contrast"]: row for row in scores if row["backbone"] == backbone}
        for ax, contrast in zip(column, (False, True), strict=False):
            _draw_histograms(ax, here[contrast]["related"], here[contrast]["unrelated"])
            ax.set_title(f"{backbone}, {'contrast' if contrast else 'plain'}", fontsize=9)
        for contrast, style in ((False, "--"), (True, "-")):
            false, true = roc_curve(here[contrast]["related"], here[contrast]["unrelated"])
            label = "contrast" if contrast else "plain"
            column[2].plot(false, true, style, color=BACKBONES.get(backbone), label=label)
        column[2].plot([0, 1], [0, 1], ":", color="#999999", lw=1)
        column[2].set(xlabel="unrelated pairs kept", ylabel="related pairs kept")
        column[2].legend(fontsize=8)
    panels[0, 0].legend(fontsize=8)
    return fig


def _draw_histograms(ax: Axes, related: Sequence[float], unrelated: Sequence[float]) -> None:
    low, high = np.percentile([*related, *unrelated], [1, 99])
    bins = np.linspace(low, high, 40).tolist()
    for values, colour, label in (
        (related, _RELATED, "related"), (unrelated, _UNRELATED, "unrelated"),
    ):  # fmt: skip
        clipped = np.clip(values, low, high)
        ax.hist(clipped, bins, color=colour, alpha=0.55, density=True, label=label)
    ax.set(xlabel="PMI, nats", ylabel="density of pairs", yticks=[])


def roc_curve(
    related: Sequence[float], unrelated: Sequence[float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the shares of unrelated and of related pairs that are kept, by falling threshold."""
    scores = np.concatenate([related, unrelated])
    order = np.argsort(-scores, kind="stable")
    positive = np.concatenate([np.ones(len(related)), np.zeros(len(unrelated))])[order]
    start = np.zeros(1)
    true = np.concatenate([start, positive.cumsum() / len(related)])
    false = np.concatenate([start, (1 - positive).cumsum() / len(unrelated)])
    return false, true


def generated_figure(shown: Rows, title: str) -> Figure:
    """Observations of one modality, what is generated of the other, and draws from the prior."""
    backbones = list(dict.fromkeys(row["backbone"] for row in shown))
    count = len(shown[0]["given"])
    title = f"{title}: generated with all related data, seed 0"
    fig = figure(0.62 * count * 2 + 2, 3.6 * len(backbones), title)
    outer = fig.subfigures(len(backbones), 2, squeeze=False)
    for row in shown:
        part = outer[backbones.index(row["backbone"]), int(row["contrast"])]
        first, second = row["generated"]
        lines = [(f"{first}, given", first, row["given"])]
        lines += [(f"{second} {k + 1}", second, row["generated"][second][k]) for k in range(3)]
        lines += [(f"prior, {name}", name, values) for name, values in row["prior"].items()]
        axes = part.subplots(len(lines), count)
        for line, (label, name, values) in zip(axes, lines, strict=True):
            for ax, value in zip(line, values, strict=True):
                draw_observation(ax, np.asarray(value), row["words"] if name == TEXT else ())
            line[0].set_ylabel(label, fontsize=7, rotation=0, ha="right", va="center")
        part.suptitle(f"{row['backbone']}, {'contrast' if row['contrast'] else 'plain'}", size=9)
    return fig


def draw_observation(ax: Axes, value: NDArray[np.float64], words: Sequence[str] = ()) -> None:
    """Draw a grey square, a crop of three colours, or the colour and the type that words name.

    ``words``: what the values are counts of, from the third one on; of texts only.
    """
    ax.set(xticks=[], yticks=[])
    side = round(len(value) ** 0.5)
    if words:
        ax.spines[:].set_visible(False)
        words_shown = [_likeliest(value, words, names) for names in (COLOURS, TYPES)]
        ax.text(0.5, 0.5, "\n".join(words_shown), ha="center", va="center", fontsize=6)
    elif side * side == len(value):
        brightest = max(value.max(), 0.1)  # glyphs are dim, and their means dimmer
        ax.imshow(value.reshape(side, side), cmap="gray", vmin=0, vmax=brightest)
    else:
        side = round((len(value) / 3) ** 0.5)
        # crops have their colours last, images for convolutions first
        shape = (side, side, 3) if len(value) == CROP_SIZE else (3, side, side)
        image = np.clip(value, 0, 1).reshape(shape)
        ax.imshow(image if shape[-1] == 3 else np.moveaxis(image, 0, 2))


def _likeliest(
    shares: NDArray[np.float64], vocabulary: Sequence[str], names: Mapping[str, int]
) -> str:
    """Return the name whose word has the largest share."""
    in_vocabulary = [name for name in names if name in vocabulary]
    return max(in_vocabulary, key=lambda name: shares[2 + vocabulary.index(name)])
