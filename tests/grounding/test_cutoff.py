"""Cut-offs of distances, in worlds where the true numbers of steps are known."""

import numpy as np
import pytest
import torch

from langrl.errors import ShapeError, TrajectoryError
from langrl.grounding.cutoff import (
    KnownSteps,
    choose_cutoff,
    false_shares,
    joining_cutoff,
    trusted_cutoff,
)

LENGTH, GAP = 20, 4.0  # of two corridors, joined at their right ends; between them, a wall


def edges(distances, steps, **options):
    return trusted_cutoff(torch.tensor(distances), torch.tensor(steps), **options)


def test_the_cutoff_is_the_largest_distance_with_few_false_edges():
    distances = [0.5, 1.0, 1.5, 2.0, 2.5]
    steps = [1.0, 2.0, 9.0, 3.0, 9.0]  # false shares 0, 0, 1/3, 1/4, 2/5
    assert edges(distances, steps, horizon=5, share=0.2) == 1.0
    assert edges(distances, steps, horizon=5, share=0.3) == 2.0
    assert edges(distances, steps, horizon=5, share=0.25) == 1.0  # less than the share
    assert edges(distances, steps, horizon=5, share=0.5) == 2.5
    assert edges(distances, steps, horizon=9, share=0.01) == 2.5


def test_order_does_not_count_and_what_is_no_edge_neither():
    distances = [[float("nan"), 2.0], [1.0, float("nan")]]
    steps = [[0.0, torch.inf], [3.0, 0.0]]
    assert edges(distances, steps, horizon=5) == 1.0


def test_edges_of_one_distance_are_believed_together():
    assert edges([1.0, 1.0, 1.0], [2.0, 2.0, 8.0], horizon=5, share=0.3) == 0.0
    assert edges([0.5, 1.0, 1.0], [8.0, 2.0, 2.0], horizon=5, share=0.4) == 1.0


def test_nothing_is_believed_where_the_closest_edges_are_false():
    assert edges([1.0, 2.0], [8.0, 8.0], horizon=5) == 0.0
    assert edges([], [], horizon=5) == 0.0


def test_shares_are_known_at_any_cutoff():
    found = false_shares(torch.tensor([1.0, 3.0, 2.0]), torch.tensor([1.0, 1.0, 9.0]), 5)
    assert found.at(0.5) == (0, 0.0)
    assert found.at(1.0) == (1, 0.0)
    assert found.at(2.5) == (2, 0.5)
    assert found.at(9.0) == (3, pytest.approx(1 / 3))


def test_lengths_have_to_fit():
    with pytest.raises(ShapeError, match="each distance needs a number of steps"):
        edges([1.0, 2.0], [1.0], horizon=5)


def chain(gaps):
    """Return edges between places on a line, with gaps in nats between them [W, W]."""
    places = torch.tensor([0.0, *gaps]).cumsum(0)
    return (places.unsqueeze(1) - places).abs().fill_diagonal_(torch.nan)


def test_the_least_distance_that_joins_a_share_of_the_pairs():
    edges = chain([1.0, 2.0, 0.0, 5.0])  # pieces of 1, 1, 2 and 1 places at a distance of 0
    assert joining_cutoff(edges, 7 / 25) == 0.0
    assert joining_cutoff(edges, 8 / 25) == 1.0  # 4 + 4 + 1 pairs of 25
    assert joining_cutoff(edges, 17 / 25) == 2.0
    assert joining_cutoff(edges, 1.0) == 5.0


def test_the_cutoff_of_a_graph_is_trusted_but_joins_the_states():
    edges, steps = chain([1.0] * 9), chain([1.0] * 9).nan_to_num(0.0)
    assert trusted_cutoff(edges, steps, 4) == 4.0
    assert choose_cutoff(edges, steps, 4) == 1.0  # more edges are not needed
    assert choose_cutoff(edges, steps, 4, needed_only=False) == 4.0
    edges = chain([1.0] * 4 + [3.0] + [1.0] * 4)
    assert choose_cutoff(edges, steps, 1.5) == 3.0  # less leaves two pieces
    assert choose_cutoff(edges, steps, 1.5, needed_only=False) == 3.0
    weak = chain([1.0] * 199 + [3.0])  # a single state is far from the others
    steps = chain([1.0] * 200).nan_to_num(0.0)
    assert joining_cutoff(weak, 0.995) == 3.0
    assert joining_cutoff(weak, 0.98) == 1.0
    assert choose_cutoff(weak, steps, 2.5) == 2.0  # between both, it is what is trusted


def corridors():
    """Return positions along one corridor and back along the other, a step apart each [40, 2]."""
    along = np.arange(LENGTH, dtype=np.float32)
    one = np.stack([along, 0 * along], 1)
    other = np.stack([along[::-1], 0 * along + GAP], 1)
    return np.concatenate([one, other])


def walks(places, generator, count=200, length=12):
    """Return random stretches of the way through both corridors, in either direction."""
    first = generator.integers(0, len(places) - length + 1, size=count)
    parts = [places[begin : begin + length][:: generator.choice([-1, 1])] for begin in first]
    last = np.tile(np.arange(length) == length - 1, count)
    return np.concatenate(parts), last


def steps_of(achieved, last, places=1000):
    return KnownSteps(achieved, last, torch.Generator().manual_seed(0), places)


def test_a_critic_that_sees_through_walls_is_believed_up_to_the_wall():
    achieved, last = walks(corridors(), np.random.default_rng(0))
    looked = corridors()
    steps = steps_of(achieved, last)(looked, looked)
    places = torch.from_numpy(looked)
    distances = torch.cdist(places, places).fill_diagonal_(torch.nan)  # as the crow flies
    # Within a corridor n units are n steps; through the wall GAP units are up to 2 * LENGTH.
    cut = trusted_cutoff(distances, steps, horizon=8)
    assert GAP - 1 <= cut < GAP
    assert trusted_cutoff(distances, steps, horizon=8, share=0.9) > 2 * GAP


def test_steps_over_joined_trajectories_are_exact_where_these_pass_through_the_places():
    places = corridors()
    achieved, last = walks(places, np.random.default_rng(0))
    order = torch.arange(len(places)).float()
    found = steps_of(achieved, last)(places, places)  # no trajectory has more than 12 of 40
    torch.testing.assert_close(found, (order.unsqueeze(1) - order).abs())


def test_steps_are_no_fewer_than_the_way_where_there_are_few_places():
    line = np.arange(200, dtype=np.float32).reshape(-1, 1)
    achieved = np.concatenate([line, line[::-1]])
    last = np.isin(np.arange(400), (199, 399))
    looked = line[5::30]
    apart = torch.from_numpy(np.abs(looked - looked.T))
    steps = steps_of(achieved, last, places=20)(looked, looked)
    assert (steps >= apart - 1e-3).all()
    assert steps.median() <= 1.5 * apart.median()


def test_no_way_is_known_against_a_current():
    line = np.arange(10, dtype=np.float32).reshape(-1, 1)
    steps = steps_of(line, np.arange(10) == 9)(line, line)
    assert steps[0, 9] == 9
    assert steps[9, 0] == torch.inf


def test_trajectories_that_stand_still_are_refused():
    with pytest.raises(TrajectoryError, match="never changes"):
        steps_of(np.zeros((4, 2)), np.array([0, 0, 0, 1], bool))
