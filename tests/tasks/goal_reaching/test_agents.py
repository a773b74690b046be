"""Agents of a run that is being trained: what was achieved since then counts."""

import numpy as np
import pytest
from small_goal_runs import MAZE, tiny

from langrl.errors import GroundingError
from langrl.tasks.run import build_run


@pytest.fixture
def run(tmp_path):
    return build_run(tiny({"logging": {"checkpoint_every": 100}}), tmp_path / "run")


def train(run, steps):
    for _ in range(steps):
        run.learner.update(run.learner.batch())


def test_goals_are_those_of_when_they_are_asked_for(run):
    train(run, 1)
    before = run.agent.goals
    assert np.array_equal(run.agent.goals, before)
    train(run, 9)
    after = run.agent.goals
    assert not np.array_equal(after, before)
    assert np.array_equal(after, run.snapshot().tensors["goals"]["achieved"].numpy())


def test_words_and_the_language_side_are_made_anew_for_other_goals(run):
    train(run, 1)
    agents = run.agent
    language, ranges = agents.language, (agents.words.frame.low, agents.words.frame.high)
    assert agents.language is language  # once, for all strategies
    train(run, 9)
    assert agents.language is not language
    assert (agents.words.frame.low, agents.words.frame.high) != ranges
    assert agents.words is agents.words


def test_an_agent_before_the_first_step_is_refused(run):
    for ask in (lambda: run.agent.goals, lambda: run.agent.words, run.agent):
        with pytest.raises(GroundingError, match="no goal was achieved yet; train before"):
            ask()


def test_a_maze_keeps_its_words(tmp_path):
    run = build_run(tiny(MAZE), tmp_path / "run")
    train(run, 1)
    kinds = run.agent.words.kinds
    train(run, 3)
    assert run.agent.words.kinds == kinds
