"""Futures of several discounts, and negatives of the same episode."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from gymnasium import spaces
from scipy.stats import chisquare

from langrl.data.config import GoalReplayConfig
from langrl.data.goal_replay import GoalReplay
from langrl.data.replay import futures_at
from langrl.errors import ConfigError
from langrl.settings import with_changes
from langrl.training.optim import Batch

LENGTHS = (3, 40, 9)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def filled(lengths=LENGTHS, **settings):
    """Return a replay of states (episode, time)."""
    states = np.array(
        [(number, time) for number, length in enumerate(lengths) for time in range(length)],
        np.float32,
    )
    last = np.cumsum(lengths) - 1
    ends = np.isin(np.arange(len(states)), last)
    box = spaces.Box(-np.inf, np.inf, (2,), np.float32)
    of = SimpleNamespace(
        observation=box, goal=box, action=spaces.Discrete(2), max_episode_steps=None
    )
    replay = GoalReplay(of, 1, with_changes(GoalReplayConfig(), settings, "replay"))
    recorded = SimpleNamespace(
        observations=states,
        achieved=states,
        actions=np.zeros(len(states), np.int64),
        last=ends,
        terminated=np.zeros_like(ends),
    )
    replay.fill(recorded)
    return replay


def distances(batch: Batch):
    return (batch["goal"] - batch["state"])[:, 1].long()


def law(discount, longest):
    shares = (1 - discount) * discount ** np.arange(longest)
    return shares / shares.sum()


def test_each_state_can_have_a_discount_of_its_own():
    discounts = torch.tensor([0.0, 0.5, 0.9, 0.0], dtype=torch.float64)
    index, ends = torch.zeros(4, dtype=torch.int64), torch.full((4,), 20)
    for uniform in torch.rand(20, 1, generator=seeded(), dtype=torch.float64):
        draws = uniform.expand(4)
        for clip in (True, False, torch.tensor([True, False, True, False])):
            clips = clip if isinstance(clip, torch.Tensor) else torch.full((4,), clip)
            alone = [
                futures_at(draws[k : k + 1], index[:1], ends[:1], float(discounts[k]), bool(c))
                for k, c in enumerate(clips)
            ]
            together = futures_at(draws, index, ends, discounts, clip)
            assert together.tolist() == torch.cat(alone).tolist()


def test_futures_of_several_discounts_are_their_mixture():
    replay = filled(lengths=(13, 2), discount=0.9, discounts=(0.5, 0.5, 0.0))
    batch = replay.sample(100_000, seeded())
    first = (batch["state"] == 0).all(1)
    counts = np.bincount(distances(batch)[first].numpy() - 1, minlength=12)
    mixture = (law(0.9, 12) + 2 * law(0.5, 12) + law(0.0, 12)) / 4
    assert chisquare(counts, mixture * counts.sum()).pvalue > 1e-3


def test_the_horizon_is_that_of_the_largest_discount():
    config = GoalReplayConfig(discount=0.9, discounts=(0.5, 0.98))
    assert config.every_discount == (0.9, 0.5, 0.98)
    assert config.horizon == pytest.approx(50)


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_a_share_of_the_negatives_is_of_the_same_episode(share):
    size = 41
    replay = filled(lengths=(4,) * 200, hard_negatives=share)
    episodes = replay.sample(size, seeded())["episode"]
    assert episodes.shape == (size,)
    same = (episodes.unsqueeze(1) == episodes).sum(1) - 1
    near = round(share * (size - 1))
    whole = size // (near + 1) * (near + 1)  # the last group may be cut off
    assert (same[:whole] >= near).all()
    assert same.float().mean() < near + 2  # few groups are of one episode


def test_near_negatives_are_near_in_time():
    replay = filled(lengths=(500, 500), hard_negatives=0.25, hard_within=7)
    batch = replay.sample(40, seeded())
    times = batch["state"][:, 1].split(1 + 10)
    assert all(part.max() - part.min() <= 14 for part in times)
    assert max(part.max() - part.min() for part in times) > 3


def test_all_transitions_are_drawn_with_hard_negatives():
    replay = filled(hard_negatives=0.3, hard_within=2)
    counts = torch.zeros(3, 40)
    for seed in range(300):
        batch = replay.sample(64, seeded(seed))
        assert (distances(batch) >= 1).all()
        counts.index_put_(tuple(batch["state"].long().T), torch.ones(64), accumulate=True)
    assert ((counts > 0).sum(1) == torch.tensor([2, 39, 8])).all()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"discounts": (0.9, 1.0)}, "a geometric future needs a discount below 1"),
        ({"discounts": (-0.1,)}, "discounts.0: input should be greater"),
        ({"hard_negatives": 1.0}, "hard_negatives: input should be less than 1"),
        ({"hard_within": 3}, "replay.hard_within needs replay.hard_negatives; set it above 0"),
    ],
)
def test_wrong_settings_are_refused(changes, words):
    with pytest.raises(ConfigError, match=words.replace(".", r"\.")):
        with_changes(GoalReplayConfig(), changes, "replay")
