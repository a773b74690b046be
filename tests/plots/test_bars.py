"""Bars of a comparison in which some values are unknown."""

import numpy as np

from langrl.plots.base import types_figure


def row(kind, phrasing, success):
    return {"method": "random", "kind": kind, "phrasing": phrasing, "success": success,
            "success_sem": None if success is None else 0.1}  # fmt: skip


def drawn(ax):
    """Return the height of each bar by the number below it."""
    return {round(bar.get_x() + bar.get_width() / 2): bar.get_height() for bar in ax.patches}


def names(ax):
    ax.figure.canvas.draw()
    return [label.get_text() for label in ax.get_xticklabels()]


def test_a_type_without_episodes_has_room_under_its_own_name():
    # Panels share their ticks: where one left a type out, the names of the other would be wrong.
    rows = [row("row", "seen", None), row("column", "seen", 0.25),
            row("row", "held_out", 0.5), row("column", "held_out", None)]  # fmt: skip
    first, second = types_figure(rows, "title", "kind").axes
    assert names(second) == ["row", "column"]
    assert drawn(first)[1] == 0.25
    assert drawn(second)[0] == 0.5
    assert np.isnan([drawn(first)[0], drawn(second)[1]]).all()


def test_a_figure_of_nothing_but_unknown_values_is_drawn():
    (ax,) = types_figure([row("row", "seen", None)], "title", "kind").axes
    assert names(ax) == ["row"]
    assert np.isnan(drawn(ax)[0])
