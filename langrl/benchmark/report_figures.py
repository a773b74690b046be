"""Figures of the benchmark's report, as HTML: each with a description for whoever cannot see it.

Axes: ``R`` rows, ``C`` columns, ``B`` bins, ``N`` tasks.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from langrl.benchmark.markup import Html, element
from langrl.benchmark.outcomes import Outcomes
from langrl.evaluation.ambiguity import BINS, calibration_bins
from langrl.evaluation.intervals import Interval, wilson
from langrl.plots.benchmark import (
    Curve,
    asking_figure,
    profiles_figure,
    reliability_figure,
    success_by_bits_figure,
)
from langrl.plots.svg import SERIES, to_svg

STRATEGIES = ("pays", "never", "always", "conformal")
Row = Mapping[str, Any]


def drawn(
    figure: Figure, name: str, description: str, title: Any = None, below: Any = None
) -> Html:
    """Return a figure with a title above and a sentence below."""
    return element(
        "figure",
        None if title is None else element("h3", title),
        Html(to_svg(figure, name, description)),
        None if below is None else element("figcaption", below),
    )


def bits_multiples(by_entrant: Mapping[str, Sequence[Row]]) -> Html:
    """Return success against ambiguity bits, a figure for each entrant."""
    figures = []
    for number, (entrant, rows) in enumerate(by_entrant.items()):
        named = (("hidden intent", "utility"), ("any denoted intent", "success"))
        curves = [_curve(name, rows, "bits", metric) for name, metric in named]
        ceiling = _curve("exact ceiling", rows, "bits", "ceiling")
        said = "; ".join(f"{curve.name}: {_points(curve)}" for curve in (*curves, ceiling))
        figure = success_by_bits_figure(curves, ceiling)
        description = f"Success of {entrant} by ambiguity bits. {said}"
        figures.append(drawn(figure, f"bits-{number}", description, entrant))
    return multiples(figures)


def profile_figure(curves: Sequence[Curve]) -> Html:
    """Return performance profiles in one figure; the first ones are told apart, as colours last."""
    first, others = curves[: len(SERIES)], curves[len(SERIES) :]
    said = ", ".join(f"{curve.name} {_area(curve):.2f}" for curve in curves)
    description = f"Performance profiles; areas under the lines: {said}"
    return drawn(profiles_figure(first, others, "score"), "profiles", description)


def reliability_multiples(
    by_entrant: Mapping[str, Outcomes], errors: Mapping[str, Interval | None]
) -> Html:
    """Return a reliability diagram of each entrant that says what it believes."""
    figures = []
    for number, (entrant, outcomes) in enumerate(by_entrant.items()):
        error = errors[entrant]
        if error is None:
            continue
        bins = _bins(outcomes)
        full = bins["counts"] > 0
        pairs = zip(bins["confidence"][full], bins["accuracy"][full], strict=True)
        said = ", ".join(f"{said:.2f}: {right:.2f}" for said, right in pairs)
        figures.append(
            drawn(
                reliability_figure(**bins),
                f"reliability-{number}",
                f"How often the most likely intent of {entrant} is right, by confidence: {said}",
                entrant,
                f"ECE {error.value:.3f} [{error.low:.3f}, {error.high:.3f}];"
                f" {int(bins['counts'].sum()):,} tasks",
            )
        )
    return multiples(figures)


def asking_multiples(by_entrant: Mapping[str, Sequence[Row]]) -> Html:
    """Return utility against the price of a question, a figure for each agent that can ask.

    Strategies of one agent are entrants whose names differ in their ends, which are STRATEGIES.
    """
    agents: dict[str, list[tuple[Curve, Curve]]] = {}
    for strategy in STRATEGIES:
        for entrant, rows in by_entrant.items():
            agent, _, end = entrant.rpartition("-")
            priced = [row for row in rows if not np.isnan(row["price"] or np.nan)]
            ceiling = _curve("exact ceiling", priced, "price", "ceiling")
            if end == strategy and len(ceiling.x):
                curve = _curve(strategy, priced, "price", "utility")
                agents.setdefault(agent, []).append((curve, ceiling))
    figures = []
    for number, (agent, pairs) in enumerate(agents.items()):
        curves, ceiling = [curve for curve, _ in pairs], pairs[0][1]
        said = "; ".join(f"{curve.name}: {_points(curve)}" for curve in (*curves, ceiling))
        description = f"Utility of {agent} by price of a question. {said}"
        figures.append(
            drawn(asking_figure(curves, ceiling), f"asking-{number}", description, agent)
        )
    return multiples(figures)


def multiples(figures: Sequence[Html]) -> Html:
    """Return figures side by side, as many as there is room for; nothing if there are none."""
    return element("div", figures, class_="multiples") if figures else Html()


def _curve(name: str, rows: Sequence[Row], by: str, metric: str) -> Curve:
    """Return the intervals of a metric as a curve; rows without one are left out."""
    known = sorted((row for row in rows if row[metric] is not None), key=lambda row: row[by])
    found = [(row[by], row[metric].value, row[metric].low, row[metric].high) for row in known]
    return Curve(name, *np.array(found, float).reshape(-1, 4).T)


def _bins(outcomes: Outcomes) -> dict[str, Any]:
    """Return what ``reliability_figure`` draws, from the tasks in which there is a confidence."""
    known = ~np.isnan(outcomes.confidence) & ~np.isnan(outcomes.right)
    confidence, right = outcomes.confidence[known], outcomes.right[known]
    places = calibration_bins(confidence)
    counts, said, hits = (
        np.bincount(places, weights, BINS) for weights in (None, confidence, right)
    )
    low, high = wilson(hits, counts)
    with np.errstate(invalid="ignore"):
        means = {"confidence": said / counts, "accuracy": hits / counts}
    return {
        "edges": np.linspace(0, 1, BINS + 1),
        "counts": counts,
        "low": low,
        "high": high,
        **means,
    }


def _points(curve: Curve) -> str:
    pairs = zip(curve.x, curve.y, strict=True)
    return ", ".join(f"{x:g}: {y:.2f}" for x, y in pairs if not np.isnan(y))


def _area(curve: Curve) -> float:
    return float(np.trapezoid(curve.y, curve.x))
