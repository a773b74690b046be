"""Playgrounds whose agents know what texts denote, so that they are made in no time."""

import pytest
from chromium import Chromium, find_chromium
from playing import grid_playground, maze_playground, serving
from visiting import Visit

from langrl.play.session import Session


@pytest.fixture
def maze():
    return maze_playground()


@pytest.fixture
def grid():
    return grid_playground()


@pytest.fixture
def session(maze):
    return Session(maze)


@pytest.fixture
def served():
    """A function that serves a playground in a thread, and returns its address."""
    stops = []

    def serve(playground, **options):
        address, stop = serving(playground, **options)
        stops.append(stop)
        return address

    yield serve
    for stop in stops:
        stop()


@pytest.fixture
def visit(served, tmp_path):
    """A function that opens a playground's page; nothing is asked of others, nothing complains."""
    with Chromium(find_chromium(), tmp_path / "profile") as browser:
        visits = []

        def open_page(playground):
            visits.append(Visit(browser, served(playground)))
            return visits[-1]

        yield open_page
        (visit,) = visits
        foreign = [url for url in browser.requests if not url.startswith(visit.address)]
        assert foreign == []
        assert browser.complaints == []
