"""Running the benchmark: trainings, calibrations and evaluations as cells; then the report."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from langrl.benchmark.entrants import ENTRANTS, Entrant
from langrl.benchmark.evaluating import (
    calibration_file,
    evaluate,
    evaluate_entrant,
    fit,
    run_folder,
    training_file,
)
from langrl.benchmark.families import World, config_of, train
from langrl.benchmark.planning import Own, Plan, about, acts_in, plan, trainings
from langrl.benchmark.report import write_report
from langrl.benchmark.results import ABOUT, CELLS, Results, load_results
from langrl.benchmark.tables import leaderboard, print_rows
from langrl.checkpoint import write_atomically
from langrl.training.cells import Cell, run_cells
from langrl.training.engines.base import Engine
from langrl.training.engines.local import LocalEngine
from langrl.training.logs import console

_SHOWN = ("entrant", "iqm", "success", "intended", "utility", "regret", "ambdif")


def training_cells(made: Plan) -> list[Cell]:
    """Return the cells of the first wave: a run of each family in each world, for each seed."""
    return [
        Cell(
            train,
            (family, world, seed, made.profile, str(run_folder(made.out, family, run))),
            training_file(made.out, family, run),
            f"training {family}, {run}",
            key=[family, config_of(family, World(world), seed, made.profile)],
        )
        for (_, run), (family, world, seed) in trainings(made).items()
    ]


def calibration_cells(made: Plan) -> list[Cell]:
    """Return the cells of the second wave: a calibration for each posterior, world and seed."""
    first: dict[str, Entrant] = {}
    for entrant in made.entrants:
        if entrant.calibrated is not None:
            first.setdefault(entrant.calibrated, entrant)
    return [
        Cell(
            fit,
            (entrant.name, world, seed, made.profile, str(made.out)),
            calibration_file(made.out, name, world, seed),
            f"calibration of {name} in {world}, seed {seed}",
            key=[name, world, seed, about(made)],
        )
        for world in made.worlds
        for seed in made.seeds
        for name, entrant in first.items()
        if acts_in(made, entrant, world)
    ]


def evaluation_cells(made: Plan) -> list[Cell]:
    """Return the cells of the last wave: each entrant in each world, for each seed."""
    cells = []
    what = about(made)
    for world in made.worlds:
        for seed in made.seeds:
            here = [each for each in made.entrants if acts_in(made, each, world)]
            for each in (*(Own(entrant, "", None, None) for entrant in here), *made.own):
                name = each.entrant.name
                cells.append(
                    Cell(
                        *_evaluation(made, each, world, seed),
                        made.out / CELLS / name / f"{world}-seed-{seed}.json",
                        f"{name} in {world}, seed {seed}",
                        key=[name, world, seed, what, each.key],
                    )
                )
    return cells


def _evaluation(
    made: Plan, one: Own, world: str, seed: int
) -> tuple[Callable[..., dict[str, Any]], tuple[Any, ...]]:
    """Return the function of a cell and its arguments."""
    entrant = one.entrant
    if one.source or entrant.name in ENTRANTS:
        where = (world, seed, made.profile, made.suite.name, str(made.out))
        return evaluate, (entrant.name, one.source, *where)
    # An object of the caller's, which other processes may not find.
    command = (
        f"langrl.benchmark.run({{{entrant.name!r}: ...}}, suite={made.suite.name!r},"
        f" profile={made.profile!r})"
    )
    return evaluate_entrant, (entrant, world, seed, made.profile, made.suite.name, command)


def run_plan(made: Plan, engine: Engine | None = None) -> None:
    """Do what a plan says; what is there already is left alone.

    Args:
        made: the plan.
        engine: where to compute; processes of this machine, one per core, if not given.

    Raises:
        CellError: if something failed; what was computed is kept.
        OSError: if the machine fails, such as a disk that is full.
    """
    engine = LocalEngine() if engine is None else engine
    made.out.mkdir(parents=True, exist_ok=True)
    write_atomically(made.out / ABOUT, json.dumps(about(made), indent=1) + "\n")
    run_cells(training_cells(made), engine, "training")
    run_cells(calibration_cells(made), engine, "calibrating")
    cells = evaluation_cells(made)
    objects = [cell for cell in cells if cell.function is evaluate_entrant]
    run_cells([cell for cell in cells if cell.function is evaluate], engine, "evaluating")
    run_cells(objects, LocalEngine(1), "evaluating agents of your own")


def finish(made: Plan, command: str) -> Path:
    """Write the report of a folder and print its leaderboard; returns the report's path.

    Args:
        made: what was run; the report is of all that is in its folder.
        command: what the user typed, for the record.
    """
    results = load_results(made.out, made.suite.version_hash)
    page = write_report(made.out, results, command)
    rows = leaderboard(results, np.random.default_rng(0), _SHOWN[2:])
    print_rows(f"{made.suite.name}, {made.profile}", rows, _SHOWN)
    console.print(f"report: {page}; results: {made.out / 'results.json'}")
    return page


def run(
    out: Path,
    profile: str,
    agents: Mapping[str, Any] | None,
    names: Sequence[str] | None,
    worlds: Sequence[str] | None,
    seeds: int | None,
    workers: int | None,
    suite: str | None,
) -> Results:
    """Do what ``langrl.benchmark.run`` says."""
    made = plan(out, profile, suite=suite, names=names, agents=agents, worlds=worlds, seeds=seeds)
    run_plan(made, LocalEngine(workers))
    which = f"suite={made.suite.name!r}, profile={profile!r}"
    finish(made, f"langrl.benchmark.run({which}, out={str(out)!r})")
    return load_results(out)
