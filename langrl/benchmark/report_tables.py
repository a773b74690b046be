"""Tables of the benchmark's report, as HTML."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_lowercase
from typing import Any

from langrl.benchmark.markup import Html, element
from langrl.evaluation.intervals import Interval


@dataclass(frozen=True)
class Column:
    """A column of numbers.

    Args:
        name: of the number in a row.
        heading: above the column.
        higher: whether a higher number is the better one; None where neither is.
        meaning: in a sentence.
        drawn: whether each number's interval is drawn beside it, on a line from 0 to 1.
    """

    name: str
    heading: str
    higher: bool | None
    meaning: str
    drawn: bool = False


def number_table(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[Column], caption: str, label: str
) -> Html:
    """Return a table of entrants, which can be sorted by each column of numbers.

    Args:
        rows: with ``entrant``, ``role``, and numbers by name: ``Interval``, float, or None where
            there is none.
        columns: of numbers.
        caption: below the table, one or more sentences.
        label: what the table is, for whoever does not see it.
    """
    shown = [column for column in columns if any(_value(row, column) is not None for row in rows)]
    best = {column.name: _best(rows, column) for column in shown}
    marks = _marks(rows, shown)
    body = [
        element(
            "tr",
            element("th", _entrant(row["entrant"]), scope="row"),
            [_cell(row, column, best[column.name], marks) for column in shown],
            class_="reference" if row["role"] == "reference" else None,
        )
        for row in rows
    ]
    head = element("tr", element("th", "Entrant", scope="col", class_="text"), _heads(shown))
    table = element("table", element("thead", head), element("tbody", body))
    methods = ", ".join(f"{mark}: {method}" for method, mark in marks.items())
    said = f"In brackets: intervals of 95 % ({methods}). {caption}"
    return Html(scrolled(table, label) + element("p", said, class_="note"))


def text_table(headings: Iterable[str], rows: Iterable[Sequence[Any]], label: str) -> Html:
    """Return a table of texts; each row's first entry is its heading."""
    head = element("tr", [element("th", text, scope="col", class_="text") for text in headings])
    body = [
        element(
            "tr",
            element("th", first, scope="row"),
            [element("td", text, class_="text") for text in rest],
        )
        for first, *rest in rows
    ]
    return scrolled(element("table", element("thead", head), element("tbody", body)), label)


def scrolled(table: Html, label: str) -> Html:
    """Return a table that scrolls within the page where the page is too narrow."""
    return element("div", table, class_="scroll", tabindex=0, role="region", aria_label=label)


def anchor(entrant: str) -> str:
    """Return the id of the place that says how an entrant's numbers were made."""
    return "run-" + "".join(c if c.isalnum() or c in "-_." else f"-{ord(c):x}-" for c in entrant)


def _heads(columns: Sequence[Column]) -> list[Html]:
    """Return the headings of columns of numbers, with a button that sorts by each."""
    heads = []
    for column in columns:
        arrow = {True: "↑", False: "↓", None: ""}[column.higher]
        button = element(
            "button", column.heading, element("span", arrow, class_="arrow", aria_hidden="true"),
            type="button", title=column.meaning,
        )  # fmt: skip
        heads.append(element("th", button, scope="col"))
    return heads


def _entrant(name: str) -> Html:
    return element("a", name, href=f"#{anchor(name)}")


def _value(row: Mapping[str, Any], column: Column) -> float | None:
    entry = row.get(column.name)
    value = entry.value if isinstance(entry, Interval) else entry
    return None if value is None or value != value else float(value)


def _best(rows: Sequence[Mapping[str, Any]], column: Column) -> float | None:
    """Return the best number of a column among methods."""
    values = [_value(row, column) for row in rows if row["role"] != "reference"]
    known = [value for value in values if value is not None]
    if column.higher is None or not known:
        return None
    return max(known) if column.higher else min(known)


def _marks(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> dict[str, str]:
    """Return a letter for each method of an interval."""
    entries = [row.get(column.name) for row in rows for column in columns]
    methods = sorted({entry.method for entry in entries if isinstance(entry, Interval)})
    return dict(zip(methods, ascii_lowercase, strict=False))


def _cell(
    row: Mapping[str, Any], column: Column, best: float | None, marks: Mapping[str, str]
) -> Html:
    value, entry = _value(row, column), row.get(column.name)
    if value is None:
        return element("td", element("span", "-", aria_label="not measured"))
    text: Any = f"{value:z.2f}"
    leads = best is not None and row["role"] != "reference" and text == f"{best:.2f}"
    content = [element("b", text) if leads else text]
    if isinstance(entry, Interval):
        limits = f"[{entry.low:z.2f}, {entry.high:z.2f}]"
        content.append(element("small", limits, element("sup", marks[entry.method])))
        if column.drawn:
            content.append(_drawn(entry))
    return element("td", content, data_value=f"{value:.6g}", class_="best" if leads else None)


def _drawn(interval: Interval) -> Html:
    """Return a drawing of an interval on a line from 0 to 1."""
    ends = (interval.value, interval.low, interval.high)
    at, low, high = (f"{100 * min(max(end, 0.0), 1.0):.1f}" for end in ends)
    flat = {"y1": 6, "y2": 6}
    return element(
        "svg",
        element("line", x1=0, x2=100, class_="scale", **flat),
        element("line", x1=low, x2=high, class_="range", **flat),
        element("circle", cx=at, cy=6, r=3.4),
        class_="interval", viewBox="-4 0 108 12", aria_hidden="true",
    )  # fmt: skip
