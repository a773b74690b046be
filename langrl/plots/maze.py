"""Figures of mazes: walls, posteriors and paths, and films of walks.

Axes: ``R`` rows, ``C`` columns, ``M`` candidate goals, ``T`` time.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from langrl.plots.base import (
    CEILING,
    COLOURS,
    DENOTED,
    HEAT,
    PATH,
    UNKNOWN,
    WALL,
    WAY,
    Bar,
    draw_bars,
    draw_path,
    explain,
    figure,
    panel_grid,
    to_image,
    with_legend,
)
from langrl.plots.text import wrap

_TITLE = 3.4  # inches of a maze's title
_FILM_SIDE = 3.6  # inches of a film's frame
_DOT = 5  # radius of the agent in a film, in pixels


def draw_maze(
    ax: Axes,
    walls: NDArray[np.bool_],
    *,
    denoted: NDArray[np.bool_] | None = None,
    heat: NDArray[np.float64] | None = None,
    paths: Sequence[NDArray[np.float32]] = (),
    reached: Sequence[bool | None] = (),
    way: NDArray[np.float32] | None = None,
    title: str = "",
) -> Any:
    """Draw a maze of walls, bool [R, C], from above, row 0 at the top.

    Args:
        denoted: cells that the instruction denotes, outlined, bool [R, C].
        heat: probability mass of each cell [R, C].
        paths: positions over time, each [T, 2]; a dot marks the start.
        reached: of each path, whether it ends in success, which a star marks, or in failure, a
            cross; None, or no entry, where that is not known.
        way: that was planned, its waypoints and the goal, positions [any, 2].

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
    if way is not None:
        ax.plot(way[:, 1], way[:, 0], **WAY, label="planned path", zorder=5)
    for path, success in itertools.zip_longest(paths, reached):
        draw_path(ax, path, success)
    ax.set(xlim=(0, width), ylim=(height, 0))
    ax.set_xticks(np.arange(width) + 0.5, [str(c) for c in range(width)], fontsize=6)
    ax.set_yticks(np.arange(height) + 0.5, [str(r) for r in range(height)], fontsize=6)
    ax.tick_params(length=0)
    ax.set_xlabel("column", fontsize=7)
    ax.set_ylabel("row", fontsize=7)
    # It may be an instruction: untrusted.
    ax.set_title(wrap(title, _TITLE, 9), fontsize=9, parse_math=False)
    return image


def _outline(ax: Axes, cells: NDArray[np.bool_]) -> None:
    """Draw the border of a set of cells."""
    padded = np.pad(cells, 1)
    style: dict[str, Any] = {"color": DENOTED, "lw": 2, "zorder": 3, "label": "denoted"}
    for row, column in np.argwhere(padded[1:, 1:-1] != padded[:-1, 1:-1]):
        ax.plot([column, column + 1], [row, row], **style)
    for row, column in np.argwhere(padded[1:-1, 1:] != padded[1:-1, :-1]):
        ax.plot([column, column], [row, row + 1], **style)


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
            bar.set_label("belief: probability of a cell", fontsize=6)
    good = "Good: the heat lies within the outline, and walks end there."
    if all(panel.get("denoted") is None for panel in panels):
        good = UNKNOWN
    return with_legend(fig, good)


def film(
    walls: NDArray[np.bool_],
    path: NDArray[np.float32],
    *,
    denoted: NDArray[np.bool_] | None = None,
    heat: NDArray[np.float64] | None = None,
    title: str = "",
) -> list[NDArray[np.uint8]]:
    """Return an image of each step of a walk, as uint8 [height, width, 3].

    Args:
        walls, denoted, heat, title: as for ``draw_maze``.
        path: positions over time [T, 2].
    """
    fig = figure(_FILM_SIDE, _FILM_SIDE)
    ax = fig.subplots()
    draw_maze(ax, walls, denoted=denoted, heat=heat, title=title)
    still = to_image(fig)
    # Positions in pixels, from the top: the maze is drawn once, and only the walk in each frame.
    points = ax.transData.transform(path[:, ::-1]) * (1, -1) + (0, len(still))
    frames = []
    for step, (x, y) in enumerate(points):
        frame = Image.fromarray(still)
        pen = ImageDraw.Draw(frame)
        pen.line([tuple(point) for point in points[: step + 1]], fill=PATH, width=2)
        pen.ellipse((x - _DOT, y - _DOT, x + _DOT, y + _DOT), fill=PATH, outline="white")
        frames.append(np.asarray(frame))
    return frames


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
    explain(
        fig,
        "Higher is better. A bar far below its tick: the policy reaches goals, but instructions"
        " are misread. Lines at the tops of bars are standard errors.",
    )
    return with_legend(fig)
