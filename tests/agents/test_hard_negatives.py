"""What a critic estimates whose negatives are partly of the same episode.

Axes: ``S`` places of a line, which are states and goals.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from gymnasium import spaces

from langrl.data.config import GoalReplayConfig
from langrl.data.goal_replay import GoalReplay
from langrl.functional.losses import symmetric_info_nce
from langrl.training.optim import Optimiser, cosine_schedule

PLACES, LENGTH, WALKS = 12, 5, 6000
SHARE, DISCOUNT = 0.4, 0.8
STEPS, BATCH = 600, 400


def replay_with(**settings):
    """Return the replay of short random walks on the line."""
    generator = np.random.default_rng(0)
    place = generator.integers(PLACES, size=WALKS)
    record = []
    for _ in range(LENGTH):
        record.append(place)
        place = np.clip(place + generator.integers(-1, 2, size=WALKS), 0, PLACES - 1)
    states = np.stack(record, 1).reshape(-1, 1).astype(np.float32)
    last = np.tile(np.arange(LENGTH) == LENGTH - 1, WALKS)
    box = spaces.Box(0, PLACES, (1,), np.float32)
    of = SimpleNamespace(
        observation=box, goal=box, action=spaces.Discrete(2), max_episode_steps=None
    )
    replay = GoalReplay(of, 1, GoalReplayConfig(discount=DISCOUNT, **settings))
    recorded = {"observations": states, "achieved": states, "actions": np.zeros(len(last), int)}
    replay.fill(SimpleNamespace(**recorded, last=last, terminated=np.zeros_like(last)))
    return replay


def places(values):
    return values[..., 0].long()


def chances(states, goals):
    """Return how often each state comes with each goal [S, S]."""
    counts = torch.zeros(PLACES, PLACES, dtype=torch.float64)
    ones = torch.ones(len(states), dtype=torch.float64)
    return counts.index_put((states, goals), ones, accumulate=True) / len(states)


@pytest.fixture(scope="module")
def laws():
    """Return the chances of pairs [S, S]: with a future, and with another's of the episode."""
    generator, replay = torch.Generator().manual_seed(0), replay_with()
    batch = replay.sample(300_000, generator)
    pairs = replay.sample_groups(150_000, 2, generator)
    others = chances(places(pairs["state"][:, 0]), places(pairs["goal"][:, 1]))
    return chances(places(batch["state"]), places(batch["goal"])), others


def learned(replay):
    """Return the scores that symmetric InfoNCE finds [S, S]."""
    generator = torch.Generator().manual_seed(0)
    table = torch.nn.Parameter(torch.zeros(PLACES, PLACES))

    def loss(batch):
        return symmetric_info_nce(table[places(batch["state"])][:, places(batch["goal"])])

    optimiser = Optimiser({"table": table}, 0.1, cosine_schedule(STEPS))
    for _ in range(STEPS):
        optimiser.update(replay.sample(BATCH, generator), loss)
    return table.detach().double()


def error(scores, futures, negatives):
    """Return how far scores are from the log ratio of two laws, up to a constant, in nats.

    It is the root mean square over futures.
    """
    wrong = (scores - (futures.log() - negatives.log())).where(futures > 0, 0.0)
    mean = (futures * wrong).sum()
    return float((futures * (wrong - mean).square()).sum().sqrt())


def test_with_negatives_of_the_episode_it_is_no_ratio_to_all_goals(laws):
    futures, others = laws
    apart = futures.sum(1, keepdim=True) * futures.sum(0)
    mixture = (1 - SHARE) * apart + SHARE * others
    hard, plain = learned(replay_with(hard_negatives=SHARE)), learned(replay_with())
    assert error(plain, futures, apart) < 0.1
    assert error(hard, futures, apart) > 0.2
    # Nearer to the ratio to the mixture; episodes are few in a batch, so that it is not that.
    assert error(hard, futures, mixture) < 0.9 * error(hard, futures, apart)
    assert error(plain, futures, mixture) > error(hard, futures, mixture)
