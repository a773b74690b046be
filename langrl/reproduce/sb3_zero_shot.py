"""``langrl reproduce sb3-zero-shot``: policies of goals, trained without language, follow it.

Stable-Baselines3 trains policies of goals on the fork maze (SAC) and in a grid world (DQN). They
are then wrapped by ``InstructionToGoal``, and a contrastive critic ranks their actions. The same
policies' success in reaching goals that are given as goals is the ceiling.
"""

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from langrl import MAZE_IDS
from langrl.envs.phrasing import PHRASINGS, Phrasing
from langrl.evaluation.comparison import compare
from langrl.evaluation.rollouts import follow
from langrl.evaluation.statistics import mean_and_sem
from langrl.grounding.strategies import GROUNDINGS
from langrl.plots.base import save
from langrl.plots.maze import followed_figure
from langrl.tasks.grid.config import GridRunConfig
from langrl.tasks.presets import load_config
from langrl.tasks.registry import is_trained as is_own_trained
from langrl.tasks.registry import scene_of, train_run
from langrl.tasks.sb3.config import Sb3RunConfig
from langrl.tasks.sb3.guidance import CRITICS, groundings
from langrl.tasks.sb3.model import instruction_sorts
from langrl.tasks.sb3.run import Sb3Run, is_trained, load_policy, train_policy
from langrl.training.jobs import chained, run_jobs
from langrl.training.logs import console, print_table, write_results
from langrl.training.result_cache import ResultCache, Row
from langrl.training.run_folder import check_empty

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
    run = _trained(config, folder / f"{world}-{seed}", f"{world}, seed {seed}")
    config = config.model_copy(update={"critics": str(_critics(config, folder, world, seed))})
    run = Sb3Run(config, run.folder, run.model)
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


def _trained(config: Sb3RunConfig, folder: Path, label: str) -> Sb3Run:
    if is_trained(folder, config):
        console.print(f"{label}: using the run in {folder}")
        return load_policy(folder, config)
    return train_policy(config, folder, label)[0]


def _critics(config: Sb3RunConfig, folder: Path, world: str, seed: int) -> Path:
    """Return the run folder of critics; grid worlds' language needs none, but ranking does."""
    if config.world in MAZE_IDS:
        return folder / f"{world}-{seed}" / CRITICS
    own = load_config("grid-goto", GridRunConfig).model_copy(update={"seed": seed})
    place = folder / f"{world}-{seed}-{CRITICS}"
    if not is_own_trained(place, own):
        check_empty(place)
        train_run(own, place, f"{world}, seed {seed}, critic")
    return place


def _goals(run: Sb3Run, episodes: int) -> Row:
    """Return how often the policy reaches goals that it is given."""
    sorts = len(instruction_sorts(run.config))
    seed = run.config.evaluation.seed
    done = follow(run.model, run.goal_task, episodes * sorts, seed)
    return {"goal_success": float(done.success.mean())}


def _measure(run: Sb3Run, grounding: str, phrasing: Phrasing, episodes: int) -> list[Row]:
    """Return success by sort of instruction; through ``InstructionToGoal``, where it can be."""
    config, rows = run.config, []
    scene, settings = scene_of(config), config.evaluation.model_copy(update={"episodes": episodes})
    for sort in instruction_sorts(config):
        if GROUNDINGS[grounding].needs:
            results = compare(
                {grounding: partial(run.agent, grounding)},
                partial(scene.tasks, settings, (sort,), phrasing),
                settings.seed,
                f"{sort}, {phrasing}",
            )
            success = results[grounding].success
        else:
            task = partial(run.instruction_task, sort, phrasing, grounding)
            success = follow(run.model, task, episodes, settings.seed).success
        rows.append(
            {
                "grounding": grounding,
                "phrasing": phrasing,
                "sort": sort,
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
