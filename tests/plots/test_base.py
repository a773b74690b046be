import numpy as np
from PIL import Image

from langrl.envs.maze.layouts import load_layout
from langrl.plots.base import (
    DENOTED,
    WALL,
    Bar,
    curves_figure,
    draw_bars,
    figure,
    methods_figure,
    save,
)
from langrl.plots.maze import cell_mass, posterior_figure

WALLS = load_layout("slit").walls


def image(fig, tmp_path):
    return np.asarray(Image.open(save(fig, tmp_path / "new" / "x.png")).convert("RGB")).astype(int)


def test_mass_is_summed_by_cell():
    goals = np.array([[0.2, 0.9], [0.7, 0.1], [1.5, 1.5]], np.float32)
    mass = cell_mass(goals, np.array([0.25, 0.5, 0.25]), (2, 2))
    np.testing.assert_allclose(mass, [[0.75, 0.0], [0.0, 0.25]])


def test_a_posterior_shows_heat_walls_outline_and_path(tmp_path):
    heat = np.where(np.arange(11)[:, None] == 3, 1 / 11, 0.0) * np.ones((1, 11))
    path = np.array([[0.5, 0.5], [2.5, 0.5], [3.5, 0.5]], np.float32)
    panel = {"heat": heat, "denoted": heat > 0, "paths": [path], "title": "row 3"}
    pixels = image(posterior_figure(WALLS, [panel], "title"), tmp_path)
    for colour in ("#7f0000", WALL, DENOTED):
        rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        assert (np.abs(pixels - rgb).sum(-1) < 12).sum() > 100, colour


def test_methods_are_drawn_with_their_published_values(tmp_path):
    rows = [
        {"maze": "fork", "method": "direct", "success": 0.4, "success_sem": None, "spl": 0.3,
         "published_success": 0.24, "published_spl": 0.15},
        {"maze": "fork", "method": "oracle", "success": 1.0, "success_sem": 0.0, "spl": 0.9},
    ]  # fmt: skip
    fig = methods_figure(rows, "title", "maze")
    heights = [patch.get_height() for patch in fig.axes[0].patches]
    assert heights == [0.4, 1.0]
    ticks = [line.get_ydata()[0] for line in fig.axes[0].lines if len(line.get_ydata()) == 2]
    assert 0.24 in ticks
    assert image(fig, tmp_path).std() > 10


def test_training_curves_have_a_panel_per_metric():
    records = [{"step": step, "loss": 1 / step, "accuracy": 0.1 * step} for step in (1, 2, 3)]
    fig = curves_figure(records, "title")
    titles = [ax.get_title() for ax in fig.axes if ax.get_title()]
    assert titles == ["loss", "accuracy"]


def test_a_label_has_one_colour_in_all_groups():
    ax = figure(4.0, 3.0, "bars").subplots()
    draw_bars(ax, [Bar(group, label, 0.5) for group in "abc" for label in ("one", "two", "three")])
    seen = {
        name: {bars[0].get_facecolor() for bars in ax.containers if bars.get_label() == name}
        for name in ("one", "two", "three")
    }
    assert all(len(colours) == 1 for colours in seen.values())
    assert len(set.union(*seen.values())) == 3
