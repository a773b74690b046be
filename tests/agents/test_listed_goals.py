"""Goals that are the same in every episode are embedded and kept once."""

import numpy as np
import pytest
import torch
from goal_plane import PlaneCritic
from walled_plane import WAYS, places

from langrl.agents.grounded import GroundedAgent
from langrl.grounding.candidates import ListedCandidates, ReplayedCandidates
from langrl.grounding.strategies import GROUNDINGS

GOALS = places(40)


class Counting(PlaneCritic):
    def __init__(self):
        super().__init__()
        self.embedded = []

    def embed_goals(self, context, goals):
        self.embedded.append(goals.shape[0])
        return super().embed_goals(context, goals)


class Sides:
    def __init__(self, alone):
        self.sees_goals_alone, self.embedded = alone, []

    def embed_goals(self, observations, goals):
        assert len(observations) == len(goals)
        self.embedded.append(goals.shape[0])
        return goals

    def encode_text(self, texts):
        return torch.tensor([[[1.0 if "right" in text else -1.0]] for text in texts])

    def score(self, goals, texts):
        return 4 * goals[..., :1] @ texts.flatten(-3, -2).mT


class Copied(ListedCandidates):
    """The same goals, as if each episode had its own."""


def agent(candidates, alone=True, strategy="log_sum_exp"):
    critic, language = Counting(), Sides(alone)
    return GroundedAgent(
        critic, language, GROUNDINGS[strategy], candidates(GOALS), actions=WAYS, device="cpu"
    )


@pytest.mark.parametrize("strategy", ["log_sum_exp", "nearest_goal"])
@pytest.mark.parametrize("alone", [True, False])
def test_agents_act_as_if_each_episode_had_its_own(strategy, alone):
    one, other = (agent(kind, alone, strategy) for kind in (ListedCandidates, Copied))
    seen, texts = places(5, seed=1), ["right", "left", "right", "left", "left"]
    starts = np.array([False, True, False, True, True])
    for step in range(4):
        actions = [
            each.act({"observation": seen}, texts, starts if step == 2 else None)
            for each in (one, other)
        ]
        assert np.array_equal(*actions)
        seen = seen + 0.05 * actions[0]
        if step == 2:
            kept = np.array([True, True, False, True, False])
            for each in (one, other):
                each.keep(kept)
            seen, texts = seen[kept], [text for text, k in zip(texts, kept, strict=True) if k]
    assert max(one.critic.embedded) == 1
    assert max(other.critic.embedded) == 5
    assert max(one.language.embedded) == (1 if alone else 5)
    batch = one.prepare({"observation": seen}, texts)
    assert batch.goal_embeddings.stride(0) == 0
    assert batch.goals.strides[0] == 0
    assert batch.goals.shape == (3, 40, 2)


def test_goals_drawn_for_each_episode_are_kept_apart():
    drawing = agent(lambda goals: ReplayedCandidates(goals, 10))
    seen = places(3, seed=1)
    drawing.act({"observation": seen}, ["right"] * 3)
    before = drawing.prepare({"observation": seen}, ["right"] * 3).goals.copy()
    drawing.act({"observation": seen}, ["right"] * 3, np.array([False, True, False]))
    after = drawing.prepare({"observation": seen}, ["right"] * 3).goals
    assert [np.array_equal(*pair) for pair in zip(before, after, strict=True)] == [1, 0, 1]


def test_other_goals_than_the_one_list_take_room_of_their_own():
    """Where candidates are exchanged while episodes run."""
    mixed = agent(ListedCandidates)
    seen = places(3, seed=1)
    mixed.act({"observation": seen}, ["right"] * 3)
    mixed.candidates = ListedCandidates(GOALS[::-1].copy())
    mixed.act({"observation": seen}, ["right"] * 3, np.array([False, True, False]))
    batch = mixed.prepare({"observation": seen}, ["right"] * 3)
    assert np.array_equal(batch.goals[1], GOALS[::-1])
    assert np.array_equal(batch.goals[2], GOALS)
    torch.testing.assert_close(batch.goal_embeddings[1], torch.from_numpy(GOALS[::-1].copy()))
    assert batch.language_score[0].tolist() == batch.language_score[1].flip(0).tolist()
