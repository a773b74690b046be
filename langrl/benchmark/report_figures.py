"""Figures of the benchmark's report, as HTML: each with a description for whoever cannot see it.

Axes: ``R`` rows, ``C`` columns, ``B`` bins, ``N`` tasks.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from langrl.benchmark.examples import Example
from langrl.benchmark.markup import Html, element
from langrl.benchmark.outcomes import Outcomes
from langrl.envs.grid.rendering import render_rooms
from langrl.envs.maze.layouts import parse_layout
from langrl.evaluation.ambiguity import BINS, calibration_bins
from langrl.evaluation.intervals import Interval, wilson
from langrl.plots.benchmark import (
    Curve,
    asking_figure,
    maze_example_figure,
    profiles_figure,
    reliability_figure,
    room_example_figure,
    success_by_bits_figure,
)
from langrl.plots.grid import PIXELS
from langrl.plots.maze import cell_mass
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
    return _multiples(figures)


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
    return _multiples(figures)


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
    return _multiples(figures)


def example_multiples(examples: Sequence[Example]) -> Html:
    """Return episodes: what was said, the world with what the agent believed, and what came."""
    return _multiples([_example(number, one) for number, one in enumerate(examples)])


def _multiples(figures: Sequence[Html]) -> Html:
    """Return figures side by side, as many as there is room for; nothing if there are none."""
    return element("div", figures, class_="multiples") if figures else Html()


def _curve(name: str, rows: Sequence[Row], by: str, metric: str) -> Curve:
    """Return the intervals of a metric as a curve; rows without one are left out."""
    known = sorted((row for row in rows if row[metric] is not None), key=lambda row: row[by])
    found = [(row[by], row[metric].value, row[metric].low, row[metric].high) for row in known]
    return Curve(name, *np.array(found, float).reshape(-1, 4).T)


def _example(number: int, example: Example) -> Html:
    meant = example.intended is not None
    outcome = "success" if example.success else "failure"
    figure = _room(example) if example.layout is None else _maze(example)
    description = (
        f"An episode of {example.entrant} in {example.world}, told: {example.instruction};"
        f" {outcome} after {len(example.path) - 1} steps"
    )
    steps = f"{len(example.path) - 1} step" + "s" * (len(example.path) != 2)
    lines = [
        [
            element("b", outcome, class_="yes" if example.success else "no"),
            f" after {steps}; {len(example.denoted)} intents are denoted",
            ", one was meant (ring)" if meant else ", each will do",
        ],
        *[f"asked: {answer}" for answer in example.answers],
        [example.entrant, " in ", example.world],
    ]
    return element(
        "figure",
        element("blockquote", f"“{example.instruction}”", dir="auto"),
        element("div", Html(to_svg(figure, f"example-{number}", description)), class_="world"),
        element("ul", [element("li", line) for line in lines]),
        class_="example",
    )


def _maze(example: Example) -> Figure:
    layout = parse_layout(example.layout or "", f"the example {example.task}")
    inside = (example.candidates < layout.walls.shape).all(1)
    goals, chances = example.candidates[inside], example.probabilities[inside]
    return maze_example_figure(
        layout.walls,
        heat=cell_mass(goals.astype(np.float32), chances, layout.walls.shape),
        denoted=_mask(example.denoted, layout.walls.shape),
        path=example.path,
        success=example.success,
        intended=example.intended,
    )


def _room(example: Example) -> Figure:
    assert example.room is not None
    return room_example_figure(
        render_rooms(example.room[None], pixels=PIXELS)[0],
        goals=example.candidates.astype(np.int64),
        probabilities=example.probabilities,
        denoted=_mask(example.denoted, example.room.shape[:2]),
        path=example.path.astype(np.int64),
        success=example.success,
        intended=example.intended,
    )


def _mask(cells: Any, shape: tuple[int, ...]) -> Any:
    """Return which cells of a world are among those listed, bool [R, C]."""
    mask = np.zeros(shape, bool)
    inside = cells[(cells < shape).all(1)]
    mask[tuple(inside.T)] = True
    return mask


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
