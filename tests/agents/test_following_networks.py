"""Agents that follow instructions on the networks that goal-reaching runs train."""

import numpy as np
import pytest
from goal_plane import PlaneEngine
from torch import nn

from langrl.agents.contrastive_actor_critic import GoalConditionedPolicy
from langrl.agents.following import following_agent
from langrl.envs.goal_words import GoalWords
from langrl.envs.instructed_goals import InstructedGoals
from langrl.envs.regions import RegionFrame
from langrl.evaluation.rollouts import run_episodes
from langrl.grounding.candidates import ReplayedCandidates
from langrl.grounding.config import WordsConfig
from langrl.grounding.words import learn_words
from langrl.models.actors import ActorDescription, ComparingActor, build_actor
from langrl.models.config import ActorConfig, StateGoalCriticConfig
from langrl.models.critics.state_goal import StateGoalCriticDescription, build_state_goal_critic
from langrl.models.goal_networks import InputDescription

WORDS = GoalWords(RegionFrame(("left-right", "bottom-top"), (0.0, 0.0), (1.0, 1.0)))
GOALS = np.random.default_rng(0).uniform(0, 1, (200, 2)).astype(np.float32)


@pytest.fixture(scope="module")
def language():
    return learn_words(GOALS, WORDS, WordsConfig(pairs=200, steps=2, batch_size=16))


@pytest.mark.parametrize("strategy", ["log_sum_exp", "nearest_goal", "sampled_goal", "max_goal"])
@pytest.mark.parametrize("kind", ["actor", "compare"])
def test_every_strategy_acts_by_a_runs_own_networks(kind, strategy, language):
    place = InputDescription(shape=(2,), low=(0.0, 0.0), high=(1.0, 1.0))
    world = {"observation": place, "goal": place, "actions": 2, "discrete": False}
    sizes = StateGoalCriticConfig(width=16, embedding=8)
    critic = build_state_goal_critic(StateGoalCriticDescription(**world, config=sizes), 0)
    config = ActorConfig(kind=kind, width=16)
    actor = build_actor(ActorDescription(**world, config=config), critic, 1)
    policy = GoalConditionedPolicy(actor, actor if isinstance(actor, nn.Module) else critic)
    compared = actor.actions.numpy() if isinstance(actor, ComparingActor) else None
    engine = PlaneEngine(4, limit=4)
    agent = following_agent(
        critic,
        language,
        policy,
        strategy,
        ReplayedCandidates(GOALS, 20),
        compared=compared,
        to_action=engine.spaces.to_action,
    )
    tasks = InstructedGoals(engine, WORDS)
    first, again = (run_episodes(tasks, agent, 0) for _ in range(2))
    assert first.steps.sum() > 4
    for one, two in zip(first.paths, again.paths, strict=True):
        np.testing.assert_array_equal(one, two)  # the seed decides everything
