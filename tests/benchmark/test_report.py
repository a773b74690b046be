import json
import re
import shutil
from html.parser import HTMLParser
from importlib.resources import files

import jsonschema
import numpy as np
import pytest
import yaml
from benchmark_folder import HASH, SUITE, maze_example, room_example, write_cell, write_folder
from chromium import Chromium, find_chromium

from langrl.benchmark.report import write_report
from langrl.benchmark.report_data import choose_examples
from langrl.benchmark.report_tables import Column, number_table
from langrl.benchmark.results import load_results
from langrl.errors import ResultsError
from langrl.evaluation.intervals import WILSON, Interval

COMMAND = "langrl benchmark run --profile fast --out DIR"
EVIL = "<script>window.evil = 1</script><img src=//example.org/a.png onerror='evil = 1'> $x^$ ${y}"
ENTRANTS = ("oracle", "street-log_sum_exp", "posterior-never", "posterior-pays")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = write_folder(tmp_path_factory.mktemp("run"), ENTRANTS, seeds=1)
    shown = [maze_example(EVIL[:30], instruction=EVIL, success=True).to_json()]
    write_cell(out, EVIL[:20].replace("/", "-"), "street-fork", 0, agent=EVIL[:30], examples=shown)
    write_report(out, load_results(out), COMMAND)
    return out


class Page(HTMLParser):
    """Tags, ids and links of a page, and whether every tag is closed in order."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.references, self.open = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.tags.append((tag, given))
        self.ids += [given["id"]] if "id" in given else []
        self.references += [given[name] for name in ("href", "src") if name in given]
        if tag not in ("meta", "link", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        self.open.remove(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def page(folder):
    return Page((folder / "report.html").read_text("utf-8"))


def test_the_page_has_every_section(page):
    sections = [given["id"] for tag, given in page.tags if tag == "section"]
    assert sections == [
        "leaderboard", "bits", "profiles", "calibration", "asking", "ambiguity", "examples", "runs",
    ]  # fmt: skip
    assert not page.open


def test_ids_are_unique_and_every_reference_stays_in_the_page(page):
    assert len(set(page.ids)) == len(page.ids)
    for reference in page.references:
        assert reference.startswith("data:") or reference[1:] in page.ids, reference[:80]


def test_no_address_is_in_the_page(folder):
    text = (folder / "report.html").read_text("utf-8").replace("//example.org/a.png", "")
    assert "://" not in text
    assert not re.search(r"\b(www\.|[a-z]+\.(org|com|io|net)\b)", text)


def test_texts_that_are_not_trusted_are_texts(folder, page):
    assert sum(tag == "script" for tag, _ in page.tags) == 1
    assert not [tag for tag, _ in page.tags if tag == "img"]
    text = (folder / "report.html").read_text("utf-8")
    assert "&lt;script&gt;window.evil = 1&lt;/script&gt;" in text
    assert "${y}" in text


def test_every_figure_is_described_and_every_table_has_a_name(page):
    drawings = [
        given for tag, given in page.tags if tag in ("svg", "canvas") and "aria-hidden" not in given
    ]
    assert len(drawings) > 9
    assert all(given["role"] == "img" and len(given["aria-label"]) > 20 for given in drawings)
    regions = [given for tag, given in page.tags if given.get("role") == "region"]
    assert len(regions) == 3
    assert all(given["aria-label"] and given["tabindex"] == "0" for given in regions)


def test_a_loss_that_rounds_to_zero_has_no_sign():
    row = {"entrant": "mine", "role": "method", "regret": Interval(-0.001, -0.004, 0.002, WILSON)}
    column = Column("regret", "Regret", False, "what is lost")
    page = number_table([row], [column], "", "losses")
    assert "[0.00, 0.00]" in page
    assert ">-0.00" not in page


def test_each_entrant_leads_to_its_command(folder, page):
    text = (folder / "report.html").read_text("utf-8")
    for entrant in ENTRANTS:
        assert f'href="#run-{entrant}"' in text
        assert f"run-{entrant}" in page.ids
        assert f"langrl benchmark run --entrants {entrant}" in text


def test_the_same_results_give_the_same_files(folder, tmp_path):
    shutil.copytree(folder / "cells", tmp_path / "cells")
    write_report(tmp_path, load_results(tmp_path), COMMAND)
    for name in ("report.html", "results.json", ".eval_results/oracle.yaml"):
        assert (tmp_path / name).read_text("utf-8") == (folder / name).read_text("utf-8"), name


def test_results_follow_the_committed_schema(folder):
    schema = json.loads(files("langrl.benchmark").joinpath("results_schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    content = json.loads((folder / "results.json").read_text())
    jsonschema.validate(content, schema)
    assert content["config"] | {"worlds": []} == {
        "suite": SUITE, "hash": HASH, "profile": None, "worlds": [],
    }  # fmt: skip
    best = [row["iqm"]["value"] for row in content["rows"]]
    assert best == sorted(best, reverse=True)
    damaged = content | {"rows": [content["rows"][0] | {"success": 0.5}]}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(damaged, schema)


def test_the_hub_gets_the_numbers_of_the_leaderboard(folder):
    rows = json.loads((folder / "results.json").read_text())["rows"]
    entries = yaml.safe_load((folder / ".eval_results" / "posterior-pays.yaml").read_text())
    own = next(row for row in rows if row["entrant"] == "posterior-pays")
    assert entries[0]["dataset"] == {"id": SUITE, "task_id": "iqm"}
    assert {entry["dataset"]["task_id"]: entry["value"] for entry in entries} == {
        name: pytest.approx(own[name]["value"], abs=1e-6)
        for name in ("iqm", "intended", "success", "spl", "utility", "regret", "nll", "ece")
    }


def test_a_single_entrant_without_beliefs_or_questions_has_a_report(tmp_path):
    write_cell(tmp_path, "ppo-reads", "street-fork", 0)
    (tmp_path / "benchmark.json").write_text('{"profile": "smoke"}')
    text = write_report(tmp_path, load_results(tmp_path), COMMAND).read_text("utf-8")
    page = Page(text)
    assert [given["id"] for tag, given in page.tags if tag == "section"] == [
        "leaderboard", "bits", "profiles", "runs",
    ]  # fmt: skip
    assert "<dd>smoke</dd>" in text


def test_examples_are_of_the_best_entrants_and_of_every_world(tmp_path):
    both = [maze_example().to_json(), maze_example(success=True).to_json()]
    write_cell(tmp_path, "a", "street-fork", 0, examples=both * 4)
    write_cell(tmp_path, "b", "street-fork", 0, examples=both)
    write_cell(tmp_path, "b", "grid-goto", 0, examples=[room_example("b").to_json()])
    shown = choose_examples(load_results(tmp_path), ["a", "b"])
    assert [(one.world, one.success) for one in shown] == [
        ("grid-goto", True), ("street-fork", False), ("street-fork", True),
    ]  # fmt: skip


def test_a_damaged_example_is_named_by_its_file(tmp_path):
    path = write_cell(tmp_path, "a", "street-fork", 0, examples=[{"path": 1}])
    with pytest.raises(ResultsError, match=re.escape(f"{path} is damaged: an example lacks")):
        write_report(tmp_path, load_results(tmp_path), COMMAND)


def test_an_example_whose_cells_are_outside_the_world_is_drawn(tmp_path):
    far = {"denoted": [[90, 90]], "candidates": np.array([[80.5, 2.0]]), "probabilities": [1.0]}
    shown = [maze_example(**far).to_json()]
    write_cell(tmp_path, "a", "street-fork", 0, examples=shown)
    assert "“go to column 12”" in write_report(tmp_path, load_results(tmp_path), COMMAND).read_text(
        "utf-8"
    )


def test_the_page_asks_for_nothing_and_chromium_does_not_complain(folder, tmp_path):
    with Chromium(find_chromium(), tmp_path / "profile") as browser:
        backgrounds = set()
        for scheme in ("light", "dark"):
            for width in (390, 1280):
                browser.resize(width)
                browser.prefer(scheme)
                browser.open(folder / "report.html")
                assert browser.requests == [(folder / "report.html").as_uri()]
                assert browser.complaints == []
                assert browser.evaluate("document.documentElement.scrollWidth") == width
            backgrounds.add(browser.evaluate("getComputedStyle(document.body).backgroundColor"))
        assert len(backgrounds) == 2
        assert browser.evaluate("typeof evil") == "undefined"


def test_episodes_are_drawn_in_the_colours_that_the_reader_prefers(folder, tmp_path):
    seen = (
        "[...document.querySelectorAll('canvas')].map((canvas) => { const { data } ="
        " canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);"
        " return new Set(Array.from(new Uint32Array(data.buffer))).size; })"
    )
    with Chromium(find_chromium(), tmp_path / "profile") as browser:
        drawn = []
        for scheme in ("light", "dark"):
            browser.prefer(scheme)
            browser.open(folder / "report.html")
            colours = browser.evaluate(seen)
            assert colours
            assert min(colours) > 5
            first = "document.querySelector('canvas').toDataURL()"
            drawn.append(browser.evaluate(first))
        assert drawn[0] != drawn[1]


def test_a_heading_sorts_its_table(folder, tmp_path):
    values = (
        "[...document.querySelectorAll('#leaderboard tbody tr')]"
        ".map(row => parseFloat(row.children[2].dataset.value))"
    )
    press = "document.querySelectorAll('#leaderboard thead button')[1].click()"
    with Chromium(find_chromium(), tmp_path / "profile") as browser:
        browser.open(folder / "report.html")
        before = browser.evaluate(values)
        for falling in (True, False):
            browser.evaluate(press)
            after = browser.evaluate(values)
            assert after == sorted(before, reverse=falling)
        sorts = "document.querySelectorAll('#leaderboard th[aria-sort=ascending]').length"
        assert browser.evaluate(sorts) == 1
