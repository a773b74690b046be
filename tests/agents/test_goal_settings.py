"""Every setting of a goal-reaching agent changes what it learns or does."""

import numpy as np
import pytest
import torch
from goal_line import make_learner

from langrl.agents.config import GoalLearnerConfig
from langrl.models.config import ActorConfig, StateGoalCriticConfig
from langrl.tasks.goal_reaching.config import GoalRunConfig

LEARNER = {  # another value of each field, and what else has to be set for it to count
    "batch_size": (32, {}),
    "loss": ("binary_nce", {}),
    "logsumexp_penalty": (0.5, {}),
    "sigmoid_bias": (-1.0, {"loss": "sigmoid"}),
    "ignored_negatives": ("same_episode", {}),
    "critic_learning_rate": (0.02, {}),
    "actor_learning_rate": (0.02, {}),
    "entropy_learning_rate": (0.02, {}),
    "schedule": ("cosine", {}),
    "action_weight": (1.0, {}),
    "action_negatives": (3, {"action_weight": 1.0}),
    "other_actions": ("behaviour", {"action_weight": 1.0}),
    "actor_goals": ("random", {}),
    "actor_action": ("mean", {}),
    "entropy": ("fixed", {}),
    "entropy_coefficient": (0.5, {}),
    "target_entropy": (0.3, {}),
    "discrete_target_entropy": (0.8, {"discrete": True}),
    "normalise_scores": (True, {}),
    "behaviour_cloning": (0.5, {}),
}
RUN = {"env_steps": 10_000_000, "updates": 3, "steps": 7}  # how long a run is
NETWORK = {
    "width": 16,
    "depth": 1,
    "residual": True,
    "layer_norm": False,
    "activation": "gelu",
    "scaled": False,
    "random_features": 3,
    "feature_length": 0.3,
}
NEEDS = {"residual": {"depth": 4}, "feature_length": {"random_features": 3}}  # to have an effect
CRITIC = NETWORK | {
    "embedding": 4,
    "state_octaves": 1,
    "goal_octaves": 1,
    "action_joins": "early",
    "energy": "dot",
    "temperature": "fixed",
    "scale": 2.0,
    "critics": 2,
}
ACTOR = NETWORK | {
    "kind": "compare",
    "octaves": 1,
    "bounds": "clip",
    "log_std_low": -1.0,
    "log_std_high": 1.0,
    "compared": 5,
    "temperature": 3.0,
}


def trace(**options):
    """Return all weights after three steps, and some actions, as one array."""
    learner = make_learner(**options)
    for _ in range(3):
        learner.update(learner.batch())
    seen = np.linspace(-1, 1, 60, dtype=np.float32).reshape(2, 30, 1)
    actions = learner.act({"observation": seen[0], "desired_goal": seen[1]})
    weights = [value.detach().flatten() for value in learner.state()["weights"].values()]
    return torch.cat([*weights, torch.from_numpy(actions).flatten().float()])


def differ(one, other):
    return one.shape != other.shape or not torch.equal(one, other)


def test_no_setting_is_left_out():
    assert LEARNER.keys() | RUN.keys() == set(GoalLearnerConfig.model_fields)
    assert CRITIC.keys() == set(StateGoalCriticConfig.model_fields)
    assert ACTOR.keys() == set(ActorConfig.model_fields)


@pytest.mark.parametrize("name", LEARNER)
def test_a_setting_of_the_learner_has_an_effect(name):
    value, base = LEARNER[name]
    assert not differ(trace(**base), trace(**base))
    assert differ(trace(**base), trace(**(base | {name: value})))


@pytest.mark.parametrize("goals", ["both", "uniform"])
def test_every_choice_of_goals_is_another(goals):
    others = [trace(actor_goals=name) for name in ("relabelled", "random", goals)]
    assert differ(others[0], others[2])
    assert differ(others[1], others[2])


@pytest.mark.parametrize("name", CRITIC)
def test_a_setting_of_the_critic_has_an_effect(name):
    base = NEEDS.get(name, {})
    assert differ(trace(critic=base), trace(critic=base | {name: CRITIC[name]}))


@pytest.mark.parametrize("name", ACTOR)
def test_a_setting_of_the_actor_has_an_effect(name):
    base = NEEDS.get(name, {})
    if name in ("compared", "temperature"):
        base = {"kind": "compare"}
    assert differ(trace(actor=base), trace(actor=base | {name: ACTOR[name]}))


@pytest.mark.parametrize("name", RUN)
def test_a_setting_of_the_run_decides_its_length(name):
    data = {"file": "some.npz"} if name == "steps" else {}
    usual = GoalRunConfig(data=data).last_step
    assert GoalRunConfig(data=data, learner={name: RUN[name]}).last_step != usual
