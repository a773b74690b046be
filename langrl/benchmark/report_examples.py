"""Episodes in the benchmark's report, drawn by the script of the playground.

Axes: ``M`` candidates, ``R`` rows, ``C`` columns.
"""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from langrl.benchmark.examples import Example
from langrl.benchmark.markup import Html, element
from langrl.benchmark.report_figures import multiples
from langrl.envs.grid.things import things_in
from langrl.envs.maze.layouts import parse_layout


def example_multiples(examples: Sequence[Example]) -> Html:
    """Return episodes: what was said, the world with what the agent believed, and what came."""
    return multiples([_example(one) for one in examples])


def _example(example: Example) -> Html:
    meant = example.intended is not None
    outcome = "success" if example.success else "failure"
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
    view = json.dumps(view_of(example), separators=(",", ":"))
    return element(
        "figure",
        element("blockquote", f"\u201c{example.instruction}\u201d", dir="auto"),
        element("canvas", role="img", aria_label=description, data_view=view),
        element("ul", [element("li", line) for line in lines]),
        class_="example",
    )


def view_of(example: Example) -> dict[str, Any]:
    """Return what ``draw.js`` of the playground draws of an episode."""
    if example.room is None:
        layout = parse_layout(example.layout or "", f"the example {example.task}")
        rows, columns = layout.walls.shape
        scene: dict[str, Any] = {"kind": "maze", "walls": layout.text.split("\n")}
    else:
        rows, columns = example.room.shape[:2]
        scene = {"kind": "grid", "things": things_in(example.room)}
    return {
        "scene": scene | {"rows": rows, "columns": columns},
        "belief": _belief(example, (rows, columns)),
        "denoted": example.denoted[(example.denoted < (rows, columns)).all(1)].tolist(),
        "meant": None if example.intended is None else example.intended.tolist(),
        "path": example.path.round(2).tolist(),
        "over": True,
        "success": example.success,
    }


def _belief(example: Example, shape: tuple[int, int]) -> dict[str, Any]:
    """Return cells of a maze, or poses of a room, with their probabilities."""
    inside = (example.candidates[:, :2] < shape).all(1)
    goals, chances = example.candidates[inside], example.probabilities[inside]
    found, place = np.unique(np.floor(goals).astype(int), axis=0, return_inverse=True)
    mass = np.bincount(place.ravel(), chances, len(found)).round(5)
    marks = [[*goal, share] for goal, share in zip(found.tolist(), mass.tolist(), strict=True)]
    return {"cells": marks} if example.room is None else {"cells": [], "poses": marks}
