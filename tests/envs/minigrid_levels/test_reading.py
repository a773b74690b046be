"""Levels are read as grid worlds read theirs."""

import numpy as np
import pytest

from langrl.envs.grid.rooms import FORWARD, read_observation
from langrl.envs.grid.views import egocentric_views
from langrl.envs.minigrid_levels.env import MiniGridLevelEnv
from langrl.envs.minigrid_levels.reading import TOGGLE, as_partial_views, as_rooms


@pytest.mark.parametrize("level", ["BabyAI-GoToOpen-v0", "BabyAI-GoTo-v0"])
def test_views_are_those_of_grid_worlds_whatever_doors_are_open(level: str) -> None:
    env = MiniGridLevelEnv(level, view=7)
    generator, different = np.random.default_rng(0), 0
    for seed in range(4):
        seen, _ = env.reset(seed=seed)
        for _ in range(150):
            expected = egocentric_views(*read_observation(as_rooms(env.layout[None])))[0]
            view = as_partial_views(seen["observation"][None])[0]
            np.testing.assert_array_equal(view, expected)
            different += int((seen["observation"][..., :2] != view[..., :2]).any())
            action = generator.choice([0, 1, FORWARD, FORWARD, FORWARD, TOGGLE])
            seen, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                break
    assert different  # something was seen through an open door
