"""An actor of grid worlds encodes a room once, and its actions are those of one that does not."""

import numpy as np
import torch

from langrl.agents.grid_goals import RoomActor
from langrl.envs.goal_vector import GoalVector
from langrl.models.config import GridCriticConfig
from langrl.models.critics.grid import GridCritic
from langrl.tasks.grid.agent import build_grid_critic
from tests.tolerance import ROUNDING


def make_critic() -> GridCritic:
    return build_grid_critic(GridCriticConfig(channels=4, depth=1, width=8, embedding=4), seed=0)


def walk(steps: int):
    """Yield observations of rooms, some of which change."""
    vector, generator = GoalVector("langrl/GridGoTo-v0", 6, seed=0), np.random.default_rng(0)
    seen = vector.reset()
    for _ in range(steps):
        yield torch.from_numpy(seen.observation)
        seen = vector.step(generator.integers(0, 4, 6)).seen


@torch.no_grad()
def test_rooms_that_changed_are_encoded_anew():
    critic = make_critic()
    kept = RoomActor(critic, 0.2)
    before, changed = None, 0
    for states in walk(30):
        torch.testing.assert_close(kept._encode(states), critic.initial_context(states), **ROUNDING)
        changed += before is not None and bool((before[..., :2] != states[..., :2]).any())
        before = states
    assert changed > 3


def test_changed_weights_encode_rooms_anew():
    critic = make_critic()
    kept, states = RoomActor(critic, 0.2), next(walk(1))
    with torch.no_grad():
        kept._encode(states)
    optimiser = torch.optim.AdamW(critic.parameters(), lr=0.1, fused=True)
    critic.initial_context(states).sum().backward()
    optimiser.step()
    with torch.no_grad():
        torch.testing.assert_close(kept._encode(states), critic.initial_context(states), **ROUNDING)


@torch.no_grad()
def test_rooms_are_encoded_once(monkeypatch):
    critic, encoded = make_critic(), []
    first = critic.initial_context

    def counted(states):
        encoded.append(len(states))
        return first(states)

    monkeypatch.setattr(critic, "initial_context", counted)
    actor, states = RoomActor(critic, 0.2), next(walk(1))
    goals = torch.tensor([[1, 1, 0, 1]] * 6)
    for _ in range(4):
        actor.act(states, goals)
    assert encoded == [6]
