"""What the benchmark's report says, from the results of a folder."""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from langrl.benchmark.examples import Example
from langrl.benchmark.outcomes import Outcomes
from langrl.benchmark.report_sections import Content
from langrl.benchmark.results import ABOUT, CellResult, Results
from langrl.benchmark.tables import LEADERBOARD, breakdown, leaderboard, profiles
from langrl.errors import ResultsError
from langrl.plots.benchmark import Curve

Row = Mapping[str, Any]
SEED = 20_260_517  # of the resamples: a folder has one report
_THRESHOLDS = np.linspace(0, 1, 101)
_MOST_EXAMPLES = 8
_METRICS = (*LEADERBOARD, "ceiling")


def gather(folder: Path, results: Results, command: str) -> Content:
    """Return what a report says.

    Args:
        folder: of the run.
        results: in it.
        command: that made them.

    Raises:
        ResultsError: if an example of a cell is damaged.
    """
    generator = np.random.default_rng(SEED)
    rows = leaderboard(results, generator, _METRICS)
    order = [row["entrant"] for row in rows]
    shares = profiles(results, _THRESHOLDS, generator)
    profile = _profile(folder)
    return Content(
        suite=results.suite,
        digest=results.digest,
        command=command,
        profile=profile,
        worlds=results.worlds,
        facts=_facts(results, profile),
        rows=rows,
        by_bits=_by_entrant(breakdown(results, "bits", generator, _METRICS), order),
        by_price=_by_entrant(breakdown(results, "price", generator, _METRICS), order),
        profiles=[Curve(name, _THRESHOLDS, *shares[name]) for name in order],
        believed={name: _hidden(results, name) for name in order},
        examples=choose_examples(results, order),
        entrants=[_provenance(results, name, command) for name in order],
    )


def choose_examples(results: Results, order: Sequence[str]) -> list[Example]:
    """Return a few episodes: of the best entrants that say what they believe, world by world.

    Raises:
        ResultsError: if one is damaged.
    """
    by_world: dict[str, list[Example]] = {}
    for entrant in order:
        for cell in results.cells:
            if cell.entrant == entrant:
                by_world.setdefault(cell.world, []).extend(_examples(cell))
    shown: list[Example] = []
    for choice in zip_longest(*(_varied(by_world[world]) for world in sorted(by_world))):
        shown += [example for example in choice if example is not None]
    return shown[:_MOST_EXAMPLES]


def _varied(examples: Sequence[Example]) -> list[Example]:
    """Return the first example of each kind (intent hidden or not, success or failure)."""
    kinds: dict[tuple[bool, bool], Example] = {}
    for example in examples:
        kinds.setdefault((example.intended is None, example.success), example)
    return list(kinds.values())


def _examples(cell: CellResult) -> Iterator[Example]:
    for content in cell.about.get("examples", ()):
        try:
            yield Example.from_json(content)
        except ResultsError as error:
            raise ResultsError(
                f"{cell.path} is damaged: {error}; remove it and run the benchmark again"
            ) from error


def _by_entrant(rows: Sequence[Row], order: Sequence[str]) -> dict[str, list[Row]]:
    return {entrant: [row for row in rows if row["entrant"] == entrant] for entrant in order}


def _hidden(results: Results, entrant: str) -> Outcomes:
    """Return an entrant's outcomes in tasks with a hidden intent, of all worlds and seeds."""
    outcomes = Outcomes.concat(list(results.runs(entrant).values()))
    return outcomes.where(outcomes.mode == "hidden")


def _profile(folder: Path) -> str | None:
    """Return the profile of a run; None where the folder does not say."""
    try:
        about = json.loads((folder / ABOUT).read_text())
    except (OSError, ValueError):
        return None
    name = about.get("profile") if isinstance(about, dict) else None
    return name if isinstance(name, str) else None


def _facts(results: Results, profile: str | None) -> dict[str, str]:
    """Return what stands at the head of the page."""
    cells = results.cells
    counts = {
        "Entrants": len(results.entrants),
        "Worlds": len(results.worlds),
        "Seeds": len({cell.seed for cell in cells}),
        "Tasks": len({(cell.world, task) for cell in cells for task in cell.outcomes.task}),
        "Episodes": sum(len(cell.outcomes) for cell in cells),
    }
    named = {} if profile is None else {"Profile": profile}
    return named | {name: f"{count:,}" for name, count in counts.items()}


def _provenance(results: Results, entrant: str, command: str) -> Row:
    """Return how an entrant's numbers were made."""
    cells = [cell for cell in results.cells if cell.entrant == entrant]
    versions = [cell.about.get("versions", {}) for cell in cells]
    seconds = [cell.about.get("train_seconds") for cell in cells]
    trained = [second for second in seconds if second is not None]
    return {
        "entrant": entrant,
        "command": str(cells[0].about.get("command", command)),
        "versions": [one for number, one in enumerate(versions) if one not in versions[:number]],
        "cells": len(cells),
        "train_seconds": sum(trained) if trained else None,
    }
