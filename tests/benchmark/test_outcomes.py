import json

import numpy as np
import pytest
from drawn_outcomes import draw_outcomes

from langrl.benchmark.outcomes import COLUMNS, Outcomes
from langrl.errors import ResultsError


def columns(**changes):
    return draw_outcomes(0, pairs=1).to_json() | changes


def test_outcomes_survive_json():
    outcomes = draw_outcomes(0, price=0.2)
    text = json.dumps(outcomes.to_json(), allow_nan=False)
    loaded = Outcomes.from_json(json.loads(text))
    assert loaded.to_json() == outcomes.to_json()
    assert np.isnan(loaded.price[0])
    assert loaded.success.dtype == bool
    assert loaded.steps.dtype == np.int64


def test_outcomes_of_no_task_survive_json():
    assert len(Outcomes.from_json({name: [] for name in COLUMNS})) == 0


def test_outcomes_do_not_share_the_arrays_they_are_made_of():
    bits = np.ones(4)
    outcomes = Outcomes.from_json(columns(bits=bits))
    bits[:] = 3
    assert outcomes.bits.tolist() == [1, 1, 1, 1]


def test_parts_of_outcomes_joined_are_the_whole():
    outcomes = draw_outcomes(0)
    hidden = outcomes.mode == "hidden"
    parts = outcomes.where(~hidden), outcomes.where(hidden)
    assert len(parts[0]) == len(parts[1]) == 24
    assert Outcomes.concat(parts).to_json() == outcomes.to_json()


@pytest.mark.parametrize("mask", [[0, 1, 2, 3], [True], np.ones((4, 1), bool)])
def test_a_mask_of_another_type_or_shape_is_refused(mask):
    with pytest.raises(ResultsError, match=r"mask is bool \[4\]"):
        draw_outcomes(0, pairs=1).where(mask)


def test_nothing_cannot_be_joined():
    with pytest.raises(ResultsError, match="at least one"):
        Outcomes.concat([])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pair": [1]}, "pair has 1 entries and task has 4"),
        ({"task": [1, 2, 3, 4]}, "task is a list of texts, and has a int"),
        ({"task": "abcd"}, "task is a list, got str"),
        ({"steps": 4}, "steps is a list, got int"),
        ({"steps": None}, "steps is a list, got NoneType"),
        ({"steps": [[1], [2, 2], [3], [4]]}, "steps is a list of numbers, and has a list"),
        ({"steps": np.ones((4, 2))}, r"steps is one list \[N\]"),
        ({"steps": [1.5, 1, 1, 1]}, "steps has values that are not whole numbers from 0"),
        ({"questions": [-1, 0, 0, 0]}, "questions has values that are not whole numbers from 0"),
        ({"success": [1, 0, 1, 0]}, "success is a list of true or false"),
        ({"twin": [None, True, False, True]}, "twin is a list of true or false"),
        ({"bits": [None, 1, 1, 1]}, "bits is a list of numbers"),
        ({"bits": [True, True, True, True]}, "bits is a list of numbers, and has a bool"),
        ({"value": ["1", "1", "1", "1"]}, "value is a list of numbers, and has a str"),
        ({"value": [np.nan] * 4}, "value has values that are not finite"),
        ({"nll": [np.inf, 0, 0, 0]}, "nll has values that are not finite numbers from 0, or null"),
        ({"confidence": [1.5, 0, 0, 0]}, "confidence has values that are not between 0 and 1"),
        ({"covered": [0.5, 0, 0, 0]}, "covered has values that are not 0 or 1, or null"),
        ({"mode": ["both"] * 4}, "task 'world/any/0': mode is one of: any, hidden"),
        ({"success": [False] * 4, "intended": [True] * 4}, "intended is true and success is not"),
        ({"success": [True] * 4, "intended": [False] * 4}, "intended is the same as success"),
        ({"utility": [7, 7, 7, 7]}, r"utility is intended - price \* questions"),
        ({"questions": [1, 0, 0, 0]}, "there are questions, and price is null"),
        ({"reward": [0, 0, 0, 0]}, "no column 'reward'"),
    ],
)
def test_wrong_columns_are_named(changes, message):
    with pytest.raises(ResultsError, match=message):
        Outcomes.from_json(columns(**changes))


def test_missing_columns_are_named():
    with pytest.raises(ResultsError, match="has no mode, bits"):
        Outcomes.from_json(
            {name: values for name, values in columns().items() if name not in ("mode", "bits")}
        )
    with pytest.raises(ResultsError, match="object of columns, got list"):
        Outcomes.from_json([])
