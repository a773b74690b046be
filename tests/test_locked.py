"""The requirements with hashes are those of constraints.txt."""

import re

from documents import ROOT

TEXT = (ROOT / "requirements-locked.txt").read_text()


def pins_of(text):
    return re.findall(r"^([\w.-]+)==([\w.!+-]+)", text, re.MULTILINE)


def test_the_versions_are_those_that_the_tests_run_on():
    wanted = pins_of((ROOT / "constraints.txt").read_text())
    assert len(wanted) > 100
    assert sorted(pins_of(TEXT)) == sorted(wanted), "run `make hashes`"


def test_each_package_has_hashes_and_nothing_else():
    lines = TEXT.replace(" \\\n", " ").splitlines()
    listed = [line for line in lines if not line.startswith("#")]
    one = r"[\w.-]+==[\w.!+-]+( +--hash=sha256:[0-9a-f]{64})+"
    assert [line for line in listed if not re.fullmatch(one, line)] == []


def test_no_index_is_named():
    assert "://" not in TEXT
    assert "index-url" not in TEXT
