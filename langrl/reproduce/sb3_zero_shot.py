"""``langrl reproduce sb3-zero-shot``: policies of goals, trained without language, follow it.

Stable-Baselines3 trains policies of goals on the fork maze (SAC) and in a grid world (DQN). They
are then wrapped by ``InstructionToGoal``, and a contrastive critic ranks their actions. The same
policies' success in reaching goals that are given as goals is the ceiling.
"""

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from langrl.envs.phrasing import PHRASINGS, Phrasing
from langrl.evaluation.comparison import compare
from langrl.evaluation.rollouts import follow
from langrl.evaluation.statistics import mean_and_sem
from langrl.grounding.strategies import GROUNDINGS
from langrl.plots.base import save
from langrl.plots.maze import followed_figure
from langrl.tasks.grid.config import GridRunConfig
from langrl.tasks.presets import load_config
from langrl.tasks.run import is_trained, train_or_resume
from langrl.tasks.sb3.agent import TrainedPolicy, load_policy
from langrl.tasks.sb3.config import WORLDS, Sb3RunConfig
from langrl.tasks.sb3.guidance import CRITICS, groundings
from langrl.tasks.suite import suite_of
from langrl.training.jobs import chained, run_jobs
from langrl.training.logs import console, print_table, write_results
from langrl.training.result_cache import ResultCache, Row

PRESETS = {"fork": "sb3-sac-her-street-fork", "grid-goto": "sb3-dqn-her-grid-goto"}
COLUMNS = (
    "world", "algorithm", "grounding", "phrasing", "success", "success_sem", "goal_success",
    "of_ceiling",
)  # fmt: skip


def reproduce(
    out: Path, seeds: int, episodes: int, steps: int | None, workers: int, command: str
) -> None:
    """Run the whole comparison and write its table, results.json and figures to ``out``.

    Args:
        out: folder; the runs go to ``out/runs``.
        seeds: training seeds, from 0.
        episodes: per grounding, sort of instruction, phrasing and seed.
        steps: environment steps, instead of the presets' own.
        workers: processes.
        command: what the user typed, for the record.
    """
    jobs = [
        (out / "runs", world, seed, episodes, steps) for seed in range(seeds) for world in PRESETS
    ]
    measured = chained(run_jobs(run_seed, jobs, workers, "training and following"))
    rows = _over_seeds(measured)
    title = f"policies of goals follow instructions, {seeds} seeds x {episodes} episodes a sort"
    print_table(title, rows, COLUMNS)
    config = {world: _config(world, 0, steps).model_dump(mode="json") for world in PRESETS}
    results = write_results(out, command, config, rows, measured=measured)
    figure = save(followed_figure(rows, title), out / "figures" / "sb3-zero-shot.png")
    console.print(f"results: {results}; image: {figure}")


def _config(world: str, seed: int, steps: int | None) -> Sb3RunConfig:
    config = load_config(PRESETS[world], Sb3RunConfig)
    policy = config.policy
    if steps is not None:
        policy = policy.model_copy(update={"steps": steps})
    return config.model_copy(update={"seed": seed, "policy": policy})


def run_seed(folder: Path, world: str, seed: int, episodes: int, steps: int | None) -> list[Row]:
    """Train a policy, unless it is there, and return a row for each grounding and phrasing."""
    config = _config(world, seed, steps)
    place = folder / f"{world}-{seed}"
    trained = _trained(config, place, f"{world}, seed {seed}")
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


def _trained(config: Sb3RunConfig, folder: Path, label: str) -> TrainedPolicy:
    if is_trained(folder, config):
        console.print(f"{label}: using the run in {folder}")
    else:
        train_or_resume(config, folder, label)
    return load_policy(folder, config)


def _critics(config: Sb3RunConfig, folder: Path, world: str, seed: int) -> Path:
    """Return the run folder of critics; grid worlds' language needs none, but ranking does."""
    if WORLDS[config.world].is_maze:
        return folder / f"{world}-{seed}" / CRITICS
    own = load_config("grid-goto", GridRunConfig).model_copy(update={"seed": seed})
    place = folder / f"{world}-{seed}-{CRITICS}"
    if not is_trained(place, own):
        train_or_resume(own, place, f"{world}, seed {seed}, critic")
    return place


def _goals(run: TrainedPolicy, episodes: int) -> Row:
    """Return how often the policy reaches goals that it is given."""
    types = len(WORLDS[run.config.world].during)
    seed = run.config.evaluation.seed
    done = follow(run.model, run.goal_task, episodes * types, seed)
    return {"goal_success": float(done.success.mean())}


def _measure(run: TrainedPolicy, grounding: str, phrasing: Phrasing, episodes: int) -> list[Row]:
    """Return success by sort of instruction; through ``InstructionToGoal``, where it can be."""
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
        rows.append(
            {
                "grounding": grounding,
                "phrasing": phrasing,
                "sort": name,
                "success": float(success.mean()),
            }
        )
    return rows


def _over_seeds(measured: Sequence[Row]) -> list[Row]:
    """Return means over sorts of instruction and seeds, with standard errors over seeds."""
    keys = ("world", "algorithm", "grounding", "phrasing")
    groups: dict[tuple[str, ...], dict[int, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for each in measured:
        groups[tuple(each[key] for key in keys)][each["seed"]].append(each)
    rows = []
    for labels, seeds in groups.items():
        success = [mean_and_sem([r["success"] for r in rs])[0] for rs in seeds.values()]
        goals = mean_and_sem([rs[0]["goal_success"] for rs in seeds.values()])[0]
        row: Row = dict(zip(keys, labels, strict=True))
        row["success"], row["success_sem"] = mean_and_sem(success)
        row["goal_success"] = goals
        row["of_ceiling"] = row["success"] / goals if goals else float("nan")
        rows.append(row)
    return rows
