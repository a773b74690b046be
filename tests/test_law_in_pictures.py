"""The picture of the sum over goals shows what the strategies compare."""

import re

import gymnasium as gym
import numpy as np
import pytest
from documents import ROOT, STORED_CHECKPOINT
from test_examples import load
from tolerance import ROUNDING

from langrl.agents.grounded import GroundedAgent

TEXT = "go to row 3"


@pytest.fixture(scope="module")
def pictures():
    return load("law_in_pictures")


@pytest.fixture(scope="module")
def observation():
    env = gym.make("langrl/StreetMaze-Blank-v0")
    return env.reset(seed=0, options={"instruction": TEXT, "position": (6.5, 6.5)})[0]


def test_the_scores_drawn_are_those_by_which_the_strategies_act(pictures, observation):
    for name in ("log_sum_exp", "direct"):
        agent = GroundedAgent.load(STORED_CHECKPOINT, strategy=name)
        parts = pictures.parts_of_the_sum(agent, observation, TEXT)
        agent.reset(np.random.default_rng(0))
        chosen = parts["actions"][parts[name].argmax()]
        np.testing.assert_array_equal(agent.act(observation, TEXT), chosen)


def test_both_together_are_the_product_of_words_and_critic(pictures, observation):
    agent = GroundedAgent.load(STORED_CHECKPOINT)
    parts = pictures.parts_of_the_sum(agent, observation, TEXT)
    candidates = len(parts["goals"])
    for name in ("reached", "both"):
        assert parts[name].shape == (len(parts["actions"]), candidates)
        np.testing.assert_allclose(parts[name].sum(1), 1, **ROUNDING)
    # Goals are drawn uniformly, and weigh alike in this checkpoint: there is no p(g) to divide by.
    product = parts["meant"] * parts["reached"]
    np.testing.assert_allclose(parts["both"], product / product.sum(1, keepdims=True), **ROUNDING)


def test_the_picture_of_a_run_is_written(pictures, small_run, tmp_path, capsys):
    out = tmp_path / "law.png"
    pictures.main(str(small_run("maze")), str(out), TEXT, (6.5, 6.5))
    assert out.read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert re.findall(r"^(\w+) goes -?\d+ degrees", printed, re.MULTILINE) == [
        "log_sum_exp",
        "direct",
    ]


def test_the_page_shows_the_picture_and_names_the_command():
    page = (ROOT / "docs" / "explanation" / "law-in-pictures.md").read_text()
    assert "examples/law_in_pictures.py runs/fork" in page
    assert "](../images/law-in-pictures.png)" in page
