import shutil
from dataclasses import replace

import numpy as np
import pytest
from command_line import read_results
from PIL import Image

from langrl.envs.grid.rooms import GRID_WORLDS
from langrl.plots import grid as grid_plots
from langrl.plots.base import save
from langrl.reproduce import grid_goto
from langrl.reproduce.arguments import GridGoToArguments
from langrl.settings import with_changes
from langrl.tasks.presets import load_config

TINY = {
    "world": {"worlds": ("goto", "relations")},
    "data": {"rooms": 10, "trajectories_per_room": 2},
    "critic": {"embedding": 8, "channels": 8, "depth": 1, "width": 16},
    "learner": {"steps": 4, "rooms": 2, "states": 4, "warmup": 1},
}


@pytest.fixture
def tiny(monkeypatch, tiny_language):
    """The reproduction in two small worlds, with an agent that learns next to nothing."""
    whole = grid_goto._config

    def config(seed, episodes, steps, language):
        made = whole(seed, episodes, steps, language)
        for name, changes in TINY.items():
            made = made.model_copy(update={name: with_changes(getattr(made, name), changes, name)})
        return made

    worlds = {
        "goto": replace(GRID_WORLDS["goto"], levels=("colour", "any")),
        "relations": GRID_WORLDS["relations"],
    }
    monkeypatch.setattr(grid_goto, "_config", config)
    monkeypatch.setattr(grid_goto, "GRID_WORLDS", worlds)
    return str(tiny_language)


def test_the_reproduction_has_a_row_for_every_method_and_condition(tiny, tmp_path, capsys):
    options = GridGoToArguments(out=tmp_path, seeds=2, episodes=4, language=tiny, workers=1)
    grid_goto.reproduce(options, "langrl reproduce grid-goto")
    results = read_results(tmp_path)
    rows = results["rows"]
    methods = {row["method"] for row in rows}
    assert methods == {
        "log_sum_exp", "nearest_goal", "sampled_goal", "max_goal", "direct", "behaviour_cloning",
        "nearest_object", "oracle", "random",
    }  # fmt: skip
    conditions = {(row["world"], row["level"], row["phrasing"]) for row in rows}
    assert len(conditions) == 3 * 2
    assert len(rows) == len(methods) * len(conditions)
    promised = {"world", "level", "phrasing", "method", "success", "success_sem", "spl",
                "mean_ambiguity_bits"}  # fmt: skip
    assert all(promised <= set(row) for row in rows)
    assert all(row["success"] == 1 for row in rows if row["method"] == "oracle")
    for row in rows:
        if row["level"] == "any" and row["method"] == "nearest_object":
            assert row["success"] == 1
    by_level = {row["level"]: row["mean_ambiguity_bits"] for row in rows if row["world"] == "goto"}
    assert by_level["any"] == pytest.approx(np.log2(5), abs=0.3)
    assert by_level["any"] > by_level["colour"]
    for phrasing in ("seen", "held_out"):
        image = Image.open(tmp_path / "figures" / f"grid-goto-{phrasing}.png")
        assert np.asarray(image.convert("L")).std() > 5
    # What is trained is not trained again.
    grid_goto.reproduce(options, "langrl reproduce grid-goto")
    assert "2 of 2 cells are there already" in capsys.readouterr().out
    shutil.rmtree(tmp_path / "cells")
    grid_goto.reproduce(options, "langrl reproduce grid-goto")
    assert "using the run in" in capsys.readouterr().out
    assert read_results(tmp_path) == results
    assert read_results(tmp_path)["rows"] == rows


def test_comparing_embeddings_of_different_sizes_is_left_out(tiny, tmp_path, monkeypatch):
    whole = grid_goto._config

    def wider(*arguments):
        made = whole(*arguments)
        return made.model_copy(update={"critic": made.critic.model_copy(update={"embedding": 16})})

    monkeypatch.setattr(grid_goto, "_config", wider)
    rows = grid_goto.run_seed(tmp_path, 0, 2, None, tiny)
    assert "direct" not in {row["method"] for row in rows}


def test_the_preset_trains_in_every_world_but_the_largest():
    config = load_config("grid-all", grid_goto.GridRunConfig)
    assert set(config.world.worlds) == set(GRID_WORLDS) - {"nine_rooms"}


def test_a_film_strip_and_a_film_show_every_step_of_a_short_episode(tmp_path):
    frames = [np.full((32, 32, 3), 40 * n, np.uint8) for n in range(5)]
    figure = grid_plots.film_strip({"first": frames, "second": frames[:2]}, "title")
    titles = [ax.get_title() for ax in figure.axes if ax.get_title()]
    assert titles[:5] == [f"step {n}" for n in range(5)]
    assert titles[5:] == ["step 0", "step 1"]
    gif, *others = grid_plots.save_film(frames, tmp_path / "film")
    assert gif.suffix == ".gif"
    assert Image.open(gif).n_frames >= 5
    assert all(path.stat().st_size > 0 for path in others)


def test_beliefs_are_drawn_where_they_are(tmp_path):
    image = np.zeros((5 * 32, 5 * 32, 3), np.uint8)
    goals = np.array([[1, 1, 0], [3, 2, 3]])
    denoted = np.zeros((5, 5), bool)
    denoted[2, 2] = True
    panel = {
        "image": image, "goals": goals, "probabilities": np.array([0.9, 0.1]),
        "denoted": denoted, "path": goals, "title": "$x^2$ is no mathematics",
    }  # fmt: skip
    path = save(grid_plots.rooms_figure([panel], "belief"), tmp_path / "belief.png")
    assert np.asarray(Image.open(path).convert("L")).std() > 5
