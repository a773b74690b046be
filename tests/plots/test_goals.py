"""Figures of beliefs about goals, as maps where goals lie in a maze."""

import numpy as np
import pytest

from langrl.envs.goal_words import GoalWords
from langrl.envs.maze.cells import CellFrame
from langrl.envs.regions import RegionFrame
from langrl.plots.goals import goal_beliefs_figure
from langrl.tasks.goal_reaching.suite import view_of

GOALS = np.array([[0.5, 2.5], [1.5, 0.5]], np.float32)
WALK = np.array([[0.5, 0.5], [0.5, 2.5]], np.float32)
ROWS = ("...", "...")
FRAMES = {  # with whether x runs from right to left, and y from the top down
    "rows and columns": (CellFrame(ROWS), (1, 0), (False, True)),
    "x and y": (CellFrame(ROWS, (1, 0)), (0, 1), (False, True)),
    "y upwards": (CellFrame(ROWS, (1, 0), (-1.0, 1.0), (2.0, 0.0)), (0, 1), (False, False)),
    "x leftwards": (CellFrame(ROWS, (1, 0), (1.0, -1.0), (0.0, 3.0)), (0, 1), (True, True)),
    "regions": (RegionFrame(("near-far", None), (0, 0), (1, 1)), (0, 1), (False, False)),
}


def panel(numbers=2, paths=(WALK,)):
    goals = np.pad(GOALS, ((0, 0), (0, numbers - 2)))
    paths = [np.pad(path, ((0, 0), (0, numbers - 2))) for path in paths]
    return {
        "title": "go",
        "goals": goals,
        "probabilities": np.array([0.3, 0.7]),
        "denoted": np.array([True, False]),
        "paths": paths,
        "reached": [True] * len(paths),
    }


@pytest.mark.parametrize("name", FRAMES)
def test_a_maze_lies_as_its_map_does(name):
    frame, (x, y), flipped = FRAMES[name]
    ax = goal_beliefs_figure([panel()], "title", view_of(GoalWords(frame))).axes[0]
    assert (ax.xaxis_inverted(), ax.yaxis_inverted()) == flipped
    walk = next(line for line in ax.lines if len(line.get_xdata()) == 2)
    assert np.array_equal(walk.get_xydata(), WALK[:, [x, y]])
    names = ("columns", "rows") if name != "regions" else ("near to far", None)
    for label, number, word in zip((ax.get_xlabel(), ax.get_ylabel()), (x, y), names, strict=True):
        assert label == f"number {number} of a goal" + (f": {word}" if word else "")


@pytest.mark.parametrize(("numbers", "pairs"), [(2, 1), (3, 2), (4, 1)])
def test_three_numbers_take_two_panels(numbers, pairs):
    fig = goal_beliefs_figure([panel(numbers)], "title")
    assert sum(ax.get_title() == "go" for ax in fig.axes) == pairs


def test_walks_are_explained_where_there_are_some():
    said = [goal_beliefs_figure([panel(paths=paths)], "title")._supxlabel.get_text()
            for paths in ((WALK,), ())]  # fmt: skip
    assert ["Lines are" in " ".join(text.split()) for text in said] == [True, False]
