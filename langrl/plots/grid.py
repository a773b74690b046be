"""Figures of grid worlds: posteriors over goals on images of rooms, and film strips of episodes.

Axes: ``H`` rows, ``W`` columns, ``M`` goals, ``T`` time.
"""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from langrl.envs.grid.rendering import render_rooms
from langrl.envs.grid.rooms import AHEAD
from langrl.plots.base import (
    UNKNOWN,
    draw_path,
    explain,
    figure,
    panel_grid,
    to_image,
    with_legend,
)
from langrl.plots.text import wrap

PIXELS = 32  # along a cell's side in images of rooms
DENOTED, PATH, FAILED, AGENT = "#4dff88", "#4da6ff", "#ff4fd8", "#ff3030"
HEAT = LinearSegmentedColormap.from_list("heat", ["#5a3000", "#ff8c00", "#fff2b3"])
_MARKERS = (">", "v", "<", "^")  # east, south, west, north
_FRAMES = 8  # images in a film strip
_ROOM = 3.6, 4.1  # inches of a panel with a room
_FILM_SIDE = 3.6  # of a film's frame


def draw_room(
    ax: Axes,
    image: NDArray[np.uint8],
    *,
    goals: NDArray[np.int64] | None = None,
    probabilities: NDArray[Any] | None = None,
    denoted: NDArray[np.bool_] | None = None,
    path: NDArray[np.int64] | None = None,
    reached: bool | None = None,
    title: str = "",
) -> None:
    """Draw a room, as uint8 [H * 32, W * 32, 3], with beliefs about goals.

    Args:
        goals: poses [M, 3]; each is an arrow head in its cell, towards what it faces.
        probabilities: [M], the arrow heads' size and brightness.
        denoted: objects that the instruction denotes, outlined, bool [H, W].
        path: poses over time [T, 3]; a dot marks the start.
        reached: whether the path ends in success, which a star marks, or in failure, a cross; None
            where that is not known.
    """
    height, width = image.shape[0] / PIXELS, image.shape[1] / PIXELS
    ax.imshow(image, extent=(0, width, height, 0), interpolation="nearest")
    if goals is not None and probabilities is not None:
        _draw_beliefs(ax, goals, probabilities)
    if denoted is not None:
        for row, column in np.argwhere(denoted):
            corner = column + 0.04, row + 0.04
            ax.add_patch(
                Rectangle(
                    corner, 0.92, 0.92, fill=False, edgecolor=DENOTED, lw=2, zorder=6,
                    label="denoted",
                )
            )  # fmt: skip
    if path is not None:
        draw_path(ax, path[:, :2] + 0.5, reached, (PATH, FAILED))
    ax.set(xlim=(0, width), ylim=(height, 0), xticks=[], yticks=[])
    # It may be an instruction: untrusted.
    ax.set_title(wrap(title, _ROOM[0], 8), fontsize=8, parse_math=False)


def _draw_beliefs(ax: Axes, goals: NDArray[np.int64], probabilities: NDArray[Any]) -> None:
    largest = max(float(probabilities.max()), 1e-9)
    for direction, marker in enumerate(_MARKERS):
        here = (goals[:, 2] == direction) & (probabilities > 0.02 * largest)
        row = goals[here, 0] + 0.5 + 0.26 * AHEAD[direction, 0]
        column = goals[here, 1] + 0.5 + 0.26 * AHEAD[direction, 1]
        share = probabilities[here] / largest
        ax.scatter(
            column, row, s=12 + 70 * share, c=share, cmap=HEAT, vmin=0, vmax=1, marker=marker,
            zorder=3, linewidths=0,
        )  # fmt: skip


def rooms_figure(panels: Sequence[Mapping[str, Any]], title: str) -> Figure:
    """One room per panel; panels as ``draw_room`` takes them."""
    fig, axes = panel_grid(len(panels), min(3, len(panels)), *_ROOM, title)
    for ax, panel in zip(axes, panels, strict=True):
        draw_room(ax, **panel)
    good = "Good: arrow heads point at what is outlined, and the walk ends beside it."
    if all(panel.get("denoted") is None for panel in panels):
        good = UNKNOWN
    return with_legend(fig, good)


def film_strip(films: Mapping[str, Sequence[NDArray[np.uint8]]], title: str) -> Figure:
    """Draw each film as a row of up to eight evenly spaced frames; the label is at its left."""
    fig = figure(1.5 * _FRAMES + 1, 1.75 * len(films) + 0.5, title)
    axes = fig.subplots(len(films), _FRAMES, squeeze=False)
    for row, (label, frames) in zip(axes, films.items(), strict=True):
        picked = np.linspace(0, len(frames) - 1, min(_FRAMES, len(frames))).round().astype(int)
        for ax in row:
            ax.set(xticks=[], yticks=[])
            ax.set_frame_on(False)
        for ax, number in zip(row, picked, strict=False):
            ax.imshow(frames[number], interpolation="nearest")
            ax.set_title(f"step {number}", fontsize=7)
        row[0].set_ylabel(label, fontsize=8, parse_math=False)
    explain(
        fig,
        "The red triangle is the agent. Good: the last frame has a green border, for success;"
        " magenta is failure, and no border means that success is not known.",
    )
    return fig


def room_film(
    room: NDArray[np.uint8],
    path: NDArray[np.int64],
    *,
    goals: NDArray[np.int64] | None = None,
    probabilities: NDArray[Any] | None = None,
    denoted: NDArray[np.bool_] | None = None,
    title: str = "",
) -> list[NDArray[np.uint8]]:
    """Return an image of each step of a walk in a room, as uint8 [height, width, 3].

    Args:
        room: type and colour of each cell, uint8 [H, W, 2], or of each step [T, H, W, 2].
        path: poses over time [T, 3].
        goals, probabilities, denoted, title: as for ``draw_room``.
    """
    marks: dict[str, Any] = {
        "goals": goals, "probabilities": probabilities, "denoted": denoted, "title": title
    }  # fmt: skip
    rooms = np.broadcast_to(room, (len(path), *room.shape[-3:]))
    still, ax = _still(rooms[0], marks)
    points = ax.transData.transform(path[:, 1::-1] + 0.5) * (1, -1) + (0, len(still))
    side = float(ax.transData.transform((1, 0))[0] - ax.transData.transform((0, 0))[0])
    frames = []
    for step, middle in enumerate(points):
        if step and (rooms[step] != rooms[step - 1]).any():
            still, _ = _still(rooms[step], marks)
        frame = Image.fromarray(still)
        pen = ImageDraw.Draw(frame)
        pen.line([tuple(point) for point in points[: step + 1]], fill=PATH, width=2)
        ahead = AHEAD[path[step, 2], ::-1] * side  # x, y
        beside = np.array([-ahead[1], ahead[0]])
        corners = (0.32 * ahead, -0.25 * ahead + 0.27 * beside, -0.25 * ahead - 0.27 * beside)
        pen.polygon([tuple(middle + corner) for corner in corners], fill=AGENT, outline="white")
        frames.append(np.asarray(frame))
    return frames


def _still(room: NDArray[np.uint8], marks: dict[str, Any]) -> tuple[NDArray[np.uint8], Axes]:
    """Return the image of a room [H, W, 2] without an agent, and the axes that it is drawn in."""
    fig = figure(_FILM_SIDE, _FILM_SIDE)
    ax = fig.subplots()
    draw_room(ax, render_rooms(room[None], pixels=PIXELS)[0], **marks)
    return to_image(fig), ax


def save_film(frames: Sequence[NDArray[np.uint8]], path: Path, per_second: int = 6) -> list[Path]:
    """Write frames uint8 [H, W, 3] as a GIF, and as an MP4 where the extra ``video`` is installed.

    Returns ``path`` with the suffix .gif, and perhaps with .mp4.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    gif, mp4 = path.with_suffix(".gif"), path.with_suffix(".mp4")
    write_gif(frames, gif, per_second)
    if find_spec("imageio_ffmpeg") is None:
        return [gif]
    write_mp4(frames, mp4, per_second)
    return [gif, mp4]


def write_gif(frames: Sequence[NDArray[np.uint8]], path: Path, per_second: int = 6) -> None:
    """Write frames uint8 [H, W, 3] as a GIF that stays at its end for a second."""
    images = [Image.fromarray(frame) for frame in _held(frames, per_second)]
    duration = 1000 // per_second
    images[0].save(path, save_all=True, append_images=images[1:], duration=duration, loop=0)


def write_mp4(frames: Sequence[NDArray[np.uint8]], path: Path, per_second: int = 6) -> None:
    """Write frames uint8 [H, W, 3] as an MP4, which needs the extra ``video``."""
    from imageio import v3

    v3.imwrite(path, np.stack(_held(frames, per_second)), fps=per_second)


def _held(frames: Sequence[NDArray[np.uint8]], per_second: int) -> list[NDArray[np.uint8]]:
    """Return frames with the last one for a second more."""
    return [*frames, *[frames[-1]] * per_second]
