import pytest

from langrl.training.result_cache import ResultCache

ROWS = [{"method": "oracle", "success": 1.0, "spl": None}]


def never():
    raise AssertionError("measured again")


def test_rows_are_measured_once(tmp_path):
    path = tmp_path / "runs" / "seed-0.jsonl"
    assert len(ResultCache(path, {"seed": 0})) == 0
    assert ResultCache(path, {"seed": 0}).rows("a room", lambda: ROWS) == ROWS
    record = ResultCache(path, {"seed": 0})
    assert len(record) == 1
    assert record.rows("a room", never) == ROWS


def test_rows_of_another_key_are_not_used(tmp_path):
    path = tmp_path / "seed-0.jsonl"
    ResultCache(path, {"episodes": 2}).rows("a room", lambda: ROWS)
    with pytest.raises(AssertionError, match="measured again"):
        ResultCache(path, {"episodes": 3}).rows("a room", never)
    assert ResultCache(path, {"episodes": 2}).rows("a room", never) == ROWS


def test_a_line_that_was_torn_by_a_kill_is_measured_again(tmp_path):
    path = tmp_path / "seed-0.jsonl"
    for label in ("one", "two"):
        ResultCache(path, 0).rows(label, lambda: ROWS)
    path.write_text(path.read_text()[:-20])
    record = ResultCache(path, 0)
    assert record.rows("one", never) == ROWS
    other = [{"method": "random"}]
    assert record.rows("two", lambda: other) == other
    assert ResultCache(path, 0).rows("two", never) == other


def test_rows_of_a_failure_are_not_kept(tmp_path):
    path = tmp_path / "seed-0.jsonl"
    with pytest.raises(AssertionError):
        ResultCache(path, 0).rows("one", never)
    assert len(ResultCache(path, 0)) == 0


def test_lines_of_something_else_are_passed_over(tmp_path):
    path = tmp_path / "seed-0.jsonl"
    path.write_text('[]\n3\n{"step": 1}\nhello\n')
    assert ResultCache(path, 0).rows("one", lambda: ROWS) == ROWS
    assert ResultCache(path, 0).rows("one", never) == ROWS
