import numpy as np
import pytest
import torch
from walk_critic import PLACES, log_ratios, probe_of

from langrl.grounding.critic_diagnosis import diagnose_critic
from langrl.plots.base import to_image
from langrl.plots.distances import distances_figure


@pytest.fixture(scope="module")
def found():
    return diagnose_critic(probe_of(log_ratios()), PLACES, torch.Generator().manual_seed(0))


def test_goals_in_a_plane_have_a_map_of_edges(found):
    figure = distances_figure(found, "a critic")
    assert [ax.get_title() for ax in figure.axes if ax.get_title()] == [
        "distance against steps", "edges up to a cut-off", "calibration by horizon",
    ]  # fmt: skip
    flat = type(found)(**(vars(found) | {"states": np.repeat(found.states, 2, 1)}))
    map_ = distances_figure(flat, "a critic").axes[3]
    assert map_.get_title() == f"edges up to {found.cutoff:.2f} nats"
    drawn = sum(len(lines.get_segments()) for lines in map_.collections)
    assert drawn == int((found.edges <= found.cutoff).sum()) // 2


def test_nothing_is_cut_off_where_nothing_was_learned():
    critic = probe_of(np.zeros((PLACES, PLACES)))
    nothing = diagnose_critic(critic, PLACES, torch.Generator().manual_seed(0))
    assert to_image(distances_figure(nothing, "a critic")).std() > 5
