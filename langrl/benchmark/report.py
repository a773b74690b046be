"""The benchmark's report: ``report.html``, ``results.json``, and the Hub's ``.eval_results``."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from langrl.benchmark.hub import write_eval_results
from langrl.benchmark.markup import element, join
from langrl.benchmark.report_data import gather
from langrl.benchmark.report_sections import (
    LEADERBOARD_COLUMNS,
    Content,
    header,
    sections,
)
from langrl.benchmark.results import Results
from langrl.checkpoint import write_atomically
from langrl.evaluation.intervals import Interval
from langrl.play.pages import policy_hash, static_file
from langrl.training.logs import write_results

PAGE = "report.html"


def write_report(folder: Path, results: Results, command: str) -> Path:
    """Write the report of a run, and its numbers, into the run's folder.

    Beside ``report.html`` there are ``results.json``, which ``results_schema.json`` of this package
    describes, and ``.eval_results/ENTRANT.yaml``. The same results give the same files.

    Args:
        folder: of the run.
        results: in it; see ``langrl.benchmark.results.load_results``.
        command: that makes them.

    Returns:
        The path of the page.

    Raises:
        ResultsError: if an example of a cell is damaged.
    """
    content = gather(folder, results, command)
    write_atomically(folder / PAGE, render(content))
    _write_numbers(folder, content)
    measures = [column.name for column in LEADERBOARD_COLUMNS]
    notes = f"tasks {content.digest}; {command}"
    write_eval_results(folder, content.rows, measures, content.suite, notes)
    return folder / PAGE


def render(content: Content) -> str:
    """Return the report as one page of HTML, which asks for nothing else."""
    parts = sections(content)
    links = [element("li", element("a", title, href=f"#{name}")) for name, title, _ in parts]
    written = [
        element(
            "section", element("h2", title, id=f"{name}-title"), html, id=name,
            aria_labelledby=f"{name}-title",
        )
        for name, title, html in parts
    ]  # fmt: skip
    script = static_file("draw.js") + _file("script.js")
    return Template(_file("page.html")).substitute(
        title=join([content.suite]),
        style=static_file("theme.css") + _file("style.css"),
        script=script,
        script_hash=policy_hash(script),
        header=header(content),
        contents=element("nav", element("ul", links), aria_label="Contents"),
        sections="\n".join(written),
    )


def _write_numbers(folder: Path, content: Content) -> None:
    """Write ``results.json``."""
    config = {
        "suite": content.suite,
        "hash": content.digest,
        "profile": content.profile,
        "worlds": list(content.worlds),
    }
    by_bits, by_price = (
        _plain([row for rows in table.values() for row in rows])
        for table in (content.by_bits, content.by_price)
    )
    write_results(
        folder, content.command, config, _plain(content.rows),
        by_bits=by_bits, by_price=by_price, entrants=content.entrants,
    )  # fmt: skip


def _plain(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return rows whose intervals are objects of JSON."""
    return [
        {
            name: entry._asdict() if isinstance(entry, Interval) else entry
            for name, entry in row.items()
        }
        for row in rows
    ]


def _file(name: str) -> str:
    return files("langrl.benchmark").joinpath("report_page", name).read_text("utf-8")
