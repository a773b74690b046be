"""Every figure: mazes with posteriors and paths, comparisons of methods, training curves.

Axes: ``R`` rows, ``C`` columns, ``M`` candidate goals, ``T`` time.
"""

from collections.abc import Mapping, Sequence
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
    "oracle": "#444444",
    "random": "#d9d9d9",
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


def methods_figure(rows: Sequence[Mapping[str, Any]], title: str) -> Figure:
    """Success and SPL of each method, a group per maze, with published values as black ticks."""
    mazes = list(dict.fromkeys(row["maze"] for row in rows))
    methods = list(dict.fromkeys(row["method"] for row in rows))
    fig = figure(3.2 + 2.4 * len(mazes), 5.6)
    width = 0.85 / len(methods)
    for ax, measure in zip(fig.subplots(2, 1, sharex=True), ("success", "spl"), strict=True):
        for i, method in enumerate(methods):
            for j, maze in enumerate(mazes):
                row = next(r for r in rows if r["maze"] == maze and r["method"] == method)
                x = j + (i - (len(methods) - 1) / 2) * width
                error = np.nan_to_num(row.get(f"{measure}_sem") or 0.0)
                label = method.replace("_", " ") if j == 0 else None
                ax.bar(
                    x,
                    row[measure],
                    width * 0.92,
                    yerr=error,
                    color=COLOURS.get(method),
                    label=label,
                )
                published = row.get(f"published_{measure}")
                if published is not None:
                    ax.plot([x - width / 2, x + width / 2], [published] * 2, color="black", lw=2)
        ax.set(ylim=(0, 1.05), ylabel=measure.upper() if measure == "spl" else measure)
        ax.set_xticks(range(len(mazes)), mazes)
        ax.grid(axis="y", alpha=0.3)
        ax.spines[["top", "right"]].set_visible(False)
    fig.axes[0].plot([], [], color="black", lw=2, label="published")
    handles, labels = fig.axes[0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside right upper", fontsize=8)
    fig.suptitle(title, fontsize=11, parse_math=False)
    return fig


def curves_figure(records: Sequence[Mapping[str, float]], title: str) -> Figure:
    """Training curves: a panel per metric over steps."""
    names = [name for name in records[0] if name != "step"]
    columns = 4
    rows = -(-len(names) // columns)
    fig = figure(3 * columns, 2.2 * rows)
    axes = fig.subplots(rows, columns, squeeze=False).ravel()
    for ax, name in zip(axes, names, strict=False):
        ax.plot([r["step"] for r in records], [r[name] for r in records], color=PATH, lw=1.2)
        ax.set_title(name, fontsize=8)
        ax.tick_params(labelsize=7)
        ax.grid(alpha=0.3)
    for ax in axes[len(names) :]:
        ax.axis("off")
    fig.suptitle(title, fontsize=11, parse_math=False)
    return fig
