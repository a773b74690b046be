"""``langrl reproduce crl-vs-her``: contrastive agents beside SAC with hindsight, as they learn.

Both act in the same environments, from scratch, and reach for the same held-out goals. SAC with HER
of Stable-Baselines3 has the settings of rl-baselines3-zoo, and trains for as many seconds as ours.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from langrl.agents.sb3.hindsight import HindsightSettings, learn_with_hindsight
from langrl.envs.goal_worlds import make_goal_env, spaces_of
from langrl.errors import ConfigError
from langrl.evaluation.learning_curves import band_of, first_reaching
from langrl.evaluation.statistics import group_rows, labelled_groups, means_and_sems
from langrl.plots.learning_curves import learning_curves_figure
from langrl.reproduce.arguments import CrlVsHerArguments
from langrl.reproduce.common import run_parts, train_once, with_given, write_report
from langrl.tasks.goal_reaching.config import GoalRunConfig
from langrl.tasks.goal_reaching.held_out import HeldOutGoals
from langrl.tasks.presets import load_config
from langrl.tasks.registry import preset_of
from langrl.training.jobs import chained
from langrl.training.logs import TIMES, print_table, read_metrics
from langrl.training.result_cache import ResultCache, Row

OURS, THEIRS = "langrl", "sac + her"
COLUMNS = ("env", "agent", "seeds", "steps", "seconds", "success", "success_sem", "to_0.8_steps",
           "to_0.8_seconds")  # fmt: skip
MARK = 0.8  # the success whose time is reported
_HER_POINTS = 20  # evaluations of SAC, if it reaches about 130 steps a second
_HER_RATE = 130
_MOST = 100_000_000  # steps: its seconds are over before
_LONG = {"FetchReach-v4": 0.95}  # discounts of the zoo; elsewhere, episodes are longer
_DISCOUNT = 0.98


def reproduce(options: CrlVsHerArguments, command: str) -> None:
    """Train both in each environment and write rows, curves, results.json and the figure."""
    for env in options.envs:
        _check_relabels(env)
    jobs = [
        (options.out / "runs", env, seed, options.env_steps, options.episodes)
        for env in options.envs
        for seed in range(options.seeds)
    ]
    points = chained(run_parts(run_cell, jobs, options, "training"))
    rows = _last_points(points)
    shown = _over_seeds(points)
    title = f"contrastive RL and hindsight, from scratch, {options.seeds} seeds"
    print_table(title, shown, COLUMNS)
    config = {
        env: _config(env, 0, options.env_steps, options.episodes).model_dump(mode="json")
        for env in options.envs
    }
    figures = {"crl-vs-her": learning_curves_figure(_bands(points), title)}
    write_report(options.out, command, config, rows, figures, summary=shown, curves=points)


def _check_relabels(name: str) -> None:
    """Raise ConfigError unless hindsight can ask an environment for the reward of another goal."""
    env = make_goal_env(name)
    try:
        if not env.has_wrapper_attr("compute_reward"):
            raise ConfigError(
                f"--envs: {name} has no compute_reward(achieved, desired, info), by which SAC with"
                " HER relabels; add it, or train by `langrl train` alone"
            )
    finally:
        env.close()


def _config(env: str, seed: int, env_steps: int | None, episodes: int) -> GoalRunConfig:
    config = load_config(preset_of("crl", env), GoalRunConfig)
    evaluation = config.evaluation.model_copy(update={"episodes_during": episodes})
    learner = with_given(config.learner, env_steps=env_steps)
    changed = {"env": env, "seed": seed, "evaluation": evaluation, "learner": learner}
    config = config.model_copy(update=changed)
    # A short training is evaluated at its end at least.
    whole = config.rounds * config.collect.envs * config.collect.unroll
    every = min(evaluation.every, max(whole, 1))
    evaluation = evaluation.model_copy(update={"every": every})
    return config.model_copy(update={"evaluation": evaluation})


def run_cell(folder: Path, env: str, seed: int, env_steps: int | None, episodes: int) -> list[Row]:
    """Train ours, and then SAC with HER for as long; returns the points of both curves."""
    config = _config(env, seed, env_steps, episodes)
    run = folder / f"{env.replace('/', '-')}-{seed}"
    train_once(config, run, f"{env}, seed {seed}")
    ours = curve_of(run)
    key = {"config": config.model_dump(mode="json"), "seconds": ours[-1]["seconds"]}
    cache = ResultCache(folder / f"{run.name}-her.jsonl", key)
    theirs = cache.rows(THEIRS, partial(_hindsight, config, ours[-1]["seconds"]))
    return [
        {"env": env, "agent": agent, "seed": seed} | dict(point)
        for agent, curve in ((OURS, ours), (THEIRS, theirs))
        for point in curve
    ]


def curve_of(run: Path) -> list[Row]:
    """Return the learning curve of a run folder: steps of environments, seconds and success.

    Raises:
        ConfigError: if the run's records are lost.
    """
    times = {record["step"]: record for record in read_metrics(run / TIMES)}
    curve = [
        {
            "steps": int(record["collect/env_steps"]),
            "seconds": times[record["step"]]["seconds"],
            "success": record["evaluation/success"],
        }
        for record in read_metrics(run / "metrics.jsonl")
        if {"evaluation/success", "collect/env_steps"} <= record.keys()
        and "seconds" in times.get(record["step"], ())
    ]
    if not curve:
        raise ConfigError(f"{run} has lost its metrics.jsonl or {TIMES}; delete it to train anew")
    return curve


def _hindsight(config: GoalRunConfig, seconds: float) -> list[Row]:
    goals = HeldOutGoals(config)

    def make_env() -> Any:
        return make_goal_env(config.env, config.max_episode_steps)

    return learn_with_hindsight(
        make_env,
        spaces_of(make_env()),
        lambda policy: goals.watch(policy)["evaluation/success"],
        settings=HindsightSettings(gamma=_LONG.get(config.env, _DISCOUNT)),
        seed=config.seed,
        every=max(1000, round(seconds * _HER_RATE / _HER_POINTS)),
        steps=_MOST,
        seconds=seconds,
    )


def _curves(points: Sequence[Row]) -> Mapping[tuple[Any, ...], Sequence[Mapping[str, Any]]]:
    return group_rows(points, ("env", "agent", "seed"))


def _last_points(points: Sequence[Row]) -> list[Row]:
    """Return the last point of each curve."""
    return [dict(curve[-1]) | {"method": key[1]} for key, curve in _curves(points).items()]


def _over_seeds(points: Sequence[Row]) -> list[Row]:
    """Return means over seeds at the end, and of when success first reached ``MARK``."""
    rows = []
    for row, group in labelled_groups(_last_points(points), ("env", "agent")):
        row |= {"seeds": len(group)} | means_and_sems(group, ("success", "steps", "seconds"))
        curves = [c for key, c in _curves(points).items() if key[:2] == (row["env"], row["agent"])]
        reached = [first_reaching(curve, MARK) for curve in curves]
        for axis in ("steps", "seconds"):
            values = [value for each in reached if (value := each[axis]) is not None]
            # Of all seeds or none: a mean over those that got there would flatter.
            mean = float(np.mean(values)) if len(values) == len(reached) else None
            row[f"to_{MARK}_{axis}"] = mean
        rows.append(row)
    return rows


def _bands(points: Sequence[Row]) -> Mapping[str, Any]:
    generator = np.random.default_rng(0)
    bands: dict[str, Any] = {}
    for (env, agent), group in group_rows(points, ("env", "agent")).items():
        curves = list(group_rows(group, ("seed",)).values())
        for axis in ("steps", "seconds"):
            band = band_of(curves, axis, generator)
            bands.setdefault(env, {}).setdefault(axis, {})[agent] = band
    return bands
