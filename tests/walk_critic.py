"""A random walk on a line of places, with the exact critic of it."""

import numpy as np
import torch
from torch import nn

from langrl.grounding.critic_diagnosis import CriticProbe
from langrl.grounding.cutoff import Futures, HeldOut
from langrl.grounding.successor import SuccessorDistance
from langrl.models.critics.memoryless import Memoryless

PLACES, DISCOUNT, LENGTH = 40, 0.8, 6000


def log_ratios():
    """Return log p(g|s) / p(g) of the walk [S, G], by linear algebra."""
    steps = np.eye(PLACES, k=1) + np.eye(PLACES) + np.eye(PLACES, k=-1)
    steps[0, 0] = steps[-1, -1] = 2  # it stays where it would leave
    steps /= 3
    later = (1 - DISCOUNT) * steps @ np.linalg.inv(np.eye(PLACES) - DISCOUNT * steps)
    return np.log(later * PLACES)


class Table(Memoryless, nn.Module):
    """f(s, g) from a table; there is one action, which does nothing."""

    observation_axes = 1

    def __init__(self, values):
        super().__init__()
        self.values = nn.Parameter(torch.as_tensor(values, dtype=torch.float32))
        self.goal = nn.Identity()

    def embed_actions(self, context, observations, actions):
        chosen = self.values[observations[:, 0].long()]
        return chosen.unsqueeze(1).expand(-1, actions.shape[1], -1)

    def embed_goals(self, context, goals):
        return torch.eye(PLACES)[goals[..., 0].long()]

    def score(self, state_actions, goals):
        return state_actions @ goals.mT


def walk(start, steps, generator):
    """Return where walks are after so many steps from their starts [B]."""
    place = start.copy()
    for number in range(steps.max()):
        moved = np.clip(place + generator.integers(-1, 2, size=len(place)), 0, PLACES - 1)
        place = np.where(number < steps, moved, place)
    return place


def column(places):
    return np.asarray(places, np.float32).reshape(-1, 1)


def held_out(seed=0, futures=1500):
    """Return a long walk, and futures of states that are evenly spread."""
    generator = np.random.default_rng(seed)
    moves = generator.integers(-1, 2, size=LENGTH)
    places, place = [], PLACES // 2
    for move in moves:
        places.append(place)
        place = min(max(place + move, 0), PLACES - 1)
    start = generator.integers(PLACES, size=futures)
    later = walk(start, generator.geometric(1 - DISCOUNT, size=futures), generator)
    drawn = Futures(column(start), column(0 * start), column(start), column(later))
    return HeldOut(column(places), column(places), np.arange(LENGTH) == LENGTH - 1, drawn)


def exact_steps(starts, ends):
    return torch.from_numpy(np.abs(starts - ends.T))


def distance_of(values):
    return SuccessorDistance([Table(values)], np.zeros((1, 1), np.float32))


def probe_of(values):
    """Return a probe of a critic with a table of values."""
    return CriticProbe(distance_of(values), held_out(), exact_steps, "counted", True)
