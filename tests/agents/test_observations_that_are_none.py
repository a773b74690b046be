import numpy as np
import pytest

from langrl.agents.observations import read_observations
from langrl.errors import ShapeError


@pytest.mark.parametrize("given", [{}, {"instruction": "go"}, None, np.zeros(2), "go to row 1"])
def test_what_is_no_observation_is_one_clear_error(given):
    with pytest.raises(ShapeError, match="an observation is a dict with what is seen") as told:
        read_observations(given, "go to row 1")
    assert str(told.value).count("\n") == 0
