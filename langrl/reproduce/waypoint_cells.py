"""What ``langrl reproduce waypoints`` measures of one training: success by every composition."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

from langrl.agents.waypoints import COMPOSITIONS, Drawing, WaypointPolicy
from langrl.data.recordings.pointmaze import RECIPES, Expert, make_env
from langrl.envs.goal_vector import GoalVector
from langrl.evaluation.comparison import summarise
from langrl.evaluation.goal_reaching import GoalPolicy, concatenate, reach_goals, summarise_goals
from langrl.grounding.waypoints import WaypointGraph
from langrl.protocols import Agent
from langrl.reproduce.common import train_timed, with_given
from langrl.reproduce.true_distance import oracle_graph
from langrl.tasks.goal_reaching.agent import GoalAgents, acting, build_networks
from langrl.tasks.goal_reaching.config import GoalRunConfig
from langrl.tasks.goal_reaching.suite import GoalSuite
from langrl.tasks.loading import agents_of
from langrl.tasks.presets import load_config
from langrl.training.logs import progress
from langrl.training.result_cache import ResultCache, Row

PRESET = "crl-pointmaze-waypoints"
COMMAND = "langrl reproduce waypoints"
TASKS = 5  # of each maze
METHODS = ("plain", "marginalised", "committed")
ORACLE = "oracle"
STRATEGY = "nearest_goal"


def config_of(
    file: Path, maze: str, seed: int, episodes: int, steps: int | None, waypoints: int
) -> GoalRunConfig:
    """Return the config of a training on a data set of a maze."""
    config = load_config(PRESET, GoalRunConfig)
    evaluation = config.evaluation
    changed = {
        "seed": seed,
        "env": f"pointmaze-{maze}-v0",
        "data": config.data.model_copy(update={"file": str(file.resolve())}),
        "learner": with_given(config.learner, steps=steps),
        "grounding": with_given(config.grounding, waypoints=waypoints),
        "evaluation": with_given(
            evaluation, episodes=TASKS * episodes, seed=evaluation.seed + 100 * seed
        ),
    }
    return config.model_copy(update=changed)


def run_cell(
    folder: Path, file: Path, maze: str, kind: str, seed: int, episodes: int, steps: int | None,
    waypoints: int, data: str | None,
) -> list[Row]:  # fmt: skip
    """Train on one set with one seed, unless that is done; returns the success of each method.

    ``data`` is the digest of the set: rows of another one are not used again.
    """
    config = config_of(file, maze, seed, episodes, steps, waypoints)
    name = f"{maze}-{kind}-{seed}"
    seconds = train_timed(config, folder / name, f"{maze}-{kind}, seed {seed}", COMMAND)
    depends = {"config": config.model_dump(mode="json"), "data": data}
    cache = ResultCache(folder / f"{name}.jsonl", depends)
    agents = cast(GoalAgents, agents_of(folder / name))
    measured = [
        *_reached(cache, config, agents, maze),
        *cache.rows("instructions", partial(_follow, config, agents, episodes)),
    ]
    shared = {"env": f"pointmaze-{maze}", "data": kind, "seed": seed, "train_seconds": seconds}
    return [shared | row for row in measured]


def _reached(cache: ResultCache, config: GoalRunConfig, agents: GoalAgents, maze: str) -> list[Row]:
    """Return a row for each method and number of critics, and for the oracle."""
    rows: list[Row] = []
    every = config.critic.critics
    for critics, some in {1: one_critic(agents), every: agents}.items():
        for method in METHODS:
            make = partial(_policy, some, method)
            labels = {"method": method, "critics": critics}
            rows += cache.rows(f"{method}, {critics}", partial(_reach, config, make, labels))
    labels = {"method": ORACLE, "critics": every}
    make = partial(_by_oracle, agents, maze)
    return rows + cache.rows(ORACLE, partial(_reach, config, make, labels))


def one_critic(agents: GoalAgents) -> GoalAgents:
    """Return the agents of the first critic alone of an ensemble."""
    if agents.description.critic.config.critics == 1:
        return agents
    described = agents.description.critic
    alone = described.config.model_copy(update={"critics": 1})
    description = agents.description.model_copy(
        update={"critic": described.model_copy(update={"config": alone})}
    )
    critic, actor = build_networks(description, seed=0)
    stored = agents.critic.state_dict()
    critic.load_state_dict({name: stored[name] for name in critic.state_dict()})
    return replace(
        agents,
        description=description,
        critic=critic,
        actor=actor,
        plain=lambda best: acting(critic, actor, best, description.seed),
    )


def _policy(agents: GoalAgents, method: str) -> GoalPolicy:
    if method == "plain":
        return agents.policy(False, waypoints=0)
    return agents.policy(False, composition=method)


def _by_oracle(agents: GoalAgents, maze: str) -> GoalPolicy:
    """Return what goes by the maze's own distances, and to the next place by the critic."""
    with closing(make_env(RECIPES[f"ogbench/pointmaze-{maze}-navigate"])) as env:
        graph: WaypointGraph = oracle_graph(Expert(env.unwrapped), agents.graph())
    # The drawing is of compositions that name no next place; this one does.
    return WaypointPolicy(agents.plain(False), COMPOSITIONS["committed"](graph), Drawing(1.0))


def _reach(
    config: GoalRunConfig, make: Callable[[], GoalPolicy], labels: dict[str, Any]
) -> list[Row]:
    """Return the success over the five tasks, the episodes of each side by side."""
    settings, parts, policy = config.evaluation, [], make()
    count = settings.episodes // TASKS
    title = ", ".join(str(value) for value in labels.values())
    with progress(title, TASKS * count) as bar:
        for task in range(TASKS):
            options = {"task_id": task + 1}
            limit = config.max_episode_steps
            with closing(
                GoalVector(
                    config.env, count, max_episode_steps=limit, seed=settings.seed, options=options
                )
            ) as vector:
                parts.append(reach_goals(vector, policy, count))
            bar.update((task + 1) * count, "episodes")
    return [labels | {"success": summarise_goals(concatenate(parts))["success"]}]


def _follow(config: GoalRunConfig, agents: GoalAgents, episodes: int) -> list[Row]:
    """Return the success in following drawn instructions, by waypoints and without."""
    suite = GoalSuite(config, config.evaluation).for_agents(agents)
    settings = config.evaluation.model_copy(update={"episodes": episodes})
    rows = []
    for method, waypoints in (("plain", 0), ("committed", config.grounding.waypoints)):
        make: Callable[[], Agent] = partial(agents, strategy=STRATEGY, waypoints=waypoints)
        makers = {STRATEGY: make}
        done = suite.compare(makers, "instructions", settings)[STRATEGY]
        row = {"method": f"{method}, instructions", "critics": config.critic.critics}
        rows.append(row | {"success": summarise(done)["success"]})
    return rows


def goal_of(rows: Sequence[Row], method: str, critics: int) -> float | None:
    """Return the success in reaching goals of a method, where it is measured."""
    found = [r["success"] for r in rows if (r["method"], r["critics"]) == (method, critics)]
    return found[0] if found else None
