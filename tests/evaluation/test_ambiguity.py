import math

import numpy as np
import pytest

from langrl.errors import DomainError, ShapeError
from langrl.evaluation.ambiguity import (
    TaskSums,
    ambiguity_differentiation,
    ambiguity_level,
    ask_f1,
    calibration_bins,
    correct_help_rate,
    coverage,
    expected_calibration_error,
    help_rate,
    mean,
    negative_log_likelihood,
    path_efficiency,
    regret,
    set_overlap,
)

NAN = math.nan


def test_means_leave_out_what_is_unknown():
    assert mean([1, 0, NAN, 1]).value == pytest.approx(2 / 3)
    assert math.isnan(mean([NAN, NAN]).value)


def test_a_part_of_the_tasks_has_the_metric_of_those_tasks():
    asked, needed = np.array([1, 1, 0, 0, 1.0]), np.array([1, 0, 1, 0, 1], bool)
    mask = np.array([True, True, True, False, False])
    assert ask_f1(asked, needed).where(mask).value == ask_f1(asked[mask], needed[mask]).value


def test_metrics_of_resampled_sums_are_those_of_resampled_tasks():
    generator = np.random.default_rng(0)
    said, right = generator.random(30), generator.integers(0, 2, 30)
    rows = generator.integers(0, 30, (5, 30))
    whole = expected_calibration_error(said, right)
    expected = [expected_calibration_error(said[row], right[row]).value for row in rows]
    assert whole.of(whole.terms[rows].sum(1)) == pytest.approx(expected)


def test_levels_are_rounded_bits_and_four_is_the_last():
    bits = [0, 1, math.log2(3), 2.4, 3.4, 4, 6.2]
    assert ambiguity_level(bits).tolist() == [0, 1, 2, 2, 3, 4, 4]


def test_spl_is_as_worked_by_hand():
    found = path_efficiency([1, 1, 0, 1, 0], [20, 10, 10, 5, 5], [10, 10, 10, NAN, NAN])
    assert found.value == pytest.approx((0.5 + 1 + 0) / 3)
    assert path_efficiency([1], [0], [0]).value == 1  # it began where it should end


def test_regret_is_what_is_missing_to_the_exact_value():
    assert regret([0.5, 0.9], [1.0, 0.2]).value == pytest.approx(0.1)


def test_beliefs_that_exclude_the_truth_have_a_finite_likelihood():
    found = negative_log_likelihood([1, 0.25, 0])
    assert found == pytest.approx([0, math.log(4), 12 * math.log(10)])
    with pytest.raises(DomainError, match="between 0 and 1"):
        negative_log_likelihood([1.2])


def test_bins_have_their_upper_end():
    assert calibration_bins([0, 0.1, 0.1001, 0.95, 1, NAN]).tolist() == [0, 0, 1, 9, 9, 0]


def test_calibration_error_is_as_worked_by_hand():
    # Two bins: 0.9 and 0.7 said of one hit; 0.2 said of a miss.
    found = expected_calibration_error([0.9, 0.7, 0.2, NAN], [1, 0, 0, 1], bins=2)
    assert found.value == pytest.approx(2 / 3 * 0.3 + 1 / 3 * 0.2)


def test_calibrated_beliefs_have_next_to_no_calibration_error():
    generator = np.random.default_rng(0)
    said = generator.random(100_000)
    assert expected_calibration_error(said, generator.random(100_000) < said).value < 0.01
    assert expected_calibration_error(said, np.ones(100_000)).value == pytest.approx(0.5, abs=0.01)


def test_rates_of_asking_are_as_worked_by_hand():
    asked = [1, 0, 1, 0, NAN]
    assert help_rate(asked).value == 0.5
    assert correct_help_rate(asked, [True, True, False, False, True]).value == 0.5


@pytest.mark.parametrize(
    ("asked", "needed", "expected"),
    [
        ([1, 1, 1, 0], [1, 1, 0, 1], 2 / 3),  # precision 2 / 3, recall 2 / 3
        ([1, 1, 1, 1], [1, 0, 0, 0], 0.4),  # precision 1 / 4, recall 1
        ([0, 0], [1, 1], 0.0),
        ([1, 0, NAN], [1, 0, 1], 1.0),
        ([0, 0], [0, 0], NAN),
    ],
)
def test_ask_f1_is_as_worked_by_hand(asked, needed, expected):
    assert ask_f1(asked, needed).value == pytest.approx(expected, nan_ok=True)


def test_coverage_is_a_share():
    assert coverage([1, 1, 0, NAN]).value == pytest.approx(2 / 3)


def test_the_overlap_of_sets_is_intersection_over_union():
    predicted = [[1, 1, 0], [1, 0, 0], [0, 0, 0], [1, 1, 1]]
    denoted = [[0, 1, 1], [1, 0, 0], [0, 0, 0], [0, 0, 1]]
    assert set_overlap(predicted, denoted) == pytest.approx([1 / 3, 1, 1, 1 / 3])
    with pytest.raises(ShapeError, match="same intents"):
        set_overlap([[1, 0]], [[1, 0, 0]])


def test_twins_are_told_apart_by_the_larger_set():
    size = [3, 1, 2, 2, 4, NAN, 5]
    twin = np.array([0, 1, 0, 1, 0, 1, 0], bool)
    pairs = [7, 7, 2, 2, 5, 5, 9]  # one larger, one equal, one unknown, one without a twin
    found = ambiguity_differentiation(size, twin, pairs)
    assert found.value == 0.5
    # a pair counts at its ambiguous task
    assert found.where(twin).terms.sum() == 0


def test_terms_of_another_shape_are_refused():
    with pytest.raises(ShapeError, match=r"\[tasks, sums\]"):
        TaskSums(np.zeros(3))
