from functools import partial

import numpy as np
import pytest
import torch

from langrl.data.prefetch import Prefetcher


def drawn(seed, step):
    return np.random.default_rng([seed, step]).random(3)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_those_of_their_steps(workers):
    batches = Prefetcher(partial(drawn, 7), 6, workers)
    for step in (0, 1, 2, 4, 5, 1):  # not only one after the other: runs are taken up
        np.testing.assert_array_equal(batches(step), drawn(7, step))


def test_drawing_ahead_leaves_the_global_generator_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    Prefetcher(partial(drawn, 7), 6, 0)(0)
    assert torch.equal(before, torch.get_rng_state())
