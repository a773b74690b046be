"""What several tests of agents and learners share."""

import pytest
import torch


@pytest.fixture
def float64():
    """Make float64 the default of torch for a test."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)
