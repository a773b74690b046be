import pytest
from rich.progress import Progress

from langrl.training import logs
from langrl.training.logs import Bar, console, progress


@pytest.fixture
def bar_at(monkeypatch):
    """A function that reports progress after some seconds, and returns the line."""

    def line(done, total, seconds, first=0, unit="episodes", estimate_from=0.0):
        bars = Progress(console=console, disable=True)
        bar = Bar(bars, "walk", total, first, estimate_from)
        monkeypatch.setattr(type(bars.tasks[0]), "elapsed", property(lambda _: seconds))
        with console.capture() as capture:
            bar.update(done, unit)
        return capture.get().strip()

    return line


@pytest.mark.parametrize(
    ("done", "seconds", "line"),
    [
        (0, 20.0, "walk: 0/100"),
        (5, 20.0, "walk: 5/100, 4.0 s/episode, 380 s left"),
        (20, 20.0, "walk: 20/100, 1 episodes/s, 80 s left"),
        (40, 20.0, "walk: 40/100, 2 episodes/s, 60 s left".replace("60 s", "30 s")),
        (100, 200.0, "walk: 100/100, 2.0 s/episode, 0 s left"),
    ],
)
def test_a_line_has_a_rate_and_an_estimate_once_there_is_one(bar_at, done, seconds, line):
    assert bar_at(done, 100, seconds) == line


def test_what_was_done_before_a_resume_counts_in_no_rate(bar_at):
    assert bar_at(90, 100, 20.0, first=90) == "walk: 90/100"
    assert bar_at(95, 100, 20.0, first=90) == "walk: 95/100, 4.0 s/episode, 20 s left"


def test_the_first_of_many_that_are_done_side_by_side_give_no_estimate(bar_at):
    assert bar_at(19, 100, 20.0, estimate_from=0.2) == "walk: 19/100"
    assert bar_at(20, 100, 20.0, estimate_from=0.2) == "walk: 20/100, 1 episodes/s, 80 s left"
    assert bar_at(91, 100, 20.0, first=90, estimate_from=0.2) == "walk: 91/100"


def test_no_time_at_all_gives_no_rate(bar_at):
    assert bar_at(100, 100, 0.0) == "walk: 100/100, 0 s left"


def test_a_line_before_anything_is_done_has_no_estimate(monkeypatch):
    monkeypatch.setattr(logs, "_REPORT_EVERY", -1.0)
    with console.capture() as capture, progress("walk", 10) as bar:
        bar.update(0, "episodes")
    assert capture.get().strip() == "walk: 0/10"
