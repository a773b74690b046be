"""Partially observed grid goto, with and without a memory; a part of ``langrl reproduce cpc``.

The same contrastive learner on the same explorations, in a world of which the agent sees 7x7
cells: told the present view alone, and told the history by a GRU that learns to predict as well.
"""

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from langrl.envs.grid.rooms import GRID_WORLDS
from langrl.evaluation.rollouts import run_episodes
from langrl.evaluation.statistics import mean_and_sem
from langrl.tasks.grid.suite import make_grid_tasks
from langrl.tasks.grid_partial.config import GridPartialRunConfig
from langrl.tasks.loading import load_agent
from langrl.tasks.presets import load_config
from langrl.tasks.run import is_trained, train_or_resume
from langrl.training.logs import console
from langrl.training.result_cache import ResultCache, Row

PRESET = "grid-partial"
VARIANTS = {"view": False, "memory_cpc": True}
"""Whether the agent remembers, by a GRU that learns to predict as well."""
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
    changes: dict[str, float] = {} if memory else {"cpc_weight": 0.0}
    changes |= {} if steps is None else {"steps": steps}
    learner = config.learner.model_copy(update=changes)
    return config.model_copy(update={"seed": seed, "history": history, "learner": learner})


def run_variant(
    folder: Path, variant: str, seed: int, episodes: int, steps: int | None
) -> list[Row]:
    """Train one agent, unless it is there, and return its success by world and level."""
    config = partial_config(variant, seed, steps)
    run = folder / f"{variant}-{seed}"
    if is_trained(run, config):
        console.print(f"{variant}, seed {seed}: using the run in {run}")
    else:
        train_or_resume(config, run, f"{variant}, seed {seed}")
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
    tried, follow = [], partial(_follow, run, config, world)
    for temperature in TEMPERATURES:
        rows = [
            follow(level, temperature, _TUNING_EPISODES, _TUNING_SEED)
            for level in GRID_WORLDS[world].levels
        ]
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
    steps = done.steps[done.success].tolist()
    return {
        "success": float(done.success.mean()),
        "spl": float(done.spl.mean()),
        "successful_after": sorted(steps),
    }


def over_seeds(measured: Sequence[Row]) -> list[Row]:
    """Return success by world and variant, means over levels, with standard errors over seeds."""
    groups: dict[tuple[str, str], dict[int, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for each in measured:
        groups[each["world"], each["variant"]][each["seed"]].append(each)
    rows = []
    for (world, variant), seeds in groups.items():
        row: Row = {"world": world, "variant": variant}
        for name in ("success", "spl"):
            means = [mean_and_sem([r[name] for r in rs])[0] for rs in seeds.values()]
            row[name], row[f"{name}_sem"] = mean_and_sem(means)
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
