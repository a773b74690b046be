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
from langrl.evaluation.intervals import wilson
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
from langrl.plots.svg import to_svg

_BINS = 10


def drawn(figure: Figure, name: str, description: str, title: Any = None, below: Any = None) -> Html:
    """Return a figure with a title above and a sentence below."""
    return element(
        "figure",
        None if title is None else element("h3", title),
        Html(to_svg(figure, name, description)),
        None if below is None else element("figcaption", below),
    )


def bits_multiples(panels: Mapping[str, tuple[Sequence[Curve], Curve | None]]) -> Html:
    """Return success against ambiguity bits, a figure for each entrant."""
    figures = []
    for number, (entrant, (curves, ceiling)) in enumerate(panels.items()):
        said = "; ".join(f"{curve.name}: {_points(curve)}" for curve in curves)
        figure = success_by_bits_figure(curves, ceiling)
        description = f"Success of {entrant} by ambiguity bits. {said}"
        figures.append(drawn(figure, f"bits-{number}", description, entrant))
    return element("div", figures, class_="multiples")


def profile(curves: Sequence[Curve], others: Sequence[Curve], measure: str) -> Html:
    """Return the performance profiles of all entrants in one figure."""
    said = ", ".join(f"{curve.name} {_area(curve):.2f}" for curve in curves)
    description = f"Performance profiles; areas under the lines: {said}"
    return drawn(profiles_figure(curves, others, measure), "profiles", description)


def reliability_multiples(entrants: Mapping[str, tuple[Outcomes, float]]) -> Html:
    """Return a reliability diagram for each entrant, from its outcomes and calibration error."""
    figures = []
    for number, (entrant, (outcomes, error)) in enumerate(entrants.items()):
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
                f"Calibration error {error:.3f}, {int(bins['counts'].sum()):,} tasks",
            )
        )
    return element("div", figures, class_="multiples")


def asking_multiples(panels: Mapping[str, tuple[Sequence[Curve], Curve]]) -> Html:
    """Return utility against the price of a question, a figure for each agent that can ask."""
    figures = []
    for number, (agent, (curves, ceiling)) in enumerate(panels.items()):
        said = "; ".join(f"{curve.name}: {_points(curve)}" for curve in (*curves, ceiling))
        figure = asking_figure(curves, ceiling)
        description = f"Utility of {agent} by price of a question. {said}"
        figures.append(drawn(figure, f"asking-{number}", description, agent))
    return element("div", figures, class_="multiples")


def example_multiples(examples: Sequence[Example]) -> Html:
    """Return episodes: what was said, the world with what the agent believed, and what came."""
    return element(
        "div", [_example(number, one) for number, one in enumerate(examples)], class_="multiples"
    )


def _example(number: int, example: Example) -> Html:
    meant = example.intended is not None
    outcome = "success" if example.success else "failure"
    figure = _room(example) if example.layout is None else _maze(example)
    description = (
        f"An episode of {example.entrant} in {example.world}, told: {example.instruction};"
        f" {len(example.path) - 1} steps, {outcome}"
    )
    lines = [
        [
            element("b", outcome, class_="yes" if example.success else "no"),
            f" after {len(example.path) - 1} steps; {len(example.denoted)} intents are denoted",
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
    edges = np.linspace(0, 1, _BINS + 1)
    places = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, _BINS - 1)
    counts, said, hits = (
        np.bincount(places, weights, _BINS) for weights in (None, confidence, right)
    )
    low, high = wilson(hits, counts)
    with np.errstate(invalid="ignore"):
        means = {"confidence": said / counts, "accuracy": hits / counts}
    return {"edges": edges, "counts": counts, "low": low, "high": high, **means}


def _points(curve: Curve) -> str:
    pairs = zip(curve.x, curve.y, strict=True)
    return ", ".join(f"{x:g}: {y:.2f}" for x, y in pairs if not np.isnan(y))


def _area(curve: Curve) -> float:
    return float(np.trapezoid(curve.y, curve.x))
