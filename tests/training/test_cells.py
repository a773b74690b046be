import json
import math
from dataclasses import dataclass
from pathlib import Path

import pytest
import small_cells
from small_cells import counted, draw_cells, draws, fails_without, fill_disk, read_lines

from langrl.errors import CellError
from langrl.settings import Settings
from langrl.training.cells import Cell, plain, run_cells, stored_result
from langrl.training.engines.local import LocalEngine

ONE = LocalEngine(1)


def times_computed(folder):
    return (folder / "computed.txt").read_text().splitlines()


def count_cell(folder, name, key=None):
    return Cell(counted, (folder, name), folder / f"{name}.json", name, key)


def test_each_result_is_in_its_file_with_the_label_of_the_cell(tmp_path):
    results = run_cells(draw_cells(tmp_path), ONE, "test")
    assert [result["seed"] for result in results] == [0, 1, 2, 3]
    assert results[2]["means"] == draws(2)["means"]
    stored = json.loads((tmp_path / "2.json").read_text())
    assert stored.pop("cell")["label"] == "seed 2"
    assert stored["means"] == results[2]["means"]
    assert math.isnan(stored["nan"])
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{n}.json" for n in range(4)]


def test_results_do_not_depend_on_the_number_of_workers(tmp_path):
    for workers in (1, 2):
        run_cells(draw_cells(tmp_path / str(workers)), LocalEngine(workers), "test")
    for seed in range(4):
        one, two = (tmp_path / workers / f"{seed}.json" for workers in "12")
        assert one.read_bytes() == two.read_bytes()


def test_stored_results_are_used_again_and_missing_ones_computed(tmp_path):
    cells = [count_cell(tmp_path, name) for name in "abc"]
    first = run_cells(cells[:2], ONE, "test")
    assert run_cells(cells, ONE, "test") == [*first, {"name": "c"}]
    assert times_computed(tmp_path) == ["a", "b", "c"]


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"cell": 3}', "\x00\x01"])
def test_a_damaged_file_is_computed_again(tmp_path, content):
    cell = count_cell(tmp_path, "a")
    cell.output.write_text(content)
    assert stored_result(cell) is None
    assert run_cells([cell], ONE, "test") == [{"name": "a"}] == [stored_result(cell)]


def test_a_file_of_other_arguments_or_of_another_function_is_computed_again(tmp_path):
    cell, more = (Cell(draws, (0, count), tmp_path / "0.json", "0") for count in (2, 3))
    run_cells([cell], ONE, "test")
    assert stored_result(more) is None
    assert len(run_cells([more], ONE, "test")[0]["means"]) == 3
    other = Cell(counted, (0, 3), tmp_path / "0.json", "0")
    assert stored_result(other) is None


def test_a_key_says_what_the_result_depends_on(tmp_path):
    run_cells([count_cell(tmp_path, "a", {"seed": 0})], ONE, "test")
    run_cells([count_cell(tmp_path, "a", {"seed": 0})], ONE, "test")
    assert times_computed(tmp_path) == ["a"]
    run_cells([count_cell(tmp_path, "a", {"seed": 1})], ONE, "test")
    assert times_computed(tmp_path) == ["a", "a"]


def test_keys_are_read_from_paths_configs_and_dataclasses():
    class Config(Settings):
        path: Path = Path("a")

    @dataclass
    class Point:
        x: tuple[int, ...] = (1, 2)

    assert plain([Config(), Point(), {"a": None}]) == [{"path": "a"}, {"x": [1, 2]}, {"a": None}]
    with pytest.raises(TypeError, match="give it a key"):
        plain(object())


def test_failed_cells_are_named_after_the_others_are_done_and_computed_again(tmp_path):
    needed = tmp_path / "needed"
    failing = [Cell(fails_without, (needed,), tmp_path / f"{n}.json", f"number {n}") for n in "12"]
    cells = [*failing, count_cell(tmp_path, "c")]
    with pytest.raises(CellError, match=r"2 of 3 cells failed.*number 1: no .*needed; write it"):
        run_cells(cells, ONE, "test")
    assert not (tmp_path / "1.json").exists()
    assert "fails_without" in (tmp_path / "1.error.txt").read_text()
    needed.touch()
    assert run_cells(cells, ONE, "test") == [{"ok": True}, {"ok": True}, {"name": "c"}]
    assert not (tmp_path / "1.error.txt").exists()
    assert times_computed(tmp_path) == ["c"]


def test_a_full_disk_stops_the_others(tmp_path):
    cells = [Cell(fill_disk, (), tmp_path / "0.json", "0"), count_cell(tmp_path, "a")]
    with pytest.raises(OSError, match="No space left"):
        run_cells(cells, ONE, "test")
    assert not (tmp_path / "computed.txt").exists()


def test_a_file_that_a_cell_misses_stops_no_others(tmp_path):
    missing = Cell(read_lines, (tmp_path / "no.txt",), tmp_path / "0.json", "reading")
    with pytest.raises(CellError, match=r"1 of 2 .* reading: FileNotFoundError: .*no\.txt"):
        run_cells([missing, count_cell(tmp_path, "a")], ONE, "test")
    assert times_computed(tmp_path) == ["a"]


def test_two_cells_do_not_share_a_file(tmp_path):
    with pytest.raises(ValueError, match="same output"):
        run_cells(draw_cells(tmp_path, (1, 1)), ONE, "test")


def test_a_result_has_no_entry_of_the_cell(tmp_path, monkeypatch):
    cell = Cell(small_cells.stamped, (), tmp_path / "0.json", "0")
    with pytest.raises(CellError, match="no entry 'cell'"):
        run_cells([cell], ONE, "test")
