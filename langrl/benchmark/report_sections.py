"""The sections of the benchmark's report, each from numbers that are computed elsewhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langrl.benchmark.examples import Example
from langrl.benchmark.markup import Html, element
from langrl.benchmark.outcomes import Outcomes
from langrl.benchmark.report_examples import example_multiples
from langrl.benchmark.report_figures import (
    asking_multiples,
    bits_multiples,
    profile_figure,
    reliability_multiples,
)
from langrl.benchmark.report_tables import Column, anchor, number_table, text_table
from langrl.evaluation.intervals import Interval
from langrl.plots.benchmark import Curve

Row = Mapping[str, Any]
LEADERBOARD_COLUMNS = (
    Column("iqm", "Score, IQM", True,
           "Interquartile mean over worlds, modes and seeds of the share of the ceiling.", True),
    Column("intended", "Success, hidden intent", True,
           "Share of tasks in which the one intent that was meant is reached."),
    Column("success", "Success, any", True,
           "Share of tasks in which a denoted intent is reached, where each will do."),
    Column("spl", "SPL", True,
           "Success weighted by shortest over own path length, where any intent will do."),
    Column("utility", "Utility", True,
           "Success minus the price of the questions that were asked, where one intent was meant."),
    Column("regret", "Regret", False, "How far the utility is below the exact ceiling."),
    Column("nll", "NLL", False, "-log of the belief in what was meant, in nats."),
    Column("ece", "ECE", False, "Expected calibration error of the belief, ten bins."),
)  # fmt: skip
AMBIGUITY_COLUMNS = (
    Column("ambdif", "AmbDif", True,
           "share of twins whose ambiguous task gets the larger set of intents"),
    Column("ask_f1", "Ask-F1", True,
           "harmonic mean of precision and recall of asking in the tasks where asking pays"),
    Column("help_rate", "Help rate", None, "share of tasks in which the agent asks"),
    Column("correct_help_rate", "Correct help rate", True,
           "share of tasks in which it asks if and only if the task is ambiguous"),
    Column("coverage", "Coverage", None, "share of conformal sets that have what was meant"),
    Column("set_size", "Set size", False, "mean number of intents in the conformal set"),
    Column("ssc", "SSC", True, "intersection over union of the predicted and the denoted set"),
)  # fmt: skip
_BITS_KEY = (("var(--series-0)", "", "hidden intent: success minus the price of questions"),
             ("var(--series-1)", "", "any denoted intent: success"),
             ("var(--ink)", "dashed", "exact ceiling, hidden intent"))  # fmt: skip


@dataclass(frozen=True)
class Content:
    """What a report says.

    Args:
        suite, digest: name of the suite, and the hash of its tasks.
        command: that made the folder.
        profile: of the run; None where the folder does not say.
        worlds: by name.
        facts: short texts by name, for the head of the page.
        rows: of the leaderboard, best first: ``entrant``, ``role``, ``Interval`` or None by metric.
        by_bits: the same by entrant and ambiguity, with ``bits``.
        by_price: the same by entrant and price, with ``price``; None where none may be asked.
        profiles: performance profiles, the best entrant first.
        believed: outcomes of each entrant in tasks with a hidden intent.
        examples: episodes.
        entrants: how each entrant's numbers were made: ``entrant``, ``command``, ``versions`` (a
            list of them by name), ``cells`` and ``train_seconds``.
    """

    suite: str
    digest: str
    command: str
    profile: str | None
    worlds: Sequence[str]
    facts: Mapping[str, str]
    rows: Sequence[Row]
    by_bits: Mapping[str, Sequence[Row]]
    by_price: Mapping[str, Sequence[Row]]
    profiles: Sequence[Curve]
    believed: Mapping[str, Outcomes]
    examples: Sequence[Example]
    entrants: Sequence[Row]


def intervals_used(rows: Sequence[Row]) -> str:
    """Return how the intervals of rows were made, in words."""
    methods = {
        entry.method for row in rows for entry in row.values() if isinstance(entry, Interval)
    }
    return f"intervals of 95 %: {', '.join(sorted(methods))}"


def header(content: Content) -> Html:
    """Return the head of the page: what was measured, on what, and by which command."""
    facts = [
        element("div", element("dt", name), element("dd", value))
        for name, value in content.facts.items()
    ]
    return element(
        "header",
        element("h1", "Acting on ambiguous instructions"),
        element(
            "p", element("b", content.suite), ", tasks ",
            element("span", content.digest[:16], class_="hash", title=content.digest),
            class_="subtitle",
        ),
        element("dl", facts, class_="facts"),
        element("p", "The numbers of this page are made by"),
        element("pre", element("code", content.command)),
    )  # fmt: skip


def sections(content: Content) -> list[tuple[str, str, Html]]:
    """Return the sections that there is something to say in: id, heading, and HTML."""
    made = [
        ("leaderboard", "Leaderboard", _leaderboard(content)),
        ("bits", "Success against ambiguity", _by_bits(content)),
        ("profiles", "Performance profiles", _profiles(content)),
        ("calibration", "Calibration", _reliability(content)),
        ("asking", "The cost of asking", _asking(content)),
        ("ambiguity", "Ambiguity noticed", _ambiguity(content)),
        ("examples", "Episodes", _examples(content)),
        ("runs", "How each number was made", _runs(content)),
    ]
    return [(name, heading, html) for name, heading, html in made if html]


def _leaderboard(content: Content) -> Html:
    caption = (
        "A score of 1 is the exact ceiling. Bold: the best method. Italics: references, which know"
        " the world and the grammar, or nothing. A heading sorts; a name leads to how its numbers"
        " were made."
    )
    return number_table(content.rows, LEADERBOARD_COLUMNS, caption, "Leaderboard")


def _by_bits(content: Content) -> Html:
    figures = bits_multiples(content.by_bits)
    if not figures:
        return Html()
    text = (
        "An instruction of b bits denotes 2 to the b intents; 4 and more bits are one level. Where"
        " one intent was meant and nothing may be asked, no agent can succeed more often than one"
        " time in 2 to the b. The dashed line is the best that is possible, questions included."
        f" Bands are {intervals_used([row for rows in content.by_bits.values() for row in rows])}."
    )
    keys = [
        element("li", element("span", class_=kind or None, style=f"border-color: {colour}"), name)
        for colour, kind, name in _BITS_KEY
    ]
    key = element("ul", keys, class_="key", aria_label="Key")
    return Html(element("p", text) + key + figures)


def _profiles(content: Content) -> Html:
    if not content.profiles:
        return Html()
    text = (
        "The share of runs (a world, a mode and a seed each) whose score is above a threshold; 1 is"
        " the exact ceiling. A line farther up and to the right is better. Bands are intervals of"
        " 95 %, of the bootstrap that the leaderboard's scores have."
    )
    return Html(element("p", text) + profile_figure(content.profiles))


def _reliability(content: Content) -> Html:
    errors = {row["entrant"]: row["ece"] for row in content.rows}
    figures = reliability_multiples(content.believed, errors)
    if not figures:
        return Html()
    text = (
        "How often the most likely intent is the one that was meant, against how likely the agent"
        " takes it to be; dashed: calibrated. Vertical lines are Wilson's intervals of 95 %; bars"
        " are the share of tasks."
    )
    return Html(element("p", text) + figures)


def _asking(content: Content) -> Html:
    figures = asking_multiples(content.by_price)
    if not figures:
        return Html()
    text = (
        "Utility is success minus what questions cost. The dashed line is the exact value of"
        " asking where it pays, by expectimax over the suite's questions. Bands are"
        f" {intervals_used([row for rows in content.by_price.values() for row in rows])}."
    )
    return Html(element("p", text) + figures)


def _ambiguity(content: Content) -> Html:
    names = [column.name for column in AMBIGUITY_COLUMNS]
    rows = [row for row in content.rows if any(row.get(name) is not None for name in names)]
    if not rows:
        return Html()
    meanings = "; ".join(f"{column.heading}: {column.meaning}" for column in AMBIGUITY_COLUMNS)
    return number_table(rows, AMBIGUITY_COLUMNS, f"{meanings}.", "Measures of ambiguity")


def _examples(content: Content) -> Html:
    if not content.examples:
        return Html()
    text = (
        "Mazes: the stronger the colour of a cell, the more the agent believes it to be meant."
        " Rooms: larger and stronger arrow heads are likelier goals. Green outlines are what the"
        " instruction denotes, a dashed ring is what was meant; a walk leads from the dot to a star"
        " (success) or a cross (failure)."
    )
    return Html(element("p", text) + example_multiples(content.examples))


def _runs(content: Content) -> Html:
    headings = ("Entrant", "Command", "Versions", "Cells", "Training [s]")
    rows = [
        (
            element("span", entry["entrant"], id=anchor(entry["entrant"])),
            element("code", entry["command"]),
            "; ".join(_listed(versions) for versions in entry["versions"]),
            entry["cells"],
            "-" if entry["train_seconds"] is None else f"{entry['train_seconds']:.0f}",
        )
        for entry in content.entrants
    ]
    table = text_table(headings, rows, "How each entrant's numbers were made")
    text = (
        "The file results.json beside this page has every number with its interval and its"
        " method; the cells, one for each entrant, world and seed, have each episode."
    )
    return Html(element("p", text) + table)


def _listed(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())
