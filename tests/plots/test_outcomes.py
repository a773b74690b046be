"""What figures and films show of how episodes ended."""

import numpy as np
import pytest

from langrl.envs.maze.layouts import load_layout
from langrl.plots.base import DENOTED, FAILED, PATH, mark_outcome, types_figure
from langrl.plots.grid import rooms_figure
from langrl.plots.maze import film, posterior_figure

WALLS = load_layout("slit").walls
WALK = np.array([[0.5, 0.5], [2.5, 0.5], [3.5, 0.5]], np.float32)
ROOM = np.zeros((96, 96, 3), np.uint8)
POSES = np.array([[0, 0, 0], [0, 1, 0], [0, 2, 0]])


def drawn_ends(fig):
    """Return the marker, colour and label of each end of a path."""
    return [
        (line.get_marker(), line.get_color(), line.get_label())
        for line in fig.axes[0].lines
        if line.get_marker() in ("*", "X", "s")
    ]


@pytest.mark.parametrize("draw", ["maze", "room"])
@pytest.mark.parametrize(
    ("success", "marker", "label"),
    [(True, "*", "success"), (False, "X", "failure"), (None, "s", "end")],
)
def test_a_path_says_how_it_ended(draw, success, marker, label):
    if draw == "maze":
        fig = posterior_figure(WALLS, [{"paths": [WALK], "reached": [success]}], "title")
    else:
        fig = rooms_figure([{"image": ROOM, "path": POSES, "reached": success}], "title")
    ((shape, colour, named),) = drawn_ends(fig)
    assert (shape, named) == (marker, label)
    body = next(line for line in fig.axes[0].lines if len(line.get_xdata()) == 3)
    assert body.get_color() == colour
    texts = [text.get_text() for text in fig.legends[0].get_texts()]
    assert texts == ["start", label]


def test_paths_whose_outcome_is_not_given_are_no_failures():
    fig = posterior_figure(WALLS, [{"paths": [WALK, WALK], "reached": [False]}], "title")
    assert [colour for _, colour, _ in drawn_ends(fig)] == [FAILED, PATH]


def test_a_maze_has_axes_and_its_heat_a_unit():
    heat = np.full(WALLS.shape, 0.01)
    ax, bar = posterior_figure(WALLS, [{"heat": heat}], "title").axes
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("column", "row")
    assert "probability" in bar.get_ylabel()


def test_a_film_of_a_maze_shows_each_step_where_the_agent_is():
    frames = film(WALLS, WALK, title="“row 3”")
    assert len(frames) == 3
    blue = [int(PATH[i : i + 2], 16) for i in (1, 3, 5)]
    rows = [np.argwhere((frame == blue).all(-1))[:, 0].max() for frame in frames]
    assert rows[0] < rows[1] < rows[2]
    # The agent moves down by two cells, then by one.
    assert (rows[1] - rows[0]) == pytest.approx(2 * (rows[2] - rows[1]), abs=2)


@pytest.mark.parametrize(("success", "colour"), [(True, DENOTED), (False, FAILED)])
def test_the_last_frame_of_a_film_says_how_it_ended(success, colour):
    frames = [np.zeros((40, 50, 3), np.uint8)] * 2
    first, last = mark_outcome(frames, success)
    assert not first.any()
    assert last[0, 25].tolist() == [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    assert not last[20, 25].any()
    assert not any(frame.any() for frame in frames)
    assert not mark_outcome(frames, None)[1].any()


def test_bars_show_success_by_instruction_type_and_phrasing():
    rows = [
        {"method": method, "kind": kind, "phrasing": phrasing, "success": success, "success_sem": 0}
        for method, success in (("oracle", 1.0), ("log_sum_exp", 0.5))
        for kind in ("row", "column")
        for phrasing in ("seen", "held_out")
    ]
    fig = types_figure(rows, "title", "kind")
    assert [ax.get_title() for ax in fig.axes] == ["seen phrasings", "held-out phrasings"]
    for ax in fig.axes:
        assert sorted(patch.get_height() for patch in ax.patches) == [0.5, 0.5, 1.0, 1.0]
        assert ax.get_ylabel() == "share of episodes"
    assert fig.axes[-1].get_xlabel() == "kind of instruction"
    assert "igher is better" in fig._supxlabel.get_text()


def test_no_legend_lies_over_the_title():
    rows = [
        {"method": f"method {n}", "kind": "row", "phrasing": "seen", "success": 1.0,
         "success_sem": 0.0}
        for n in range(9)
    ]  # fmt: skip
    title = "following instructions in the grid world 'goto', of which 7x7 cells are seen " * 2
    panel = {"paths": [WALK], "reached": [True], "title": title}
    for fig in (types_figure(rows, title, "kind"), posterior_figure(WALLS, [panel], title)):
        fig.canvas.draw()
        legend, above = (part.get_window_extent() for part in (fig.legends[0], fig._suptitle))
        assert not legend.overlaps(above)
        assert above.x0 >= 0
        assert above.x1 <= fig.bbox.x1
