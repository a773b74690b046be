"""Agents that are compared share what they have in common, and act as each would alone."""

import gymnasium as gym
import numpy as np
import pytest
import torch

from langrl.agents.grounded import GroundedAgent
from langrl.evaluation.comparison import compare
from langrl.evaluation.rollouts import run_episodes
from langrl.grounding.candidates import SampledCandidates
from langrl.grounding.strategies import GROUNDINGS
from langrl.models.critics.maze import GoalCritic, LanguageCritic
from langrl.tasks.maze.agent import directions


class Counting:
    """Calls a method and counts the calls."""

    def __init__(self, monkeypatch, owner, name):
        self.calls, inner = 0, getattr(owner, name)

        def counted(*args, **options):
            self.calls += 1
            return inner(*args, **options)

        monkeypatch.setattr(owner, name, counted)


@pytest.fixture
def tasks(world):
    return lambda: gym.make_vec(
        "langrl/StreetMaze-v0", num_envs=12, layout=world.layout, angle_noise=20,
        max_episode_steps=12,
    )  # fmt: skip


@pytest.fixture
def makers(world, make_critics):
    critics, candidates = make_critics(), SampledCandidates(world.sample_states, 40)

    def maker(name, critics=critics):
        return lambda: GroundedAgent(
            *critics, GROUNDINGS[name], candidates, actions=directions(8), temperature=0.5
        )

    return {name: maker(name) for name in GROUNDINGS} | {
        "other critics": maker("log_sum_exp", make_critics(seed=1))
    }


def test_agents_that_share_act_as_each_would_alone(tasks, makers):
    together = compare(makers, tasks, 0, "x")
    for name, make in makers.items():
        alone = run_episodes(tasks(), make(), 0)
        np.testing.assert_array_equal(together[name].steps, alone.steps, err_msg=name)
        for one, other in zip(together[name].paths, alone.paths, strict=True):
            np.testing.assert_array_equal(one, other, err_msg=name)


def test_candidates_texts_and_scores_are_computed_once_for_all(tasks, makers, monkeypatch):
    embeddings = Counting(monkeypatch, GoalCritic, "embed_goals")
    texts = Counting(monkeypatch, LanguageCritic, "encode_text")
    scores = Counting(monkeypatch, LanguageCritic, "score")
    draws = Counting(monkeypatch, SampledCandidates, "draw")
    del makers["other critics"]
    distinct = len(set(compare(makers, tasks, 0, "x")["direct"].instructions))
    assert (embeddings.calls, scores.calls, draws.calls, texts.calls) == (1, 1, 1, distinct)


def test_comparisons_share_the_candidates_of_their_seed(tasks, makers, monkeypatch):
    embeddings = Counting(monkeypatch, GoalCritic, "embed_goals")
    few, shared = {"max_goal": makers["max_goal"]}, {}
    compare(few, tasks, 0, "x", {"instruction": "go to row 0"}, shared=shared)
    compare(few, tasks, 0, "x", {"instruction": "go to column 4"}, shared=shared)
    assert embeddings.calls == 1
    compare(few, tasks, 1, "x", {"instruction": "go to row 0"}, shared=shared)
    assert embeddings.calls == 2


def test_an_agent_forgets_what_it_shared_when_it_was_compared(tasks, makers):
    agent, shared = makers["max_goal"](), {}
    compare({"max_goal": lambda: agent}, tasks, 0, "x", shared=shared)
    assert shared
    assert agent.shared is None


@pytest.mark.parametrize("goes_on_alone", [False, True])
def test_what_one_agent_starts_anew_stays_with_it(world, makers, goes_on_alone):
    shared = {}
    first, second = makers["log_sum_exp"](), makers["log_sum_exp"]()
    first.shared = second.shared = shared
    states = world.sample_states(3, np.random.default_rng(0))
    batch = {"observation": states, "instruction": ("go to row 0",) * 3}
    for agent in (first, second):
        agent.reset(np.random.default_rng(1))
    first.act(batch)
    kept = [value.clone() for value in shared["scores"][2]]
    goals = shared["candidates"][2][0].copy()
    first.shared = None if goes_on_alone else shared
    first.reset(mask=np.array([True, False, False]))  # other candidates in one row
    first.act(batch | {"instruction": ("go to row 0", "go to column 4", "go to row 0")})
    second.act(batch)
    np.testing.assert_array_equal(second._batch.goals, goals)
    torch.testing.assert_close(second._batch.language_score, kept[1], rtol=0, atol=0)
    torch.testing.assert_close(second._batch.text_embeddings, kept[0], rtol=0, atol=0)


def test_dropped_episodes_leave_the_others_as_they_were(world, makers):
    states = world.sample_states(6, np.random.default_rng(0))
    texts = ("go to row 0", "go to column 4", "the bottom half") * 2
    whole, part = makers["nearest_goal"](), makers["nearest_goal"]()
    for agent in (whole, part):
        agent.temperature = 0.0
        agent.reset(np.random.default_rng(1))
        agent.act({"observation": states, "instruction": texts})
    kept = np.array([True, False, True, True, False, True])
    part.keep(kept)
    part.keep(np.array([True, False, True, True]))
    rows = [0, 3, 5]
    few = {"observation": states[rows], "instruction": [texts[n] for n in rows]}
    expected = whole.act({"observation": states, "instruction": texts})[rows]
    np.testing.assert_array_equal(part.act(few), expected)
    np.testing.assert_array_equal(part._batch.goals, whole._batch.goals[rows])


def test_a_strategy_that_keeps_its_goals_is_asked_once_for_each_text(world, makers, monkeypatch):
    asked = Counting(monkeypatch, type(GROUNDINGS["max_goal"]), "ground")
    agent = makers["max_goal"]()
    states = world.sample_states(2, np.random.default_rng(0))
    for texts in (("go to row 0", "go to row 0"),) * 3 + (("go to row 0", "go to column 4"),) * 2:
        agent.act({"observation": states, "instruction": texts})
    assert asked.calls == 2


def test_agents_do_not_see_the_tasks_that_follow_a_finished_one(tasks):
    class Noting:
        def __init__(self):
            self.seen = []

        def reset(self, generator=None, mask=None):
            pass

        def act(self, observations, instructions=None):
            self.seen.append(observations["observation"].copy())
            return np.tile(np.float32([0, 1]), (12, 1))

    agent = Noting()
    episodes = run_episodes(tasks(), agent, 0)
    assert episodes.steps.min() < len(agent.seen) - 1
    for n, path in enumerate(episodes.paths):
        shown = np.stack([states[n] for states in agent.seen])
        np.testing.assert_array_equal(shown[: len(path)], path[: len(shown)])
        assert (shown[len(path) :] == path[-1]).all()


def test_scores_of_some_episodes_are_not_shared_as_those_of_all(world, makers):
    states = world.sample_states(3, np.random.default_rng(0))
    agent, shared = makers["max_goal"](), {}
    agent.shared = shared
    agent.reset(np.random.default_rng(1))
    agent.act({"observation": states, "instruction": ("go to row 0",) * 3})
    kept = shared["scores"]
    agent.keep(np.array([True, False, True]))
    agent.act({"observation": states[[0, 2]], "instruction": ("go to column 4",) * 2})
    assert shared["scores"] is kept
