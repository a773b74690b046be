"""Figures of mazes: walls, posteriors and paths.

Axes: ``R`` rows, ``C`` columns, ``M`` candidate goals, ``T`` time.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from langrl.plots.base import (
    CEILING,
    COLOURS,
    DENOTED,
    HEAT,
    PATH,
    WALL,
    Bar,
    draw_bars,
    figure,
    panel_grid,
    with_legend,
)


def draw_maze(
    ax: Axes,
    walls: NDArray[np.bool_],
    *,
    denoted: NDArray[np.bool_] | None = None,
    heat: NDArray[np.float64] | None = None,
    paths: Sequence[NDArray[np.float32]] = (),
    title: str = "",
) -> Any:
    """Draw a maze of walls, bool [R, C], from above, row 0 at the top.

    Args:
        denoted: cells that the instruction denotes, outlined, bool [R, C].
        heat: probability mass of each cell [R, C].
        paths: positions over time, each [T, 2]; a dot marks the start, a star the end.

    Returns the image of the heat, for a colour bar; None without heat.
    """
    height, width = walls.shape
    extent = (0.0, float(width), float(height), 0.0)
    image = None
    if heat is not None:
        image = ax.imshow(heat, cmap=HEAT, extent=extent, vmin=0, interpolation="nearest")
    wall_layer, colour = np.ma.masked_where(~walls, np.ones(walls.shape)), ListedColormap([WALL])
    ax.imshow(wall_layer, cmap=colour, extent=extent, interpolation="nearest")
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
    walls: NDArray[np.bool_], panels: Sequence[Mapping[str, Any]], title: str
) -> Figure:
    """One maze per panel, with the posterior over goals as heat; panels as ``draw_maze`` takes."""
    fig, axes = panel_grid(len(panels), min(3, len(panels)), 4.2, 4.5, title)
    for ax, panel in zip(axes, panels, strict=True):
        image = draw_maze(ax, walls, **panel)
        if image is not None:
            bar = fig.colorbar(image, ax=ax, shrink=0.75)
            bar.ax.tick_params(labelsize=6)
    return fig


def followed_figure(rows: Sequence[Mapping[str, Any]], title: str) -> Figure:
    """Success of each grounding, a panel per phrasing, with the success in given goals as ticks."""
    phrasings = list(dict.fromkeys(row["phrasing"] for row in rows))
    fig = figure(8.0, 2.8 * len(phrasings), title)
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
    return with_legend(fig)
