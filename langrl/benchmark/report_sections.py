"""The sections of the benchmark's report, each from numbers that are computed elsewhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langrl.benchmark.examples import Example
from langrl.benchmark.markup import Html, element
from langrl.benchmark.outcomes import Outcomes
from langrl.benchmark.report_figures import (
    asking_multiples,
    bits_multiples,
    example_multiples,
    profile,
    reliability_multiples,
)
from langrl.benchmark.report_tables import Column, anchor, number_table, text_table
from langrl.plots.benchmark import Curve

LEADERBOARD = (
    Column("intended", "Success, hidden intent", True,
           "Share of tasks in which the one intent that was meant is reached.", True),
    Column("success", "Success, any", True,
           "Share of tasks in which any denoted intent is reached, where each will do.", True),
    Column("spl", "SPL", True, "Success times shortest over own path length."),
    Column("utility", "Utility", True, "Success minus the price of the questions that were asked."),
    Column("regret", "Regret", False, "How far the utility is below the exact ceiling."),
    Column("nll", "NLL", False, "-log of the belief in what was meant, in nats."),
    Column("ece", "ECE", False, "Expected calibration error of the belief."),
)  # fmt: skip
AMBIGUITY = (
    Column("ambdif", "AmbDif", True,
           "Share of twins whose ambiguous member gets the larger set of intents."),
    Column("ask_f1", "Ask-F1", True,
           "Harmonic mean of precision and recall of asking where asking pays."),
    Column("help_rate", "Help rate", None, "Share of tasks in which the agent asks."),
    Column("correct_help_rate", "Correct help rate", True,
           "Share of tasks in which it asks if the task is ambiguous, and does not otherwise."),
    Column("coverage", "Coverage", None, "Share of tasks whose conformal set has what was meant."),
    Column("set_size", "Set size", False, "Mean number of intents in the conformal set."),
    Column("ssc", "SSC", True, "Intersection over union of the predicted and the denoted set."),
)  # fmt: skip
_KEY = (("var(--series-0)", "", "hidden intent"), ("var(--series-1)", "", "any denoted intent"),
        ("var(--ink)", "dashed", "exact ceiling, hidden intent"))  # fmt: skip


@dataclass(frozen=True)
class Content:
    """What a report says.

    Args:
        suite, digest: name of the suite, and the hash of its tasks.
        command: that made the folder.
        facts: short texts by name, for the head of the page.
        interval: in a sentence, how intervals were made.
        rows: of the leaderboard, best first: ``entrant``, ``role`` and ``Interval`` by measure.
        ambiguity: rows of the measures of ambiguity.
        by_bits: curves of an entrant by ambiguity bits, and the ceiling.
        profiles: curves that are told apart, and those drawn in grey.
        reliability: outcomes and calibration error of each entrant that has a belief.
        asking: curves of each agent that can ask, one a strategy, and the ceiling.
        examples: of episodes.
        entrants: how each entrant's numbers were made: ``entrant``, ``command``, ``versions``,
            ``cells``, ``train_seconds`` and ``episode_seconds``.
    """

    suite: str
    digest: str
    command: str
    facts: Mapping[str, str]
    interval: str
    rows: Sequence[Mapping[str, Any]]
    ambiguity: Sequence[Mapping[str, Any]]
    by_bits: Mapping[str, tuple[Sequence[Curve], Curve | None]]
    profiles: tuple[Sequence[Curve], Sequence[Curve]]
    reliability: Mapping[str, tuple[Outcomes, float]]
    asking: Mapping[str, tuple[Sequence[Curve], Curve]]
    examples: Sequence[Example]
    entrants: Sequence[Mapping[str, Any]]


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
        element("p", "Every number on this page is made by"),
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
        f"{content.interval} Bold: the best method. Italics: references, which know what no agent"
        " is told, or nothing. A heading sorts; a name leads to how the row was made."
    )
    return number_table(content.rows, LEADERBOARD, caption, "Leaderboard")


def _by_bits(content: Content) -> Html:
    if not content.by_bits:
        return Html()
    text = (
        "An instruction of b bits denotes 2 to the b intents. Where one of them was meant and no"
        " question may be asked, no agent can succeed more often than one in 2 to the b: the"
        " dashed line is the best that is possible. Bands are intervals of 95 %."
    )
    keys = [
        element("li", element("span", class_=kind or None, style=f"border-color: {colour}"), name)
        for colour, kind, name in _KEY
    ]
    key = element("ul", keys, class_="key", aria_label="Key")
    return Html(element("p", text) + key + bits_multiples(content.by_bits))


def _profiles(content: Content) -> Html:
    if not content.profiles[0]:
        return Html()
    text = (
        "The share of runs (a world and a seed each) whose utility is above a threshold: a line"
        " farther up and to the right is better. Bands are intervals of 95 %."
    )
    return Html(element("p", text) + profile(*content.profiles, "utility"))


def _reliability(content: Content) -> Html:
    if not content.reliability:
        return Html()
    text = (
        "How often the most likely intent is right, against how likely the agent takes it to be;"
        " dashed: calibrated. Lines at the points are Wilson intervals of 95 %; bars below are"
        " the share of tasks."
    )
    return Html(element("p", text) + reliability_multiples(content.reliability))


def _asking(content: Content) -> Html:
    if not content.asking:
        return Html()
    text = (
        "Utility is success minus what questions cost. The dashed line is the exact value of"
        " asking whenever it pays, computed by expectimax over the suite's questions."
    )
    return Html(element("p", text) + asking_multiples(content.asking))


def _ambiguity(content: Content) -> Html:
    names = [column.name for column in AMBIGUITY]
    rows = [row for row in content.ambiguity if any(row.get(name) is not None for name in names)]
    if not rows:
        return Html()
    caption = " ".join(f"{column.heading}: {column.meaning}" for column in AMBIGUITY)
    return number_table(rows, AMBIGUITY, caption, "Measures of ambiguity")


def _examples(content: Content) -> Html:
    if not content.examples:
        return Html()
    text = (
        "Mazes: the darker a cell, the more the agent believes it to be meant. Rooms: larger and"
        " brighter arrow heads are likelier goals. Green outlines are what the instruction"
        " denotes; a walk leads from the white circle to a star (success) or a cross (failure)."
    )
    return Html(element("p", text) + example_multiples(content.examples))


def _runs(content: Content) -> Html:
    headings = ("Entrant", "Command", "Versions", "Cells", "Training [s]", "Episode [ms]")
    rows = [
        (
            element("span", entry["entrant"], id=anchor(entry["entrant"])),
            element("code", entry["command"]),
            entry["versions"],
            entry["cells"],
            entry["train_seconds"],
            entry["episode_seconds"],
        )
        for entry in content.entrants
    ]
    return text_table(headings, rows, "How each entrant's numbers were made")
