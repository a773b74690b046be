"""Critics that remember nothing of an episode."""

import pytest
import torch

from langrl.models.config import StateGoalCriticConfig
from langrl.models.critics.state_goal import StateGoalCriticDescription, build_state_goal_critic
from langrl.models.goal_networks import InputDescription

VECTOR = InputDescription(shape=(2,), low=(-1, -1), high=(1, 1))
IMAGE = InputDescription(shape=(4, 5, 1))


def state_goal(observation):
    description = StateGoalCriticDescription(
        observation=observation, goal=VECTOR, actions=2, config=StateGoalCriticConfig(width=4)
    )
    return build_state_goal_critic(description, seed=0)


@pytest.mark.parametrize("kind", ["maze", "vectors", "images"])
def test_contexts_are_empty_and_stay_so(kind, make_critics):
    shape = (3, *(IMAGE if kind == "images" else VECTOR).shape)
    observations = torch.zeros(shape, dtype=torch.uint8 if kind == "images" else torch.float32)
    critic = {
        "maze": lambda: make_critics()[0],
        "vectors": lambda: state_goal(VECTOR),
        "images": lambda: state_goal(IMAGE),
    }[kind]()
    context = critic.initial_context(observations)
    assert context.shape == (3, 0)
    acted = torch.tensor([True, False, True])
    assert critic.update_memory(context, observations, torch.zeros(3, 2), acted) is context
    changed = critic.scene_changed(observations, observations + 1)
    assert changed.dtype == torch.bool
    assert changed.tolist() == [False] * 3
