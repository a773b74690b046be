"""What a release says of itself: one version, a citation, and a glossary of what runs write."""

import json
import re

import pytest
import yaml
from documents import ROOT

import langrl

GLOSSARY = (ROOT / "docs" / "reference" / "glossary.md").read_text()
NAMES = set(re.findall(r"`([^`]+)`", GLOSSARY))
LABELS = {"method", "world", "phrasing", "step", "fps", "seconds", "time"}


def test_the_citation_and_the_changelog_name_the_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == langrl.__version__
    latest = re.search(r"^## (\d\S*)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert latest is not None
    assert latest[1] == langrl.__version__


def test_the_citation_has_what_the_format_asks_for():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    for reference in citation["references"]:
        assert {"type", "title", "authors"} <= set(reference)


@pytest.mark.parametrize("name", ["maze", "grid", "partial"])
def test_the_glossary_explains_what_a_run_writes(small_run, name):
    folder = small_run(name)
    columns = {
        key for row in json.loads((folder / "results.json").read_text())["rows"] for key in row
    }
    metrics = {
        key.rsplit("/", 1)[-1]
        for line in (folder / "metrics.jsonl").read_text().splitlines()
        for key in json.loads(line)
    }
    said = NAMES | {f"{name}_sem" for name in NAMES} | LABELS
    assert not {re.sub(r"_\d+$", "", key) for key in columns | metrics} - said
