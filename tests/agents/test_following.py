import numpy as np
import pytest
import torch
from goal_plane import PlaneCritic, PlaneEngine, TowardsGoal

from langrl.agents.following import GoalActions, following_agent
from langrl.envs.goal_words import GoalWords
from langrl.envs.instructed_goals import InstructedGoals
from langrl.envs.regions import RegionFrame
from langrl.errors import ConfigError, GroundingError, UnknownNameError
from langrl.evaluation.rollouts import run_episodes
from langrl.grounding.candidates import ListedCandidates, ReplayedCandidates
from langrl.grounding.config import WordsConfig
from langrl.grounding.strategies import GROUNDINGS
from langrl.grounding.words import learn_words

WORDS = GoalWords(RegionFrame(("left-right", "bottom-top"), (0.0, 0.0), (1.0, 1.0)))
GOALS = np.random.default_rng(0).uniform(0, 1, (2000, 2)).astype(np.float32)
COMPARED = np.stack(np.meshgrid([-1, 0, 1], [-1, 0, 1]), -1).reshape(-1, 2).astype(np.float32)
COMMITTING = ("sampled_goal", "nearest_goal", "max_goal")
WORKING = ("log_sum_exp", *COMMITTING)


@pytest.fixture(scope="module")
def language():
    return learn_words(GOALS, WORDS, WordsConfig(pairs=5000, steps=150))


def follower(language, strategy, policy=None, **options):
    critic, candidates = PlaneCritic(), ReplayedCandidates(GOALS, 200)
    options = {"to_action": lambda unit: 2 * unit, "language_weight": 4.0} | options
    return following_agent(
        critic, language, policy or TowardsGoal(), strategy, candidates, **options
    )


def tasks(count=16):
    return InstructedGoals(PlaneEngine(count), WORDS)


@pytest.mark.parametrize("compared", [None, COMPARED], ids=["actor", "compare"])
@pytest.mark.parametrize("strategy", WORKING)
@pytest.mark.parametrize("text", ["go to the far right", "on the left and at the top"])
def test_every_strategy_reaches_what_the_text_says(language, strategy, compared, text):
    agent = follower(language, strategy, compared=compared)
    episodes = run_episodes(tasks(), agent, 0, {"instruction": text})
    assert episodes.success.mean() >= 0.8
    for path, success in zip(episodes.paths, episodes.success, strict=True):
        assert WORDS.denotation(path[-1:], text)[0] == success


@pytest.mark.parametrize("strategy", COMMITTING)
def test_the_policy_keeps_to_the_goal_that_was_committed_to(language, strategy):
    policy = TowardsGoal()
    agent = follower(language, strategy, policy)
    agent.reset(np.random.default_rng(0))
    places = np.array([[0.9, 0.1], [0.1, 0.9], [0.5, 0.5]], np.float32)
    texts = ["far left", "far right", "at the very top"]
    goals = []
    for _ in range(4):
        policy.calls.clear()
        actions = agent.act({"observation": places}, texts)
        assert len(policy.calls[-1]) == 3
        goals.append(policy.calls[-1])
        places = places + 0.025 * actions
    assert all(np.array_equal(goal, goals[0]) for goal in goals)
    for goal, text in zip(goals[0], texts, strict=True):
        assert WORDS.denotation(goal[None], text)[0]
    assert len(policy.calls) == 1  # nothing is compared once there are goals


def test_the_nearest_goal_is_near_and_meant(language):
    policy = TowardsGoal()
    agent = follower(language, "nearest_goal", policy)
    places = np.array([[0.55, 0.2], [0.55, 0.8]], np.float32)
    agent.act({"observation": places}, "on the left")
    goals = policy.calls[-1]
    assert WORDS.denotation(goals, "on the left").all()
    assert (np.abs(goals - places).max(1) < 0.35).all()


def test_a_new_text_or_a_new_episode_brings_another_goal(language):
    policy = TowardsGoal()
    agent = follower(language, "sampled_goal", policy)
    places = np.full((2, 2), 0.5, np.float32)
    agent.act({"observation": places}, ["left", "right"])
    first = policy.calls[-1]
    agent.act({"observation": places}, ["left", "at the top"])
    second = policy.calls[-1]
    assert np.array_equal(first[0], second[0])
    assert WORDS.denotation(second[1:], "at the top")[0]
    agent.act({"observation": places}, ["left", "at the top"], np.array([True, False]))
    third = policy.calls[-1]
    assert not np.array_equal(second[0], third[0])
    assert np.array_equal(second[1], third[1])


def test_dropped_episodes_leave_the_others_their_goals(language):
    policy = TowardsGoal()
    agent = follower(language, "max_goal", policy)
    places = np.full((3, 2), 0.5, np.float32)
    texts = ["far left", "far right", "at the very top"]
    agent.act({"observation": places}, texts)
    before = policy.calls[-1]
    agent.keep(np.array([True, False, True]))
    agent.act({"observation": places[:2]}, [texts[0], texts[2]])
    np.testing.assert_array_equal(policy.calls[-1], before[[0, 2]])


@pytest.mark.parametrize("strategy", WORKING)
def test_single_observations_of_a_goal_environment_are_taken(language, strategy):
    agent = follower(language, strategy)
    seen = {
        "observation": np.array([0.9, 0.5]),
        "achieved_goal": np.array([0.9, 0.5]),
        "desired_goal": np.array([0.1, 0.1]),
    }
    action = agent.act(seen, "go to the far left")
    assert action.shape == (2,)
    assert action[0] < -1  # in the environment's own numbers
    posterior = agent.posterior(seen, "go to the far left")
    meant = WORDS.denotation(posterior.goals, "go to the far left")
    assert posterior.probabilities[meant].sum() > 0.9


def test_discrete_actions_are_compared(language):
    class Ways(PlaneCritic):
        def embed_actions(self, context, observations, actions):
            assert actions.dtype == torch.int64
            ways = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
            return super().embed_actions(context, observations, ways[actions])

    agent = following_agent(
        Ways(),
        language,
        lambda seen: np.full(len(seen["observation"]), 3),
        "log_sum_exp",
        ListedCandidates(GOALS[:300]),
        compared=np.arange(4),
        language_weight=4.0,
    )
    place = {"observation": np.array([0.5, 0.5])}
    assert [int(agent.act(place, text)) for text in ("far right", "far left")] == [0, 1]


def test_actions_are_drawn_where_a_temperature_is_given(language):
    places = {"observation": np.full((64, 2), 0.5, np.float32)}
    best, drawn = (
        follower(language, "log_sum_exp", compared=COMPARED, temperature=temperature).act(
            places, "far right"
        )
        for temperature in (0.0, 5.0)
    )
    assert (best[:, 0] == 2).all()
    assert len(np.unique(drawn, axis=0)) > 3


def test_what_cannot_work_is_refused_by_name(language):
    with pytest.raises(GroundingError, match=r"Direct needs a shared encoder; .* log_sum_exp"):
        follower(language, "direct")
    with pytest.raises(UnknownNameError, match="'max_gaol'; did you mean 'max_goal'"):
        follower(language, "max_gaol")
    with pytest.raises(ConfigError, match="at least 1; got 0"):
        follower(language, "max_goal", proposals=0)
    assert set(WORKING) | {"direct"} == set(GROUNDINGS)


def test_goals_are_proposed_as_often_as_they_are_believed():
    policy = TowardsGoal()
    proposal = GoalActions(policy, count=1000)
    goals = np.array([[[0.0, 0.0], [1.0, 1.0], [0.5, 0.5]]], np.float32)
    beliefs = np.array([[0.2, 0.8, 0.0]], np.float32)
    actions = proposal.propose(np.full((1, 2), 0.5), goals, beliefs, np.random.default_rng(0))
    assert actions.shape == (1, 1000, 2)
    assert (actions[0, :, 0] == 1).mean() == pytest.approx(0.8, abs=0.05)
    assert set(actions[0, :, 0].tolist()) == {-1, 1}
