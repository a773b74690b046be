from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest

from langrl.envs.maze.cells import CellFrame, cell_frame
from langrl.envs.maze.layouts import load_layout
from langrl.errors import LayoutError, ShapeError

ROWS = ("######", "#....#", "#.##.#", "#....#", "######")
MAP = [[int(cell == "#") for cell in row] for row in ROWS]


class Fake(gym.Env):
    def __init__(self, **parts):
        self.__dict__.update(parts)


def ogbench(cells=MAP, unit=4.0):
    """As OGBench has it: x is along columns and y along rows, cell (1, 1) is at the origin."""
    return Fake(
        maze_map=np.array(cells), ij_to_xy=lambda ij: (ij[1] * unit - unit, ij[0] * unit - unit)
    )


def robotics(cells=MAP, unit=2.0):
    """As gymnasium-robotics has it: the maze's centre is at the origin, and y points up."""
    height, width = len(cells) * unit, len(cells[0]) * unit
    return Fake(
        maze=SimpleNamespace(
            maze_map=cells,
            cell_rowcol_to_xy=lambda ij: np.array(
                [(ij[1] + 0.5) * unit - width / 2, height / 2 - (ij[0] + 0.5) * unit]
            ),
        )
    )


def test_cells_of_ogbench():
    frame = cell_frame(ogbench())
    assert frame.rows == ROWS
    assert (frame.columns, frame.scale, frame.offset) == ((1, 0), (0.25, 0.25), (1.5, 1.5))
    # In x and y: the centre of (1, 1), a corner of it, and (3, 4).
    assert frame.cells([[0, 0], [-1.9, 1.9], [12, 8]]).tolist() == [[1, 1], [1, 1], [3, 4]]


def test_cells_of_gymnasium_robotics():
    cells = [list(row) for row in MAP]
    cells[1][1], cells[3][4] = "r", "g"  # where episodes start and end: free
    frame = cell_frame(robotics(cells))
    assert frame.rows == ROWS
    assert (frame.columns, frame.scale, frame.offset) == ((1, 0), (-0.5, 0.5), (2.5, 3.0))
    assert frame.cells([[-3, 2], [-3.9, 2.9], [3.9, -2.9]]).tolist() == [[1, 1], [1, 1], [3, 4]]


def test_cells_of_a_street_maze_are_those_of_its_positions():
    frame = cell_frame(gym.make("langrl/StreetMaze-Fork-v0"))
    assert frame.layout == load_layout("fork")
    positions = np.random.default_rng(0).uniform(0, 15, (500, 2)).astype(np.float32)
    cells = np.floor(positions).astype(int)
    free = ~frame.layout.walls[tuple(cells.T)]
    np.testing.assert_array_equal(frame.cells(positions)[free], cells[free])
    mask = np.stack([frame.grammar.mask(("row", 2))])
    assert frame.shortest_steps(np.array([[0.5, 14.5]]), mask) == [4]  # two cells of two steps


def test_a_place_in_a_wall_or_outside_is_in_the_nearest_free_cell():
    frame = cell_frame(ogbench())
    goals = [[-2.1, 0], [4.1, 2.5], [100, 100], [8, 5.9], [4, -50]]
    assert frame.cells(goals).tolist() == [[1, 1], [1, 2], [3, 4], [3, 3], [1, 2]]


def test_further_numbers_of_a_goal_do_not_matter():
    frame, goals = cell_frame(ogbench()), np.random.default_rng(0).uniform(0, 10, (50, 2))
    whole = np.concatenate([goals, np.full((50, 27), 7.0)], 1)
    np.testing.assert_array_equal(frame.cells(whole), frame.cells(goals))
    with pytest.raises(ShapeError, match=r"at least 2\] here, got \[50, 1\]"):
        frame.cells(goals[:, :1])


def test_steps_are_unknown_where_those_of_a_cell_are():
    frame = cell_frame(ogbench())
    assert np.isnan(frame.shortest_steps(np.zeros((2, 2)), np.ones((2, 5, 6), bool))).all()


def test_parts_that_only_a_teleport_joins_are_allowed():
    frame = CellFrame(("..#.", "..#."), steps_per_cell=1.0)
    masks = np.stack([frame.grammar.mask(("column", number)) for number in (3, 1)])
    steps = frame.shortest_steps(np.array([[0.5, 0.5], [1.5, 0.5]]), masks)
    assert np.isnan(steps[0])
    assert steps[1] == 1


def test_environments_without_cells_have_none():
    assert cell_frame(Fake()) is None
    assert cell_frame(Fake(maze_map=MAP)) is None
    assert cell_frame(Fake(maze="a maze", world="a world")) is None


@pytest.mark.parametrize(
    ("env", "says"),
    [
        (ogbench([[1, 1], [1, 1]]), "the maze's map has no free cell"),
        (robotics([[0, 0], [0]]), "ragged"),
        (Fake(maze_map=[], ij_to_xy=lambda ij: ij), "the maze's map is empty"),
        (
            Fake(maze_map=MAP, ij_to_xy=lambda ij: (ij[0] + ij[1], ij[0] - ij[1])),
            "do not run along x and y",
        ),
    ],
)
def test_maps_that_cannot_be_used_are_refused(env, says):
    with pytest.raises(LayoutError, match=says):
        cell_frame(env)


def test_frames_are_checked():
    with pytest.raises(ShapeError, match="no scale is 0"):
        CellFrame(ROWS, scale=(0.0, 1.0))
    with pytest.raises(LayoutError, match="only '#'"):
        CellFrame(("..x",))


@pytest.mark.parametrize("name", ["PointMaze_UMaze-v3", "PointMaze_Large_Diverse_GR-v3"])
def test_real_mazes_of_gymnasium_robotics(name):
    gym.register_envs(pytest.importorskip("gymnasium_robotics", reason='"langrl[robotics]"'))
    env = gym.make(name)
    frame, maze = cell_frame(env), env.unwrapped.maze
    for row, column in frame.layout.free_cells:
        centre = maze.cell_rowcol_to_xy(np.array([row, column]))
        assert frame.cells(centre[None]).tolist() == [[row, column]]
    for seed in range(20):
        seen, _ = env.reset(seed=seed)
        place = seen["achieved_goal"]
        assert frame.cells(place[None]).tolist() == [maze.cell_xy_to_rowcol(place).tolist()]
    env.close()


@pytest.mark.parametrize("name", ["pointmaze-medium-v0", "pointmaze-teleport-v0"])
def test_real_mazes_of_ogbench(name):
    gym.register_envs(pytest.importorskip("ogbench", reason='"langrl[ogbench]"'))
    env = gym.make(name)
    frame, maze = cell_frame(env), env.unwrapped
    for row, column in frame.layout.free_cells:
        centre = np.array(maze.ij_to_xy((row, column)))
        assert frame.cells(centre[None]).tolist() == [[row, column]]
    place = env.reset(seed=0)[0]
    assert frame.cells(place[None]).tolist() == [list(maze.xy_to_ij(place))]
    env.close()
