import numpy as np
import pytest
from drawn_outcomes import draw_outcomes, write_cell

from langrl.benchmark.results import load_results
from langrl.benchmark.tables import (
    LEADERBOARD,
    breakdown,
    compare,
    leaderboard,
    print_rows,
    profiles,
)
from langrl.errors import ResultsError, UnknownNameError
from langrl.evaluation.intervals import AGGREGATES, Interval
from langrl.training.logs import console

SKILLS = {"best": 1.0, "good": 0.8, "poor": 0.2}
R = 200


def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    for number, (entrant, skill) in enumerate(SKILLS.items()):
        for seed in range(2):
            for world in ("street-fork", "grid-goto"):
                drawn = draw_outcomes(10 * number + seed, skill, price=0.1)
                write_cell(folder, entrant, world, seed, drawn)
    for world in ("street-fork", "grid-goto"):
        more = {"role": "reference"}
        write_cell(folder, "oracle", world, 0, draw_outcomes(99, 1.0), **more)
    return load_results(folder)


def test_the_leaderboard_has_a_row_for_each_entrant_the_best_first(results):
    rows = leaderboard(results, rng(), resamples=R)
    assert [row["entrant"] for row in rows][2:] == ["good", "poor"]
    assert {row["entrant"]: row["seeds"] for row in rows} == {
        "best": 2, "good": 2, "poor": 2, "oracle": 1,
    }  # fmt: skip
    for row in rows:
        assert (row["worlds"], row["tasks"]) == (2, 96)
        assert row["role"] == ("reference" if row["entrant"] == "oracle" else "method")
        for name in (*AGGREGATES, *LEADERBOARD):
            interval = row[name]
            if name in ("help_rate", "correct_help_rate", "ask_f1") and row["seeds"] == 1:
                assert interval is None  # nothing could be asked
            else:
                assert isinstance(interval, Interval), name
                assert interval.low <= interval.value <= interval.high, name


def test_the_leaderboard_has_the_metrics_that_are_asked_for(results):
    row = leaderboard(results, rng(), ["ceiling"], R)[0]
    assert "ceiling" in row
    assert "success" not in row
    with pytest.raises(UnknownNameError, match="no metric named 'sucess'; did you mean 'success'"):
        leaderboard(results, rng(), ["sucess"], R)


def test_the_parts_of_a_breakdown_make_up_the_whole(results):
    rows = [
        row for row in breakdown(results, "bits", rng(), resamples=R) if row["entrant"] == "good"
    ]
    assert [row["bits"] for row in rows] == [0, 1, 2, 3, 4]
    assert [row["tasks"] for row in rows] == [48, 12, 12, 12, 12]
    whole = leaderboard(results.only("good"), rng(), resamples=R)[0]
    for name in ("success", "intended", "regret"):
        parts = np.average(
            [row[name].value for row in rows], weights=[row["tasks"] for row in rows]
        )
        assert parts == pytest.approx(whole[name].value)
    assert rows[0]["ambdif"] is None
    assert rows[1]["ambdif"].value == 1


@pytest.mark.parametrize(
    ("by", "labels"),
    [
        ("world", ["grid-goto", "street-fork"]),
        ("price", [0.1, None]),
        ("mode", ["any", "hidden"]),
        ("phrasing", ["held_out", "noisy", "seen"]),
        ("kind", ["colour", "object"]),
    ],
)
def test_results_are_broken_down_by_columns(results, by, labels):
    rows = breakdown(results.only("good"), by, rng(), ["success", "utility"], R)
    assert [row[by] for row in rows] == labels
    counts = [row["tasks"] for row in rows]
    assert sum(counts) == (192 if by == "world" else 96) / (2 if by == "world" else 1)


def test_a_breakdown_by_price_has_utility_where_there_is_one(results):
    priced, free = breakdown(results.only("good"), "price", rng(), ["success", "utility"], R)
    assert priced["utility"] is not None
    assert priced["success"] is None  # nothing is asked where any intent will do
    assert free["utility"] is None
    assert free["success"] is not None


def test_results_are_broken_down_by_known_columns(results):
    with pytest.raises(UnknownNameError, match="did you mean 'bits'"):
        breakdown(results, "bit", rng())


def test_profiles_fall_and_lie_within_their_limits(results):
    found = profiles(results, np.linspace(-0.1, 1.5, 9), rng(), R)
    assert set(found) == {*SKILLS, "oracle"}
    for value, low, high in found.values():
        assert (np.diff(value) <= 0).all()
        assert value[0] == 1
        assert (low <= value + 1e-9).all()
        assert (value <= high + 1e-9).all()
    assert found["best"][0][4] >= found["poor"][0][4]


def test_two_entrants_are_compared_over_the_same_tasks(results):
    (row,) = compare(results.only("good"), results.only("poor"), rng(), resamples=R)
    assert (row["entrant"], row["other"]) == ("good", "poor")
    assert (row["worlds"], row["tasks"]) == (2, 96)
    assert row["improvement"].value == 1
    assert row["success"].low > 0.1
    assert row["regret"].high < 0.1
    (back,) = compare(results.only("poor"), results.only("good"), rng(), resamples=R)
    assert back["success"].value == pytest.approx(-row["success"].value)


def test_entrants_of_the_same_name_are_compared(results):
    rows = compare(results, results, rng(), ["success"], R)
    assert [row["entrant"] for row in rows] == ["best", "good", "oracle", "poor"]
    for row in rows:
        assert row["improvement"].value == 0.5
        assert row["success"].low <= 0 <= row["success"].high


def test_only_tasks_that_both_have_are_compared(results, tmp_path):
    write_cell(tmp_path, "poor", "street-fork", 0, draw_outcomes(0, 0.2, pairs=5))
    fewer = load_results(tmp_path)
    (row,) = compare(results.only("good"), fewer, rng(), resamples=R)
    assert (row["worlds"], row["tasks"]) == (1, 20)
    assert row["ask_f1"] is None


def test_what_has_nothing_in_common_is_not_compared(results, tmp_path):
    other = draw_outcomes(0)
    other = type(other).from_json(other.to_json() | {"task": [f"x{n}" for n in range(len(other))]})
    write_cell(tmp_path, "poor", "street-fork", 0, other)
    with pytest.raises(ResultsError, match="good and poor have no task in common"):
        compare(results.only("good"), load_results(tmp_path), rng())
    write_cell(tmp_path / "b", "new", "street-fork", 0, draw_outcomes(0))
    with pytest.raises(ResultsError, match=r"no entrant has results in both \(best, .*and new\)"):
        compare(results, load_results(tmp_path / "b"), rng())


def test_tables_say_which_interval_each_is(results):
    rows = leaderboard(results, rng(), resamples=R)
    with console.capture() as captured:
        print_rows("leaderboard", rows, ["entrant", "success", "regret", "ask_f1"])
    text = captured.get()
    assert "w Wilson" in text
    # the lines of a cell may be broken
    assert "]w" in text.replace("\n", "")
    assert "oracle" in text
