"""What is to be run of the benchmark, and everything that can be wrong with it.

A folder holds one suite, by its hash, and one profile. What is in it already is used again, so that
a run that was cut off goes on, and entrants, worlds and seeds can be added later.
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langrl.benchmark.entrants import (
    ENTRANTS,
    Entrant,
    entrant_of_agent,
    entrant_of_import,
    entrant_of_run,
)
from langrl.benchmark.families import World, config_of, recipe_of, run_name, worlds_of
from langrl.benchmark.level_world import LEVELS
from langrl.benchmark.profiles import PROFILES
from langrl.benchmark.results import ABOUT
from langrl.benchmark.suites import SUITES, Suite, suite_named
from langrl.checkpoint import content_digest, find_checkpoint
from langrl.errors import ConfigError, ResultsError, UnknownNameError, lookup
from langrl.tasks.registry import config_beside

SUITE = "langrl/AmbiguousInstructions-v1"
"""The suite if none is named: that of the published table, and of folders that were begun so."""
_SCHEMA = "langrl-benchmark-1"


@dataclass(frozen=True, eq=False)
class Own:
    """An entrant that is not of the benchmark.

    Args:
        entrant: who.
        source: where it comes from: an import path, a run folder, or "" for an object.
        worlds: where it can act; None: in any.
        key: what its results depend on.
    """

    entrant: Entrant
    source: str
    worlds: tuple[str, ...] | None
    key: Any


@dataclass(frozen=True, eq=False)
class Plan:
    """What is to be run.

    Args:
        suite: of tasks.
        profile: by name.
        out: the folder.
        entrants: of the benchmark.
        own: other entrants.
        worlds: by name.
        seeds: of trainings and of agents.
    """

    suite: Suite
    profile: str
    out: Path
    entrants: tuple[Entrant, ...]
    own: tuple[Own, ...]
    worlds: tuple[str, ...]
    seeds: tuple[int, ...]


def plan(
    out: Path,
    profile: str,
    *,
    suite: str | None = None,
    names: Sequence[str] | None = None,
    agents: Mapping[str, Any] | None = None,
    imports: Sequence[str] = (),
    worlds: Sequence[str] | None = None,
    seeds: int | None = None,
) -> Plan:
    """Return what is to be run; everything that can be wrong with it is found here.

    Args:
        out: the folder.
        profile: of ``PROFILES``.
        suite: of ``SUITES``; ``SUITE`` if not given.
        names: entrants of the benchmark, and run folders; the profile's if not given.
        agents: of one's own, by name; see ``entrant_of_agent``.
        imports: import paths of agents of one's own.
        worlds: by name; the profile's if not given.
        seeds: how many; the profile's if not given.

    Raises:
        UnknownNameError: if there is no such profile, suite, entrant or world; names the closest.
        ConfigError: if an entrant cannot act in any of the worlds, or a run was trained in others;
            if the number of seeds is below 1.
        ResultsError: if the folder holds another suite or profile.
        MissingExtraError: if what trains an entrant is not installed.
    """
    own_profile = lookup(PROFILES, profile, "profile")
    tasks = suite_named(SUITE if suite is None else suite)
    default = own_profile.worlds_in(tasks.worlds)
    chosen = default if worlds is None else tuple(dict.fromkeys(worlds))
    for world in chosen:
        _check_world(world, tasks)
    if seeds is not None and seeds < 1:
        raise ConfigError(f"seeds is how many there are, at least 1, got {seeds}")
    asked = own_profile.entrants if names is None else tuple(dict.fromkeys(names))
    folders = [name for name in asked if name not in ENTRANTS and Path(name).is_dir()]
    own: list[Own] = [
        *(_own_run(Path(folder)) for folder in folders),
        *(Own(entrant_of_import(path), path, None, uuid.uuid4().hex) for path in imports),
        *(
            Own(entrant_of_agent(name, agent), "", None, uuid.uuid4().hex)
            for name, agent in (agents or {}).items()
        ),
    ]
    entrants = tuple(_named(name) for name in asked if name not in folders)
    made = Plan(
        tasks, profile, out, entrants, tuple(own), chosen,
        tuple(range(own_profile.seeds if seeds is None else seeds)),
    )  # fmt: skip
    _check(made, must_act=names is not None)
    _check_folder(made)
    return made


def _check_world(world: str, suite: Suite) -> None:
    """Raise UnknownNameError unless a suite has a world; says which other one has it."""
    others = [name for name, each in SUITES.items() if world in each.worlds]
    if world not in suite.worlds and others:
        raise UnknownNameError(f"{suite.name} has no world {world!r}; add --suite {others[-1]}")
    lookup(dict.fromkeys(suite.worlds), world, f"world of {suite.name}")


def _named(name: str) -> Entrant:
    """Return an entrant of the benchmark; raises UnknownNameError."""
    if "/" in name and name not in ENTRANTS:
        raise UnknownNameError(f"--agents {name}: there is no such run folder; check the path")
    return lookup(ENTRANTS, name, "entrant")


def _own_run(folder: Path) -> Own:
    """Return the entrant of a run folder."""
    entrant = entrant_of_run(folder)
    worlds = worlds_of(config_beside(folder))
    return Own(entrant, str(folder.resolve()), worlds, content_digest(find_checkpoint(folder)))


def _check(made: Plan, must_act: bool) -> None:
    """Raise ConfigError unless all that was asked for can act, under a name of its own."""
    for own in made.own:
        if own.worlds is not None:
            _check_acts_here(own, made)
    for entrant in made.entrants if must_act else ():
        if not any(acts_in(made, entrant, world) for world in made.worlds):
            can = [world for world in made.suite.worlds if acts_in(made, entrant, world)]
            raise ConfigError(
                f"{entrant.name} acts in {', '.join(can)} only, of which {', '.join(made.worlds)}"
                " is none; add one to --worlds"
            )
    names = [entrant.name for entrant in (*made.entrants, *(own.entrant for own in made.own))]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"two entrants are called {twice[0]!r}; rename one")
    for family, world, seed in trainings(made).values():
        config_of(family, World(world), seed, made.profile)  # says what is not installed


def _check_acts_here(own: Own, made: Plan) -> None:
    """Raise ConfigError if agents of a run, trained elsewhere, cannot act in one of the worlds."""
    worlds = own.worlds or ()
    levels = [world for world in worlds if world in LEVELS and world in made.suite.worlds]
    trained = [world for world in worlds if world not in LEVELS]
    acts = [*trained, *levels]
    if others := [world for world in made.worlds if world not in acts]:
        where = " and ".join(trained) if trained else "no world of the benchmark"
        more = f" and can act in {', '.join(levels)}" if levels else ""
        repair = f"give --worlds {' '.join(acts)}" if acts else "leave it out"
        raise ConfigError(
            f"{own.source} was trained in {where}{more}, not in {others[0]}; {repair}"
        )


def _check_folder(made: Plan) -> None:
    """Raise ResultsError if the folder holds results of another suite, profile or version."""
    path = made.out / ABOUT
    if not path.exists():
        return
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        stored = (found["suite"], found["hash"], found["profile"], found["digest"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ResultsError(f"{path} is damaged ({error}); name another folder") from error
    now = about(made)
    if stored[0] != now["suite"] and stored[0] in SUITES:
        raise ResultsError(
            f"{made.out} holds results of {stored[0]}, other tasks than those of {now['suite']};"
            f" add --suite {stored[0]}, or name another folder"
        )
    if stored[:2] != (now["suite"], now["hash"]):
        raise ResultsError(
            f"{made.out} holds results of {stored[0]} {stored[1][:12]}, and this version has"
            f" {now['suite']} {now['hash'][:12]}, other tasks; name another folder"
        )
    if stored[2:] != (now["profile"], now["digest"]):
        other = f"the profile {stored[2]}" if stored[2] != now["profile"] else "an earlier version"
        raise ResultsError(
            f"{made.out} holds results of {other}, which do not compare with those of"
            f" {now['profile']}; name another folder"
        )


def about(made: Plan) -> dict[str, Any]:
    """Return what a folder holds."""
    return {
        "schema": _SCHEMA,
        "suite": made.suite.name,
        "hash": made.suite.version_hash,
        "profile": made.profile,
        "digest": PROFILES[made.profile].digest(made.suite.worlds),
    }


def acts_in(made: Plan, entrant: Entrant, world: str) -> bool:
    """Whether an entrant of the benchmark takes part in a world."""
    own = World(world)
    if own.kind not in entrant.kinds:
        return False
    if entrant.family is None:
        return True
    trained = recipe_of(entrant.family, own, made.profile).worlds
    return trained is None or world in trained


def trainings(made: Plan) -> dict[tuple[str, str], tuple[str, str, int]]:
    """Return what is trained: by family and run, the arguments of its training."""
    return {
        (entrant.family, run_name(entrant.family, World(world), seed, made.profile)): (
            entrant.family,
            world,
            seed,
        )
        for world in made.worlds
        for seed in made.seeds
        for entrant in made.entrants
        if entrant.family is not None and acts_in(made, entrant, world)
    }
