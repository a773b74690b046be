"""Playgrounds whose agents know what texts denote, so that they are made in no time."""

import pytest
from playing import grid_playground, maze_playground, serving

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
