import json
import math

from langrl.training.logs import console, print_table, progress, write_results


def test_results_are_json_with_null_for_what_is_not_a_number(tmp_path):
    path = write_results(
        tmp_path / "new", "langrl x", {"a": 1}, [{"sem": math.nan}], extra=[math.inf]
    )
    results = json.loads(path.read_text())
    assert results["rows"] == [{"sem": None}]
    assert results["extra"] == [None]
    assert results["command"] == "langrl x"
    assert {"python", "langrl", "torch", "numpy", "gymnasium"} == set(results["versions"])


def test_a_table_shows_each_column_and_a_dash_for_what_is_missing():
    with console.capture() as capture:
        print_table("title", [{"a": 0.5, "b": None}, {"a": 123.456, "b": "x"}], ("a", "b"))
    shown = capture.get()
    assert "0.500" in shown
    assert "123" in shown
    assert "-" in shown


def test_progress_without_a_terminal_says_rate_and_time_left():
    with console.capture() as capture, progress("walk", 10) as bar:
        for step in range(1, 11):
            bar.update(step)
    assert "walk: 10/10" in capture.get()
    assert "s left" in capture.get()
