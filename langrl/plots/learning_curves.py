"""Learning curves of several agents, by steps and by wall-clock."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from langrl.evaluation.learning_curves import Band
from langrl.plots.base import explain, figure, with_legend

_AXES = {"steps": "steps of the environment", "seconds": "seconds of training"}
_AGENTS = {"langrl": "#1b7837", "sac + her": "#e08214"}


def learning_curves_figure(
    bands: Mapping[str, Mapping[str, Mapping[str, Band]]], title: str
) -> Figure:
    """Draw success over training, a row for each environment.

    Args:
        bands: by environment, by axis (``steps``, ``seconds``), by agent.
        title: of the figure.
    """
    fig = figure(8.5, 1.4 + 2.3 * len(bands), title)
    panels = fig.subplots(len(bands), len(_AXES), squeeze=False, sharey=True)
    for row, (env, axes) in zip(panels, bands.items(), strict=True):
        for ax, (axis, agents) in zip(row, axes.items(), strict=True):
            for agent, band in agents.items():
                colour = _AGENTS.get(agent)
                ax.plot(band.grid, band.mean, color=colour, lw=1.6, label=agent)
                ax.fill_between(band.grid, band.low, band.high, color=colour, alpha=0.2, lw=0)
            ax.set(ylim=(-0.03, 1.03))
            ax.set_xlabel(_AXES[axis], fontsize=8)
            ax.set_title(env, fontsize=9)
            ax.tick_params(labelsize=7)
            ax.grid(alpha=0.3)
        row[0].set_ylabel("success, share of episodes", fontsize=8)
    explain(
        fig,
        "Success in reaching held-out goals: higher and earlier is better, 1 is all. Bands are"
        " bootstrap 95 % intervals of the mean over trainings. Steps are of all environments;"
        " seconds leave evaluations out.",
    )
    return with_legend(fig)
