"""``langrl sweep``: train a config with fields changed, over a grid or at random."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from langrl.cli.arguments import SweepArguments
from langrl.cli.flags import parse, take_flags
from langrl.cli.folders import check_results_folder
from langrl.errors import ConfigError, check_extra
from langrl.tasks.config import RunConfig
from langrl.tasks.registry import TASKS, load_run_config

if TYPE_CHECKING:
    from langrl.tasks.sweep import Setting

_HELP = (
    "Train one config with fields changed, and compare the runs. --grid FIELD=a,b,c, once or more:"
    " every combination of the values. --random N: draw N settings, from --grid and from --range"
    " FIELD=low:high; :log at the end makes the logarithms uniform. Fields are those of `langrl"
    " train --config NAME --help`, without dashes before them: learner.steps. --import-module NAME"
    " imports a module that registers environments."
)


def run(arguments: list[str], command: str) -> None:
    """Train each setting and seed, unless it is done, and write the table and results.json.

    Args:
        arguments: what the user typed after ``langrl sweep``.
        command: all that the user typed, for the record.

    Raises:
        LangRLError: naming the flag or field and the repair.
    """
    rest, taken = arguments, {}
    for flag in ("--grid", "--range", "--import-module"):
        taken[flag], rest = take_flags(rest, flag)
    given = parse(SweepArguments, rest, "langrl sweep", taken=[*taken], description=_HELP)
    check_results_folder(given.out)
    modules = taken["--import-module"]
    if modules:
        from langrl.envs.registered import import_modules

        import_modules(modules)
    config = load_run_config(given.config)
    if (extra := TASKS[config.task].extra) is not None:
        check_extra(*extra)
    sweep(
        given, config, _settings(given, config, taken["--grid"], taken["--range"]), modules, command
    )


def sweep(
    given: SweepArguments,
    config: RunConfig,
    settings: Sequence["Setting"],
    modules: Sequence[str],
    command: str,
) -> None:
    """Run the cells of settings and report them.

    Args:
        given: the flags.
        config: that is changed.
        settings: what it is changed to.
        modules: to import before each training.
        command: all that the user typed, for the record.
    """
    from langrl.tasks.sweep import summarise_sweep, sweep_cells
    from langrl.training.cells import run_cells
    from langrl.training.engines.config import make_engine
    from langrl.training.logs import console, print_table, write_results

    cells = sweep_cells(settings, given.seeds, given.out, command, modules)
    console.print(f"{len(settings)} settings, {len(cells)} runs, in {given.out / 'runs'}")
    results = run_cells(cells, make_engine(given, given.out), "sweep")
    rows = summarise_sweep(settings, results, given.metric, given.method)
    rows.sort(key=lambda row: _order(row[given.metric], given.lowest))
    changed = settings[0].changes.keys()
    shown = [row | {field: f"{row[field]}" for field in changed} for row in rows]  # all digits
    print_table(f"{given.out}: best first, by {given.metric}", shown, [*rows[0]])
    runs = [
        {"folder": f"runs/{cell.label}", "seed": cell.arguments[0]["seed"]}
        | {"changes": settings[number // given.seeds].changes}
        | result
        for number, (cell, result) in enumerate(zip(cells, results, strict=True))
    ]
    path = write_results(given.out, command, config.model_dump(mode="json"), rows, runs=runs)
    console.print(f"results: {path}; runs: {given.out / 'runs'}")


def _order(value: float, lowest: bool) -> tuple[bool, float]:
    """Sort the best first, and what is no number last."""
    return bool(np.isnan(value)), value if lowest else -value


def _settings(
    given: SweepArguments, config: RunConfig, grid: Sequence[str], ranges: Sequence[str]
) -> list["Setting"]:
    from langrl.tasks.sweep import grid_settings, random_settings, read_grid, read_ranges

    values, numbers = read_grid(grid, config), read_ranges(ranges, config)
    _check(given, values, numbers)
    if given.random is None:
        return grid_settings(config, values)
    generator = np.random.default_rng(given.draw_seed)
    return random_settings(config, values, numbers, given.random, generator)


def _check(given: SweepArguments, grid: Mapping[str, Any], ranges: Mapping[str, Any]) -> None:
    """Refuse flags that do not go together."""
    if not (grid or ranges):
        raise ConfigError(
            "nothing is changed; add --grid FIELD=a,b,c, as in learner.steps=500,1000"
        )
    if both := grid.keys() & ranges.keys():
        raise ConfigError(f"{min(both)} has --grid and --range; leave one of them out")
    if ranges and given.random is None:
        raise ConfigError("--range is drawn from; add --random N, the number of settings")
