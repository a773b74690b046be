"""What ``train``, ``pretrain``, ``evaluate`` and ``demo`` do once their arguments are read."""

import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from langrl.benchmark.entrants import Setting, entrant_of_import
from langrl.benchmark.families import World, suite_in, worlds_of
from langrl.checkpoint import find_checkpoint
from langrl.cli.folders import clear_figures, evaluations_of, new_folder, write_index
from langrl.envs.maze.world import StreetMaze
from langrl.envs.phrasing import TaskPhrasing
from langrl.errors import ConfigError
from langrl.evaluation.comparison import COLUMNS, summarise
from langrl.evaluation.rollouts import Episodes
from langrl.plots.base import methods_figure, save
from langrl.plots.grid import save_film
from langrl.settings import CONFIG_FILE, with_changes
from langrl.tasks.config import RunConfig
from langrl.tasks.grid.config import is_level
from langrl.tasks.loading import AgentMaker, agents_of, agents_of_run
from langrl.tasks.registry import Task, config_beside, load_run_config, run_of
from langrl.tasks.run import finished_step, is_trained, resume_run, train_or_resume, train_run
from langrl.tasks.suite import (
    Drawings,
    Makers,
    Row,
    TaskSuite,
    finish,
    suite_of,
    training_figure,
)
from langrl.training.jobs import flushed_subnormals
from langrl.training.logs import console, print_table, write_results

_LONG = 10.0  # seconds; a comparison that takes longer than this is announced


def train(
    config: RunConfig | None,
    folder: Path,
    command: str,
    *,
    tasks: Sequence[Task],
) -> None:
    """Train a run, or go on with the one in ``folder`` if there is no config; then evaluate it.

    Args:
        config: of a new run.
        folder: of the run.
        command: what the user typed, for the record.
        tasks: the task families that the command trains.

    Raises:
        LangRLError: naming the field or file and the repair.
    """
    if config is None:
        finished = finished_step(folder, tasks=tasks)
        if finished is not None:
            console.print(
                f"{folder} is finished, at step {finished} of {finished}, and nothing was done. To"
                f" train on from its weights: {_longer(folder, finished, tasks[0].command)}"
            )
            return
        label = f"resume {folder.name}"
        run, seconds = resume_run(folder, label, tasks=tasks)
    else:
        run, seconds = train_run(config, folder, f"{tasks[0].command} {folder.name}")
    report = finish(run, folder, command, seconds)
    _print_lines(report.notes)
    if report.rows:
        print_table(report.title, report.shown or report.rows, report.columns)
    console.print(f"results: {folder / 'results.json'}; figures: {folder / 'figures'}")


def calibrate(model: str, config: Any) -> None:
    """Fit P(understood) of a stored language-image model to the texts of a config, and say how.

    Args:
        model: "bundled", or the folder of a model or of its run.
        config: of pre-training, for the texts.
    """
    from langrl.tasks.language_image.understood import fit_stored

    folder, measured = fit_stored(model, config)
    console.print(
        f"P(understood) is fitted and stored in {folder}; on other texts, ROC AUC"
        f" {measured['auc']:.3f}, calibration error {measured['ece']:.3f}"
    )


@flushed_subnormals()  # as in training
def evaluate(
    run: Path,
    out: Path | None,
    command: str,
    *,
    instruction: str | None,
    methods: Sequence[str] | None,
    kinds: Sequence[str] | None,
    phrasings: Sequence[TaskPhrasing],
    episodes: int,
    seed: int | None,
    layout: str | None,
    policy: Path | None = None,
    trust_pickle: bool = False,
    agent: Sequence[str] = (),
    grounding: Mapping[str, str | None] | None = None,
    env: str | None = None,
) -> None:
    """Evaluate a trained run on drawn instructions, or on one text.

    ``env`` is a level of MiniGrid to act in, for agents of grid worlds; else it is the run's world.

    ``grounding`` has fields of the run's grounding that are others here. Results go to ``out``, or
    to a folder of their own in the run's folder ``evaluation``; those of one of its checkpoints to
    ``evaluation-NAME``. Agents of the user's own, by their import paths, meet the same tasks.
    """
    world = None if layout is None else StreetMaze(layout)
    if run_of(run) is None:
        agents_of(find_checkpoint(run), world=world)  # says what is wrong with it, if it is none
    config: Any = _regrounded(config_beside(run), grounding or {})
    trained = agents_of_run(run, config, world=world, policy=policy, trust_pickle=trust_pickle)
    suite, worlds = suite_of(config).for_agents(trained), worlds_of(config)
    if env is not None:
        trained, suite, worlds = *_in_level(config, trained, env), ()
    trained = partial(trained, **grounding) if grounding else trained
    settings = _settings(suite, episodes, seed)
    agents = _with_own(suite.agents(trained, methods), agent, worlds)
    rows, results = _measure(suite, agents, settings, instruction, kinds, phrasings)
    if instruction is not None:
        told = trained()
        rows = _add_understood(rows, told, instruction, suite.groundings)
        _print_lines(suite.describe(told, instruction))
    _print_rows(str(run), rows, instruction)
    if out is None:
        out = new_folder(evaluations_of(run), instruction or env or "drawn")
    clear_figures(out)
    path = write_results(out, command, config.model_dump(mode="json"), rows)
    if instruction is None:
        drawings = Drawings(
            {"success": suite.draw_types(rows), "posterior": suite.draw_posteriors(trained)}
        )
    else:
        drawings = suite.draw_instruction(trained, instruction, results)
    _store(drawings, out / "figures")
    if out.parent == evaluations_of(run):
        write_index(out.parent)
    console.print(f"results: {path}; figures: {out / 'figures'}")


def _in_level(config: Any, trained: AgentMaker, env: str) -> tuple[AgentMaker, TaskSuite]:
    """Return what makes the agents of a run for a level of MiniGrid, and the level's suite.

    Raises:
        ConfigError: if agents of this run do not act there.
    """
    if config.task not in ("grid", "grid-partial"):
        raise ConfigError(
            f"--env {env}: a run of {config.task} does not act in levels of MiniGrid; give one of"
            " `langrl train --config grid-all` or `--config grid-partial`, or leave --env out"
        )
    from langrl.tasks.grid.level_suite import level_suite  # minigrid takes half a second
    from langrl.tasks.grid.levels import in_levels

    view = config.world.view if config.task == "grid-partial" else None
    return in_levels(trained), level_suite(env, view)


def _regrounded(config: Any, changes: Mapping[str, str | None]) -> Any:
    """Return a run's config with other fields of its grounding; raises ConfigError for none."""
    if not changes:
        return config
    if not hasattr(config, "grounding"):
        raise ConfigError(f"a run of {config.task} has no grounding; leave its flags out")
    return config.model_copy(
        update={"grounding": with_changes(config.grounding, changes, "grounding")}
    )


@flushed_subnormals()
def evaluate_own(
    agent: Sequence[str],
    env: str,
    out: Path,
    command: str,
    *,
    instruction: str | None,
    kinds: Sequence[str] | None,
    phrasings: Sequence[TaskPhrasing],
    episodes: int,
    seed: int | None,
) -> None:
    """Evaluate agents of the user's own beside the baselines of a world, where there is no run.

    Args:
        agent: import paths.
        env: Gymnasium's id of a world of langrl, or of a level of MiniGrid.
        out: folder of the results.
        command: what the user typed, for the record.
        instruction: one text; drawn ones if not given.
        kinds: of drawn instructions; all if not given.
        phrasings: of drawn instructions.
        episodes: of each row.
        seed: of the tasks.
    """
    suite = suite_in(env)
    worlds = () if is_level(env) else (World.of(env).name,)
    agents = _with_own(suite.baselines, agent, worlds)
    settings = _settings(suite, episodes, seed)
    rows, _ = _measure(suite, agents, settings, instruction, kinds, phrasings)
    _print_rows(env, rows, instruction)
    path = write_results(out, command, {"env": env, "agent": list(agent)}, rows)
    if instruction is None:
        _store(Drawings({"success": suite.draw_types(rows)}), out / "figures")
    console.print(f"results: {path}")


def _with_own(agents: Makers, paths: Sequence[str], worlds: Sequence[str]) -> Makers:
    """Return makers of agents, and of those that import paths name, for the first of some worlds.

    Raises:
        ConfigError: if two have one name.
    """
    world = World(worlds[0] if worlds else "")
    own = {(each := entrant_of_import(path)).name: each for path in paths}
    if taken := [name for name in own if name in agents]:
        raise ConfigError(f"{taken[0]!r} is a method that is compared already; rename your class")
    return agents | {name: partial(each.make, Setting(world)) for name, each in own.items()}


def _settings(suite: TaskSuite, episodes: int, seed: int | None) -> Any:
    changes = {"episodes": episodes} | ({} if seed is None else {"seed": seed})
    return suite.settings.model_copy(update=changes)


def _measure(
    suite: TaskSuite,
    agents: Makers,
    settings: Any,
    instruction: str | None,
    kinds: Sequence[str] | None,
    phrasings: Sequence[TaskPhrasing],
) -> tuple[list[Row], dict[str, Episodes]]:
    """Return rows, and the episodes of each method where there is one instruction."""
    if instruction is None:
        return suite.compare_types(agents, settings, kinds, phrasings, _estimate()), {}
    results = suite.follow(agents, settings, instruction)
    rows = [
        {"method": name, "instruction": instruction} | summarise(episodes)
        for name, episodes in results.items()
    ]
    return rows, results


def _add_understood(
    rows: Sequence[Row], agent: Any, instruction: str, groundings: Sequence[str]
) -> list[Row]:
    """Add P(understood) to the rows of methods that ground a text, if the agent knows it."""
    know = getattr(agent, "p_understood", None)
    if know is None or (p := know(instruction)) is None:
        return list(rows)
    return [row | ({"p_understood": p} if row["method"] in groundings else {}) for row in rows]


def _print_rows(title: str, rows: Sequence[Row], instruction: str | None) -> None:
    hidden = ("episodes", "instruction", "p_understood")  # the last is said in words
    names = [name for name in rows[0] if name not in hidden]
    print_table(f"{title}: {instruction or 'drawn instructions'}", rows, names)


@flushed_subnormals()
def demo(config: RunConfig, instruction: str, out: Path, command: str) -> None:
    """Train in one world, compare the methods, and follow one instruction; with figures."""
    began = time.perf_counter()
    suite = suite_of(config)
    suite.check(instruction)  # refused before a minute of training, not after
    folder, figures = out / "run", out / "figures"
    if is_trained(folder, config):
        console.print(f"using the run in {folder}; delete {out} to train anew")
    else:
        train_or_resume(config, folder, "train", instruction)
    save(training_figure(folder), folder / "figures" / "training.png")
    agent = agents_of(folder)
    agents = suite.agents(agent)
    rows = [
        {"world": suite.name, "method": method} | summarise(episodes) | suite.published(method)
        for method, episodes in suite.compare(agents, "compare").items()
    ]
    title = f"following instructions in {suite.name}"
    print_table(title, rows, ("method", *COLUMNS, *suite.published("log_sum_exp")))
    save(methods_figure(rows, title, "world"), figures / "methods.png")
    _print_lines(suite.describe(agent(), instruction))
    shown = {
        name: agents[name] for name in ("direct", "log_sum_exp", "nearest_goal") if name in agents
    }
    few = suite.settings.model_copy(update={"episodes": 20})
    results = suite.follow(shown, few, instruction)
    _store(suite.draw_instruction(agent, instruction, results), figures)
    save(suite.draw_posteriors(agent, (instruction,)), figures / "posterior.png")
    path = write_results(out, command, config.model_dump(mode="json"), rows)
    console.print(
        f"{time.perf_counter() - began:.0f} s; results: {path};"
        f" figures: {figures}, {folder / 'figures'}"
    )


def _longer(folder: Path, steps: int, command: str) -> str:
    """Return a command that trains a finished run on, in a folder of its own."""
    file, new = (
        folder / CONFIG_FILE,
        f"{folder.resolve() if folder.name in ('', '..') else folder}-longer",
    )
    fields = load_run_config(str(file)).model_dump()
    flag = ".".join([*(name for name in ("learner", "policy") if name in fields), "steps"])
    words = ["langrl", command, "--config", file, "--start", folder, f"--{flag}", steps, "--out"]
    return shlex.join(map(str, [*words, new]))


def _estimate() -> Callable[[int, int], None]:
    """Return what says, after the first of several sets of tasks, how long the others will take."""
    began = time.perf_counter()

    def on_set(done: int, sets: int) -> None:
        took = time.perf_counter() - began
        left = took * (sets - 1)
        if done == 1 and left > _LONG:
            time_left = f"{left:.0f} s" if left < 120 else f"{left / 60:.0f} min"
            console.print(
                f"the first of {sets} sets of tasks, a kind of instruction in a phrasing, took"
                f" {took:.0f} s: about {time_left} left; --methods, --kinds, --phrasings and"
                " --episodes make it less"
            )

    return on_set


def _print_lines(lines: Sequence[str]) -> None:
    for line in lines:
        console.print(line)


def _store(drawings: Drawings, folder: Path) -> None:
    """Write figures as PNG, and films."""
    for name, figure in drawings.figures.items():
        save(figure, folder / f"{name}.png")
    for name, frames in drawings.films.items():
        save_film(frames, folder / name)
