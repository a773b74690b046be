import numpy as np
import pytest

from langrl.envs.grid.env import GridGoToEnv
from langrl.envs.grid.grammar import COLOURS, EMPTY, TYPES, WALL
from langrl.envs.maze.env import StreetMazeEnv
from langrl.envs.questions import ANSWERS, NO_ANSWER, grid_questions, maze_questions
from langrl.errors import DomainError, ShapeError


def room_with(*objects, size=6):
    """An empty room with objects (row, column, colour, type)."""
    room = np.zeros((size, size, 2), np.uint8)
    room[..., 0] = WALL
    room[1:-1, 1:-1, 0] = EMPTY
    for row, column, colour, kind in objects:
        room[row, column] = TYPES[kind], COLOURS[colour]
    return room


def test_objects_of_a_grid_world_answer_by_their_looks_and_place():
    questions = grid_questions(6)
    room = room_with((1, 1, "red", "key"), (4, 3, "grey", "box"))
    found = questions.labels([(1, 1), (4, 3)], room)
    said = [[questions.words(q, label) for label in row] for q, row in enumerate(found)]
    assert questions.names == ("colour", "type", "side", "half")
    assert said == [["red", "grey"], ["key", "box"], ["left", "right"], ["upper", "lower"]]
    assert found.dtype == np.int64


def test_a_cell_without_an_object_has_no_colour_and_no_type():
    found = grid_questions(6).labels([(2, 2), (0, 0)], room_with())
    np.testing.assert_array_equal(found[:2], NO_ANSWER)
    np.testing.assert_array_equal(found[2:], [[0, 0], [0, 0]])


def test_cells_of_a_maze_answer_by_halves_and_thirds():
    questions = maze_questions((10, 11))
    assert questions.names == ("side", "half", "row band", "column band")
    cells = [(0, 0), (4, 5), (5, 6), (9, 10)]
    np.testing.assert_array_equal(
        questions.labels(cells), [[0, 0, 1, 1], [0, 0, 1, 1], [0, 1, 1, 2], [0, 1, 1, 2]]
    )


@pytest.mark.parametrize("length", range(1, 20))
def test_every_answer_of_a_maze_is_one_there_is(length):
    questions = maze_questions((length, length))
    cells = np.argwhere(np.ones((length, length), bool))
    found = questions.labels(cells)
    assert found.min() == 0
    assert (found.max(1) < questions.sizes).all()
    if length > 4:
        assert (found.max(1) == np.array(questions.sizes) - 1).all()


def test_the_labels_of_no_cell_are_none():
    assert maze_questions((3, 3)).labels(np.zeros((0, 2), np.int64)).shape == (4, 0)


def test_environments_say_what_can_be_asked():
    assert StreetMazeEnv("blank").questions == maze_questions((10, 10))
    env = GridGoToEnv("rooms")
    env.reset(seed=0)
    assert env.questions == grid_questions(11)
    objects = np.argwhere(env.room[..., 0] >= min(TYPES.values()))
    found = env.questions.labels(objects, env.room)
    assert found.shape == (len(env.questions), len(objects))
    np.testing.assert_array_equal(found[0], env.room[*objects.T, 1])


@pytest.mark.parametrize(
    ("cells", "room", "says"),
    [
        ([(0, 0, 0)], None, r"\[M, 2\]"),
        ([(0.5, 0)], None, "whole numbers"),
        ([(0, 6)], room_with(), "outside the world"),
        ([(-1, 0)], room_with(), "outside the world"),
        ([(1, 1)], None, "need the room"),
        ([(1, 1)], room_with(size=5), r"\[6, 6, 2\], got \[5, 5, 2\]"),
    ],
)
def test_wrong_cells_are_refused(cells, room, says):
    with pytest.raises(ShapeError, match=says):
        grid_questions(6).labels(cells, room)


@pytest.mark.parametrize("question", [(-1, 0), (4, 0), (0, 6), (2, -1)])
def test_words_of_no_answer_are_refused(question):
    with pytest.raises(DomainError):
        grid_questions(6).words(*question)


def test_labels_of_colours_and_types_are_minigrids():
    assert [COLOURS[name] for name in ANSWERS["colour"]] == list(range(6))
    assert [TYPES[name] - 4 for name in ANSWERS["type"]] == list(range(4))
