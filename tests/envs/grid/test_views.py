import numpy as np
import pytest

from langrl.envs.grid.grammar import COLOURS, EMPTY, TYPES, WALL
from langrl.envs.grid.rooms import GRID_WORLDS, draw_rooms, is_free, list_poses
from langrl.envs.grid.views import UNSEEN, egocentric_views, faced_cells
from langrl.errors import LayoutError


def room_of(lines: list[str]) -> np.ndarray:
    """Return a room [1, H, W, 2]: # wall, . empty, b a red ball, d a green door."""
    cells = {
        "#": (WALL, COLOURS["grey"]),
        ".": (EMPTY, 0),
        "b": (TYPES["ball"], COLOURS["red"]),
        "d": (TYPES["door"], COLOURS["green"]),
    }
    return np.array([[[cells[letter] for letter in line] for line in lines]], np.uint8)


ROOM = room_of(["######", "#..b.#", "#..#.#", "#....#", "######"])


def kinds(room: np.ndarray, pose: tuple[int, int, int], size: int) -> list[list[int]]:
    return egocentric_views(room, np.array([pose]), size)[0, ..., 0].tolist()


def test_agent_looks_up_from_the_middle_of_the_bottom_row():
    # at (1, 1), facing east: ahead lie (1, 2) and the ball at (1, 3); to the right is row 2
    seen = kinds(ROOM, (1, 1, 0), 3)
    assert seen == [[WALL, TYPES["ball"], WALL], [WALL, EMPTY, EMPTY], [WALL, EMPTY, EMPTY]]


def test_turning_round_turns_the_view():
    # at (1, 2), facing west: (1, 1) is ahead and the outer wall behind it; row 2 is to the left
    seen = kinds(ROOM, (1, 2, 2), 3)
    assert seen == [[WALL, WALL, WALL], [EMPTY, EMPTY, WALL], [EMPTY, EMPTY, WALL]]


def test_wall_hides_what_is_behind_it():
    room = room_of(["#####", "#.b.#", "#####", "#...#", "#####"])
    seen = np.array(kinds(room, (3, 2, 3), 5))
    assert (seen[3] == WALL).any()
    assert (seen[:3] == UNSEEN).all()


def test_closed_door_hides_and_says_that_it_is_closed_until_the_agent_stands_in_it():
    room = room_of(["#####", "#.d.#", "#####"])
    before = egocentric_views(room, np.array([[1, 1, 0]]), 3)[0]
    assert before[1, 1].tolist() == [TYPES["door"], COLOURS["green"], 1]
    assert before[0].tolist() == [[0, 0, 0]] * 3
    inside = egocentric_views(room, np.array([[1, 2, 0]]), 3)[0]
    assert inside[2, 1].tolist() == [EMPTY, 0, 1]  # the agent, looking east
    assert inside[1, 1, 0] == EMPTY


@pytest.mark.parametrize("world", GRID_WORLDS)
@pytest.mark.parametrize("size", [3, 7])
def test_views_are_minigrids_own(world, size):
    from minigrid.core.grid import Grid
    from minigrid.core.world_object import Ball, Box, Door, Key, Wall

    names = {number: name for name, number in COLOURS.items()}
    makers = {TYPES["key"]: Key, TYPES["ball"]: Ball, TYPES["box"]: Box, WALL: Wall}

    def minigrids(room: np.ndarray, pose: np.ndarray) -> np.ndarray:
        height, width = room.shape[:2]
        grid = Grid(width, height)
        for (row, column), (kind, colour) in zip(
            np.ndindex(height, width), room.reshape(-1, 2).tolist(), strict=True
        ):
            if kind == TYPES["door"]:
                is_here = (row, column) == tuple(pose[:2])
                grid.set(column, row, Door(names[colour], is_open=is_here))
            elif kind != EMPTY:
                grid.set(column, row, makers[kind](names[colour]))
        from types import SimpleNamespace

        from minigrid.minigrid_env import MiniGridEnv

        env = SimpleNamespace(
            agent_pos=(int(pose[1]), int(pose[0])), agent_dir=int(pose[2]), agent_view_size=size,
            see_through_walls=False, carrying=None, grid=grid,
        )  # fmt: skip
        env.get_view_exts = lambda given=None: MiniGridEnv.get_view_exts(env, given)
        view, mask = MiniGridEnv.gen_obs_grid(env)
        return view.encode(mask).transpose(1, 0, 2)

    generator = np.random.default_rng(0)
    for room in draw_rooms(GRID_WORLDS[world], 3, generator):
        poses = list_poses(is_free(room[None])[0])
        poses = poses[generator.permutation(len(poses))[:40]]
        ours = egocentric_views(room[None].repeat(len(poses), 0), poses, size)
        theirs = np.stack([minigrids(room, pose) for pose in poses])
        assert (ours[:, -1, size // 2, 2] == poses[:, 2] + 1).all()  # MiniGrid's "direction"
        theirs[:, -1, size // 2, 2] = poses[:, 2] + 1
        np.testing.assert_array_equal(ours, theirs)


def test_faced_cell_is_the_one_ahead():
    rooms = ROOM.repeat(2, 0)
    faced = faced_cells(rooms, np.array([[1, 2, 0], [1, 1, 3]]))
    assert faced.tolist() == [[TYPES["ball"], COLOURS["red"]], [WALL, COLOURS["grey"]]]


@pytest.mark.parametrize("size", [0, 1, 4, -3, True, 7.0])
def test_view_that_has_no_middle_is_refused(size):
    with pytest.raises(LayoutError, match="odd number of cells"):
        egocentric_views(ROOM, np.array([[1, 1, 0]]), size)
