"""``langrl benchmark speed``: speed claims as ratios against a baseline in the same run.

Axes: ``N`` environments.
"""

import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from langrl.envs.layouts import Layout, load_layout
from langrl.envs.maze_world import CHECKS, STEP_SIZE, move, unit
from langrl.errors import lookup
from langrl.experiment.logs import console, print_table, progress, write_results

ENVS = 1024
_ACTION_SETS = 16


def scalar_move(
    walls: list[list[bool]], row: float, column: float, angle: float
) -> tuple[float, float]:
    """Move one agent in plain Python: the baseline, the same rule as ``street_maze.move``."""
    d_row, d_column = math.cos(angle), math.sin(angle)
    height, width = len(walls), len(walls[0])
    last = (row, column)
    for k in range(1, CHECKS + 1):
        distance = STEP_SIZE * k / CHECKS
        r, c = row + d_row * distance, column + d_column * distance
        i, j = math.floor(r), math.floor(c)
        if not (0 <= i < height and 0 <= j < width) or walls[i][j]:
            break
        last = (r, c)
    return last


def _batched_dynamics(layout: Layout, steps: int) -> int:
    generator = np.random.default_rng(0)
    positions = (
        layout.free_cells[generator.integers(len(layout.free_cells), size=ENVS)] + 0.5
    ).astype(np.float32)
    directions = [unit(generator.normal(size=(ENVS, 2))) for _ in range(_ACTION_SETS)]
    for step in range(steps):
        positions = move(layout.walls, positions, directions[step % _ACTION_SETS])
    return ENVS * steps


def _scalar_dynamics(layout: Layout, steps: int) -> int:
    generator = np.random.default_rng(0)
    walls = layout.walls.tolist()
    cells = layout.free_cells[generator.integers(len(layout.free_cells), size=ENVS)] + 0.5
    agents = [tuple(cell) for cell in cells.tolist()]
    angles = generator.uniform(0, 2 * math.pi, (_ACTION_SETS, ENVS)).tolist()
    for step in range(steps):
        turns = angles[step % _ACTION_SETS]
        agents = [scalar_move(walls, r, c, turns[n]) for n, (r, c) in enumerate(agents)]
    return ENVS * steps


def _vector_env(layout: Layout, steps: int) -> int:
    env = gym.make_vec("langrl/StreetMaze-v0", num_envs=ENVS, layout=layout)
    env.reset(seed=0)
    generator = np.random.default_rng(0)
    actions = [generator.normal(size=(ENVS, 2)).astype(np.float32) for _ in range(_ACTION_SETS)]
    for step in range(steps):
        env.step(actions[step % _ACTION_SETS])
    return ENVS * steps


def _env_loop(layout: Layout, steps: int) -> int:
    count = 16
    envs = [gym.make("langrl/StreetMaze-v0", layout=layout) for _ in range(count)]
    generator = np.random.default_rng(0)
    actions = generator.normal(size=(_ACTION_SETS, 2)).astype(np.float32)
    for env in envs:
        env.reset(seed=0)
    for step in range(steps):
        for env in envs:
            _, _, terminated, truncated, _ = env.step(actions[step % _ACTION_SETS])
            if terminated or truncated:
                env.reset()
    return count * steps


def street_maze(rounds: int) -> list[dict[str, Any]]:
    """Time the maze's dynamics and environments; rates in environment steps per second.

    The variants take turns, so that a machine that slows down slows all of them; each rate is the
    median over rounds.
    """
    layout = load_layout("fork")
    variants: dict[str, tuple[Callable[[Layout, int], int], int]] = {
        "batched dynamics (1,024 agents)": (_batched_dynamics, 200),
        "make_vec environment (1,024)": (_vector_env, 200),
        "scalar Python dynamics": (_scalar_dynamics, 8),
        "gym.make environments in a loop": (_env_loop, 100),
    }
    rates: dict[str, list[float]] = {name: [] for name in variants}
    with progress("speed: street-maze", rounds * len(variants)) as bar:
        for round_number in range(rounds):
            for i, (name, (run, steps)) in enumerate(variants.items()):
                begin = time.perf_counter()
                done = run(layout, steps)
                rates[name].append(done / (time.perf_counter() - begin))
                bar.update(round_number * len(variants) + i + 1, "measurements")
    median = {name: statistics.median(values) for name, values in rates.items()}
    scalar = median["scalar Python dynamics"]
    loop = median["gym.make environments in a loop"]
    return [
        {
            "benchmark": "street-maze",
            "variant": name,
            "steps_per_second": round(rate),
            "over_scalar": round(rate / scalar, 2),
            "over_env_loop": round(rate / loop, 2),
        }
        for name, rate in median.items()
    ]


SPEED: dict[str, Callable[[int], list[dict[str, Any]]]] = {"street-maze": street_maze}


def speed(only: str | None, rounds: int, out: Path, command: str) -> None:
    """Run one speed benchmark, or all; print a table and write ``results.json`` to ``out``."""
    names = list(SPEED) if only is None else [only]
    rows = [row for name in names for row in lookup(SPEED, name, "speed benchmark")(rounds)]
    print_table("steps per second, medians", rows, tuple(rows[0]))
    console.print(f"results: {write_results(out, command, {'rounds': rounds}, rows)}")
