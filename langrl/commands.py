"""What ``langrl train``, ``evaluate`` and ``demo`` do once their arguments are read."""

import itertools
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langrl.agents.baselines import OracleAgent, RandomAgent
from langrl.agents.grounded import GroundedAgent
from langrl.agents.saved import load_agent
from langrl.compose import CONFIG_FILE, Run, make_tasks, resolve_layout, resume_run, train_run
from langrl.config import RunConfig, load_config
from langrl.envs.grammar import Phrasing
from langrl.envs.maze_world import StreetMaze
from langrl.errors import ConfigError, InstructionError, lookup
from langrl.experiment import plots
from langrl.experiment.comparison import COLUMNS, compare, summarise
from langrl.experiment.config import EvaluationConfig
from langrl.experiment.evaluation import Episodes, run_episodes
from langrl.experiment.logs import console, print_table, read_metrics, write_results
from langrl.experiment.published import STREET_MAZES
from langrl.grounding.strategies import GROUNDINGS
from langrl.protocols import Agent

METHODS = (*GROUNDINGS, "oracle", "random")
SHOWN = (
    "go to row 3",
    "go to row 3 or column 11",
    "row 10 and column 12",
    "walk to the top left corner",
    "walk over to the bottom half please",
    "navigate to column number 5",
)
"""Instructions of every kind for pictures; those that a maze cannot satisfy are left out."""
AgentOf = Callable[..., GroundedAgent]


def make_agents(
    agent: AgentOf, world: StreetMaze, methods: Sequence[str]
) -> dict[str, Callable[[], Agent]]:
    """Return how to make the agent of each method; ``agent(strategy=...)`` makes grounded ones."""
    makers: dict[str, Callable[[], Agent]] = {}
    for method in methods:
        lookup(dict.fromkeys(METHODS), method, "method")
        if method == "oracle":
            makers[method] = lambda: OracleAgent(world)
        elif method == "random":
            makers[method] = RandomAgent
        else:
            makers[method] = lambda method=method: agent(strategy=method)  # type: ignore[misc]
    return makers


def train(config: RunConfig | None, folder: Path, command: str) -> None:
    """Train a run, or go on with the one in ``folder`` if there is no config; then evaluate it."""
    if config is None:
        run, seconds = resume_run(folder, f"resume {folder.name}")
    else:
        run, seconds = train_run(config, folder, f"train {folder.name}")
    rows = _evaluate_run(run, METHODS, "evaluate")
    for row in rows:
        row["train_seconds"] = round(seconds, 1)
    print_table(f"{folder} ({seconds:.0f} s of training)", rows, ("method", *COLUMNS))
    write_results(folder, command, run.config.model_dump(mode="json"), rows)
    _training_figure(folder)
    picture = folder / "figures" / "posterior.png"
    _save_posteriors(run.agent, run.world, run.config.evaluation, picture)
    console.print(f"results: {folder / 'results.json'}; pictures: {folder / 'figures'}")


def _evaluate_run(run: Run, methods: Sequence[str], label: str) -> list[dict[str, Any]]:
    evaluation = run.config.evaluation
    results = compare(
        make_agents(run.agent, run.world, methods),
        lambda: make_tasks(run.world, evaluation),
        evaluation.seed,
        label,
    )
    return [{"method": name} | summarise(episodes) for name, episodes in results.items()]


def _training_figure(folder: Path) -> None:
    records = read_metrics(folder / "metrics.jsonl")
    fig = plots.curves_figure(records, f"training of {folder.name}")
    plots.save(fig, folder / "figures" / "training.png")


def evaluate(
    run: Path,
    out: Path,
    command: str,
    *,
    instruction: str | None,
    methods: Sequence[str],
    kinds: Sequence[str],
    phrasings: Sequence[Phrasing],
    episodes: int,
    seed: int | None,
    layout: str | None,
) -> None:
    """Evaluate a trained run on drawn instructions, or on one text."""
    asked = None if layout is None else StreetMaze(layout)
    load_agent(run, world=asked)  # refuses, before any work, what is no agent of this maze
    config = _config_beside(run)
    world = StreetMaze(config.world.layout)
    settings = config.evaluation.model_copy(
        update={"episodes": episodes} | ({} if seed is None else {"seed": seed})
    )

    def agent(**grounding: Any) -> GroundedAgent:
        return load_agent(run, **grounding)

    agents = make_agents(agent, world, methods)
    if instruction is None:
        rows = _evaluate_drawn(agents, world, settings, kinds, phrasings)
        _save_posteriors(agent, world, settings, out / "figures" / "posterior.png")
    else:
        results = _follow(agents, world, settings, instruction)
        rows = [
            {"method": name, "instruction": instruction} | summarise(episodes)
            for name, episodes in results.items()
        ]
        describe_posterior(agent(), world, instruction)
        figure = instruction_figure(agent, world, instruction, list(methods), results)
        plots.save(figure, out / "figures" / "instruction.png")
    names = [name for name in rows[0] if name not in ("episodes", "instruction")]
    print_table(f"{run}: {instruction or 'drawn instructions'}", rows, names)
    path = write_results(out, command, config.model_dump(mode="json"), rows)
    console.print(f"results: {path}; pictures: {out / 'figures'}")


def _evaluate_drawn(
    agents: dict[str, Callable[[], Agent]],
    world: StreetMaze,
    settings: EvaluationConfig,
    kinds: Sequence[str],
    phrasings: Sequence[Phrasing],
) -> list[dict[str, Any]]:
    """Return a row for each phrasing, kind of instruction and method."""
    rows = []
    for phrasing, kind in itertools.product(phrasings, kinds):
        results = compare(
            agents,
            lambda kind=kind, phrasing=phrasing: make_tasks(  # type: ignore[misc]
                world, settings, (kind,), phrasing
            ),
            settings.seed,
            f"{kind}, {phrasing}",
        )
        rows += [
            {"method": name, "kind": kind, "phrasing": phrasing} | summarise(episodes)
            for name, episodes in results.items()
        ]
    return rows


def _follow(
    agents: dict[str, Callable[[], Agent]],
    world: StreetMaze,
    settings: EvaluationConfig,
    instruction: str,
) -> dict[str, Episodes]:
    """Have each agent follow one text from many starts; refuses one that denotes nothing."""
    world.cell_mask(instruction)
    options = {"instruction": instruction}
    return compare(agents, lambda: make_tasks(world, settings), settings.seed, "follow", options)


def _config_beside(run: Path) -> RunConfig:
    for folder in (run, run.parent.parent):
        if (folder / CONFIG_FILE).is_file():
            return load_config(str(folder / CONFIG_FILE))
    raise ConfigError(
        f"no {CONFIG_FILE} in {run}; give a run folder that `langrl train` has written"
    )


def describe_posterior(agent: GroundedAgent, world: StreetMaze, instruction: str) -> None:
    """Print what an instruction means in a maze, and what the agent makes of it."""
    mask = world.cell_mask(instruction)
    mass, bits = posterior_mass(agent, world, instruction)
    if mask is None:
        console.print(
            f"{instruction!r} is beyond the grammar: it is followed, its denotation is unknown"
        )
    else:
        console.print(
            f"{instruction!r} denotes {mask.sum()} cells ({np.log2(mask.sum()):.1f} bits of"
            f" ambiguity); the agent puts {mass[mask].sum():.0%} of its belief on them"
        )
    console.print(f"posterior over candidate goals: entropy {bits:.1f} bits")


def posterior_mass(
    agent: GroundedAgent, world: StreetMaze, instruction: str
) -> tuple[NDArray[np.float64], float]:
    """Return the posterior's mass in each cell [R, C], and its entropy in bits."""
    start = world.layout.free_cells[0] + 0.5
    posterior = agent.posterior({"observation": start}, instruction)
    mass = plots.cell_mass(posterior.goals, posterior.probabilities, world.walls.shape)
    return mass, posterior.entropy_bits


def _denoting(world: StreetMaze, instructions: Sequence[str]) -> list[str]:
    """Leave out the instructions that denote no cell of this maze."""
    kept = []
    for text in instructions:
        try:
            world.cell_mask(text)
        except InstructionError:
            continue
        kept.append(text)
    return kept


def _save_posteriors(
    agent: AgentOf,
    world: StreetMaze,
    settings: EvaluationConfig,
    path: Path,
    texts: Sequence[str] = SHOWN,
) -> None:
    """Draw the posterior for several instructions, each with a walk."""
    panels = []
    for seed, text in enumerate(_denoting(world, texts)):
        grounded = agent()
        env = make_tasks(world, settings, episodes=1)
        episodes = run_episodes(env, grounded, seed, {"instruction": text})
        panels.append(
            {
                "heat": posterior_mass(grounded, world, text)[0],
                "denoted": world.cell_mask(text),
                "paths": episodes.paths,
                "title": f"“{text}”",
            }
        )
    title = "posterior over goals (heat), what the words denote (green), and a walk (blue)"
    plots.save(plots.posterior_figure(world.walls, panels, title), path)


def instruction_figure(
    agent: AgentOf,
    world: StreetMaze,
    instruction: str,
    methods: Sequence[str],
    results: dict[str, Episodes],
) -> Any:
    """Draw the posterior for one text with the first walks of each method."""
    heat, bits = posterior_mass(agent(), world, instruction)
    mask = world.cell_mask(instruction)
    panels = []
    for method in methods:
        episodes = results[method]
        score = "" if mask is None else f", success {episodes.success.mean():.2f}"
        panels.append(
            {
                "heat": heat,
                "denoted": mask,
                "paths": episodes.paths[:5],
                "title": f"{method}{score}",
            }
        )
    title = f"“{instruction[:80]}”: posterior entropy {bits:.1f} bits"
    return plots.posterior_figure(world.walls, panels, title)


def demo(config: RunConfig, instruction: str, out: Path, command: str) -> None:
    """Train on one maze, compare the methods, and follow one instruction; with pictures."""
    began = time.perf_counter()
    world = StreetMaze(config.world.layout)
    world.cell_mask(instruction)  # refused before a minute of training, not after
    folder = out / "run"
    if _trained_already(folder, config):
        console.print(f"using the run in {folder}; delete {out} to train anew")
    else:
        train_run(config, folder, "train")
    _training_figure(folder)

    def agent(**grounding: Any) -> GroundedAgent:
        return load_agent(folder, **grounding)

    settings = config.evaluation
    agents = make_agents(agent, world, METHODS)
    results = compare(agents, lambda: make_tasks(world, settings), settings.seed, "compare")
    rows = []
    for method, episodes in results.items():
        published = STREET_MAZES.get((config.world.layout, method), (None, None))
        row = {"maze": config.world.layout, "method": method} | summarise(episodes)
        rows.append(row | dict(zip(("published_success", "published_spl"), published, strict=True)))
    title = f"following instructions in the {config.world.layout} maze"
    print_table(title, rows, ("method", *COLUMNS, "published_success", "published_spl"))
    figures = out / "figures"
    plots.save(plots.methods_figure(rows, title), figures / "methods.png")
    describe_posterior(agent(), world, instruction)
    shown = {name: agents[name] for name in ("direct", "log_sum_exp", "nearest_goal")}
    few = settings.model_copy(update={"episodes": 20})
    walks = _follow(shown, world, few, instruction)
    figure = instruction_figure(agent, world, instruction, list(shown), walks)
    plots.save(figure, figures / "instruction.png")
    shown_texts = tuple(dict.fromkeys((instruction, *SHOWN)))[:6]
    _save_posteriors(agent, world, settings, figures / "posterior.png", shown_texts)
    path = write_results(out, command, config.model_dump(mode="json"), rows)
    console.print(
        f"{time.perf_counter() - began:.0f} s; results: {path};"
        f" pictures: {figures}, {folder / 'figures'}"
    )


def _trained_already(folder: Path, config: RunConfig) -> bool:
    """Whether the folder holds a finished run of this very config."""
    done = folder / "checkpoints" / f"step-{config.learner.steps}"
    file = folder / CONFIG_FILE
    return done.is_dir() and file.is_file() and load_config(str(file)) == resolve_layout(config)
