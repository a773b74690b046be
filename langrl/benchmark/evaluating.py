"""Evaluating one entrant in one world: a cell of the benchmark's last wave."""

import itertools
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from langrl.benchmark.beliefs import Fit, beliefs_of
from langrl.benchmark.calibration import calibrate
from langrl.benchmark.entrants import ENTRANTS, Entrant, Setting, find_entrant
from langrl.benchmark.examples import Example
from langrl.benchmark.families import World, agents_of_family, config_of, run_name
from langrl.benchmark.level_world import LEVELS
from langrl.benchmark.outcomes import Outcomes
from langrl.benchmark.profiles import PROFILES
from langrl.benchmark.results import SCHEMA
from langrl.benchmark.rollout import Rollout, roll_out
from langrl.benchmark.suites import suite_named
from langrl.benchmark.tasks import WORLDS, BenchmarkTask
from langrl.envs.grid.rooms import read_observation
from langrl.envs.intents import MODES, Mode
from langrl.grounding.beliefs import posterior_of
from langrl.protocols import Agent, Array, Integers
from langrl.tasks.loading import AgentMaker
from langrl.training.logs import versions

COVERAGE = 0.9  # of conformal sets


def fit(name: str, world: str, seed: int, profile: str, out: str) -> dict[str, Any]:
    """Calibrate what an entrant believes, on tasks apart: a cell of the second wave.

    Args:
        name: of one of the entrants that are calibrated alike.
        world: by its name.
        seed: of the training.
        profile: how many tasks.
        out: the benchmark's folder.

    Returns:
        The fields of a ``Fit``.
    """
    entrant = ENTRANTS[name]
    trained = _trained(entrant, world, seed, profile, Path(out))
    agent = entrant.make(Setting(World(world), trained=trained.make))
    return asdict(_fit(agent, world, seed, profile))


def _fit(agent: Agent, world: str, seed: int, profile: str) -> Fit:
    """Return the calibration of what an agent believes, if it says so."""
    beliefs = beliefs_of(agent, world)
    if beliefs is None:
        return Fit()
    found = calibrate(world, beliefs, PROFILES[profile].calibration, seed, (COVERAGE,))
    return Fit(found.temperature, found.set_temperature, found.thresholds[COVERAGE])


def evaluate(
    name: str, source: str, world: str, seed: int, profile: str, suite: str, out: str
) -> dict[str, Any]:
    """Evaluate an entrant by its name: a cell of the last wave.

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
    trained = _trained(entrant, world, seed, profile, folder)
    fitted = None
    if not source and entrant.calibrated is not None:
        stored = _read(calibration_file(folder, entrant.calibrated, world, seed))
        fitted = Fit(**{each.name: stored[each.name] for each in fields(Fit)})
    command = _command(name, source, world, seed, profile, suite)
    return evaluate_entrant(entrant, world, seed, profile, suite, command, trained, fitted)


def _command(name: str, source: str, world: str, seed: int, profile: str, suite: str) -> str:
    """Return the command that gives an entrant's results in one world."""
    who = ["--agents", source or name]
    if source and not Path(source).is_dir():
        who = ["--agent", source]
    where = ["--worlds", world, "--seeds", str(seed + 1)]
    which = ["--suite", suite, "--profile", profile]
    return shlex.join(["langrl", "benchmark", "run", *which, *who, *where])


@dataclass(frozen=True, eq=False)
class Trained:
    """A run whose agents are evaluated.

    Args:
        make: makes its agents; None for entrants that are not trained.
        seconds: of the training; None where it is not known.
        shared: by mode, what its agents keep for those that meet the same tasks after them.
    """

    make: AgentMaker | None = None
    seconds: float | None = None
    shared: Mapping[Mode, dict[str, Any]] = field(
        default_factory=lambda: {mode: {} for mode in MODES}
    )


def _trained(entrant: Entrant, world: str, seed: int, profile: str, out: Path) -> Trained:
    """Return an entrant's run."""
    if entrant.family is None:
        return Trained()
    run = run_name(entrant.family, World(world), seed, profile)
    stored = training_file(out, entrant.family, run)
    folder = run_folder(out, entrant.family, run)
    return _load(entrant.family, world, seed, profile, folder, stored, stored.stat().st_mtime_ns)


@lru_cache(maxsize=1)  # entrants of one run come one after another
def _load(
    family: str, world: str, seed: int, profile: str, folder: Path, stored: Path, when: int
) -> Trained:
    """Return a run; ``when`` tells a newer training of it, stored at another time, apart."""
    make = agents_of_family(family, config_of(family, World(world), seed, profile), folder)
    return Trained(make, _read(stored)["train_seconds"])


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def run_folder(out: Path, family: str, run: str) -> Path:
    """Return where a run is trained."""
    return out / "runs" / family / run


def training_file(out: Path, family: str, run: str) -> Path:
    """Return the result file of a training's cell."""
    return out / "training" / family / f"{run}.json"


def calibration_file(out: Path, calibrated: str, world: str, seed: int) -> Path:
    """Return the result file of a calibration's cell."""
    return out / "calibration" / calibrated / f"{world}-seed-{seed}.json"


def evaluate_entrant(
    entrant: Entrant,
    world: str,
    seed: int,
    profile: str,
    suite: str,
    command: str,
    trained: Trained | None = None,
    fitted: Fit | None = None,
) -> dict[str, Any]:
    """Evaluate an entrant in one world, in each of its modes and at each price if it asks.

    Args:
        entrant: who.
        world: by its name.
        seed: of the agent's own randomness.
        profile: which tasks, and at what prices.
        suite: by its name.
        command: that gives these results, for the record.
        trained: its run; None for one that is not trained by the benchmark.
        fitted: the calibration of what it believes; it is calibrated first if not given.

    Returns:
        What a file of results has: schema, suite, hash, agent, about, role, world, seed,
        command, train_seconds, versions, outcomes and, of the first seed, examples.
    """
    tasks, amount = suite_named(suite), PROFILES[profile]
    trained = Trained() if trained is None else trained
    setting = Setting(World(world), trained=trained.make)
    if fitted is None:
        fitted = _fit(entrant.make(setting), world, seed, profile)
    setting = replace(setting, fit=fitted)
    rollouts = []
    for mode in WORLDS[world].modes:
        chosen = tasks.tasks(world, mode)[: amount.tasks_in(world)]
        setting = replace(setting, shared=trained.shared[mode])
        agent = entrant.make(setting)
        rollouts.append(roll_out(chosen, agent, seed, fit=fitted))
        if mode == "hidden" and hasattr(agent, "ask"):
            for price in amount.prices:
                asking = entrant.make(replace(setting, price=price))
                rollouts.append(roll_out(chosen, asking, seed, price=price, fit=fitted))
    return {
        "schema": SCHEMA,
        "suite": suite,
        "hash": tasks.version_hash,
        "agent": entrant.name,
        "about": entrant.about,
        "role": entrant.role,
        "world": world,
        "seed": seed,
        "command": command,
        "train_seconds": trained.seconds,
        "versions": versions(),
        "outcomes": Outcomes.concat([rollout.outcomes for rollout in rollouts]).to_json(),
        "examples": _examples(entrant, rollouts) if seed == 0 else [],
    }


def _examples(entrant: Entrant, rollouts: Sequence[Rollout]) -> list[dict[str, Any]]:
    """Return an ambiguous episode that succeeds and one that does not, where there are such."""
    found = []
    for succeeds in (True, False):
        episodes = (
            _example(entrant, rollout, int(n)).to_json()
            for rollout in rollouts
            if rollout.beliefs is not None
            for n in np.flatnonzero(
                (rollout.outcomes.intended == succeeds) & ~rollout.outcomes.twin
            )
        )
        found += list(itertools.islice(episodes, 1))
    return found


def _example(entrant: Entrant, rollout: Rollout, n: int) -> Example:
    """Return an episode as the report shows it, with what was believed at its start."""
    assert rollout.beliefs is not None
    task, path = rollout.tasks[n], rollout.paths[n]
    posterior = posterior_of(rollout.beliefs, rollout.observations[n], task.instruction)
    own: Any = WORLDS[task.world]
    if task.room is None:
        place = {"layout": own.maze.layout.text, "path": path}
    else:
        room = task.room_array
        assert room is not None
        place = {"room": room[..., :2], "path": _poses(task, path)}
    numbers = place["path"].shape[1]
    return Example(
        entrant=entrant.name,
        task=task.name,
        world=task.world,
        instruction=task.instruction,
        candidates=posterior.goals[:, :numbers],
        probabilities=posterior.probabilities.astype(float),
        denoted=np.array(task.denoted),
        success=bool(rollout.outcomes.intended[n]),
        intended=np.array(task.intended) if task.mode == "hidden" else None,
        **place,
    )


def _poses(task: BenchmarkTask, path: Array) -> Integers:
    """Return the agent's poses [T, 3] in observations [T, H, W, 3] of a grid world or a level."""
    if task.world in LEVELS:
        from langrl.envs.minigrid_levels.reading import as_rooms  # minigrid takes half a second

        path = as_rooms(path)
    return read_observation(path)[1]
