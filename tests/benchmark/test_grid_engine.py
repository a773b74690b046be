import itertools

import numpy as np
import pytest

from langrl.benchmark import grid_engine as benchmark
from langrl.benchmark.minigrid_level import MinigridLevel
from langrl.benchmark.speed import SPEED
from langrl.envs.grid.rooms import DONE, FORWARD, GRID_WORLDS, LEFT, draw_rooms


def test_every_grid_world_is_timed_against_both_kinds_of_levels(monkeypatch):
    for name, value in {"ENVS": 8, "STEPS": 2, "LEVELS": 2, "LEVEL_STEPS": 2, "ROOMS": 3}.items():
        monkeypatch.setattr(benchmark, name, value)
    rows = SPEED["grid-engine"](1)
    assert [row["variant"].split(",")[0] for row in rows] == list(GRID_WORLDS)
    for row in rows:
        assert row["benchmark"] == "grid-engine"
        for ratio, baseline in (("ratio", "minigrid"), ("ratio_to_view", "minigrid_view")):
            expected = row["steps_per_second"] / row[f"{baseline}_per_second"]
            assert row[ratio] == pytest.approx(expected, rel=0.1)  # of rates that are not rounded


def test_level_shows_its_rooms_in_turn_and_done_at_the_goal_alone_is_rewarded():
    rooms = draw_rooms(GRID_WORLDS["rooms"], 2, np.random.default_rng(0))
    level = MinigridLevel(itertools.cycle(rooms), 11)
    for seed, room in enumerate([*rooms, rooms[0]]):
        level.reset(seed=seed)
        np.testing.assert_array_equal(level.grid.encode().transpose(1, 0, 2)[..., :2], room)
    column, row, direction = level._goal
    level.agent_pos, level.agent_dir = (column, row), (direction + 1) % 4
    assert level.step(LEFT)[1:4] == (0.0, False, False)
    assert level.step(DONE)[1:4] == (1.0, True, False)
    level.reset()
    level.agent_pos, level.agent_dir = (column, row), (direction + 1) % 4
    level._goal = (column, row, direction)
    assert level.step(DONE)[1:4] == (0.0, True, False)


def test_level_ends_at_its_limit():
    room = draw_rooms(GRID_WORLDS["goto"], 1, np.random.default_rng(0))
    level = MinigridLevel(itertools.cycle(room), 8, max_steps=2)
    level.reset(seed=0)
    assert level.step(FORWARD)[2:4] == (False, False)
    assert level.step(FORWARD)[2:4] == (False, True)
