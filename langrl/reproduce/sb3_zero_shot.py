"""``langrl reproduce sb3-zero-shot``: goal-conditioned policies follow instructions.

Stable-Baselines3 trains the policies, without language, on the fork maze (SAC) and in a grid world
(DQN). They are then wrapped by ``InstructionToGoal``, and a contrastive critic ranks their actions.
The ceiling is the same policies' success in reaching goals that are given to them.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from langrl.envs.phrasing import PHRASINGS, Phrasing
from langrl.evaluation.comparison import compare
from langrl.evaluation.rollouts import follow
from langrl.evaluation.statistics import labelled_groups, mean_over_seeds
from langrl.grounding.strategies import GROUNDINGS
from langrl.plots.maze import followed_figure
from langrl.reproduce.arguments import Sb3ZeroShotArguments
from langrl.reproduce.common import run_parts, train_once, with_given, write_report
from langrl.tasks.grid.config import GridRunConfig
from langrl.tasks.presets import load_config
from langrl.tasks.sb3.agent import TrainedPolicy, load_policy
from langrl.tasks.sb3.config import WORLDS, Sb3RunConfig
from langrl.tasks.sb3.guidance import CRITICS, groundings
from langrl.tasks.suite import suite_of
from langrl.training.jobs import chained
from langrl.training.logs import print_table
from langrl.training.result_cache import ResultCache, Row

PRESETS = {"fork": "sb3-sac-her-street-fork", "grid-goto": "sb3-dqn-her-grid-goto"}
COLUMNS = (
    "world", "algorithm", "grounding", "phrasing", "success", "success_sem", "goal_success",
    "of_ceiling",
)  # fmt: skip


def reproduce(options: Sb3ZeroShotArguments, command: str) -> None:
    """Run the whole comparison and write its table, results.json and the figure."""
    jobs = [
        (options.out / "runs", world, seed, options.episodes, options.steps)
        for seed in range(options.seeds)
        for world in PRESETS
    ]
    measured = chained(run_parts(run_seed, jobs, options, "training and following"))
    rows = _over_seeds(measured)
    budget = f"{options.seeds} seeds x {options.episodes} episodes per instruction type"
    title = f"goal-conditioned policies follow instructions, {budget}"
    print_table(title, rows, COLUMNS)
    config = {world: _config(world, 0, options.steps).model_dump(mode="json") for world in PRESETS}
    figures = {"sb3-zero-shot": followed_figure(rows, title)}
    write_report(options.out, command, config, rows, figures, measured=measured)


def _config(world: str, seed: int, steps: int | None) -> Sb3RunConfig:
    config = load_config(PRESETS[world], Sb3RunConfig)
    return with_given(config, seed=seed, policy=with_given(config.policy, steps=steps))


def run_seed(folder: Path, world: str, seed: int, episodes: int, steps: int | None) -> list[Row]:
    """Train a policy, unless it is there, and return a row for each grounding and phrasing."""
    config = _config(world, seed, steps)
    place = folder / f"{world}-{seed}"
    train_once(config, place, f"{world}, seed {seed}")
    trained = load_policy(place, config)
    config = config.model_copy(update={"critics": str(_critics(config, folder, world, seed))})
    run = TrainedPolicy(config, place, trained.model)
    key = {"config": config.model_dump(mode="json"), "episodes": episodes}
    record = ResultCache(folder / f"{world}-{seed}.jsonl", key)
    (goal,) = record.rows("goals", lambda: [_goals(run, episodes)])
    rows = []
    for phrasing in PHRASINGS:
        for grounding in groundings(config):
            measure = partial(_measure, run, grounding, phrasing, episodes)
            rows += record.rows(f"{grounding}, {phrasing}", measure)
    return [
        {"world": world, "algorithm": config.policy.algorithm.upper(), "seed": seed} | row | goal
        for row in rows
    ]


def _critics(config: Sb3RunConfig, folder: Path, world: str, seed: int) -> Path:
    """Return the run folder of critics; grid worlds' language needs none, but ranking does."""
    if WORLDS[config.world].is_maze:
        return folder / f"{world}-{seed}" / CRITICS
    own = load_config("grid-goto", GridRunConfig).model_copy(update={"seed": seed})
    place = folder / f"{world}-{seed}-{CRITICS}"
    train_once(own, place, f"{world}, seed {seed}, critic")
    return place


def _goals(run: TrainedPolicy, episodes: int) -> Row:
    """Return how often the policy reaches goals that it is given."""
    count = episodes * len(WORLDS[run.config.world].during)
    done = follow(run.model, run.goal_task, count, run.config.evaluation.seed)
    return {"goal_success": float(done.success.mean())}


def _measure(run: TrainedPolicy, grounding: str, phrasing: Phrasing, episodes: int) -> list[Row]:
    """Return success by instruction type; through ``InstructionToGoal``, where it can be."""
    config, rows = run.config, []
    suite, settings = suite_of(config), config.evaluation.model_copy(update={"episodes": episodes})
    for name in WORLDS[config.world].during:
        if GROUNDINGS[grounding].needs:
            results = compare(
                {grounding: partial(run.agent, grounding)},
                partial(suite.tasks, settings, (name,), phrasing),
                settings.seed,
                f"{name}, {phrasing}",
            )
            success = results[grounding].success
        else:
            task = partial(run.instruction_task, name, phrasing, grounding)
            success = follow(run.model, task, episodes, settings.seed).success
        row = {"grounding": grounding, "phrasing": phrasing, "sort": name}
        rows.append(row | {"success": float(success.mean())})
    return rows


def _over_seeds(measured: Sequence[Row]) -> list[Row]:
    """Return means over instruction types and seeds, with standard errors over seeds."""
    rows = []
    for row, group in labelled_groups(measured, ("world", "algorithm", "grounding", "phrasing")):
        row["success"], row["success_sem"] = mean_over_seeds(group, "success")
        row["goal_success"] = goals = mean_over_seeds(group, "goal_success")[0]
        row["of_ceiling"] = row["success"] / goals if goals else float("nan")
        rows.append(row)
    return rows
