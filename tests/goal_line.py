"""A world of one number, and goal-reaching networks and learners in it.

An action moves by half of itself; discrete ones go down (0) or up (1).
"""

import numpy as np
import torch

from langrl.agents.config import GoalLearnerConfig
from langrl.agents.contrastive_actor_critic import ContrastiveActorCritic
from langrl.models.actors import ActorDescription, build_actor
from langrl.models.config import ActorConfig, StateGoalCriticConfig
from langrl.models.critics.state_goal import StateGoalCriticDescription, build_state_goal_critic
from langrl.models.goal_networks import InputDescription
from langrl.training.learner import OfflineReplay

SMALL = {"width": 32, "depth": 2}
QUICK = dict.fromkeys(("critic_learning_rate", "actor_learning_rate"), 0.01)


def vector(size=1, low=-1.0, high=1.0):
    return InputDescription(shape=(size,), low=(low,) * size, high=(high,) * size)


def world(discrete=False, states=1, goals=1, actions=1):
    actions = 2 if discrete else actions
    return {
        "observation": vector(states, -1.5, 1.5),
        "goal": vector(goals, -1.5, 1.5),
        "actions": actions,
        "discrete": discrete,
    }


def make_critic(seed=0, sides=None, **config):
    config = StateGoalCriticConfig(**(SMALL | {"embedding": 8} | config))
    description = StateGoalCriticDescription(**(sides or world()), config=config)
    return build_state_goal_critic(description, seed)


def make_actor(seed=0, sides=None, critic=None, **config):
    description = ActorDescription(**(sides or world()), config=ActorConfig(**(SMALL | config)))
    return build_actor(description, critic or make_critic(sides=sides), seed)


def moves(size, discrete, generator):
    """Draw single moves."""
    options = {"generator": generator, "device": generator.device, "dtype": torch.float32}
    state = 2 * torch.rand(size, 1, **options) - 1
    action = move = 2 * torch.rand(size, 1, **options) - 1
    if discrete:
        action = (action > 0).long().squeeze(1)
        move = 2.0 * action.unsqueeze(1) - 1
    goal = state + 0.5 * move + 0.05 * torch.randn(size, 1, **options)
    return {
        "state": state,
        "action": action,
        "goal": goal,
        "random_goal": goal.roll(1, 0),
        "uniform_goal": state + 0.25 * move,
        "episode": torch.arange(size, device=state.device) // 2,
    }


def make_learner(
    discrete=False, seed=0, critic=None, actor=None, steps=100, device="cpu", **config
):
    """Return a learner; ``critic`` and ``actor`` are fields of their configs."""
    sides = world(discrete)
    model = make_critic(seed, sides, **(critic or {})).to(device)
    acting = make_actor(seed + 1, sides, model, **(actor or {})).to(device)
    generator = torch.Generator(device).manual_seed(seed)
    config = GoalLearnerConfig(**({"batch_size": 64} | QUICK | config))
    experience = OfflineReplay(moves, config.batch_size, discrete, generator)
    return ContrastiveActorCritic(model, acting, experience, config, steps, generator)


def share_towards_goals(learner):
    """Return how often the best action of 200 states goes towards a goal 0.4 away."""
    generator = np.random.default_rng(0)
    state = generator.uniform(-0.4, 0.4, (200, 1)).astype(np.float32)
    way = generator.choice([-0.4, 0.4], (200, 1)).astype(np.float32)
    actions = learner.policy(True)({"observation": state, "desired_goal": state + way})
    towards = 2 * actions[:, None] - 1 if actions.ndim == 1 else actions
    return (np.sign(towards) == np.sign(way)).mean()
