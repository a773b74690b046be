import numpy as np
import pytest
from minigrid.core.constants import IDX_TO_COLOR
from minigrid.core.grid import Grid
from minigrid.core.world_object import Ball, Box, Door, Key, Wall

from langrl.envs.grid.grammar import COLOURS, EMPTY, TYPES, WALL
from langrl.envs.grid.rendering import TILE, render_rooms
from langrl.envs.grid.rooms import GRID_WORLDS, draw_rooms, is_free, list_poses

MAKERS = {
    WALL: Wall, TYPES["door"]: Door, TYPES["key"]: Key, TYPES["ball"]: Ball, TYPES["box"]: Box,
}  # fmt: skip
EAST, SOUTH, WEST, NORTH = range(4)


def drawn(world, count=1):
    return draw_rooms(GRID_WORLDS[world], count, np.random.default_rng(0))


def minigrid_image(room, pose, pixels):
    """What minigrid draws; the door that the agent stands in is open."""
    height, width = room.shape[:2]
    grid = Grid(width, height)
    for (row, column), kind in np.ndenumerate(room[..., 0]):
        if kind != EMPTY:
            grid.set(column, row, MAKERS[kind](IDX_TO_COLOR[room[row, column, 1]]))
    if pose is None:
        return grid.render(pixels, (-1, -1))
    row, column, direction = pose
    if room[row, column, 0] == TYPES["door"]:
        grid.get(column, row).is_open = True
    return grid.render(pixels, (column, row), direction)


def red_pixels(image):
    """Where the agent's triangle is, in a room without anything else that is red."""
    return np.argwhere((image[..., 0] > 128) & (image[..., 1:] < 100).all(-1))


def bare(size=5):
    room = np.full((1, size, size, 2), (WALL, COLOURS["grey"]), np.uint8)
    room[:, 1:-1, 1:-1] = (EMPTY, 0)
    return room


@pytest.mark.parametrize("pixels", [TILE, 4])
@pytest.mark.parametrize("world", GRID_WORLDS)
def test_images_are_those_of_minigrid(world, pixels):
    rooms = drawn(world, 3)
    generator = np.random.default_rng(1)
    poses = np.stack([generator.choice(list_poses(free)) for free in is_free(rooms)])
    images = render_rooms(rooms, poses, pixels)
    assert images.dtype == np.uint8
    size = GRID_WORLDS[world].size * pixels
    assert images.shape == (3, size, size, 3)
    for image, room, pose in zip(images, rooms, poses.tolist(), strict=True):
        np.testing.assert_array_equal(image, minigrid_image(room, pose, pixels))


@pytest.mark.parametrize("world", GRID_WORLDS)
def test_images_without_an_agent_are_those_of_minigrid(world):
    rooms = drawn(world, 2)
    for image, room in zip(render_rooms(rooms), rooms, strict=True):
        np.testing.assert_array_equal(image, minigrid_image(room, None, TILE))


def test_agent_in_a_doorway_stands_in_an_open_door():
    room = drawn("rooms")
    row, column = np.argwhere(room[0, ..., 0] == TYPES["door"])[0]
    for direction in range(4):
        pose = np.array([[row, column, direction]])
        image = render_rooms(room, pose)[0]
        np.testing.assert_array_equal(image, minigrid_image(room[0], pose[0], TILE))


@pytest.mark.parametrize("name", TYPES)
def test_every_colour_of_every_kind_has_a_tile_of_its_own(name):
    room = bare()
    images = []
    for number in COLOURS.values():
        room[0, 2, 2] = TYPES[name], number
        images.append(render_rooms(room)[0])
        np.testing.assert_array_equal(images[-1], minigrid_image(room[0], None, TILE))
    assert len(np.unique(images, axis=0)) == len(COLOURS)


def test_agent_is_seen_in_its_cell_and_its_direction_too():
    poses = np.array([[1, 3, direction] for direction in range(4)])
    images = render_rooms(bare().repeat(4, 0), poses)
    empty = render_rooms(bare())[0]
    assert len(np.unique(images, axis=0)) == 4
    for image in images:
        changed = np.argwhere((image != empty).any(-1)) // TILE
        assert np.unique(changed, axis=0).tolist() == [[1, 3]]
    centre = (np.array([1, 3]) + 0.5) * TILE - 0.5
    for direction, axis, sign in ((EAST, 1, -1), (SOUTH, 0, -1), (WEST, 1, 1), (NORTH, 0, 1)):
        lean = red_pixels(images[direction]).mean(0) - centre  # the blunt end has more pixels
        assert sign * lean[axis] > 0
        assert abs(lean[1 - axis]) < abs(lean[axis])


def test_rows_go_down_and_columns_go_right():
    room = np.full((1, 3, 5, 2), (WALL, COLOURS["grey"]), np.uint8)
    room[0, 1, 1:4] = (EMPTY, 0)
    image = render_rooms(room, np.array([[1, 3, EAST]]))[0]
    assert image.shape == (3 * TILE, 5 * TILE, 3)
    assert np.unique(red_pixels(image) // TILE, axis=0).tolist() == [[1, 3]]


def test_images_are_drawn_afresh():
    rooms, poses = drawn("goto", 2), np.array([[1, 1, 0], [1, 1, 1]])
    before = rooms.copy()
    first = render_rooms(rooms, poses)
    kept = first.copy()
    first[:] = 7  # the caller's to change
    np.testing.assert_array_equal(render_rooms(rooms, poses), kept)
    np.testing.assert_array_equal(rooms, before)
    np.testing.assert_array_equal(render_rooms(rooms[1:], poses[1:]), kept[1:])


def test_no_rooms_have_no_images():
    assert render_rooms(bare()[:0], np.zeros((0, 3), int)).shape == (0, 5 * TILE, 5 * TILE, 3)
