"""A folder of benchmark cells as a run would leave it, with outcomes that are drawn."""

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from langrl.benchmark.examples import Example
from langrl.benchmark.outcomes import Outcomes
from langrl.envs.maze.layouts import load_layout

SUITE = "langrl/AmbiguousInstructions-v1"
HASH = "5d" * 32
WORLDS = ("street-fork", "grid-goto")
PRICES = (0.05, 0.2, 0.8)
ENTRANTS = {  # skill, and trust in the most likely intent
    "oracle": (1.0, 1.0),
    "street-log_sum_exp": (0.9, 0.95),
    "street-nearest_goal": (0.75, 0.8),
    "ppo-reads": (0.5, 0.6),
    "random": (0.08, 0.3),
    "posterior-never": (1.0, 1.0),
    "posterior-always": (1.0, 1.0),
    "posterior-pays": (1.0, 1.0),
}
REFERENCES = ("oracle", "random")


def outcomes(entrant: str, seed: int, tasks: int = 96) -> Outcomes:
    """Return outcomes of an entrant, drawn from its skill; the tasks are the same for all."""
    skill, trust = ENTRANTS.get(entrant, (0.6, 0.7))
    shared = np.random.default_rng(7)
    own = np.random.default_rng([zlib.crc32(entrant.encode()), seed])
    number = np.arange(tasks)
    twin = number % 4 == 0
    bits = np.where(twin, 0.0, shared.integers(1, 5, tasks))
    hidden = number // 4 % 2 == 1
    asks = entrant.rpartition("-")[2] in ("never", "always", "pays")
    price = np.where(hidden & asks, np.array(PRICES)[number // 8 % 3], np.nan)
    cost = np.nan_to_num(price)
    alone, halves = 2.0**-bits, np.minimum(bits, 2)
    asking = np.where(np.isnan(price), 0, 2.0 ** -(bits - halves) - halves * cost)
    value = np.where(hidden, np.maximum(alone, asking), 1.0)
    needed = hidden & (asking > alone)
    strategy = entrant.rpartition("-")[2]
    asked = {"always": hidden & asks, "pays": needed}.get(strategy, np.zeros(tasks, bool))
    questions = np.where(asked, np.where(strategy == "always", np.maximum(halves, 1), halves), 0)
    chance = np.where(asked, 2.0 ** -(bits - halves), np.where(hidden, alone, 1.0))
    success = own.random(tasks) < skill
    intended = success & (own.random(tasks) < chance)
    intended = np.where(hidden, intended, success)
    steps = own.integers(8, 30, tasks)
    believes = entrant not in ("ppo-reads", "random")
    confidence = np.clip(trust * chance + 0.1 * own.random(tasks), 0, 1)
    right = (own.random(tasks) < confidence * 0.95).astype(float)
    unknown = np.full(tasks, np.nan)
    return Outcomes(
        task=[f"task-{n}" for n in number], pair=number // 2, twin=twin,
        mode=np.where(hidden, "hidden", "any"),
        phrasing=np.array(["seen", "held_out", "noisy"])[number % 3],
        kind=np.array(["goto", "column"])[number % 2], bits=bits, price=price, success=success,
        intended=intended, steps=steps, shortest_steps=np.minimum(steps, 9.0),
        questions=questions.astype(int), value=value, utility=intended - cost * questions,
        needed=needed, nll=-np.log(confidence.clip(0.05)) if believes else unknown,
        confidence=confidence if believes else unknown, right=right if believes else unknown,
        set_size=np.ceil(2**bits * 1.1) if believes else unknown,
        covered=(own.random(tasks) < 0.9).astype(float) if believes else unknown,
        ssc=np.clip(trust - 0.1 * own.random(tasks), 0, 1) if believes else unknown,
        seconds=np.full(tasks, 0.02),
    )  # fmt: skip


def maze_example(entrant: str = "street-log_sum_exp", **changes: Any) -> Example:
    layout = load_layout("fork")
    generator = np.random.default_rng(3)
    cells = layout.free_cells
    column = cells[:, 1] == 12
    fields = {
        "entrant": entrant, "task": "street-fork-hidden-3", "world": "street-fork",
        "instruction": "go to column 12", "layout": layout.text, "candidates": cells + 0.5,
        "probabilities": np.where(column, 1.0, 0.05 * generator.random(len(cells))) / 16,
        "denoted": cells[column], "intended": cells[column][3], "success": False,
        "path": np.stack([np.linspace(0.5, 6.5, 20), np.linspace(11, 12.5, 20)], 1),
        "answers": ("left or right half: right",),
    }  # fmt: skip
    return Example(**{**fields, **changes})


def room_example(entrant: str = "street-nearest_goal", **changes: Any) -> Example:
    room = np.zeros((8, 8, 2), np.uint8)
    room[..., 0] = 1
    room[[0, -1], :] = room[:, [0, -1]] = (2, 5)
    room[2, 5], room[5, 2], room[6, 6] = (6, 0), (6, 0), (7, 2)
    goals = [(2, 4, 0), (3, 5, 3), (5, 3, 2), (4, 2, 1), (6, 5, 0)]
    fields = {
        "entrant": entrant, "task": "grid-goto-any-11", "world": "grid-goto",
        "instruction": "go to a red ball", "room": room, "candidates": goals,
        "probabilities": [0.3, 0.2, 0.25, 0.2, 0.02], "denoted": [(2, 5), (5, 2)], "success": True,
        "path": [(4, 5, 3), (3, 5, 3)],
    }  # fmt: skip
    return Example(**{**fields, **changes})


def write_cell(folder: Path, entrant: str, world: str, seed: int, **changes: Any) -> Path:
    """Write a cell's file as a run does; ``changes`` replace entries of it."""
    path = folder / "cells" / entrant / f"{world}-seed-{seed}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    number = zlib.crc32(world.encode()) % 100 + seed
    content = {
        "schema": "langrl-cell-1", "suite": SUITE, "hash": HASH, "agent": entrant, "world": world,
        "seed": seed, "role": "reference" if entrant in REFERENCES else "method",
        "command": f"langrl benchmark run --entrants {entrant}", "train_seconds": 31.5,
        "versions": {"python": "3.11.4", "langrl": "0.3.0", "torch": "2.13.0"},
        "outcomes": outcomes(entrant, number).to_json(),
    }  # fmt: skip
    path.write_text(json.dumps(content | changes))
    return path


def write_folder(folder: Path, entrants: Any = tuple(ENTRANTS), seeds: int = 3) -> Path:
    for entrant in entrants:
        for world in WORLDS:
            for seed in range(seeds):
                known = {"street-log_sum_exp": maze_example, "street-nearest_goal": room_example}
                shown = [known[entrant](world=world).to_json()] if entrant in known else []
                extra = {"examples": shown} if seed == 0 and shown else {}
                write_cell(folder, entrant, world, seed, **extra)
    return folder
