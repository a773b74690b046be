import math

import pytest

from langrl.evaluation.statistics import mean_and_sem


def test_mean_and_standard_error_of_three_numbers():
    assert mean_and_sem([1.0, 2.0, 3.0]) == (2.0, pytest.approx(1 / math.sqrt(3)))


def test_one_value_has_no_standard_error():
    mean, sem = mean_and_sem([0.5])
    assert mean == 0.5
    assert math.isnan(sem)
