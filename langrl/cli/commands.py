"""What ``langrl train``, ``evaluate`` and ``demo`` do once their arguments are read."""

import itertools
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from langrl import MAZE_IDS
from langrl.agents.grounded import GroundedAgent
from langrl.envs.maze.world import StreetMaze
from langrl.envs.phrasing import Phrasing
from langrl.errors import ConfigError, check_extra, lookup
from langrl.evaluation.comparison import COLUMNS, compare, summarise
from langrl.evaluation.rollouts import Episodes
from langrl.plots.base import curves_figure, methods_figure, save
from langrl.protocols import Agent
from langrl.tasks.loading import load_agent
from langrl.tasks.maze.agent import check_same_maze
from langrl.tasks.registry import (
    AnyRunConfig,
    OwnRunConfig,
    is_trained,
    load_run_config,
    resume_run,
    scene_of,
    train_run,
)
from langrl.tasks.sb3.config import Sb3RunConfig
from langrl.tasks.suite import AgentOf, TaskSuite, make_agents
from langrl.training.logs import console, print_table, read_metrics, write_results
from langrl.training.run_folder import CONFIG_FILE


def train(
    config: AnyRunConfig | None, folder: Path, command: str, *, trust_pickle: bool = False
) -> None:
    """Train a run, or go on with the one in ``folder`` if there is no config; then evaluate it.

    Args:
        config: of a new run.
        folder: of the run.
        command: what the user typed, for the record.
        trust_pickle: whether a zip of Stable-Baselines3 may be read, which runs code that is in it.

    Raises:
        ConfigError: if a run of Stable-Baselines3 is to go on, and its zip is not trusted.
    """
    run, seconds = _train(config, folder, trust_pickle)
    scene = scene_of(run.config)
    rows = _evaluate_run(run, scene, "evaluate")
    for row in rows:
        row["train_seconds"] = round(seconds, 1)
    print_table(f"{folder} ({seconds:.0f} s of training)", rows, ("method", *COLUMNS))
    during = {"during": run.during} if isinstance(run.config, Sb3RunConfig) else {}
    write_results(folder, command, run.config.model_dump(mode="json"), rows, **during)
    _training_figure(folder)
    scene.draw_posteriors(run.agent, folder / "figures" / "posterior.png")
    console.print(f"results: {folder / 'results.json'}; figures: {folder / 'figures'}")


def _train(config: AnyRunConfig | None, folder: Path, trust_pickle: bool) -> tuple[Any, float]:
    """Train a run, or go on with one; returns it and the seconds of training."""
    known: AnyRunConfig | None = config
    if config is None and _has_config(folder):
        known = _config_beside(folder)
    if isinstance(known, Sb3RunConfig):
        from langrl.tasks.sb3.run import ZIP, resume_policy, train_policy

        if config is not None:
            return train_policy(known, folder, f"train {folder.name}")
        check_trust(folder / ZIP, trust_pickle)
        return resume_policy(folder, known, f"resume {folder.name}")
    if trust_pickle and known is not None:
        raise ConfigError(f"{folder} is no run of Stable-Baselines3; leave --trust-pickle out")
    if config is None:
        return resume_run(folder, f"resume {folder.name}")
    assert known is not None
    return train_run(known, folder, f"train {folder.name}")


def check_trust(path: Path, trust_pickle: bool) -> None:
    """Raise ConfigError unless a zip of Stable-Baselines3 may be read."""
    if not trust_pickle:
        raise ConfigError(
            f"{path} holds a pickle: reading it runs code that its author chose; add"
            " --trust-pickle if you trust where it came from"
        )


def _evaluate_run(run: Any, scene: TaskSuite, label: str) -> list[dict[str, Any]]:
    evaluation = run.config.evaluation
    agents = make_agents(run.agent, scene, scene.compared)
    results = compare(agents, lambda: scene.tasks(evaluation), evaluation.seed, label)
    return [{"method": name} | summarise(episodes) for name, episodes in results.items()]


def _training_figure(folder: Path) -> None:
    records = read_metrics(folder / "metrics.jsonl")
    fig = curves_figure(records, f"training of {folder.name}")
    save(fig, folder / "figures" / "training.png")


def evaluate(
    run: Path,
    out: Path,
    command: str,
    *,
    instruction: str | None,
    methods: Sequence[str] | None,
    kinds: Sequence[str] | None,
    phrasings: Sequence[Phrasing],
    episodes: int,
    seed: int | None,
    layout: str | None,
    policy: Path | None = None,
    trust_pickle: bool = False,
) -> None:
    """Evaluate a trained run on drawn instructions, or on one text."""
    agent, config = _load(run, layout, policy, trust_pickle)
    scene = scene_of(config)
    settings = config.evaluation.model_copy(
        update={"episodes": episodes} | ({} if seed is None else {"seed": seed})
    )
    agents = make_agents(agent, scene, methods or scene.compared)
    if instruction is None:
        for sort in kinds or ():
            lookup(dict.fromkeys(scene.sorts), sort, f"{scene.sort} of instruction")
        rows = _evaluate_drawn(agents, scene, settings, kinds or scene.sorts, phrasings)
        scene.draw_posteriors(agent, out / "figures" / "posterior.png")
    else:
        results = _follow(agents, scene, settings, instruction)
        rows = [
            {"method": name, "instruction": instruction} | summarise(episodes)
            for name, episodes in results.items()
        ]
        scene.describe(agent(), instruction)
        scene.draw_instruction(agent, instruction, results, out / "figures")
    names = [name for name in rows[0] if name not in ("episodes", "instruction")]
    print_table(f"{run}: {instruction or 'drawn instructions'}", rows, names)
    path = write_results(out, command, config.model_dump(mode="json"), rows)
    console.print(f"results: {path}; figures: {out / 'figures'}")


def _load(
    run: Path, layout: str | None, policy: Path | None, trust_pickle: bool
) -> tuple[AgentOf, AnyRunConfig]:
    """Return what makes the agents of a run, and its config; refuses what is none, before any work.

    Args:
        run: a run folder, or a checkpoint of one.
        layout: the maze that it must have been trained in.
        policy: a zip of Stable-Baselines3 to use in the place of the run's own policy.
        trust_pickle: whether it may be read.
    """
    asked = None if layout is None else StreetMaze(layout)
    config = _config_beside(run) if _has_config(run) else None
    if not isinstance(config, Sb3RunConfig):
        if policy is not None or trust_pickle:
            raise ConfigError(f"{run} is no run of Stable-Baselines3; leave out its flags")
        load_agent(run, world=asked)
        return partial(load_agent, run), config or _config_beside(run)
    from langrl.tasks.sb3.run import load_policy, read_policy

    if asked is not None:
        if config.world not in MAZE_IDS:
            raise ConfigError(f"{run} was trained in {config.world}; leave the layout out")
        check_same_maze(StreetMaze(MAZE_IDS[config.world]), asked, run)
    if policy is None:
        if trust_pickle:
            raise ConfigError("--trust-pickle is for --policy: a run's checkpoint has no pickle")
        return load_policy(run, config).agent, config
    check_trust(policy, trust_pickle)
    return read_policy(policy, run, config).agent, config


def _evaluate_drawn(
    agents: dict[str, Callable[[], Agent]],
    scene: TaskSuite,
    settings: Any,
    sorts: Sequence[str],
    phrasings: Sequence[Phrasing],
) -> list[dict[str, Any]]:
    """Return a row for each phrasing, sort of instruction and method."""
    rows = []
    for phrasing, sort in itertools.product(phrasings, sorts):
        results = compare(
            agents,
            lambda sort=sort, phrasing=phrasing: scene.tasks(  # type: ignore[misc]
                settings, (sort,), phrasing
            ),
            settings.seed,
            f"{sort}, {phrasing}",
        )
        rows += [
            {"method": name, scene.sort: sort, "phrasing": phrasing} | summarise(episodes)
            for name, episodes in results.items()
        ]
    return rows


def _follow(
    agents: dict[str, Callable[[], Agent]], scene: TaskSuite, settings: Any, instruction: str
) -> dict[str, Episodes]:
    """Have each agent follow one text from many starts; refuses one that denotes nothing."""
    scene.check(instruction)
    options = {"instruction": instruction}
    return compare(agents, lambda: scene.tasks(settings), settings.seed, "follow", options)


def _has_config(run: Path) -> bool:
    return any((folder / CONFIG_FILE).is_file() for folder in (run, run.parent.parent))


def _config_beside(run: Path) -> AnyRunConfig:
    for folder in (run, run.parent.parent):
        if (folder / CONFIG_FILE).is_file():
            config = load_run_config(str(folder / CONFIG_FILE))
            if isinstance(config, Sb3RunConfig):
                check_extra("stable_baselines3", "sb3")
            return config
    raise ConfigError(
        f"no {CONFIG_FILE} in {run}; give a run folder that `langrl train` has written"
    )


def demo(config: OwnRunConfig, instruction: str, out: Path, command: str) -> None:
    """Train in one world, compare the methods, and follow one instruction; with images."""
    began = time.perf_counter()
    scene = scene_of(config)
    scene.check(instruction)  # refused before a minute of training, not after
    folder = out / "run"
    if is_trained(folder, config):
        console.print(f"using the run in {folder}; delete {out} to train anew")
    else:
        train_run(config, folder, "train")
    _training_figure(folder)

    def agent(**grounding: Any) -> GroundedAgent:
        return load_agent(folder, **grounding)

    settings = config.evaluation
    agents = make_agents(agent, scene, scene.compared)
    results = compare(agents, lambda: scene.tasks(settings), settings.seed, "compare")
    rows = [
        {"world": scene.name, "method": method} | summarise(episodes) | scene.published(method)
        for method, episodes in results.items()
    ]
    title = f"following instructions in {scene.name}"
    published = scene.published("log_sum_exp")
    print_table(title, rows, ("method", *COLUMNS, *published))
    figures = out / "figures"
    save(methods_figure(rows, title, "world"), figures / "methods.png")
    scene.describe(agent(), instruction)
    shown = {name: agents[name] for name in ("log_sum_exp", "nearest_goal")}
    if "direct" in agents:
        shown = {"direct": agents["direct"]} | shown
    few = settings.model_copy(update={"episodes": 20})
    scene.draw_instruction(agent, instruction, _follow(shown, scene, few, instruction), figures)
    scene.draw_posteriors(agent, figures / "posterior.png", (instruction,))
    path = write_results(out, command, config.model_dump(mode="json"), rows)
    console.print(
        f"{time.perf_counter() - began:.0f} s; results: {path};"
        f" images: {figures}, {folder / 'figures'}"
    )
