"""What a decision by waypoints costs, as a figure."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from langrl.plots.base import explain, figure, with_legend


def cost_figure(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw the time of a decision against the number of waypoints, beside the critic alone.

    Args:
        rows: with ``variant`` (a composition, and after a comma what else), ``waypoints``,
            ``agents``, ``milliseconds`` and ``plain_milliseconds``.
    """
    agents = rows[0]["agents"]
    fig = figure(6.4, 3.8, f"a decision of {agents:,} agents by waypoints")
    ax = fig.subplots()
    names = list(dict.fromkeys(row["variant"].partition(",")[0] for row in rows))
    for name in names:
        own = [row for row in rows if row["variant"].partition(",")[0] == name]
        numbers = [row["waypoints"] for row in own]
        ax.plot(numbers, [row["milliseconds"] for row in own], marker="o", label=name)
    plain = {row["waypoints"]: row["plain_milliseconds"] for row in rows}
    ax.plot([*plain], [*plain.values()], color="black", ls="--", label="the critic alone")
    ax.set(xscale="log", yscale="log")
    ax.set_xlabel("waypoints", fontsize=8)
    ax.set_ylabel("milliseconds", fontsize=8)
    ax.grid(alpha=0.3)
    explain(
        fig,
        "Processor time of one decision of all agents, after their paths are planned: lower is"
        " better, and close to the dashed line is best.",
    )
    return with_legend(fig)
