"""Figures of recorded trajectories: how long they are, and which positions they visit.

Axes: ``T`` states.
"""

import math

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from langrl.plots.base import HEAT, PATH, explain, figure
from langrl.protocols import Array, Integers

_BINS = 120  # of a map's longer side
_LENGTHS = 40  # bins of lengths
_NEVER = "#d9d9d9"  # colour of what is not visited


def lengths_figure(lengths: Integers, title: str) -> Figure:
    """How many states the trajectories have, as a histogram of ``lengths``."""
    fig = figure(6.0, 3.6, title)
    ax = fig.subplots()
    low, high = int(lengths.min()), int(lengths.max())
    width = math.ceil((high - low + 1) / _LENGTHS)  # whole, so that bars stand for as many lengths
    bins = (np.arange(low, high + 1 + width, width) - 0.5).tolist()
    ax.hist(lengths, bins=bins, color=PATH)
    ax.set_xlim(bins[0] - 1, bins[-1] + 1)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.set(xlabel="states of a trajectory", ylabel="trajectories")
    ax.grid(alpha=0.3)
    explain(fig, "Goals are taken from the same trajectory: none is further away than its length.")
    return fig


def visits_figure(positions: Array, title: str) -> Figure:
    """Where the states are: a map of the first two numbers of observations, [T, 2]."""
    low, high = positions.min(0), positions.max(0)
    span = np.maximum(high - low, 1e-6)
    bins = [max(1, int(_BINS * side / span.max())) for side in span]
    x, y = positions.T
    counts, *edges = np.histogram2d(x, y, bins=bins, range=np.stack([low, low + span], 1))
    fig = figure(6.0, 5.4, title)
    ax = fig.subplots()
    shown = np.ma.masked_equal(counts.T, 0)  # [y, x]
    image = ax.pcolormesh(*edges, shown, cmap=HEAT, norm=LogNorm(0.5, max(2.0, counts.max())))
    fig.colorbar(image, ax=ax, label="states")
    ax.set(xlabel="observation, number 0", ylabel="observation, number 1", aspect="equal")
    ax.set_facecolor(_NEVER)
    explain(fig, "Grey is never visited: nothing can be learned about it from these trajectories.")
    return fig
