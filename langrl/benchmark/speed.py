"""``langrl benchmark speed``: speed claims as ratios against a baseline in the same run.

Axes: ``N`` environments, or queries; ``M`` candidate goals, ``K`` instructions, ``D`` embedding
size.
"""

import math
import resource
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from langrl.benchmark.critic import critic
from langrl.benchmark.evaluation import evaluation
from langrl.benchmark.grid_engine import grid_engine
from langrl.benchmark.play import play
from langrl.benchmark.waypoints import waypoints
from langrl.benchmark.wrappers import policy_size, wrappers
from langrl.envs.grid.env import GridGoToEnv, GridGoToVectorEnv
from langrl.envs.grid.rooms import DONE, GRID_WORLDS
from langrl.envs.maze.layouts import Layout, load_layout
from langrl.envs.maze.world import CHECKS, STEP_SIZE, move, unit
from langrl.errors import MissingExtraError, lookup
from langrl.functional.energies import dot
from langrl.functional.marginals import monte_carlo, monte_carlo_embeddings
from langrl.plots.base import save
from langrl.plots.waypoint_cost import cost_figure
from langrl.training.cells import run_jobs
from langrl.training.jobs import one_thread
from langrl.training.logs import console, print_table, progress, write_results

ENVS = 1024
SCALES = (1, 20, 100, 500)
_STREAMED = 1_000_000
_CACHED = 1 << 17  # numbers that broadcasting holds at a time: half a megabyte
_ACTION_SETS = 16
_SINGLE = 64  # resets of a single environment that are timed together


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


def grid_resets(rounds: int) -> list[dict[str, Any]]:
    """Time resets of grid worlds, 1,024 at once, against drawing one room at a time."""
    rows = []
    with progress("speed: grid-resets", len(GRID_WORLDS)) as bar:
        for number, world in enumerate(GRID_WORLDS):
            rates = _reset_rates(world, rounds)
            rows.append(
                {
                    "benchmark": "grid-resets",
                    "variant": world,
                    "resets_per_second": round(rates["reset"]),
                    "by_themselves_per_second": round(rates["autoreset"]),
                    "one_at_a_time_per_second": round(rates["single"]),
                    "ratio": rates["reset"] / rates["single"],
                }
            )
            bar.update(number + 1, "worlds")
    return rows


def _reset_rates(world: str, rounds: int) -> dict[str, float]:
    """Return resets per second of one call, of steps that start rows anew, and of single ones."""
    # They take turns, as in ``street_maze``.
    batch, single = GridGoToVectorEnv(ENVS, world), GridGoToEnv(world)
    short = GridGoToVectorEnv(ENVS, world, max_episode_steps=1)
    done = np.full(ENVS, DONE)
    for env in (batch, single, short):
        env.reset(seed=0)
    times: dict[str, list[float]] = {"reset": [], "autoreset": [], "single": []}
    for _ in range(rounds):
        times["reset"].append(_time(batch.reset) / ENVS)
        short.step(done)  # ends every episode
        times["autoreset"].append(_time(partial(short.step, done)) / ENVS)
        times["single"].append(_time(lambda: [single.reset() for _ in range(_SINGLE)]) / _SINGLE)
    return {name: 1 / statistics.median(values) for name, values in times.items()}


def broadcast_log_mean_exp(left: Tensor, right: Tensor, lowest: float | None = None) -> Tensor:
    """Return logsumexp_m(left + right) - log M by broadcasting: the baseline of the marginals.

    A row of ``left`` [N, M] meets a few columns of ``right`` [M, K] at a time, so that what is
    held fits a cache; everything in place. Exponents are cut off at ``lowest``, if given: subnormal
    numbers are slow, and so is this.
    """
    candidates, columns = right.shape
    value = left.new_empty(len(left), columns)
    rows = right.mT.contiguous()
    few = max(1, _CACHED // candidates)
    for n, scores in enumerate(left):
        for k in range(0, columns, few):
            terms = scores + rows[k : k + few]
            top = terms.amax(1, keepdim=True)
            terms.sub_(top)
            if lowest is not None:
                terms.clamp_(min=lowest)
            value[n, k : k + few] = terms.exp_().sum(1).log_().add_(top.squeeze(1))
    return value - math.log(candidates)


def _unit(count: int, size: int, generator: torch.Generator) -> Tensor:
    """Return random unit vectors [count, size], made in place."""
    vectors = torch.randn(count, size, generator=generator)
    return vectors.div_(torch.linalg.vector_norm(vectors, dim=1, keepdim=True))


def marginals(rounds: int) -> list[dict[str, Any]]:
    """Time Lemma 1's sum as a matrix product against broadcasting, on one thread.

    Unit embeddings of 32 numbers, cosine critics at several scales; 512 queries, 5,000 candidates,
    128 instructions. Then 1,000,000 candidates in a stream, against the bare products in it.
    """
    generator = torch.Generator().manual_seed(0)
    queries, goals, texts = (_unit(count, 32, generator) for count in (512, 5000, 128))
    rows = []
    with one_thread(), progress("speed: marginals", len(SCALES) + 1) as bar:
        for number, scale in enumerate(SCALES):
            left, right = scale * queries @ goals.mT, scale * goals @ texts.mT
            lowest = -80.0 if scale > 20 else None  # whichever is faster for the baseline
            baseline = partial(broadcast_log_mean_exp, left, right, lowest)
            seconds = _seconds(max(1, rounds // 2), baseline)
            product = _seconds(3 * rounds, partial(monte_carlo, left, right))
            estimate = monte_carlo(left, right)
            error = (estimate.value - broadcast_log_mean_exp(left.double(), right.double())).abs()
            rows.append(
                {
                    "benchmark": "marginals",
                    "variant": "512 x 5,000 x 128",
                    "scale": scale,
                    "milliseconds": 1000 * product,
                    "baseline_milliseconds": 1000 * seconds,
                    "ratio": seconds / product,
                    "recomputed_fraction": estimate.recomputed_fraction,
                    "largest_error": error.max().item(),
                }
            )
            bar.update(number + 1, "scales")
        rows.append(_streaming(rounds))
        bar.update(len(SCALES) + 1, "scales")
    return rows


def _streaming(rounds: int) -> dict[str, Any]:
    """Time a million candidates against the bare matrix products, and measure the memory."""
    generator = torch.Generator().manual_seed(0)
    queries, goals, texts = (_unit(count, 64, generator) for count in (64, _STREAMED, 64))
    chunks = goals.split(4096)

    def bare() -> None:
        for chunk in chunks:
            (queries @ chunk.mT) @ (texts @ chunk.mT).mT

    def streamed() -> None:
        monte_carlo_embeddings(
            queries, texts, goals, energy=dot, left_scale=20.0, right_scale=20.0, chunk=4096
        )

    seconds, products = _seconds(rounds, streamed), _seconds(rounds, bare)
    # twice: a single job would run in this process, whose memory has other things in it
    peak = max(run_jobs(streaming_peak, [(), ()], 2, "speed: memory of a million candidates"))
    return {
        "benchmark": "marginals",
        "variant": f"{_STREAMED:,} candidates, streamed; baseline: its bare products",
        "scale": 20,
        "milliseconds": 1000 * seconds,
        "baseline_milliseconds": 1000 * products,
        "ratio": products / seconds,
        "peak_megabytes": peak,
    }


def streaming_peak() -> float:
    """Return the largest memory of a fresh process that streams a million candidates, in MB."""
    generator = torch.Generator().manual_seed(0)
    queries, goals, texts = (_unit(count, 64, generator) for count in (64, _STREAMED, 64))
    monte_carlo_embeddings(queries, texts, goals, energy=dot, left_scale=20.0, right_scale=20.0)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def _time(run: Callable[[], Any]) -> float:
    """Return the seconds of one call."""
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def _seconds(rounds: int, run: Callable[[], Any]) -> float:
    """Return the median time of a call, after one that does not count."""
    run()
    return statistics.median(_time(run) for _ in range(rounds))


SPEED: dict[str, Callable[[int], list[dict[str, Any]]]] = {
    "street-maze": street_maze,
    "grid-resets": grid_resets,
    "grid-engine": grid_engine,
    "marginals": marginals,
    "wrappers": wrappers,
    "policy-size": policy_size,
    "evaluation": evaluation,
    "critic": critic,
    "waypoints": waypoints,
    "play": play,
}
FIGURES: dict[str, Callable[..., Any]] = {"waypoints": cost_figure}


def speed(only: str | None, rounds: int, out: Path, command: str) -> None:
    """Run one speed benchmark, or all; print tables and write ``results.json`` to ``out``."""
    names = list(SPEED) if only is None else [only]
    rows = []
    for name in names:
        try:
            measured = lookup(SPEED, name, "speed benchmark")(rounds)
        except MissingExtraError as error:
            if only is not None:
                raise
            console.print(f"{name} is left out: {error}")
            continue
        columns = dict.fromkeys(column for row in measured for column in row)
        print_table(f"{name}, medians", measured, tuple(columns))
        rows += measured
        if name in FIGURES:
            save(FIGURES[name](measured), out / "figures" / f"{name}.png")
    console.print(f"results: {write_results(out, command, {'rounds': rounds}, rows)}")
