import dataclasses
import itertools
from collections import deque

import networkx
import numpy as np
import pytest
from grid_rooms_by_hand import EAST, NORTH, SOUTH, WEST, every_world, room_of
from minigrid.core.actions import Actions
from minigrid.core.constants import COLOR_TO_IDX, DIR_TO_VEC, IDX_TO_COLOR, OBJECT_TO_IDX
from minigrid.core.grid import Grid
from minigrid.core.mission import MissionSpace
from minigrid.core.world_object import Ball, Box, Door, Key, Wall
from minigrid.minigrid_env import MiniGridEnv
from scipy import ndimage
from scipy.stats import chisquare

from langrl.envs.grid.grammar import COLOURS, EMPTY, LEVELS, TYPES, WALL
from langrl.envs.grid.rooms import (
    ACTIONS,
    AHEAD,
    DONE,
    FORWARD,
    GRID_WORLDS,
    LEFT,
    RIGHT,
    UNREACHABLE,
    RoomSpec,
    ahead,
    best_actions,
    connected,
    draw_rooms,
    facing,
    is_free,
    is_object,
    is_sound,
    list_poses,
    move,
    observe,
    pose_distances,
    read_observation,
)
from langrl.errors import LayoutError, ShapeError

MAKERS = {TYPES["door"]: Door, TYPES["key"]: Key, TYPES["ball"]: Ball, TYPES["box"]: Box}


ROOM = room_of(
    """
    ## ## ## ## ## ##
    ## .. .. rK .. ##
    ## .. ## ## gD ##
    ## bX .. ## .. ##
    ## ## ## ## ## ##
    """
)
FREE = np.array(
    [
        [0, 0, 0, 0, 0, 0],
        [0, 1, 1, 0, 1, 0],
        [0, 1, 0, 0, 1, 0],
        [0, 0, 1, 0, 1, 0],
        [0, 0, 0, 0, 0, 0],
    ],
    bool,
)


def drawn(world, count=300, seed=0):
    return draw_rooms(GRID_WORLDS[world], count, np.random.default_rng(seed))


def things_in(room):
    """Where the objects other than doors are, and what they are."""
    cells = np.argwhere(is_object(room) & (room[..., 0] != TYPES["door"]))
    return {tuple(cell): tuple(room[tuple(cell)].tolist()) for cell in cells.tolist()}


def random_free(generator, count=40, height=6, width=7):
    """Random free cells within walls, hanging together or not."""
    free = generator.random((count, height, width)) < generator.choice(
        [0.4, 0.6, 0.9], (count, 1, 1)
    )
    free[:, [0, -1]] = free[:, :, [0, -1]] = False
    return free


# -- drawing ---------------------------------------------------------------------------------


def test_numbers_are_those_of_minigrid():
    assert COLOURS == COLOR_TO_IDX
    known = TYPES | {"empty": EMPTY, "wall": WALL}
    assert known == {name: OBJECT_TO_IDX[name] for name in known}
    np.testing.assert_array_equal(AHEAD, np.array(DIR_TO_VEC)[:, ::-1])  # minigrid has x before y


@every_world
def test_free_cells_hang_together(world):
    for room in drawn(world):
        free = (room[..., 0] == EMPTY) | (room[..., 0] == TYPES["door"])
        assert ndimage.label(free)[1] == 1


@every_world
def test_every_object_can_be_faced(world):
    for room in drawn(world):
        near = ndimage.binary_dilation(is_free(room))  # by cells that share an edge
        assert near[is_object(room)].all()


@every_world
def test_rooms_have_walls_all_around_and_only_known_numbers(world):
    rooms = drawn(world)
    size = GRID_WORLDS[world].size
    assert rooms.dtype == np.uint8
    assert rooms.shape == (300, size, size, 2)
    for edge in (rooms[:, 0], rooms[:, -1], rooms[:, :, 0], rooms[:, :, -1]):
        assert (edge == (WALL, COLOURS["grey"])).all()
    assert np.isin(rooms[..., 0], (EMPTY, WALL, *TYPES.values())).all()
    assert np.isin(rooms[..., 1], list(COLOURS.values())).all()
    assert (rooms[rooms[..., 0] == EMPTY] == (EMPTY, 0)).all()


@every_world
def test_number_of_objects_is_that_of_the_spec(world):
    fewest, most = GRID_WORLDS[world].objects
    counts = {len(things_in(room)) for room in drawn(world)}
    assert counts == set(range(fewest, most + 1))


@every_world
def test_number_of_kinds_is_that_of_the_spec(world):
    kinds = GRID_WORLDS[world].kinds
    counts = {len(set(things_in(room).values())) for room in drawn(world)}
    if kinds is not None:
        assert counts == set(range(kinds[0], kinds[1] + 1))
    else:
        assert max(counts) == GRID_WORLDS[world].objects[1]


@every_world
def test_pairs_of_objects_stand_side_by_side(world):
    matched = []
    for room in drawn(world):
        things = things_in(room)
        sides = (
            (a, b)
            for a, b in itertools.combinations(things, 2)
            if np.abs(np.subtract(a, b)).sum() == 1
        )
        matched.append(len(networkx.max_weight_matching(networkx.Graph(sides))))
    assert min(matched) >= GRID_WORLDS[world].pairs
    assert (min(matched) == 0) is (GRID_WORLDS[world].pairs == 0)


@every_world
def test_every_kind_and_every_cell_gets_its_turn(world):
    rooms = drawn(world, 600)
    found = {kind for room in rooms for kind in things_in(room).values()}
    names = (TYPES["key"], TYPES["ball"], TYPES["box"])
    assert found == set(itertools.product(names, COLOURS.values()))
    walled = (rooms[..., 0] == WALL).all(0) | (rooms[..., 0] == TYPES["door"]).any(0)
    occupied = (is_object(rooms) & (rooms[..., 0] != TYPES["door"])).any(0)
    line = np.isin(np.arange(len(occupied)), range(0, len(occupied), 5)) & (world == "rooms")
    inside = ~(walled | line | line[:, None])
    np.testing.assert_array_equal(occupied, inside)


def test_kinds_are_uniform_where_the_spec_leaves_them_open():
    kinds = [kind for room in drawn("goto", 1000) for kind in things_in(room).values()]
    counts = np.unique(kinds, axis=0, return_counts=True)[1]
    assert len(counts) == 18
    assert chisquare(counts).pvalue > 1e-3


@every_world
def test_the_generator_decides_the_rooms(world):
    np.random.seed(0)  # noqa: NPY002
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    np.testing.assert_array_equal(drawn(world, 20, 3), drawn(world, 20, 3))
    assert not np.array_equal(drawn(world, 20, 3), drawn(world, 20, 4))
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    assert len(np.unique(drawn(world, 100), axis=0)) == 100


def test_four_doors_join_four_rooms():
    for room in drawn("rooms"):
        doors = np.argwhere(room[..., 0] == TYPES["door"]).tolist()
        sides = {(row == 5, column == 5, row < 5, column < 5) for row, column in doors}
        assert len(doors) == len(sides) == 4  # one in each half of either inner wall
        assert all((row == 5) != (column == 5) for row, column in doors)
        shut = room[..., 0] == EMPTY
        labels, _ = ndimage.label(shut)
        assert (room[5, :, 0] == WALL).sum() == (room[:, 5, 0] == WALL).sum() == 9
        quarters = [set(labels[r : r + 4, c : c + 4].ravel()) - {0} for r in (1, 6) for c in (1, 6)]
        assert all(not a & b for a, b in itertools.combinations(quarters, 2))


def test_nine_rooms_are_joined_by_twelve_doors():
    rooms = drawn("nine_rooms")
    assert ((rooms[..., 0] == TYPES["door"]).sum((1, 2)) == 12).all()
    lines = rooms[:, ::5, :, 0]  # the walls between rooms, and those around them
    assert np.isin(lines, (WALL, TYPES["door"])).all()


@pytest.mark.parametrize("world", sorted(w for w in GRID_WORLDS if GRID_WORLDS[w].rooms == 1))
def test_worlds_of_one_room_have_no_doors_and_no_inner_walls(world):
    inside = drawn(world)[:, 1:-1, 1:-1, 0]
    assert not np.isin(inside, (WALL, TYPES["door"])).any()


@pytest.mark.parametrize("most", [4, 5])
def test_spec_that_leaves_no_room_is_refused(most):
    spec = RoomSpec(4, (most, most))
    with pytest.raises(LayoutError, match=f"size 4 with {most} objects; ask less"):
        draw_rooms(spec, 3, np.random.default_rng(0))


@every_world
def test_levels_of_a_world_are_levels_of_the_grammar(world):
    spec = GRID_WORLDS[world]
    assert spec.levels
    assert set(spec.levels) <= set(LEVELS)
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.size = 3


def test_free_cells_and_objects_of_a_hand_made_room():
    np.testing.assert_array_equal(is_free(ROOM), FREE)
    assert np.argwhere(is_object(ROOM)).tolist() == [[1, 3], [2, 4], [3, 1]]  # the door is both


@pytest.mark.parametrize(
    ("inside", "sound"),
    [
        (".. .. ..", True),
        (".. .. rK", True),
        (".. gD ..", True),  # doors are open
        (".. rK ..", False),  # two parts
        (".. ## ..", False),
        (".. rK gB", False),  # the ball faces nothing that is free
        ("gX ## ..", False),
        ("## ## ##", False),  # nowhere to stand
        ("rK gB bX", False),
    ],
)
def test_soundness_of_hand_made_rooms(inside, sound):
    room = room_of(f"## ## ## ## ##\n## {inside} ##\n## ## ## ## ##")
    np.testing.assert_array_equal(is_sound(room[None]), [sound])
    both = np.stack([room, room_of("## ## ## ## ##\n## .. .. .. ##\n## ## ## ## ##")])
    np.testing.assert_array_equal(is_sound(both), [sound, True])


def test_connected_cells_of_a_hand_made_room():
    expected = np.zeros((3, 5, 6), bool)
    for n, cells in enumerate(([(1, 1), (1, 2), (2, 1)], [(1, 4), (2, 4), (3, 4)], [(3, 2)])):
        expected[n][tuple(zip(*cells, strict=True))] = True
    seed = np.zeros((3, 5, 6), bool)
    seed[0, 2, 1] = seed[1, 1, 4] = seed[2, 3, 2] = True
    np.testing.assert_array_equal(connected(np.tile(FREE, (3, 1, 1)), seed), expected)
    assert not connected(FREE[None], ~FREE[None]).any()  # a seed in a wall
    np.testing.assert_array_equal(connected(FREE[None], seed.any(0)[None])[0], FREE)


def test_connected_cells_have_the_label_of_their_seed():
    generator = np.random.default_rng(0)
    free = random_free(generator)
    seed = generator.random(free.shape) < 0.1
    before = seed.copy()
    for mask, start, reached in zip(free, seed, connected(free, seed), strict=True):
        labels, _ = ndimage.label(mask)
        np.testing.assert_array_equal(reached, np.isin(labels, np.setdiff1d(labels[start], 0)))
    np.testing.assert_array_equal(seed, before)


# -- moving ----------------------------------------------------------------------------------


class Minigrid(MiniGridEnv):
    """The same room in minigrid, with open doors and the agent at a pose."""

    def __init__(self, room, pose):
        self.room, self.pose = room, pose
        height, width = room.shape[:2]
        space = MissionSpace(mission_func=lambda: "walk")
        super().__init__(space, width=width, height=height, max_steps=10_000)
        self.reset()

    def _gen_grid(self, width, height):
        self.grid = Grid(width, height)
        for (row, column), kind in np.ndenumerate(self.room[..., 0]):
            colour = IDX_TO_COLOR[self.room[row, column, 1]]
            if kind == WALL:
                self.grid.set(column, row, Wall(colour))
            elif kind != EMPTY:
                self.grid.set(column, row, MAKERS[kind](colour))
                if kind == TYPES["door"]:
                    self.grid.get(column, row).is_open = True
        row, column, self.agent_dir = self.pose
        self.agent_pos = (column, row)

    def walk(self, action):
        """Step in minigrid; return the new pose."""
        self.step([Actions.left, Actions.right, Actions.forward, Actions.done][action])
        column, row = self.agent_pos
        return row, column, self.agent_dir


@pytest.mark.parametrize(
    ("pose", "action", "end"),
    [
        ((1, 1, EAST), FORWARD, (1, 2, EAST)),
        ((1, 2, EAST), FORWARD, (1, 2, EAST)),  # a key
        ((1, 2, SOUTH), FORWARD, (1, 2, SOUTH)),  # a wall
        ((1, 2, WEST), FORWARD, (1, 1, WEST)),
        ((1, 1, SOUTH), FORWARD, (2, 1, SOUTH)),
        ((2, 1, SOUTH), FORWARD, (2, 1, SOUTH)),  # a box
        ((1, 4, SOUTH), FORWARD, (2, 4, SOUTH)),  # into the doorway
        ((2, 4, NORTH), FORWARD, (1, 4, NORTH)),  # and out of it
        ((1, 4, NORTH), FORWARD, (1, 4, NORTH)),
        ((1, 1, EAST), LEFT, (1, 1, NORTH)),
        ((1, 1, EAST), RIGHT, (1, 1, SOUTH)),
        ((1, 1, NORTH), RIGHT, (1, 1, EAST)),
        ((1, 1, SOUTH), DONE, (1, 1, SOUTH)),
    ],
)
def test_hand_worked_moves(pose, action, end):
    poses = np.array([pose])
    np.testing.assert_array_equal(move(FREE[None], poses, np.array([action])), [end])
    np.testing.assert_array_equal(poses, [pose])
    assert Minigrid(ROOM, pose).walk(action) == end


@every_world
def test_walks_are_those_of_minigrid(world):
    generator = np.random.default_rng(1)
    rooms = drawn(world, 4)
    free = is_free(rooms)
    poses = np.stack([generator.choice(list_poses(mask)) for mask in free])
    others = [Minigrid(room, pose) for room, pose in zip(rooms, poses.tolist(), strict=True)]
    visited = set()
    for _ in range(150):
        actions = generator.choice(4, len(rooms), p=[0.2, 0.2, 0.55, 0.05])
        poses = move(free, poses, actions)
        expected = [other.walk(action) for other, action in zip(others, actions, strict=True)]
        np.testing.assert_array_equal(poses, expected)
        visited |= set(map(tuple, poses.tolist()))
    assert len(visited) > 40


def test_walk_through_every_door_as_in_minigrid():
    room = drawn("rooms", 1)[0]
    for row, column in np.argwhere(room[..., 0] == TYPES["door"]).tolist():
        for direction in range(4):
            start = row - AHEAD[direction][0], column - AHEAD[direction][1], direction
            if is_free(room)[start[:2]]:
                entered = move(is_free(room)[None], np.array([start]), np.array([FORWARD]))[0]
                assert tuple(entered) == (row, column, direction)
                assert Minigrid(room, start).walk(FORWARD) == (row, column, direction)


def test_the_cell_ahead():
    poses = np.array([[3, 3, EAST], [3, 3, SOUTH], [3, 3, WEST], [3, 3, NORTH]])
    row, column = ahead(poses)
    assert row.tolist() == [3, 4, 3, 2]
    assert column.tolist() == [4, 3, 2, 3]
    row, column = ahead(poses.reshape(2, 2, 3))
    assert row.tolist() == [[3, 4], [3, 2]]


def test_poses_that_face_a_hand_picked_object():
    key, door = np.zeros((2, 1, *FREE.shape), bool)
    key[0, 1, 3] = door[0, 2, 4] = True
    assert np.argwhere(facing(key, FREE[None])[0]).tolist() == [[1, 2, EAST], [1, 4, WEST]]
    assert np.argwhere(facing(door, FREE[None])[0]).tolist() == [[1, 4, SOUTH], [3, 4, NORTH]]


def test_facing_poses_are_the_free_ones_with_such_a_cell_ahead():
    generator = np.random.default_rng(2)
    free = random_free(generator)
    cells = generator.random(free.shape) < 0.2
    faces = facing(cells, free)
    assert faces.shape == (*free.shape, 4)
    for n in range(len(free)):
        poses = list_poses(free[n])
        expected = np.zeros(faces.shape[1:], bool)
        expected[tuple(poses[cells[n][ahead(poses)]].T)] = True
        np.testing.assert_array_equal(faces[n], expected)


def test_poses_are_listed_cell_by_cell():
    free = np.zeros((3, 4), bool)
    free[1, 1:3] = True
    expected = [[1, column, direction] for column in (1, 2) for direction in range(4)]
    assert list_poses(free).tolist() == expected
    assert list_poses(np.zeros((3, 4), bool)).shape == (0, 3)


# -- distances -------------------------------------------------------------------------------


def distances_one_by_one(free, targets):
    """Breadth first from the targets, backwards through the moves of one room."""
    before = {}
    for pose in list_poses(free):
        for action in (LEFT, RIGHT, FORWARD):
            after = move(free[None], pose[None], np.array([action]))[0]
            before.setdefault(tuple(after), []).append(tuple(pose))
    found = {tuple(pose): 0 for pose in np.argwhere(targets & free[..., None])}
    queue = deque(found)
    while queue:
        pose = queue.popleft()
        for other in before.get(pose, []):
            if other not in found:
                found[other] = found[pose] + 1
                queue.append(other)
    expected = np.full(targets.shape, UNREACHABLE)
    for pose, steps in found.items():
        expected[pose] = steps
    return expected


def test_hand_worked_distances():
    targets = np.zeros((1, *FREE.shape, 4), bool)
    targets[0, 1, 2, EAST] = True  # facing the key
    distances = pose_distances(FREE[None], targets)[0]
    assert distances.dtype == np.int16
    assert distances[1, 2].tolist() == [0, 1, 2, 1]  # east, south, west, north
    assert distances[1, 1].tolist() == [1, 2, 3, 2]
    assert distances[2, 1].tolist() == [4, 5, 4, 3]  # north: forward, right, forward
    assert (distances[3, 2] == UNREACHABLE).all()
    assert (distances[1:4, 4] == UNREACHABLE).all()
    assert (distances[~FREE] == UNREACHABLE).all()


def test_targets_on_walls_do_not_count():
    targets = np.broadcast_to(~FREE[None, ..., None], (1, *FREE.shape, 4))
    assert (pose_distances(FREE[None], targets) == UNREACHABLE).all()


@pytest.mark.parametrize("share", [0.0, 0.01, 0.1])
def test_distances_are_those_of_a_search(share):
    generator = np.random.default_rng(3)
    free = random_free(generator, 15)
    targets = generator.random((*free.shape, 4)) < share
    found = pose_distances(free, targets)
    expected = [distances_one_by_one(*pair) for pair in zip(free, targets, strict=True)]
    np.testing.assert_array_equal(found, expected)
    assert (found[targets & free[..., None]] == 0).all()


def test_distances_in_a_long_winding_corridor():
    free = np.zeros((1, 41, 41), bool)
    free[:, 1:-1:2, 1:-1] = True
    free[:, 2:-2:4, -2] = free[:, 4:-2:4, 1] = True
    targets = np.zeros((*free.shape, 4), bool)
    targets[0, 39, 1] = True  # whatever the direction
    # 20 rows of 38 steps, 19 connections of 2 steps and 2 turns
    assert pose_distances(free, targets)[0, 1, 1, EAST] == 20 * 38 + 19 * (2 + 2)


@every_world
def test_best_actions_arrive_in_exactly_that_many_steps(world):
    room = drawn(world, 3)[2]
    poses = list_poses(is_free(room))
    free = np.tile(is_free(room), (len(poses), 1, 1))
    cells = np.zeros_like(free)
    cells[:, *next(iter(things_in(room)))] = True
    targets = facing(cells, free)
    distances = pose_distances(free, targets)
    actions, left = best_actions(free, distances, poses)
    expected = distances[np.arange(len(poses)), *poses.T]
    np.testing.assert_array_equal(left, expected)
    assert left.min() == 0
    assert left.max() < UNREACHABLE
    for step in range(left.max() + 1):
        np.testing.assert_array_equal(left, np.maximum(expected - step, 0))
        np.testing.assert_array_equal(actions == DONE, left == 0)
        poses = move(free, poses, actions)
        actions, left = best_actions(free, distances, poses)
    assert targets[np.arange(len(poses)), *poses.T].all()
    assert (actions == DONE).all()


def test_best_actions_of_hand_worked_poses():
    targets = np.zeros((1, *FREE.shape, 4), bool)
    targets[0, 1, 2, EAST] = True
    distances = pose_distances(FREE[None], targets)
    for pose, action, left in (
        ((1, 2, EAST), DONE, 0),
        ((1, 2, NORTH), RIGHT, 1),
        ((1, 2, SOUTH), LEFT, 1),
        ((1, 1, EAST), FORWARD, 1),
        ((2, 1, NORTH), FORWARD, 3),
        ((2, 1, WEST), RIGHT, 4),
    ):
        found = best_actions(FREE[None], distances, np.array([pose]))
        assert (ACTIONS[found[0][0]], found[1][0]) == (ACTIONS[action], left)


# -- observations ----------------------------------------------------------------------------


def test_observation_of_a_hand_made_room():
    seen = observe(ROOM[None], np.array([[1, 2, WEST]]))
    assert seen.dtype == np.uint8
    np.testing.assert_array_equal(seen[0, ..., :2], ROOM)
    assert np.argwhere(seen[0, ..., 2]).tolist() == [[1, 2]]
    assert seen[0, 1, 2].tolist() == [EMPTY, 0, 3]


@every_world
def test_observations_can_be_read_again(world):
    room = drawn(world, 1)[0]
    poses = list_poses(is_free(room))
    rooms = np.tile(room, (len(poses), 1, 1, 1))
    found_rooms, found_poses = read_observation(observe(rooms, poses))
    np.testing.assert_array_equal(found_rooms, rooms)
    np.testing.assert_array_equal(found_poses, poses)
    assert found_poses.dtype == np.int64


@pytest.mark.parametrize(
    "agents", [{}, {(1, 1): 1, (1, 2): 1}, {(1, 1): 5}, {(1, 1): 255}], ids=str
)
def test_observation_without_exactly_one_agent_is_refused(agents):
    good = observe(ROOM[None], np.array([[1, 1, EAST]]))
    bad = good.copy()
    bad[..., 2] = 0
    for cell, number in agents.items():
        bad[0, *cell, 2] = number
    with pytest.raises(ShapeError, match="shows the agent in one cell"):
        read_observation(np.concatenate([good, bad]))


def test_single_observation_in_place_of_a_batch_is_refused():
    with pytest.raises(ShapeError, match="give observations of a grid world"):
        read_observation(observe(ROOM[None], np.array([[1, 1, EAST]]))[0])


@pytest.mark.parametrize("shape", [(2, 5, 6, 2), (2, 2)])
def test_observations_of_another_world_are_refused(shape):
    with pytest.raises(ShapeError, match="give observations of a grid world"):
        read_observation(np.zeros(shape, np.uint8))


def test_no_observations_are_read_as_none():
    rooms, poses = read_observation(np.zeros((0, 5, 6, 3), np.uint8))
    assert rooms.shape == (0, 5, 6, 2)
    assert poses.shape == (0, 3)
