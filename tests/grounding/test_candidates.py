import numpy as np
import pytest

from langrl.grounding.candidates import CellWeights, SampledCandidates


def test_candidates_are_drawn_for_each_episode(world):
    goals, log_weights = SampledCandidates(world.sample_states, 7).draw(np.zeros((3, 2)), np.random.default_rng(0))
    assert goals.shape == (3, 7, 2)
    assert goals.dtype == log_weights.dtype == np.float32
    assert np.array_equal(log_weights, np.zeros((3, 7)))
    assert len(np.unique(goals.reshape(-1, 2), axis=0)) == 21
    assert world.inside(goals.reshape(-1, 2), ~world.walls).all()


def test_the_generator_decides_the_candidates(world):
    candidates = SampledCandidates(world.sample_states, 5)
    one, two, other = (candidates.draw(np.zeros((2, 2)), np.random.default_rng(s))[0] for s in (1, 1, 2))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)


def test_weights_are_those_of_the_goals():
    candidates = SampledCandidates(
        lambda count, generator: generator.random((count, 2)).astype(np.float32),
        4,
        log_weight=lambda goals: goals[..., 0] - goals[..., 1],
    )
    goals, log_weights = candidates.draw(np.zeros((3, 2)), np.random.default_rng(0))
    assert np.array_equal(log_weights, goals[..., 0] - goals[..., 1])


def test_cell_weights_worked_by_hand():
    weights = CellWeights(np.array([[0.5, 0.25], [0.25, 0.0]]))  # three free cells, one wall
    positions = np.array([[[0.0, 0.9], [0.3, 1.2]], [[1.9, 0.1], [0.99, 0.99]]], np.float32)
    expected = np.log([[1.5, 0.75], [0.75, 1.5]])
    assert weights(positions) == pytest.approx(expected, abs=1e-6)
    assert weights(positions).dtype == np.float32


def test_a_uniform_density_weighs_nothing(world):
    free = ~world.walls
    positions = world.sample_states(50, np.random.default_rng(0))
    assert CellWeights(free / free.sum())(positions) == pytest.approx(np.zeros(50), abs=1e-6)


def test_weighted_uniform_candidates_have_the_density(world):
    generator = np.random.default_rng(0)
    density = np.where(world.walls, 0, generator.random(world.walls.shape) + 0.1)
    density /= density.sum()
    candidates = SampledCandidates(world.sample_states, 20_000, CellWeights(density))
    goals, log_weights = candidates.draw(np.zeros((1, 2)), generator)
    share = np.zeros_like(density)
    rows, columns = np.floor(goals[0]).astype(int).T
    np.add.at(share, (rows, columns), np.exp(log_weights[0]) / 20_000)
    assert share == pytest.approx(density, abs=0.01)
