"""Partially observed grid goto, with and without a memory; a part of ``langrl reproduce cpc``.

The same contrastive learner on the same explorations, in a world of which the agent sees 7x7
cells: once it gets the present view alone, once the history, by a GRU that also learns to predict.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from langrl.envs.grid.rooms import GRID_WORLDS
from langrl.evaluation.rollouts import run_episodes
from langrl.evaluation.statistics import labelled_groups, mean_and_sem, mean_over_seeds
from langrl.reproduce.common import train_once, with_given
from langrl.tasks.grid.suite import make_grid_tasks
from langrl.tasks.grid_partial.config import GridPartialRunConfig
from langrl.tasks.loading import load_agent
from langrl.tasks.presets import load_config
from langrl.training.result_cache import ResultCache, Row

PRESET = "grid-partial"
VARIANTS = {"view": False, "memory_cpc": True}
"""Whether the agent remembers, by a GRU that also learns to predict."""
WORLDS = ("nine_rooms", "rooms", "goto")
"""Worlds of the comparison, hardest first; agents learn in the preset's, the first."""
TEMPERATURES = (0.2, 0.5, 1.0)  # of actions; each variant has the one that suits it best
_TUNING_SEED, _TUNING_EPISODES = 7, 40  # tasks that temperatures are chosen on, per level
COLUMNS = ("world", "variant", "success", "success_sem", "spl", "gain")
EXPECTED = 0.15  # what memory should add to success


def partial_config(variant: str, seed: int, steps: int | None) -> GridPartialRunConfig:
    """Return the config of a variant; worlds, sizes and data are the preset's."""
    config = load_config(PRESET, GridPartialRunConfig)
    memory = VARIANTS[variant]
    history = config.history.model_copy(update={"memory": memory})
    weight = None if memory else 0.0
    learner = with_given(config.learner, cpc_weight=weight, steps=steps)
    return with_given(config, seed=seed, history=history, learner=learner)


def run_variant(
    folder: Path, variant: str, seed: int, episodes: int, steps: int | None
) -> list[Row]:
    """Train one agent, unless it is there, and return its success by world and level."""
    config = partial_config(variant, seed, steps)
    run = folder / f"{variant}-{seed}"
    train_once(config, run, f"{variant}, seed {seed}")
    key = {"config": config.model_dump(mode="json"), "episodes": episodes}
    record = ResultCache(folder / f"{variant}-{seed}.jsonl", key)
    rows = []
    for world in WORLDS:
        tune = partial(_tune, run, config, world)
        ((best),) = record.rows(f"{world}, temperature", tune)
        measure = partial(_measure, run, config, world, best["temperature"], episodes)
        rows += record.rows(f"{world}, success", measure)
    return [{"variant": variant, "seed": seed} | row for row in rows]


def _tune(run: Path, config: GridPartialRunConfig, world: str) -> list[Row]:
    """Return the temperature with the most success, on tasks of their own."""
    tried, follow, levels = [], partial(_follow, run, config, world), GRID_WORLDS[world].levels
    for temperature in TEMPERATURES:
        rows = [follow(level, temperature, _TUNING_EPISODES, _TUNING_SEED) for level in levels]
        tried.append((mean_and_sem([row["success"] for row in rows])[0], temperature))
    success, temperature = max(tried)
    return [{"temperature": temperature, "tuning_success": success}]


def _measure(
    run: Path, config: GridPartialRunConfig, world: str, temperature: float, episodes: int
) -> list[Row]:
    seed = config.evaluation.seed
    return [
        {"world": world, "level": level, "temperature": temperature}
        | _follow(run, config, world, level, temperature, episodes, seed)
        for level in GRID_WORLDS[world].levels
    ]


def _follow(
    run: Path,
    config: GridPartialRunConfig,
    world: str,
    level: str,
    temperature: float,
    episodes: int,
    seed: int,
) -> Row:
    """Return success, and SPL, of an agent on tasks of one level."""
    agent = load_agent(run, strategy="log_sum_exp", temperature=temperature)
    env = make_grid_tasks(world, episodes, (level,), view=config.world.view)
    done = run_episodes(env, agent, seed)
    steps = sorted(done.steps[done.success].tolist())
    success, spl = float(done.success.mean()), float(done.spl.mean())
    return {"success": success, "spl": spl, "successful_after": steps}


def over_seeds(measured: Sequence[Row]) -> list[Row]:
    """Return success by world and variant, means over levels, with standard errors over seeds."""
    rows = []
    for row, group in labelled_groups(measured, ("world", "variant")):
        for name in ("success", "spl"):
            row[name], row[f"{name}_sem"] = mean_over_seeds(group, name)
        rows.append(row)
    for row in rows:
        base = next(r for r in rows if (r["world"], r["variant"]) == (row["world"], "view"))
        row["gain"] = row["success"] - base["success"]
    return rows


def claims(rows: Sequence[Row]) -> list[Row]:
    """Return what memory adds to success in each world, and whether it is as much as expected."""
    return [
        {
            "claim": f"memory raises success in {row['world']} ({row['variant']})",
            "expected": f">= {EXPECTED}",
            "ours": row["gain"],
            "holds": row["gain"] >= EXPECTED,
        }
        for row in rows
        if row["variant"] != "view"
    ]
