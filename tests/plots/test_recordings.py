"""Figures of recorded trajectories."""

import numpy as np
import pytest

from langrl.plots.recordings import lengths_figure


@pytest.mark.parametrize("lengths", [[1001] * 3, [5, 6, 8], list(range(2, 900))])
def test_bars_stand_for_whole_lengths(lengths):
    ax = lengths_figure(np.array(lengths), "title").axes[0]
    edges = [bar.get_x() for bar in ax.patches]
    widths = {round(bar.get_width(), 6) for bar in ax.patches}
    assert sum(bar.get_height() for bar in ax.patches) == len(lengths)
    assert all(edge % 1 == 0.5 for edge in edges)
    assert len(widths) == 1
    assert widths.pop() % 1 == 0
    ticks = [tick for tick in ax.get_xticks() if ax.get_xlim()[0] <= tick <= ax.get_xlim()[1]]
    assert ticks
    assert all(tick % 1 == 0 for tick in ticks)
