import numpy as np
import pytest
from documents import STORED_CHECKPOINT

from langrl.agents.grounded import GroundedAgent


def test_a_checkpoint_of_the_first_format_is_read_and_acts_as_it_did():
    agent = GroundedAgent.load(STORED_CHECKPOINT)
    agent.reset(np.random.default_rng(0))
    observations = {"observation": np.array([[8.5, 8.5], [1.5, 5.5], [5.0, 2.0]], np.float32)}
    actions = agent.act(observations, ["go to row 3", "go to column 2", "row 1 or column 9"])
    angles = np.rad2deg(np.arctan2(actions[:, 1], actions[:, 0]))
    np.testing.assert_allclose(angles, [45, -90, 90], atol=1e-3)
    posterior = GroundedAgent.load(STORED_CHECKPOINT).posterior(
        {"observation": np.array([8.5, 8.5])}, "go to row 3"
    )
    assert posterior.entropy_bits == pytest.approx(6.3966, abs=0.02)
