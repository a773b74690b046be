import numpy as np
import pytest
from grid_rooms_by_hand import EAST, ROOM, SOUTH

from langrl.envs.grid.env import GridGoToVectorEnv
from langrl.envs.grid.grammar import LEVELS, denoted
from langrl.envs.grid.meanings import cells_denoted_alone, draw_meanings
from langrl.envs.grid.rooms import GRID_WORLDS, draw_rooms, is_object
from langrl.errors import LayoutError

ROOMS = draw_rooms(GRID_WORLDS["crowded"], 30, np.random.default_rng(0))


def test_a_meaning_drawn_alone_denotes_the_object_and_no_other():
    alone = cells_denoted_alone(ROOMS)
    assert alone.any()
    which, *cells = np.nonzero(alone)
    cells = np.stack(cells, 1)
    meanings, drawn = draw_meanings(
        ROOMS[which], np.random.default_rng(1), LEVELS, cells, alone=True
    )
    for meaning, room, cell, mask in zip(meanings, ROOMS[which], cells, drawn, strict=True):
        assert np.argwhere(mask).tolist() == [cell.tolist()]
        np.testing.assert_array_equal(denoted(meaning, room), mask)


def test_no_meaning_is_drawn_for_what_nothing_denotes_alone():
    which, *cells = np.nonzero(is_object(ROOMS) & ~cells_denoted_alone(ROOMS))
    assert len(which)
    meanings, _ = draw_meanings(
        ROOMS[which], np.random.default_rng(1), LEVELS, np.stack(cells, 1), alone=True
    )
    assert meanings == [None] * len(which)


def test_objects_denoted_alone_are_found_by_trying_things():
    room = ROOMS[:1]
    kinds = room[0][is_object(room)[0]]
    alone = cells_denoted_alone(room, ("full",))[0]
    for cell in np.argwhere(is_object(room)[0]):
        alike = (kinds == room[0][tuple(cell)]).all(1).sum()
        assert alone[tuple(cell)] == (alike == 1)


# -- rooms of each environment -----------------------------------------------------------------


def test_reset_takes_a_room_for_each_environment():
    rooms = draw_rooms(GRID_WORLDS["goto"], 3, np.random.default_rng(2))
    envs = GridGoToVectorEnv(3)
    observation, _ = envs.reset(seed=0, options={"room": rooms})
    np.testing.assert_array_equal(observation["observation"][..., :2], rooms)
    options = {"room": rooms[::-1], "reset_mask": np.array([False, False, True])}
    observation, _ = envs.reset(options=options)
    np.testing.assert_array_equal(observation["observation"][2, ..., :2], rooms[0])
    np.testing.assert_array_equal(observation["observation"][0, ..., :2], rooms[0])


def test_only_rooms_that_are_begun_are_read():
    rooms = np.stack([ROOM, np.zeros_like(ROOM)])  # the second has no wall around it
    envs = GridGoToVectorEnv(2)
    envs.reset(seed=0)
    poses = [(3, 1, SOUTH), (0, 0, SOUTH)]
    begun = {"room": rooms, "pose": poses, "reset_mask": np.array([True, False])}
    observation, _ = envs.reset(options=begun)
    np.testing.assert_array_equal(observation["observation"][0, ..., :2], ROOM)
    with pytest.raises(LayoutError):
        envs.reset(options=begun | {"reset_mask": np.array([False, True])})


def test_the_intended_object_is_the_one_that_is_given():
    envs = GridGoToVectorEnv(2, mode="hidden")
    options = {
        "room": ROOM,
        "pose": [(3, 1, SOUTH), (1, 5, EAST)],
        "instruction": "something red",
        "intended": [(4, 1), (4, 1)],
    }
    envs.reset(seed=0, options=options)
    _, rewards, ended, _, info = envs.step(np.array([3, 3]))
    assert ended.all()
    assert info["is_success"].all()
    np.testing.assert_array_equal(rewards, [1.0, 0.0])


@pytest.mark.parametrize("rooms", [np.stack([ROOM] * 3), [ROOM.tolist(), ROOM[:7].tolist()]])
def test_too_many_rooms_and_ragged_ones_are_refused(rooms):
    with pytest.raises(LayoutError, match="the option 'room'"):
        GridGoToVectorEnv(2).reset(seed=0, options={"room": rooms})
