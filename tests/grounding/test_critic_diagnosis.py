"""The diagnosis of critics: an exact one, and ones that are wrong in known ways."""

import numpy as np
import pytest
import torch
from walk_critic import PLACES, distance_of, exact_steps, held_out, log_ratios, probe_of

from langrl.grounding.critic_diagnosis import diagnose_critic, findings
from langrl.grounding.cutoff import KnownSteps, edges_between, held_out_cutoff, horizon_of


def seeded():
    return torch.Generator().manual_seed(0)


def diagnosed(values):
    """Return what is found of a critic with a table of values, and what is said."""
    probe = probe_of(values)
    found = diagnose_critic(probe, PLACES, seeded())
    return found, findings(found, probe)


def with_wormhole(values, here=2, there=37):
    """Return values of a critic that takes two far places for near ones."""
    wrong = values.copy()
    wrong[here, there], wrong[there, here] = values[there, there], values[here, here]
    return wrong


@pytest.fixture(scope="module")
def exact():
    return diagnosed(log_ratios())


def test_exact_distances_rise_with_steps(exact):
    found, told = exact
    assert min(found.correlation) > 0.95
    assert "1.00 over all pairs" in told[1]
    medians = [row["median"] for row in found.bands]
    assert medians == sorted(medians)
    assert found.bands[0]["low"] > 0  # a step costs something
    assert sum(row["pairs"] for row in found.bands) == PLACES * (PLACES - 1)


def test_exact_critics_are_calibrated_at_every_horizon(exact):
    found, told = exact
    assert sum(row["observed"] for row in found.calibration) == pytest.approx(1)
    assert sum(row["expected"] for row in found.calibration) == pytest.approx(1, abs=1e-5)
    often = [row for row in found.calibration if row["observed"] > 0.05]
    assert len(often) >= 3
    assert all(abs(row["nats"]) < 0.2 for row in often)
    assert "as often as they come" in told[4]


def test_flat_critics_overrate_far_goals():
    found, told = diagnosed(0.3 * log_ratios())
    far = [row for row in found.calibration if row["from"] >= found.horizon]
    assert sum(row["expected"] for row in far) > 2 * sum(row["observed"] for row in far)
    assert "far goals are overrated" in told[4]


def test_steep_critics_expect_too_little_far_away():
    _, told = diagnosed(3.0 * log_ratios())
    assert "too seldom" in told[4]


def test_exact_distances_are_trusted_up_to_the_horizon(exact):
    found, told = exact
    within = found.edges[found.steps <= found.horizon]
    assert found.trusted == pytest.approx(within[~within.isnan()].max().item(), abs=0.5)
    assert f"Up to {found.trusted:.2f} nats, less than 1% of the edges" in told[2]
    # Neighbours are enough to join all states.
    assert found.cutoff == pytest.approx(found.edges[found.steps == 1].max().item(), abs=1e-4)
    assert f"The cut-off of a graph of waypoints is {found.cutoff:.2f} nats" in told[3]
    assert "of which 0.00% are false. Paths join 100.0% of the pairs" in told[3]
    row = next(row for row in found.cutoffs if row["cutoff"] == round(found.cutoff, 2))
    assert row["false_share"] == 0
    assert row["edges"] >= PLACES


def test_a_false_edge_is_found():
    found, _ = diagnosed(with_wormhole(log_ratios()))
    assert found.false.at(0.0) == (2, 1.0)  # the shortest edge, in both directions
    assert found.false.at(found.cutoff)[1] > 0.01


def test_nothing_is_trusted_of_a_critic_that_has_not_learned():
    found, told = diagnosed(np.zeros((PLACES, PLACES)))
    assert found.trusted == found.cutoff == 0
    assert "No distance is short enough" in told[2]


def test_what_is_in_pieces_is_joined_by_longer_edges():
    values = log_ratios()
    apart = np.arange(PLACES) < PLACES // 2
    values[np.not_equal.outer(apart, apart)] -= 50  # it never saw a way across the middle
    found, _ = diagnosed(values)
    short = [row["reachable"] for row in found.cutoffs if 3 < row["cutoff"] < 20]
    assert short == pytest.approx([0.5] * len(short))
    assert found.cutoff > 50
    assert found.trusted < 10


def test_the_horizon_holds_most_futures():
    assert 3 <= horizon_of(held_out().futures, exact_steps) <= 8


def test_steps_of_trajectories_are_those_of_the_walk():
    walked = held_out()
    steps = KnownSteps(walked.achieved, walked.last, seeded())
    every = np.arange(PLACES, dtype=np.float32).reshape(-1, 1)
    torch.testing.assert_close(steps(every, every), exact_steps(every, every))


def test_the_cutoff_of_a_training_is_that_of_the_diagnosis(exact):
    cutoff = held_out_cutoff(distance_of(log_ratios()), held_out(), seeded())
    assert cutoff == pytest.approx(exact[0].cutoff, abs=1e-4)


def test_edges_are_as_long_in_either_direction():
    values = log_ratios()
    values[3, 5] -= 4.0  # only on the way there
    every = np.arange(PLACES, dtype=np.float32).reshape(-1, 1)
    edges = edges_between(distance_of(values), every, every)
    assert edges[3, 5] == edges[5, 3] > 4
    assert edges.diagonal().isnan().all()
