"""What is said of how an episode ended."""

import numpy as np
import pytest

from langrl.evaluation.rollouts import Episodes
from langrl.tasks.suite import describe_outcome


@pytest.mark.parametrize(
    ("success", "shortest", "steps", "words"),
    [
        (True, 1.0, 1, "success in 1 step"),
        (False, 4.0, 9, "failure after 9 steps"),
        (False, np.nan, 1, "1 step"),
    ],
)
def test_an_outcome_is_told_with_its_steps(success, shortest, steps, words):
    bits = 0 * np.array([shortest])  # as unknown as the shortest way
    episodes = Episodes(
        success=np.array([success]), steps=np.array([steps]), ambiguity_bits=bits,
        instructions=("go",), shortest_steps=np.array([shortest]), paths=[],
    )  # fmt: skip
    assert describe_outcome(episodes) == words
