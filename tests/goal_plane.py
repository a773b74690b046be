"""A square without walls as a goal engine, with a critic and a policy that know it exactly."""

import numpy as np
import torch
from gymnasium import spaces
from torch import nn

from langrl.envs.goal_engine import GoalSpaces, Seen, Stepped

REACH = 0.05  # of a step in each direction


class PlaneEngine:
    """N points in the unit square; actions of [-2, 2] move them by up to ``REACH``."""

    def __init__(self, num_envs, limit=60, ends_at=None):
        box = spaces.Box(0, 1, (2,), np.float32)
        action = spaces.Box(-2, 2, (2,), np.float32)
        self.spaces, self.num_envs = GoalSpaces(box, box, action, limit), num_envs
        self.ends_at = ends_at  # how far to the right the world's own goal ends an episode
        self.places = np.zeros((num_envs, 2), np.float32)
        self.elapsed = np.zeros(num_envs, int)
        self.resets, self.closed = [], False

    def reset(self, rows, seeds):
        assert ((seeds >= 0) & (seeds < 2**31)).all()
        self.resets.append(rows.tolist())
        for row, seed in zip(rows, seeds, strict=True):
            self.places[row] = np.random.default_rng(seed).uniform(0, 1, 2)
        self.elapsed[rows] = 0
        return self.seen()

    def step(self, actions):
        assert (self.elapsed < self.spaces.max_episode_steps).all()
        self.places = np.clip(self.places + REACH / 2 * actions, 0, 1).astype(np.float32)
        self.elapsed += 1
        over = np.zeros(self.num_envs, bool)
        if self.ends_at is not None:
            over = self.places[:, 0] > self.ends_at
        truncated = (self.elapsed >= self.spaces.max_episode_steps) & ~over
        return Stepped(self.seen(), over.astype(np.float32), over, truncated, over.copy())

    def seen(self):
        places = self.places.copy()
        return Seen(places, places.copy(), np.full_like(places, 0.5))

    def close(self):
        self.closed = True


class PlaneCritic(nn.Module):
    """f(s, a, g) = -20 |s + a / 20 - g|^2, for actions in [-1, 1]; embeddings are positions."""

    observation_axes = 1

    def __init__(self):
        super().__init__()
        self.goal = nn.Identity()
        self.scale = nn.Parameter(torch.tensor(20.0))

    def initial_context(self, observations):
        return observations[:, :0]

    def update_memory(self, context, observations, actions, acted):
        assert (actions.abs() <= 1).all()  # as the critic knows them
        return context

    def scene_changed(self, before, now):
        return torch.zeros(len(now), dtype=torch.bool)

    def embed_actions(self, context, observations, actions):
        return observations.unsqueeze(1) + REACH * actions

    def embed_goals(self, context, goals):
        return goals

    def score(self, state_actions, goals):
        return -self.scale * torch.cdist(state_actions, goals).square()


class TowardsGoal:
    """A policy that goes straight to its goal; ``calls`` are the goals that it was asked for."""

    def __init__(self):
        self.calls = []

    def __call__(self, observations):
        goals = observations["desired_goal"]
        self.calls.append(goals)
        return np.clip((goals - observations["observation"]) / REACH, -1, 1)
