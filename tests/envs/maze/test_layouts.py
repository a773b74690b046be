from collections import deque
from pathlib import Path

import numpy as np
import pytest

from langrl.envs.maze.layouts import LAYOUTS, MAX_SIDE, Layout, load_layout, parse_layout
from langrl.errors import LangRLError, LayoutError, UnknownNameError

every_layout = pytest.mark.parametrize("name", LAYOUTS)

COURTYARD = "..#..\n.##..\n.....\n##.#.\n....."


def published_walls():
    """The walls as the table in theory.md words them."""
    walls = {
        "blank": np.zeros((10, 10), bool),
        "fork": np.zeros((15, 15), bool),
        "island": np.zeros((11, 11), bool),
        "slit": np.zeros((11, 11), bool),
        "blocker": np.zeros((11, 11), bool),
    }
    walls["fork"][[1, 3, 5, 7, 9, 11, 13], 0:10] = True
    walls["island"][3:8, 5:7] = True
    walls["slit"][:, 5] = True
    walls["slit"][5, 5] = False
    walls["blocker"][3, 0:10] = True
    return walls


def breadth_first(walls, start):
    distances, queue = {start: 0}, deque([start])
    while queue:
        row, column = queue.popleft()
        for there in [(row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)]:
            inside = 0 <= there[0] < walls.shape[0] and 0 <= there[1] < walls.shape[1]
            if inside and not walls[there] and there not in distances:
                distances[there] = distances[row, column] + 1
                queue.append(there)
    return distances


@every_layout
def test_published_layout_has_the_walls_of_the_table(name):
    np.testing.assert_array_equal(load_layout(name).walls, published_walls()[name])


def test_every_published_layout_is_in_the_table():
    assert set(LAYOUTS) == set(published_walls())


@pytest.mark.parametrize(
    ("name", "shape", "walls"),
    [
        ("blank", (10, 10), 0),
        ("fork", (15, 15), 70),
        ("island", (11, 11), 10),
        ("slit", (11, 11), 10),
        ("blocker", (11, 11), 10),
    ],
)
def test_published_layout_has_its_size_and_number_of_walls(name, shape, walls):
    layout = load_layout(name)
    assert layout.walls.shape == shape
    assert layout.walls.sum() == walls
    assert len(layout.free_cells) == shape[0] * shape[1] - walls


def test_cells_of_a_hand_written_map():
    layout = load_layout("#.\n..")
    np.testing.assert_array_equal(layout.walls, [[True, False], [False, False]])
    np.testing.assert_array_equal(layout.free_cells, [[0, 1], [1, 0], [1, 1]])
    np.testing.assert_array_equal(layout.cell_index, [[-1, 0], [1, 2]])
    np.testing.assert_array_equal(layout.distances, [[0, 2, 1], [2, 0, 1], [1, 1, 0]])


@pytest.mark.parametrize("source", [*LAYOUTS, COURTYARD])
def test_distances_are_those_of_breadth_first_search(source):
    layout = load_layout(source)
    for number, start in enumerate(map(tuple, layout.free_cells)):
        expected = breadth_first(layout.walls, start)
        found = {
            tuple(cell): layout.distances[number, i] for i, cell in enumerate(layout.free_cells)
        }
        assert found == expected


@pytest.mark.parametrize("source", [*LAYOUTS, COURTYARD])
def test_next_cell_is_a_neighbour_one_step_nearer_to_the_goal(source):
    layout = load_layout(source)
    count = len(layout.free_cells)
    goals, starts = np.nonzero(~np.eye(count, dtype=bool))
    after = layout.next_cells[goals, starts]
    steps = np.abs(layout.free_cells[starts] - layout.free_cells[after]).sum(1)
    np.testing.assert_array_equal(steps, 1)
    np.testing.assert_array_equal(
        layout.distances[goals, after], layout.distances[goals, starts] - 1
    )


@every_layout
def test_layout_survives_as_text_file_name_and_object(name, tmp_path):
    layout = load_layout(name)
    path = tmp_path / "maze.txt"
    path.write_text(layout.text + "\n")
    for source in (layout, layout.text, path, str(path)):
        assert load_layout(source) == layout
        assert hash(load_layout(source)) == hash(layout)
        assert load_layout(source).text == layout.text


def test_layouts_with_other_walls_or_another_shape_differ():
    layout = load_layout("..\n..")
    assert layout != load_layout("..\n.#")
    assert layout != load_layout("....")
    assert layout != "..\n.."


def test_one_line_is_a_map_too():
    assert load_layout("...").walls.shape == (1, 3)


@pytest.mark.parametrize("text", ["..\r\n.#\r\n", "\n\n  ..\n  .#\n", "..\n.#\n\n\n"])
def test_line_ends_and_surrounding_blanks_do_not_matter(text):
    assert load_layout(text) == Layout(np.array([[False, False], [False, True]]))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("...\n..\n...", "ragged: row 1 has 2 cells and row 0 has 3"),
        ("...\n\n...", "ragged: row 1 has 0 cells"),
        ("", "is empty"),
        (" \n \n", "is empty"),
        ("##\n##", "no free cell"),
        ("##\n#.", "single free cell"),
        (".", "single free cell"),
        ("..#\n###\n..#", "unreachable parts.* row 2, column 0"),
        (".#\n#.", "unreachable parts.* row 1, column 1"),
        ("..\n.x", "'x' in row 1"),
        ("..\n01", "'0' in row 1"),
        ("..\n. ..", "ragged"),
        ("\n".join(["." * (MAX_SIDE + 1)] * 2), "too large.* 64"),
        ("\n".join([".."] * (MAX_SIDE + 1)), "too large.* 64"),
    ],
)
def test_unusable_map_is_refused_and_the_repair_named(text, problem, tmp_path):
    with pytest.raises(LayoutError, match=f"^the layout .*{problem}") as caught:
        load_layout(text)
    assert len(str(caught.value)) < 250
    path = tmp_path / "maze.txt"
    path.write_text(text)
    with pytest.raises(LayoutError, match=problem) as caught:
        load_layout(path)
    assert str(caught.value).startswith(f"layout file {path}")


@pytest.mark.parametrize("convert", [str, Path])
def test_missing_file_is_named(convert, tmp_path):
    path = tmp_path / "nowhere.txt"
    with pytest.raises(LayoutError, match="no layout file") as caught:
        load_layout(convert(path))
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", [b"..\n.\xff", b"\x00\x01\x02"])
def test_file_that_is_no_map_is_refused_by_name(content, tmp_path):
    path = tmp_path / "maze.txt"
    path.write_bytes(content)
    with pytest.raises(LayoutError, match=r"maze\.txt"):
        load_layout(path)


def test_folder_is_no_layout(tmp_path):
    with pytest.raises(LayoutError):
        load_layout(tmp_path)


def test_unknown_name_suggests_the_closest_one():
    with pytest.raises(UnknownNameError, match="no layout named 'forkk'; did you mean 'fork'"):
        load_layout("forkk")


def test_unknown_name_that_is_close_to_none_lists_them_all():
    with pytest.raises(UnknownNameError) as caught:
        load_layout("xyzzy")
    assert all(name in str(caught.value) for name in LAYOUTS)


@pytest.mark.parametrize("source", ["x" * 300, "nul\0byte"], ids=["long", "nul"])
def test_text_that_cannot_be_a_path_is_an_error_of_ours(source):
    with pytest.raises(LangRLError):
        load_layout(source)


@pytest.mark.parametrize("char", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028"])
def test_only_ends_of_lines_end_a_row(char):
    with pytest.raises(LayoutError, match="in row 0; use only '#'"):
        parse_layout(f"..{char}..\n.....", "a map")
    assert parse_layout("..\r\n#.\r\n", "a map").walls.tolist() == [[0, 0], [1, 0]]
