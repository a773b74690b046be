import numpy as np
import pytest
from scipy.stats import chisquare, kstest

from langrl.envs.draws import GeneratorDraws, KeyedDraws, keys_of, mix, normal

KEYS = keys_of(7, np.arange(4000))


def test_first_numbers_are_those_of_splitmix64():
    # Vigna's splitmix64.c, seeded with 1234567
    step = np.uint64(0x9E3779B97F4A7C15)
    words = mix(np.uint64(1234567) + np.arange(1, 4, dtype=np.uint64) * step)
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert words.tolist() == expected


def test_keys_differ_in_every_number_that_they_are_of():
    rows = np.arange(300)
    keys = [keys_of(seed, rows, episode) for seed in range(3) for episode in range(3)]
    assert len(np.unique(np.concatenate(keys))) == 9 * 300
    np.testing.assert_array_equal(keys_of(rows, 5)[17:18], keys_of(np.array([17]), 5))


def test_numbers_of_a_row_are_a_function_of_its_key():
    def draw(keys):
        draws = KeyedDraws(keys)
        drawn = [draws.integers(2, 9, 40), draws.random(3), draws.choose(np.arange(5, 25), 6)]
        return [*drawn, draws.integers(0, np.full(len(keys), 4), 50)]

    part = np.array([3, 99, 100, 2500])
    for all_of_them, some in zip(draw(KEYS), draw(KEYS[part]), strict=True):
        np.testing.assert_array_equal(all_of_them[:, part], some)


@pytest.mark.parametrize("rows", [np.array([1, 2, 700]), np.arange(4000) % 7 == 0])
def test_what_is_left_of_some_rows_goes_on_where_it_was(rows):
    draws = KeyedDraws(KEYS)
    draws.integers(0, 10, 5)
    part = draws.take(rows)
    np.testing.assert_array_equal(part.random(60), draws.random(60)[:, rows])


def test_whole_numbers_are_uniform_between_their_bounds():
    drawn = KeyedDraws(KEYS).integers(3, 13, 10)
    values, counts = np.unique(drawn, return_counts=True)
    np.testing.assert_array_equal(values, np.arange(3, 13))
    assert chisquare(counts).pvalue > 1e-3


def test_each_row_can_have_a_bound_of_its_own():
    bounds = np.arange(4000) % 5 + 1
    drawn = KeyedDraws(KEYS).integers(0, bounds, 20)
    assert (drawn >= 0).all()
    np.testing.assert_array_equal(
        [drawn[:, bounds == bound].max() for bound in range(1, 6)], np.arange(5)
    )


@pytest.mark.parametrize("source", ["keys", "generator"])
def test_chosen_values_are_distinct_and_every_place_is_uniform(source):
    generator = np.random.default_rng(0)
    draws = KeyedDraws(KEYS) if source == "keys" else GeneratorDraws(generator, len(KEYS))
    chosen = draws.choose(np.arange(10, 18), 3)
    assert chosen.shape == (3, 4000)
    assert (np.diff(np.sort(chosen, 0), axis=0) > 0).all()
    for place in chosen:
        assert chisquare(np.bincount(place - 10, minlength=8)).pvalue > 1e-3
    pairs = np.bincount(8 * (chosen[0] - 10) + chosen[2] - 10, minlength=64).reshape(8, 8)
    assert chisquare(pairs[~np.eye(8, dtype=bool)]).pvalue > 1e-3


def test_numbers_below_one_are_uniform_and_do_not_follow_from_each_other():
    drawn = KeyedDraws(KEYS).random(2)
    assert drawn.dtype == np.float32
    assert drawn.max() < 1
    for numbers in drawn:
        assert kstest(numbers, "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(drawn)[0, 1]) < 0.06


def test_noise_is_normal_and_new_at_every_count():
    first, second = (normal(KEYS, np.full(4000, count)) for count in (0, 1))
    assert kstest(first, "norm").pvalue > 1e-3
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.06
    np.testing.assert_array_equal(first, normal(KEYS, np.zeros(4000, np.int64)))
