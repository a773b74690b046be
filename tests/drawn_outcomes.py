"""Outcomes of the benchmark that are drawn: an agent that is as good as its skill."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from langrl.benchmark.outcomes import Outcomes


def draw_outcomes(
    seed: int, skill: float = 0.8, pairs: int = 12, price: float | None = None, **columns: Any
) -> Outcomes:
    """Return outcomes of ambiguous tasks, each followed by its twin, in both modes."""
    generator = np.random.default_rng(seed)
    number = np.arange(4 * pairs)
    twin, hidden = number % 2 == 1, number >= 2 * pairs
    pair = number // 2 % pairs
    bits = np.where(twin, 0.0, 1.0 + pair % 4)
    success = generator.random(len(number)) < skill
    intended = success & (~hidden | (generator.random(len(number)) < 2.0**-bits))
    asking = hidden & (price is not None)
    needed = asking & (bits > 0)
    cost = 0.0 if price is None else price
    drawn: dict[str, Any] = {
        "task": [
            f"world/{'hidden' if h else 'any'}/{p}{'-twin' * t}"
            for p, h, t in zip(pair.tolist(), hidden.tolist(), twin.tolist(), strict=True)
        ],
        "pair": pair,
        "twin": twin,
        "mode": np.where(hidden, "hidden", "any"),
        "phrasing": np.array(["seen", "held_out", "noisy"])[pair % 3],
        "kind": np.where(twin, "object", "colour"),
        "bits": bits,
        "price": np.where(asking, cost, np.nan),
        "success": success,
        "intended": intended,
        "steps": generator.integers(5, 20, len(number)),
        "shortest_steps": np.full(len(number), 5.0),
        "questions": needed.astype(int),
        "value": np.where(hidden, 2.0**-bits, 1.0),
        "utility": intended - cost * needed,
        "needed": needed,
        "nll": np.where(hidden, bits * np.log(2), 0.0),
        "confidence": np.where(hidden, 2.0**-bits, 1.0),
        "right": intended.astype(float),
        "set_size": 2.0**bits,
        "covered": np.ones(len(number)),
        "ssc": np.ones(len(number)),
        "seconds": np.full(len(number), 0.1),
    }
    return Outcomes(**drawn | columns)


def write_cell(
    folder: Path, entrant: str, world: str, seed: int, outcomes: Outcomes, /, **changes: Any
) -> Path:
    """Write the file of a cell; ``changes`` replace its entries."""
    path = folder / "cells" / entrant / f"{world}-seed-{seed}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "schema": "langrl-cell-1",
        "suite": "langrl/AmbiguousInstructions-v1",
        "hash": "ab" * 32,
        "agent": entrant,
        "world": world,
        "seed": seed,
        "train_seconds": 1.5,
        "versions": {"langrl": "0.3.0"},
        "outcomes": outcomes.to_json(),
    }
    path.write_text(json.dumps(content | changes))
    return path
