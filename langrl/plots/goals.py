"""Goals as points: what an agent believes that an instruction means, and where it went.

Axes: ``M`` candidate goals, ``G`` numbers in a goal, ``T`` time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from matplotlib.figure import Figure

from langrl.plots.base import DENOTED, FAILED, HEAT, PATH, WAY, explain, panel_grid
from langrl.plots.text import wrap

_PANEL = 3.6, 3.4  # inches
_EVERY = "#d0d4d9"  # goals that are hardly meant


@dataclass(frozen=True)
class GoalView:
    """How goals lie in a figure.

    Args:
        names: of numbers of a goal, by their place.
        pairs: which numbers are drawn along x and y, in a panel each; by default the first with
            the second, and with the third of three.
        flipped: whether x runs from right to left, and y from the top down.
    """

    names: Mapping[int, str] = field(default_factory=dict)
    pairs: tuple[tuple[int, int], ...] = ()
    flipped: tuple[bool, bool] = (False, False)

    def label(self, number: int) -> str:
        """Return what an axis says."""
        name = self.names.get(number)
        return f"number {number} of a goal" + ("" if name is None else f": {name}")

    def pairs_of(self, numbers: int) -> tuple[tuple[int, int], ...]:
        """Return which numbers of goals with so many are drawn against each other."""
        if self.pairs or numbers == 1:
            return self.pairs or ((0, 0),)
        return ((0, 1),) if numbers != 3 else ((0, 1), (0, 2))


def goal_beliefs_figure(
    panels: Sequence[Mapping[str, Any]], title: str, view: GoalView | None = None
) -> Figure:
    """Draw candidate goals by their probability, a panel for each instruction.

    Args:
        panels: with ``title``, ``goals`` [M, G], ``probabilities`` [M], ``denoted`` bool [M] or
            None, ``paths`` of goals that were achieved [T, G], whether each ``reached`` it, and,
            where there is one, the ``way`` that was planned along waypoints [any, G].
        title: of the figure.
        view: how goals lie in it; as they are if not given.
    """
    view = view or GoalView()
    drawn = [(panel, pair) for panel in panels for pair in view.pairs_of(panel["goals"].shape[1])]
    fig, axes = panel_grid(len(drawn), min(3, len(drawn)), *_PANEL, title)
    for ax, (panel, (x, y)) in zip(axes, drawn, strict=True):
        goals, chance = panel["goals"], panel["probabilities"]
        order = chance.argsort()  # likely ones on top
        ax.scatter(goals[:, x], goals[:, y], color=_EVERY, s=14, linewidths=0)
        points = ax.scatter(
            goals[order, x], goals[order, y], c=chance[order], cmap=HEAT, s=14, linewidths=0,
            alpha=(chance[order] / chance.max()).clip(0.0, 1.0),
        )  # fmt: skip
        fig.colorbar(points, ax=ax, shrink=0.7).ax.tick_params(labelsize=6)
        if panel["denoted"] is not None:
            meant = goals[panel["denoted"]]
            ax.scatter(
                meant[:, x], meant[:, y], s=26, facecolors="none", edgecolors=DENOTED,
                linewidths=0.5,
            )  # fmt: skip
        if panel.get("way") is not None:
            way = panel["way"]
            ax.plot(way[:, x], way[:, y], **WAY)
        for path, reached in zip(panel["paths"], panel["reached"], strict=True):
            colour = FAILED if reached is False else PATH
            ax.plot(path[:, x], path[:, y], color=colour, lw=1.3)
            ax.plot(*path[0, [x, y]], "o", color="white", mec="#333333", ms=5)
            ax.plot(*path[-1, [x, y]], "*" if reached else "X", color=colour, mec="white", ms=10)
        ax.set_title(wrap(panel["title"], _PANEL[0], 9), fontsize=9, parse_math=False)
        ax.set_xlabel(view.label(x), fontsize=7)
        ax.set_ylabel(view.label(y), fontsize=7)
        ax.tick_params(labelsize=6)
        ax.xaxis.set_inverted(view.flipped[0])
        ax.yaxis.set_inverted(view.flipped[1])
    walks = (
        " Lines are walks, from a white circle to a star (success) or a cross."
        if any(panel["paths"] for panel in panels)
        else ""
    )
    if any(panel.get("way") is not None for panel in panels):
        walks += " Dashed lines are planned paths, with their waypoints."
    explain(
        fig,
        "Dots are goals that were achieved in training; the darker, the more likely meant. Green"
        f" rings are what the words denote; the dark dots should be the ringed ones.{walks}",
    )
    return fig
