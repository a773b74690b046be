"""Critics of a small Markov chain, learned from replay, against its exact discounted occupancies.

Axes: ``X`` pairs of a state and an action, ``S`` states, which are goals too.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from gymnasium import spaces

from langrl.data.config import GoalReplayConfig
from langrl.data.goal_replay import GoalReplay
from langrl.functional.losses import LOSSES
from langrl.training.optim import Optimiser, cosine_schedule

STATES, ACTIONS, DISCOUNT = 5, 2, 0.7
CHAINS, LENGTH = 200, 1000
STEPS, BATCH = 300, 256
NOISE = 0.25  # nats: errors of single entries are 0.1 or so, those of offsets 1 or more


@pytest.fixture(scope="module")
def dynamics():
    """Return P(s'|s, a) [X, S], quite different for each pair."""
    concentration = np.full(STATES, 0.5)
    return np.random.default_rng(1).dirichlet(concentration, STATES * ACTIONS)


@pytest.fixture(scope="module")
def exact(dynamics):
    """Return log p(g|s, a) [X, S] and log p(g) [S] under uniform actions, by linear algebra."""
    mean = dynamics.reshape(STATES, ACTIONS, STATES).mean(1)  # P(s'|s) [S, S]
    later = np.linalg.inv(np.eye(STATES) - DISCOUNT * mean)
    occupancy = (1 - DISCOUNT) * dynamics @ later  # the state one step on, two steps on, ...
    np.testing.assert_allclose(occupancy.sum(1), 1)
    visits = np.linalg.matrix_power(mean, 1000)[0]  # how often each state is visited
    goals = visits.repeat(ACTIONS) / ACTIONS @ occupancy
    return torch.from_numpy(np.log(occupancy)), torch.from_numpy(np.log(goals))


@pytest.fixture(scope="module")
def replay(dynamics):
    """Return the replay of many walks of random actions."""
    generator = np.random.default_rng(0)
    states = np.zeros((CHAINS, LENGTH), np.int64)
    actions = generator.integers(ACTIONS, size=(CHAINS, LENGTH))
    cumulated, draws = dynamics.cumsum(1), generator.random((CHAINS, LENGTH))
    states[:, 0] = generator.integers(STATES, size=CHAINS)
    for time in range(1, LENGTH):
        pair = states[:, time - 1] * ACTIONS + actions[:, time - 1]
        following = (cumulated[pair] < draws[:, time : time + 1]).sum(1)
        states[:, time] = following.clip(max=STATES - 1)
    last = np.tile(np.arange(LENGTH) == LENGTH - 1, CHAINS)
    numbers = states.reshape(-1, 1)
    box = spaces.Box(0, STATES - 1, (1,), np.float32)
    of = SimpleNamespace(
        observation=box, goal=box, action=spaces.Discrete(ACTIONS), max_episode_steps=None
    )
    found = GoalReplay(of, 1, GoalReplayConfig(discount=DISCOUNT))
    found.fill(
        SimpleNamespace(
            observations=numbers,
            achieved=numbers,
            actions=actions.flatten(),
            last=last,
            terminated=np.zeros_like(last),
        )
    )
    return found


@pytest.fixture(scope="module")
def critics(replay):
    """Return f(s, a, g) [X, S] as each loss learns it, from random numbers."""
    found = {}
    for name in ("symmetric_info_nce", "forward_info_nce", "backward_info_nce"):
        generator = torch.Generator().manual_seed(0)
        start = 2 * torch.randn(STATES * ACTIONS, STATES, generator=generator)
        table = torch.nn.Parameter(start)

        def loss(batch, table=table, contrast=LOSSES[name]):
            pair = batch["state"][:, 0].long() * ACTIONS + batch["action"]
            pairs, goals = torch.eye(STATES * ACTIONS)[pair], torch.eye(STATES)
            return contrast(pairs @ table @ goals[batch["goal"][:, 0].long()].mT)

        optimiser = Optimiser({"table": table}, 0.2, cosine_schedule(STEPS))
        for _ in range(STEPS):
            batch = replay.sample(BATCH, generator)
            optimiser.update(batch, loss)
        found[name] = table.detach().double()
    return found


def errors(critics, exact, loss):
    """Return f + log p(g) - log p(g|s, a) [X, S], which is 0 for a density ratio."""
    occupancy, goals = exact
    return critics[loss] + goals - occupancy


def test_symmetric_contrast_finds_occupancies_up_to_one_constant(critics, exact):
    error = errors(critics, exact, "symmetric_info_nce")
    assert (error - error.mean()).abs().max() < NOISE


def test_forward_contrast_leaves_an_offset_of_each_state_and_action(critics, exact):
    error = errors(critics, exact, "forward_info_nce")
    assert (error - error.mean(1, keepdim=True)).abs().max() < NOISE
    assert (error - error.mean()).abs().max() > 4 * NOISE


def test_backward_contrast_ranks_states_and_actions_for_each_goal_alone(critics, exact):
    error = errors(critics, exact, "backward_info_nce")
    assert (error - error.mean(0)).abs().max() < NOISE
    assert (error - error.mean()).abs().max() > 4 * NOISE
    values, (occupancy, _) = critics["backward_info_nce"], exact
    wider = occupancy.unsqueeze(0) - occupancy.unsqueeze(1)  # [X, X, S], of every two pairs
    higher = values.unsqueeze(0) > values.unsqueeze(1)
    assert higher[wider > 2 * NOISE].all()
    assert (wider > 2 * NOISE).flatten(0, 1).any(0).all()  # there is something to rank for each
