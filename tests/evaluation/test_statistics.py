import math

import numpy as np
import pytest

from langrl.evaluation.statistics import (
    gather,
    group_rows,
    mean_and_sem,
    mean_over_seeds,
    roc_auc,
)


def test_mean_and_standard_error_of_three_numbers():
    assert mean_and_sem([1.0, 2.0, 3.0]) == (2.0, pytest.approx(1 / math.sqrt(3)))


def test_one_value_has_no_standard_error():
    mean, sem = mean_and_sem([0.5])
    assert mean == 0.5
    assert math.isnan(sem)


def test_the_area_under_the_roc_curve_counts_ties_half():
    matches = np.array([True, True, False, False])
    assert roc_auc(np.array([3.0, 1.0, 1.0, 0.0]), matches) == (1 + 1 + 0.5 + 1) / 4
    scores = np.array([3.0, 1.0, 0.0, 1.0])
    assert roc_auc(scores, matches) == pytest.approx((2 + 1 + 0.5) / 4)
    assert roc_auc(-scores, matches) == pytest.approx((0 + 0 + 0.5) / 4)


def test_the_area_under_the_roc_curve_is_nan_without_a_match_or_a_mismatch():
    assert np.isnan(roc_auc(np.arange(3.0), np.ones(3, bool)))
    assert np.isnan(roc_auc(np.arange(3.0), np.zeros(3, bool)))


ROWS = [
    {"world": "b", "seed": 0, "success": 0.0},
    {"world": "a", "seed": 0, "success": 1.0},
    {"world": "b", "seed": 1, "success": 1.0},
    {"world": "b", "seed": 1, "success": 0.5},
    {"world": "b", "seed": 1, "success": 0.0},
]


def test_rows_are_grouped_in_the_order_of_their_first():
    groups = group_rows(ROWS, ("world", "seed"))
    assert list(groups) == [("b", 0), ("a", 0), ("b", 1)]
    assert groups["b", 1] == ROWS[2:]


def test_seeds_count_alike_however_many_rows_they_have():
    mean, sem = mean_over_seeds(group_rows(ROWS, ("world",))["b",], "success")
    assert (mean, sem) == (0.25, pytest.approx(0.25))


def test_values_are_gathered_by_key():
    assert gather([{"a": 1, "b": 2}, {"a": 3}]) == {"a": [1, 3], "b": [2]}
