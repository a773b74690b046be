import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from langrl.data.replay import TrajectoryReplay, geometric_futures
from langrl.data.trajectories import Trajectories
from langrl.errors import ConfigError

LENGTHS = (2, 5, 9, 3)


def numbered(actions=2):
    """Return trajectories whose states are (trajectory, time) and whose last actions are NaN."""
    states = [(number, time) for number, length in enumerate(LENGTHS) for time in range(length)]
    terminals = np.array([time == LENGTHS[number] - 1 for number, time in states])
    action = np.tile(np.array(states, np.float32)[:, :1], actions)
    action[terminals] = np.nan
    return Trajectories(np.array(states, np.float32), action, terminals)


def replay(trajectories=None, cells=None, **settings):
    trajectories = trajectories or numbered()
    settings = {
        "discount": 0.9,
        "tail": "clip",
        "action_negatives": "uniform",
        "count": 4,
    } | settings
    if cells is None:
        cells = torch.zeros(len(trajectories.terminals), dtype=torch.int64)
    return TrajectoryReplay(trajectories, cells=cells, device=torch.device("cpu"), **settings)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def distances(discount, tail, longest, draws=20_000):
    index = torch.full((draws,), 3)
    future = geometric_futures(index, index + longest, discount, tail, seeded())
    return future - index


@pytest.mark.parametrize("tail", ["clip", "renormalise"])
@pytest.mark.parametrize("discount", [0.0, 0.3, 0.97, 0.999999])
@pytest.mark.parametrize("longest", [1, 2, 50])
def test_futures_lie_ahead_and_within_the_episode(tail, discount, longest):
    distance = distances(discount, tail, longest, 2000)
    assert distance.min() >= 1
    assert distance.max() <= longest


@pytest.mark.parametrize("discount", [0.5, 0.9, 0.97])
@pytest.mark.parametrize("tail", ["clip", "renormalise"])
def test_futures_follow_the_geometric_law(discount, tail):
    longest = 12
    law = (1 - discount) * discount ** np.arange(longest)
    if tail == "clip":
        law[-1] = discount ** (longest - 1)
    law /= law.sum()
    distance = distances(discount, tail, longest).numpy()
    observed = np.bincount(distance - 1, minlength=longest)
    assert chisquare(observed, law * len(distance)).pvalue > 1e-3


@pytest.mark.parametrize("tail", ["clip", "renormalise"])
def test_without_a_discount_the_future_is_the_next_state(tail):
    assert (distances(0.0, tail, 7, 100) == 1).all()


@pytest.mark.parametrize("tail", ["clip", "renormalise"])
def test_a_goal_is_a_later_state_of_the_same_trajectory(tail):
    batch = replay(tail=tail).sample(500, seeded())
    assert torch.equal(batch["goal"][:, 0], batch["state"][:, 0])
    assert (batch["goal"][:, 1] > batch["state"][:, 1]).all()
    assert torch.equal(batch["action"][:, 0], batch["state"][:, 0])


def test_transitions_are_drawn_uniformly():
    batch = replay().sample(15_000, seeded())
    states, counts = np.unique(batch["state"].numpy(), axis=0, return_counts=True)
    assert len(states) == sum(LENGTHS) - len(LENGTHS)
    assert chisquare(counts).pvalue > 1e-3


def test_uniform_negatives_are_unit_vectors_in_all_directions():
    trajectories = numbered()
    trajectories.actions[:] = [1, 0]
    others = replay(trajectories).sample(2000, seeded())["other_actions"]
    assert others.shape == (2000, 4, 2)
    assert torch.allclose(others.norm(dim=-1), torch.ones(2000, 4))
    angles = torch.atan2(others[..., 0], others[..., 1]).flatten().numpy()
    counts, _ = np.histogram(angles, bins=16, range=(-np.pi, np.pi))
    assert chisquare(counts).pvalue > 1e-3


def test_uniform_negatives_do_not_depend_on_the_action():
    one, two = numbered(), numbered()
    two.actions[:] = -3
    left, right = (replay(data).sample(50, seeded())["other_actions"] for data in (one, two))
    assert torch.equal(left, right)


def test_behaviour_negatives_are_the_actions_of_the_same_cell():
    trajectories = numbered()
    number = torch.from_numpy(trajectories.observations[:, 0]).long()
    cells = torch.tensor([4, 0, 4, 2])[number]  # trajectories 0 and 2 share a cell; 1, 3 are empty
    batch = replay(trajectories, cells, action_negatives="behaviour").sample(4000, seeded())
    state, others = batch["state"][:, 0].long(), batch["other_actions"][..., 0]
    assert others.shape == (4000, 4)
    for own, expected in ((0, {0, 2}), (1, {1}), (2, {0, 2}), (3, {3})):
        assert set(others[state == own].flatten().tolist()) == expected
    shared = others[(state == 0) | (state == 2)]
    counts = torch.bincount(shared.flatten().long())[[0, 2]].numpy()
    transitions = np.array([LENGTHS[0] - 1, LENGTHS[2] - 1])
    expected = transitions / transitions.sum() * counts.sum()
    assert chisquare(counts, expected).pvalue > 1e-3


def test_without_negatives_the_batch_has_none():
    batch = replay(action_negatives="none").sample(3, seeded())
    assert set(batch) == {"state", "action", "goal"}


def test_actions_that_are_no_directions_need_the_datas_own():
    trajectories = numbered(actions=3)
    with pytest.raises(ConfigError, match=r"3 numbers, use 'behaviour'"):
        replay(trajectories)
    batch = replay(trajectories, action_negatives="behaviour").sample(5, seeded())
    assert batch["other_actions"].shape == (5, 4, 3)


@pytest.mark.parametrize("negatives", ["uniform", "behaviour", "none"])
def test_the_generator_decides_the_batch(negatives):
    data = replay(action_negatives=negatives)
    one, two, other = (data.sample(64, seeded(seed)) for seed in (5, 5, 6))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not torch.equal(one["state"], other["state"])
    torch.manual_seed(1)
    assert torch.equal(data.sample(64, seeded(5))["goal"], one["goal"])
