"""What ``langrl benchmark run``, ``list`` and ``compare`` do once their arguments are read."""

from pathlib import Path

import numpy as np

from langrl.benchmark.entrants import ENTRANTS
from langrl.benchmark.profiles import PROFILES
from langrl.benchmark.results import CELLS, Results, load_results
from langrl.benchmark.running import finish, plan, run_plan
from langrl.benchmark.suites import SUITES
from langrl.benchmark.tables import compare as compare_results
from langrl.benchmark.tables import print_rows
from langrl.cli.arguments import BenchmarkArguments, CompareArguments
from langrl.cli.folders import check_folder
from langrl.envs.intents import MODES
from langrl.training.engines.config import make_engine
from langrl.training.logs import console, print_table

_COMPARED = ("entrant", "other", "tasks", "improvement", "intended", "success", "utility", "regret")


def run(given: BenchmarkArguments, command: str) -> None:
    """Run the benchmark, or go on with it, and write its report."""
    out = check_folder(given.out or Path("runs") / f"benchmark-{given.profile}")
    made = plan(
        out,
        given.profile,
        names=given.agents,
        imports=given.agent,
        worlds=given.worlds,
        seeds=given.seeds,
    )
    run_plan(made, make_engine(given, out))
    finish(made, command)


def show() -> None:
    """Print suites, worlds, entrants and profiles."""
    for name, suite in SUITES.items():
        rows = []
        for world in suite.worlds:
            tasks = [suite.tasks(world, mode) for mode in MODES]
            levels = sorted({task.level for task in tasks[0]})
            bits = ", ".join(map(str, levels))
            rows.append({"world": world, "tasks": sum(map(len, tasks)), "bits": bits})
        print_table(f"{name}, tasks {suite.version_hash}", rows, ("world", "tasks", "bits"))
    entrants = [
        {"entrant": each.name, "role": each.role, "worlds": " ".join(each.kinds), "is": each.about}
        for each in ENTRANTS.values()
    ]
    print_table("entrants", entrants, ("entrant", "role", "worlds", "is"))
    profiles = [
        {
            "profile": name,
            "worlds": len(each.worlds),
            "tasks": each.tasks,
            "seeds": each.seeds,
            "entrants": len(each.entrants),
            "is": each.about,
        }
        for name, each in PROFILES.items()
    ]
    columns = ("profile", "worlds", "tasks", "seeds", "entrants", "is")
    print_table("profiles; tasks are those of a world and mode", profiles, columns)


def compare(given: CompareArguments) -> None:
    """Print paired differences between two results, with intervals."""
    first, second = (_results(path) for path in (given.first, given.second))
    rows = compare_results(first, second, np.random.default_rng(given.seed))
    print_rows(f"{given.first} minus {given.second}", rows, _COMPARED)
    console.print("improvement: how likely a run of the first has the better score")


def _results(path: Path) -> Results:
    """Return the results in a folder of the benchmark, or of one entrant in it."""
    if path.parent.name == CELLS and not (path / CELLS).exists():
        return load_results(path.parent.parent).only(path.name)
    return load_results(path)
