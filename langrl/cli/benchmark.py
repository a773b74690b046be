"""``langrl benchmark``: how well agents act under ambiguity, and speed."""

from pathlib import Path
from typing import TYPE_CHECKING

from langrl.cli.arguments import BenchmarkArguments, CompareArguments, SpeedArguments
from langrl.cli.flags import parse, subcommand
from langrl.cli.folders import check_folder, check_results_folder, new_folder
from langrl.errors import lookup
from langrl.settings import Settings

if TYPE_CHECKING:
    from langrl.benchmark.results import Results

_TABLE = {
    "run": "the benchmark of acting under ambiguity: train, evaluate, report",
    "list": "its suites, worlds, entrants and profiles",
    "compare": "paired differences between two results",
    "speed": "speed ratios",
}
_COMPARED = ("entrant", "other", "tasks", "improvement", "intended", "success", "utility", "regret")


def dispatch(arguments: list[str], command: str) -> None:
    """Read the flags of ``langrl benchmark`` and do what they say.

    Args:
        arguments: what comes after ``benchmark``.
        command: what the user typed, for the record.
    """
    name, rest = subcommand(arguments, _TABLE, "langrl benchmark")
    program = f"langrl benchmark {name}"
    if name == "speed":
        measure_speed(parse(SpeedArguments, rest, program), command)
    elif name == "run":
        run(parse(BenchmarkArguments, rest, program), command)
    elif name == "list":
        parse(Settings, rest, program)
        show()
    else:
        compare(parse(CompareArguments, rest, program))


def measure_speed(given: SpeedArguments, command: str) -> None:
    """Measure speed, as ratios."""
    check_results_folder(given.out or Path("runs"))
    from langrl.benchmark.speed import SPEED, speed

    if given.only is not None:
        lookup(SPEED, given.only, "speed benchmark")
    out = given.out or new_folder(Path("runs"), "speed")
    speed(given.only, given.rounds, out, command)


def run(given: BenchmarkArguments, command: str) -> None:
    """Run the benchmark, or go on with it, and write its report."""
    from langrl.benchmark import default_folder
    from langrl.benchmark.planning import plan
    from langrl.benchmark.running import finish, run_plan
    from langrl.training.engines.config import make_engine

    out = check_folder(given.out or default_folder(given.profile, given.suite))
    made = plan(
        out,
        given.profile,
        suite=given.suite,
        names=given.agents,
        imports=given.agent,
        worlds=given.worlds,
        seeds=given.seeds,
    )
    run_plan(made, make_engine(given, out))
    finish(made, command)


def show() -> None:
    """Print suites, worlds, entrants and profiles."""
    from langrl.benchmark.entrants import ENTRANTS
    from langrl.benchmark.level_world import LEFT_OUT
    from langrl.benchmark.profiles import PROFILES
    from langrl.benchmark.suites import SUITES
    from langrl.benchmark.tasks import WORLDS
    from langrl.training.logs import print_table

    for name, suite in SUITES.items():
        rows = []
        for world in suite.worlds:
            modes = WORLDS[world].modes
            tasks = [suite.tasks(world, mode) for mode in modes]
            bits = ", ".join(map(str, sorted({task.level for task in tasks[0]})))
            about = {"world": world, "modes": " ".join(modes), "bits": bits}
            rows.append(about | {"tasks": sum(map(len, tasks))})
        title = f"{name}, tasks {suite.version_hash}"
        print_table(title, rows, ("world", "modes", "tasks", "bits"))
    left_out = [{"left out": what, "since": why} for what, why in LEFT_OUT.items()]
    print_table("what levels of BabyAI have not", left_out, ("left out", "since"))
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
            "levels": len(each.levels),
            "their tasks": each.level_tasks,
            "seeds": each.seeds,
            "entrants": len(each.entrants),
            "is": each.about,
        }
        for name, each in PROFILES.items()
    ]
    columns = (
        "profile", "worlds", "tasks", "levels", "their tasks", "seeds", "entrants", "is",
    )  # fmt: skip
    title = "profiles; tasks are those of a world and mode; levels are in version 2"
    print_table(title, profiles, columns)


def compare(given: CompareArguments) -> None:
    """Print paired differences between two results, with intervals."""
    import numpy as np

    from langrl.benchmark.tables import compare as compare_results
    from langrl.benchmark.tables import print_rows

    first, second = (_results(path) for path in (given.first, given.second))
    rows = compare_results(first, second, np.random.default_rng(given.seed))
    print_rows(f"{given.first} minus {given.second}", rows, _COMPARED)
    print("improvement: how likely a run of the first has the better score")


def _results(path: Path) -> "Results":
    """Return the results in a folder of the benchmark, or of one entrant in it."""
    from langrl.benchmark.results import CELLS, load_results

    if path.parent.name == CELLS and not (path / CELLS).exists():
        return load_results(path.parent.parent).only(path.name)
    return load_results(path.parent if path.name == CELLS else path)
