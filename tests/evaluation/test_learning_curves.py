"""Learning curves: bands by hand."""

import numpy as np
import pytest

from langrl.evaluation.learning_curves import band_of, first_reaching


def curve(*points):
    return [{"steps": at, "seconds": at / 10, "success": success} for at, success in points]


ONE, TWO = curve((10, 0.2), (60, 0.6), (118, 1.0)), curve((20, 0.4), (59, 0.8))


def at(band, step):
    index = int(np.flatnonzero(np.isclose(band.grid, step))[0])
    return band.mean[index], band.low[index], band.high[index]


def test_a_band_by_hand():
    band = band_of([ONE, TWO], "steps", np.random.default_rng(0))
    assert band.grid.tolist() == pytest.approx(list(range(60)))  # where the shorter one ends
    assert at(band, 0) == (0, 0, 0)  # nothing was measured yet
    # One training alone can be drawn twice: the interval is from the lower to the higher one.
    assert at(band, 9) == (0, 0, 0)
    assert at(band, 10) == pytest.approx((0.1, 0.0, 0.2))
    assert at(band, 20) == pytest.approx((0.3, 0.2, 0.4))
    assert at(band, 58) == pytest.approx((0.3, 0.2, 0.4))
    assert at(band, 59) == pytest.approx((0.5, 0.2, 0.8))


def test_one_training_has_an_empty_interval():
    band = band_of([ONE], "seconds", np.random.default_rng(0))
    assert np.array_equal(band.low, band.mean)
    assert np.array_equal(band.high, band.mean)
    assert band.grid[-1] == pytest.approx(11.8)
    assert band.mean[-1] == 1.0


def test_more_trainings_make_the_interval_narrower():
    generator = np.random.default_rng(0)
    widths = []
    for count in (4, 64):
        curves = [curve((1, float(generator.random()))) for _ in range(count)]
        band = band_of(curves, "steps", generator)
        widths.append(band.high[-1] - band.low[-1])
        assert band.low[-1] <= band.mean[-1] <= band.high[-1]
    assert widths[1] < widths[0] / 2


@pytest.mark.parametrize(
    ("success", "steps"), [(0.0, 10), (0.2, 10), (0.5, 60), (0.6, 60), (0.9, 118), (1.1, None)]
)
def test_the_first_point_with_a_success(success, steps):
    found = first_reaching(ONE, success)
    assert found == {"steps": steps, "seconds": None if steps is None else steps / 10}


def test_a_success_that_is_lost_again_was_reached():
    assert first_reaching(curve((1, 0.9), (2, 0.1)), 0.8)["steps"] == 1
