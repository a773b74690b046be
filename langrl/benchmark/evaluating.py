"""Evaluating one entrant in one world: a cell of the benchmark's last wave."""

import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from langrl.benchmark.entrants import Entrant, Setting, find_entrant
from langrl.benchmark.examples import Example
from langrl.benchmark.families import World, agents_of_family, config_of, run_name
from langrl.benchmark.outcomes import Outcomes
from langrl.benchmark.profiles import PROFILES, Profile
from langrl.benchmark.rollout import Rollout, roll_out
from langrl.benchmark.suites import suite_named
from langrl.benchmark.tasks import WORLDS
from langrl.envs.grid.rooms import read_observation
from langrl.envs.instructed import MODES
from langrl.tasks.loading import AgentMaker
from langrl.training.logs import versions

SCHEMA = "langrl-cell-1"


def evaluate(
    name: str, source: str, world: str, seed: int, profile: str, suite: str, out: str
) -> dict[str, Any]:
    """Evaluate an entrant by its name; what it needs is in the benchmark's folder.

    Args:
        name: of the entrant.
        source: an import path or a run folder, for those that are not of ``ENTRANTS``.
        world: by its name.
        seed: of the training and of the agent's own randomness.
        profile: which tasks, and at what prices.
        suite: by its name.
        out: the benchmark's folder.

    Returns:
        A cell's result; see ``evaluate_entrant``.
    """
    entrant, folder = find_entrant(name, source), Path(out)
    trained, seconds = None, None
    if entrant.family is not None:
        own = World(world)
        run = run_name(entrant.family, own, seed, profile)
        config = config_of(entrant.family, own, seed, profile)
        trained = agents_of_family(entrant.family, config, run_folder(folder, entrant.family, run))
        stored = json.loads(training_file(folder, entrant.family, run).read_text())
        seconds = stored["train_seconds"]
    return evaluate_entrant(entrant, world, seed, PROFILES[profile], suite, trained, seconds)


def run_folder(out: Path, family: str, run: str) -> Path:
    """Return where a run is trained."""
    return out / "runs" / family / run


def training_file(out: Path, family: str, run: str) -> Path:
    """Return the result file of a training's cell."""
    return out / "training" / family / f"{run}.json"


def evaluate_entrant(
    entrant: Entrant,
    world: str,
    seed: int,
    profile: Profile,
    suite: str,
    trained: AgentMaker | None = None,
    train_seconds: float | None = None,
) -> dict[str, Any]:
    """Evaluate an entrant in one world, in both modes and at each price if it asks.

    Args:
        entrant: who.
        world: by its name.
        seed: of the agent's own randomness.
        profile: which tasks, and at what prices.
        suite: by its name.
        trained: makes the agents of its run.
        train_seconds: of the run.

    Returns:
        What a cell of the benchmark is: schema, suite, hash, agent, role, world, seed,
        train_seconds, versions, outcomes and, of the first seed, examples.
    """
    tasks = suite_named(suite)
    setting = Setting(World(world), trained=trained)
    rollouts = []
    for mode in MODES:
        chosen = tasks.tasks(world, mode)[: profile.tasks]
        agent: Any = entrant.make(setting)
        rollouts.append(roll_out(chosen, agent, seed))
        if mode == "hidden" and hasattr(agent, "ask"):
            for price in profile.prices:
                asking = entrant.make(replace(setting, price=price))
                rollouts.append(roll_out(chosen, asking, seed, price=price))
    joined = Outcomes.concat([rollout.outcomes for rollout in rollouts])
    return {
        "schema": SCHEMA,
        "suite": suite,
        "hash": tasks.version_hash,
        "agent": entrant.name,
        "about": entrant.about,
        "role": entrant.role,
        "world": world,
        "seed": seed,
        "train_seconds": train_seconds,
        "versions": versions(),
        "outcomes": joined.to_json(),
        "examples": [example.to_json() for example in _examples(entrant, rollouts)] * (seed == 0),
    }


def _examples(entrant: Entrant, rollouts: Sequence[Rollout]) -> list[Example]:
    """Return an ambiguous episode that succeeds and one that does not, where there are such."""
    shown = [rollout for rollout in rollouts if rollout.posteriors is not None]
    found = []
    for succeeds in (True, False):
        episodes = (
            _example(entrant, rollout, int(n))
            for rollout in shown
            for n in np.flatnonzero(
                (rollout.outcomes.intended == succeeds) & ~rollout.outcomes.twin
            )
        )
        found += list(itertools.islice(episodes, 1))
    return found


def _example(entrant: Entrant, rollout: Rollout, n: int) -> Example:
    """Return an episode as the report shows it, with what was believed at its start."""
    assert rollout.posteriors is not None
    task, posterior, path = rollout.tasks[n], rollout.posteriors[n], rollout.paths[n]
    own: Any = WORLDS[task.world]
    if task.room is None:
        place = {"layout": own.maze.layout.text, "path": path}
    else:
        place = {"room": task.room_array, "path": read_observation(path)[1]}
    numbers = place["path"].shape[1]
    return Example(
        entrant=entrant.name,
        task=task.name,
        world=task.world,
        instruction=task.instruction,
        candidates=posterior.goals[:, :numbers],
        probabilities=posterior.probabilities,
        denoted=np.array(task.denoted),
        success=bool(rollout.outcomes.intended[n]),
        intended=np.array(task.intended) if task.mode == "hidden" else None,
        **place,
    )
