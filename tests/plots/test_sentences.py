"""Figures say what would be good, and what their parts are."""

import numpy as np
import pytest
import torch

from langrl.evaluation.diagnosis import EmbeddedPairs
from langrl.plots import cpc, grid, image_text, maze, modality_gap
from langrl.plots.base import UNKNOWN, curves_figure, types_figure
from langrl.plots.metrics import line_of

CELLS = np.zeros((2, 2), bool)
ROOM = np.zeros((64, 64, 3), np.uint8)
ROW = {"method": "oracle", "kind": "row", "phrasing": "seen", "success": 0.5, "success_sem": 0.1}
FOLLOWED = {
    "world": "fork", "algorithm": "sac", "grounding": "max_goal", "phrasing": "seen",
    "success": 0.5, "success_sem": 0.1, "goal_success": 0.9,
}  # fmt: skip
CALIBRATED = {
    "phrasing": "seen", "ece": 0.1, "levels": {"colour": 0.9}, "words": {"red": 0.8},
    "reliability": [{"probability": 0.5, "rate": 0.4}],
}  # fmt: skip
LAYER = {"modality": "image", "layer": "1", "mean": 0.5, "low": 0.1, "high": 0.9}
INFORMED = {"step": 1, "loss": 2.0, "ceiling": 4.0, "information_1": 1.0}


def pairs(width=4):
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(20, n, generator=generator) for n in (4, width))
    return EmbeddedPairs(left, right, ("image", "text"))


FIGURES = {
    "types": (lambda: types_figure([ROW], "title", "kind"), "no bar is 0"),
    "followed": (lambda: maze.followed_figure([FOLLOWED], "title"), "instructions are misread"),
    "film strip": (lambda: grid.film_strip({"oracle": [ROOM]}, "title"), "green border"),
    "projection": (lambda: modality_gap.projection_figure(pairs(), "title"), "clouds cover"),
    "cosines": (lambda: modality_gap.cosines_figure(pairs(), "title"), "right of not paired"),
    "shifts": (lambda: modality_gap.shifts_figure(pairs(), 1.0, "title"), "best at 0"),
    "layers": (lambda: modality_gap.layers_figure([LAYER], "title"), "narrow cone"),
    "reliability": (lambda: image_text.reliability_figure([CALIBRATED], "title"), "diagonal"),
    "auc": (lambda: image_text.auc_figure([CALIBRATED], "title"), "higher is better"),
    "cpc": (lambda: cpc.training_figure([INFORMED], "title"), "at most to log N"),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_has_a_sentence_of_what_is_good(name):
    draw, words = FIGURES[name]
    assert words in " ".join(draw().get_supxlabel().split())


def test_embeddings_of_two_sizes_are_not_told_of_pairs():
    sentence = modality_gap.cosines_figure(pairs(width=3), "title").get_supxlabel()
    assert "narrow cone" in sentence
    assert "paired" not in sentence


@pytest.mark.parametrize("known", [True, False])
def test_an_outline_is_asked_for_only_where_there_is_one(known):
    outlined = {"denoted": CELLS} if known else {}
    for fig in (
        maze.posterior_figure(CELLS, [{"paths": [np.ones((2, 2))], **outlined}], "title"),
        grid.rooms_figure([{"image": ROOM, "path": np.zeros((2, 3), int), **outlined}], "title"),
    ):
        sentence = " ".join(fig.legends[0].get_title().get_text().split())
        assert (sentence == UNKNOWN) is not known
        assert ("outline" in sentence and sentence.startswith("Good")) is known


def test_a_legend_of_recall_lies_above_its_lines():
    _, recall = modality_gap.shifts_figure(pairs(), 1.0, "title").axes
    highest = max(line.get_ydata().max() for line in recall.lines if line.get_label()[0] != "_")
    assert recall.get_ylim()[1] >= 1.25 * highest


def test_accuracies_of_a_critic_alone_are_named_as_those_of_a_critic():
    names = ("accuracy_right", "accuracy_left")
    record = {"step": 1, **dict.fromkeys(names, 0.5)}
    for beside, prefix in (({"accuracy_action": 0.5}, "critic/"), ({}, "")):
        ax = curves_figure([record | beside], "title").axes[0]
        told = [text.get_text() for text in ax.get_legend().get_texts()]
        assert told == [line_of(prefix + name) for name in names]
    assert line_of("critic/accuracy_right") != line_of("accuracy_right")
