import pytest
from drawn_outcomes import draw_outcomes, write_cell

from langrl.benchmark.results import check_same_suite, load_results
from langrl.errors import ResultsError, UnknownNameError

DIGEST = "ab" * 32


def write_folder(folder):
    for entrant in ("mine", "oracle"):
        for seed in range(2):
            for world in ("street-fork", "grid-goto"):
                role = {"role": "reference"} if entrant == "oracle" else {}
                write_cell(folder, entrant, world, seed, draw_outcomes(seed), **role)
    return folder


def test_results_are_what_the_files_say(tmp_path):
    results = load_results(write_folder(tmp_path), DIGEST)
    assert (results.suite, results.digest) == ("langrl/AmbiguousInstructions-v1", DIGEST)
    assert results.entrants == ("mine", "oracle")
    assert results.worlds == ("grid-goto", "street-fork")
    assert (results.role("mine"), results.role("oracle")) == ("method", "reference")
    runs = results.runs("mine")
    assert sorted(runs) == [
        ("grid-goto", 0), ("grid-goto", 1), ("street-fork", 0), ("street-fork", 1),
    ]  # fmt: skip
    assert runs["grid-goto", 1].to_json() == draw_outcomes(1).to_json()
    cell = results.only("mine").cells[0]
    assert cell.about == {"train_seconds": 1.5, "versions": {"langrl": "0.3.0"}}
    assert cell.path == tmp_path / "cells/mine/grid-goto-seed-0.json"


def test_other_files_of_the_folder_are_left_alone(tmp_path):
    write_folder(tmp_path)
    (tmp_path / "results.json").write_text("{")
    (tmp_path / "cells/mine/.grid-goto-seed-9.json.writing").write_text("{")
    assert len(load_results(tmp_path).cells) == 8


def test_an_entrant_without_results_is_named(tmp_path):
    with pytest.raises(UnknownNameError, match=r"no entrant with results named 'orcale'.*'oracle'"):
        load_results(write_folder(tmp_path)).runs("orcale")


def test_a_folder_without_results_says_how_to_make_them(tmp_path):
    with pytest.raises(ResultsError, match=f"{tmp_path} has no results.*benchmark run --out"):
        load_results(tmp_path)


def test_results_of_another_suite_are_refused_with_both_files_and_hashes(tmp_path):
    write_folder(tmp_path)
    other = write_cell(tmp_path, "late", "grid-goto", 0, draw_outcomes(0), hash="cd" * 32)
    first = tmp_path / "cells/late/grid-goto-seed-0.json"
    second = tmp_path / "cells/mine/grid-goto-seed-0.json"
    with pytest.raises(ResultsError) as caught:
        load_results(tmp_path)
    assert other == first
    for part in (str(first), "cd" * 8, str(second), "ab" * 8):
        assert part in str(caught.value)


def test_results_of_another_version_of_langrl_are_refused(tmp_path):
    with pytest.raises(ResultsError, match=r"mine.grid-goto-seed-0.json is of tasks abab.*cdcd"):
        load_results(write_folder(tmp_path), "cd" * 32)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": "langrl-cell-0"}, "has schema 'langrl-cell-0', and this langrl reads"),
        ({"seed": "0"}, "seed is a whole number, got '0'"),
        ({"seed": True}, "seed is a whole number"),
        ({"seed": -1}, "seed is at least 0"),
        ({"agent": ""}, "agent is a text"),
        ({"world": None}, "world is a text"),
        ({"hash": 5}, "hash is a text"),
        ({"role": "hero"}, "role is one of: method, reference"),
        ({"role": ["method"]}, "role is one of"),
        ({"outcomes": {}}, "outcomes has no task"),
        ({"outcomes": [1]}, "outcomes is an object of columns"),
        ({"outcomes": {**draw_outcomes(0).to_json(), "steps": [1]}}, "steps has 1 entries"),
    ],
)
def test_a_file_with_wrong_entries_is_named(tmp_path, changes, message):
    path = write_cell(tmp_path, "mine", "grid-goto", 0, draw_outcomes(0), **changes)
    with pytest.raises(ResultsError, match=message) as caught:
        load_results(tmp_path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"seed": NaN}', b"[" * 100_000, b'{"a": 1e999}'],
)
def test_a_damaged_file_is_named(tmp_path, content):
    path = write_cell(tmp_path, "mine", "grid-goto", 0, draw_outcomes(0))
    path.write_bytes(content)
    with pytest.raises(ResultsError) as caught:
        load_results(tmp_path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    assert len(message) < len(str(path)) + 400


def test_a_file_that_was_cut_off_is_named(tmp_path):
    path = write_cell(tmp_path, "mine", "grid-goto", 0, draw_outcomes(0))
    path.write_text(path.read_text()[:-100])
    with pytest.raises(ResultsError, match=r"is damaged.*remove it and run the benchmark again"):
        load_results(tmp_path)


def test_a_folder_in_the_place_of_a_file_is_named(tmp_path):
    (tmp_path / "cells/mine/grid-goto-seed-0.json").mkdir(parents=True)
    with pytest.raises(ResultsError, match=r"seed-0.json cannot be read"):
        load_results(tmp_path)


def test_a_cell_without_tasks_is_refused(tmp_path):
    empty = {name: [] for name in draw_outcomes(0).to_json()}
    write_cell(tmp_path, "mine", "grid-goto", 0, draw_outcomes(0), outcomes=empty)
    with pytest.raises(ResultsError, match="its outcomes have no task"):
        load_results(tmp_path)


def test_two_files_of_one_cell_are_refused(tmp_path):
    path = write_cell(tmp_path, "mine", "grid-goto", 0, draw_outcomes(0))
    path.with_name("copy.json").write_text(path.read_text())
    with pytest.raises(ResultsError, match=r"copy.json are both of mine in grid-goto, seed 0"):
        load_results(tmp_path)


def test_results_of_two_suites_are_not_compared(tmp_path):
    first = load_results(write_folder(tmp_path / "a"))
    check_same_suite(first, load_results(write_folder(tmp_path / "b")))
    path = write_cell(tmp_path / "c", "mine", "grid-goto", 0, draw_outcomes(0), hash="cd" * 32)
    with pytest.raises(ResultsError, match=r"abab.*cdcd") as caught:
        check_same_suite(first, load_results(tmp_path / "c"))
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("column", ["nll", "steps"])
@pytest.mark.parametrize("number", [10**400, 1e300])
def test_numbers_that_are_too_large_are_refused(tmp_path, column, number):
    columns = draw_outcomes(0).to_json()
    columns[column][0] = number
    write_cell(tmp_path, "mine", "grid-goto", 0, draw_outcomes(0), outcomes=columns)
    with pytest.raises(ResultsError, match=f"outcomes: {column} has"):
        load_results(tmp_path)
