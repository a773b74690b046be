"""A square with a wall, a critic that sees no farther than a few steps, and a policy by it."""

import numpy as np
import torch
from goal_plane import PlaneCritic, PlaneEngine

WALL, DOOR = 0.5, 0.8  # the wall is at x = 0.5, up to y = 0.8
SIGHT = 0.3  # farther away, the critic says nothing more
WAYS = np.stack([np.cos(np.arange(8) * np.pi / 4), np.sin(np.arange(8) * np.pi / 4)], -1)
WAYS = WAYS.astype(np.float32)


def crosses(start, end):
    """Return where the straight way between places [..., 2] meets the wall."""
    (x, y), (u, v) = start.unbind(-1), end.unbind(-1)
    other_side = (x < WALL) != (u < WALL)
    share = (WALL - x) / torch.where(other_side, u - x, torch.ones_like(x + u))
    return other_side & (y + share * (v - y) < DOOR)


class NearCritic(PlaneCritic):
    """f = -20 |s + a/20 - g| within sight and without a wall between; about flat beyond."""

    def embed_actions(self, context, observations, actions):
        here = observations.unsqueeze(1)
        moved = super().embed_actions(context, observations, actions)
        return torch.where(crosses(here, moved).unsqueeze(-1), here, moved)

    def score(self, state_actions, goals):
        start, end = state_actions.unsqueeze(-2), goals.unsqueeze(-3)
        gap = torch.linalg.vector_norm(start - end, dim=-1)
        hidden = crosses(*torch.broadcast_tensors(start, end)) | (gap > SIGHT)
        return -self.scale * torch.where(hidden, SIGHT + 0.02 * gap, gap)


class Walled(PlaneEngine):
    """Points that do not pass the wall."""

    def step(self, actions):
        before = torch.from_numpy(self.places.copy())
        stepped = super().step(actions)
        stuck = crosses(before, torch.from_numpy(self.places)).numpy()
        self.places[stuck] = before.numpy()[stuck]
        return type(stepped)(
            self.seen(), stepped.reward, stepped.terminated, stepped.truncated, stepped.success
        )


def places(count=400, seed=0):
    """Return places all over the square [count, 2]."""
    return np.random.default_rng(seed).uniform(0, 1, (count, 2)).astype(np.float32)


def best_way(seen):
    """Return the action that the critic finds best [N, 2]."""
    critic = NearCritic()
    states, goals = (torch.from_numpy(seen[name]) for name in ("observation", "desired_goal"))
    ways = torch.from_numpy(WAYS).expand(len(states), -1, -1)
    with torch.no_grad():
        embedded = critic.embed_actions(None, states, ways)
        scores = critic.score(embedded, goals.unsqueeze(1)).squeeze(-1)
    return WAYS[scores.argmax(1).numpy()]


def walk(policy, starts, goals, steps=120):
    """Return where a policy of goals comes to [N, 2], in steps of a twentieth."""
    here = starts.copy()
    for _ in range(steps):
        moved = here + policy({"observation": here, "desired_goal": goals}) / 20
        moved = moved.clip(0, 1).astype(np.float32)
        stuck = crosses(torch.from_numpy(here), torch.from_numpy(moved)).numpy()
        here = np.where(stuck[:, None], here, moved)
    return here
