"""A small suite and a small profile, in the place of the benchmark's own."""

import pytest
from small_benchmark import NAME, PROFILE, small_suite

from langrl.benchmark import planning
from langrl.benchmark.profiles import PROFILES
from langrl.benchmark.suites import SUITES


@pytest.fixture(scope="session")
def drawn_suite():
    return small_suite()


@pytest.fixture
def small(monkeypatch, drawn_suite):
    """The small suite as the benchmark's own, and the profile "small"."""
    monkeypatch.setitem(SUITES, NAME, drawn_suite)
    monkeypatch.setattr(planning, "SUITE", NAME)
    monkeypatch.setitem(PROFILES, "small", PROFILE)
    return drawn_suite
