"""A sweep: runs of one config with some fields changed, over a grid or at random, each a cell."""

import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from langrl.checkpoint import content_digest, digest
from langrl.envs.registered import import_modules
from langrl.errors import ConfigError, lookup
from langrl.evaluation.statistics import mean_and_sem
from langrl.settings import Settings, describe_invalid, references
from langrl.tasks.config import RunConfig
from langrl.tasks.registry import TASKS
from langrl.tasks.run import finished_step, is_begun, resume_run, train_run
from langrl.tasks.suite import finish
from langrl.training.cells import Cell
from langrl.training.logs import TIMES, read_metrics

Changes = dict[str, Any]  # by dotted field
_LONGEST_NAME = 80  # characters of a run folder's name, before its seed
_DRAWS = 100  # for each setting that is wanted, until they are different
_OWN_FLAGS = {"seed": "--seeds", "task": "--config"}


@dataclass(frozen=True)
class Range:
    """Numbers that a field is drawn from: uniformly, or so that their logarithms are uniform."""

    low: float
    high: float
    log: bool = False

    def draw(self, generator: np.random.Generator, whole: bool) -> int | float:
        """Draw a number; a whole one may be ``high``, others have four digits."""
        low, high = self.low, self.high + whole  # each whole number has its own interval
        if self.log:
            value = math.exp(generator.uniform(math.log(low), math.log(high)))
        else:
            value = generator.uniform(low, high)
        if whole:
            return min(int(value), int(self.high))
        return float(f"{min(max(value, self.low), self.high):.4g}")


@dataclass(frozen=True)
class Setting:
    """One setting of a sweep: what is changed, as the config reads it, and the config."""

    changes: Changes
    config: RunConfig


# -- what is changed -------------------------------------------------------------------------------


def fields_of(model: type[Settings], before: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield the fields of a config by their dotted names."""
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, Settings):
            yield from fields_of(inner, f"{before}{name}.")
        else:
            yield before + name, field


def read_grid(texts: Sequence[str], config: RunConfig) -> dict[str, list[str]]:
    """Read ``field=a,b,c`` as the values of a field, still as texts.

    Raises:
        ConfigError: if one is not of this form; UnknownNameError if there is no such field.
    """
    grid: dict[str, list[str]] = {}
    for text in texts:
        field, values = _field_and("--grid", "a,b,c", text, config, grid)
        grid[field] = [value.strip() for value in values.split(",")]
        if "" in grid[field]:
            raise ConfigError(f"--grid {text}: a value is empty; write {field}=a,b,c")
    return grid


def read_ranges(texts: Sequence[str], config: RunConfig) -> dict[str, Range]:
    """Read ``field=low:high`` or ``field=low:high:log`` as what a field is drawn from.

    Raises:
        ConfigError: if one is not of this form; UnknownNameError if there is no such field.
    """
    ranges: dict[str, Range] = {}
    for text in texts:
        field, value = _field_and("--range", "low:high", text, config, ranges)
        *ends, scale = value.split(":") if value.count(":") == 2 else [*value.split(":"), ""]
        try:
            low, high = map(float, ends)
        except ValueError:
            raise ConfigError(f"--range {text}: write {field}=low:high or :log after it") from None
        log = scale == "log"
        if scale not in ("", "log") or not (math.isfinite(low) and low <= high < math.inf):
            raise ConfigError(f"--range {text}: write {field}=low:high, two numbers, or :log after")
        if log and low <= 0:
            raise ConfigError(f"--range {text}: with :log, low is above 0")
        ranges[field] = Range(low, high, log)
    return ranges


def _field_and(
    flag: str, form: str, text: str, config: RunConfig, taken: Mapping[str, Any]
) -> tuple[str, str]:
    """Split ``field=value``; the field is one of the config that may be changed."""
    name, equals, value = text.partition("=")
    field = name.strip().removeprefix("--").replace("-", "_")
    if not (equals and field):
        raise ConfigError(f"{flag} {text}: write field={form}, as in learner.steps={form}")
    lookup(dict(fields_of(type(config))), field, f"field of {config.task} configs")
    if field in _OWN_FLAGS:
        raise ConfigError(f"{flag} {text}: {_OWN_FLAGS[field]} sets {field}; leave it out here")
    if field in taken:
        raise ConfigError(f"{flag} {text}: {field} is there twice; write all values together")
    return field, value.strip()


def grid_settings(config: RunConfig, grid: Mapping[str, Sequence[str]]) -> list[Setting]:
    """Return a setting for each combination of values; the last field changes fastest."""
    combined = itertools.product(*grid.values())
    return [_setting(config, dict(zip(grid, values, strict=True))) for values in combined]


def random_settings(
    config: RunConfig,
    grid: Mapping[str, Sequence[str]],
    ranges: Mapping[str, Range],
    count: int,
    generator: np.random.Generator,
) -> list[Setting]:
    """Draw different settings; of more settings, the first are the same.

    Args:
        config: of what is not drawn.
        grid: values that are drawn from.
        ranges: of fields that are numbers.
        count: how many settings.
        generator: of all draws.

    Raises:
        ConfigError: if there are not so many, or a range is of a field without numbers.
    """
    whole = {field: _takes_whole_numbers(config, field) for field in ranges}
    settings: dict[str, Setting] = {}
    for _ in range(_DRAWS * count):
        values: Changes = {f: options[int(generator.integers(len(options)))]
                           for f, options in grid.items()}  # fmt: skip
        values |= {f: each.draw(generator, whole[f]) for f, each in ranges.items()}
        setting = _setting(config, values)
        settings.setdefault(json.dumps(setting.changes), setting)
        if len(settings) == count:
            return list(settings.values())
    raise ConfigError(f"--random {count}: there are {len(settings)} settings; ask for so many")


def _takes_whole_numbers(config: RunConfig, field: str) -> bool:
    annotation = dict(fields_of(type(config)))[field].annotation
    kinds = {annotation, *get_args(annotation)}
    if not kinds & {int, float}:
        raise ConfigError(f"--range {field}: it takes no numbers; use --grid {field}=a,b")
    return float not in kinds


def _setting(config: RunConfig, values: Changes) -> Setting:
    """Return a config with changes, which may be texts; raises ConfigError, naming the field."""
    content = config.model_dump()
    for field, value in values.items():
        *groups, last = field.split(".")
        inner = content
        for group in groups:
            inner = inner[group]
        inner[last] = None if value == "None" else value
    try:
        changed = type(config).model_validate(content).resolved()
    except ValidationError as error:
        shown = ", ".join(f"{field}={value}" for field, value in values.items())
        raise ConfigError(f"{shown}: {describe_invalid(error, type(config))}") from error
    return Setting({field: _value(changed, field) for field in values}, changed)


def _value(config: RunConfig, field: str) -> Any:
    value: Any = config.model_dump(mode="json")
    for name in field.split("."):
        value = value[name]
    return value


# -- the runs --------------------------------------------------------------------------------------


def sweep_cells(
    settings: Sequence[Setting],
    seeds: int,
    out: Path,
    command: str,
    modules: Sequence[str] = (),
) -> list[Cell]:
    """Return a cell for each setting and seed: its run folder is in ``out/runs``.

    Args:
        settings: of the sweep.
        seeds: trainings of each setting, from the config's seed on.
        out: folder of the sweep.
        command: what the user typed, for the record of each run.
        modules: to import before training, which register environments.
    """
    cells = []
    for setting in settings:
        for seed in range(setting.config.seed, setting.config.seed + seeds):
            config = setting.config.model_copy(update={"seed": seed})
            values = config.model_dump(mode="json")
            key = [values, _content_of(config)]
            name = _run_name(setting.changes, seed, json.dumps(key, sort_keys=True))
            arguments = (values, out / "runs" / name, tuple(modules), command)
            cells.append(Cell(train_cell, arguments, out / "cells" / f"{name}.json", name, key))
    return cells


def _content_of(config: RunConfig) -> dict[str, str]:
    """Return digests of the data and models that a config refers to."""
    named = {field: Path(path) for field, _, path in references(config)}
    return {field: content_digest(path) for field, path in named.items() if path.exists()}


def _run_name(changes: Changes, seed: int, key: str) -> str:
    """Return a folder's name that says what is changed, and is of this config alone."""
    shown = "_".join(f"{field.rpartition('.')[2]}={value}" for field, value in changes.items())
    words = re.sub(r"[^\w.=+-]+", "-", shown)[:_LONGEST_NAME].strip("-_.")
    return f"{words}-seed-{seed}-{digest(key.encode())[:8]}"


def train_cell(
    values: Mapping[str, Any],
    folder: Path,
    modules: Sequence[str],
    command: str,
) -> dict[str, Any]:
    """Train and evaluate a run, or go on with it; returns its rows and the last of its metrics."""
    import_modules(modules)
    config = TASKS[values["task"]].config_class.model_validate(values)
    if not is_begun(folder, config):
        run, seconds = train_run(config, folder, folder.name)
        finish(run, folder, command, seconds)
    elif finished_step(folder) is None:
        run, seconds = resume_run(folder, folder.name)
        finish(run, folder, command, seconds)
    metrics: dict[str, float] = {}
    for record in read_metrics(folder / "metrics.jsonl"):
        metrics |= record
    times = read_metrics(folder / TIMES)
    return {
        "rows": json.loads((folder / "results.json").read_text(encoding="utf-8"))["rows"],
        "metrics": metrics,
        "train_seconds": times[-1].get("seconds") if times else None,
    }


# -- the table -------------------------------------------------------------------------------------


def summarise_sweep(
    settings: Sequence[Setting],
    results: Sequence[Mapping[str, Any]],
    metric: str,
    method: str | None,
) -> list[dict[str, Any]]:
    """Return a row for each setting: its changes, and the mean of the metric over its seeds.

    Args:
        settings: of the sweep.
        results: of its cells, all seeds of the first setting first.
        metric: a column of the runs' results, or a name in their metrics.
        method: whose results are read, where rows have methods; if None, that of the config's
            grounding, or the first.

    Raises:
        UnknownNameError: if there is no such method or metric; names the nearest one.
    """
    seeds = len(results) // len(settings)
    rows = []
    for number, setting in enumerate(settings):
        runs = results[number * seeds : (number + 1) * seeds]
        whose = method or _own_method(setting.config, runs[0]["rows"])
        mean, sem = mean_and_sem([metric_of(run, metric, whose) for run in runs])
        times = [run["train_seconds"] for run in runs if run["train_seconds"] is not None]
        seconds = {"train_seconds": round(float(np.mean(times)), 1) if times else None}
        shown = {} if whose is None else {"method": whose}
        rows.append(
            setting.changes | shown | {"seeds": seeds, metric: mean, f"{metric}_sem": sem} | seconds
        )
    return rows


def _own_method(config: RunConfig, rows: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the method of rows that a run's own agent has."""
    methods = [row["method"] for row in rows if "method" in row]
    own = getattr(getattr(config, "grounding", None), "strategy", None)
    return own if own in methods else next(iter(methods), None)


def metric_of(result: Mapping[str, Any], metric: str, method: str | None) -> float:
    """Return a metric of a run: the mean over rows of the method, or the last one in training."""
    rows = result["rows"]
    methods = {row["method"]: None for row in rows if "method" in row}
    if method is not None:
        lookup(methods, method, "method in the results")
        rows = [row for row in rows if row.get("method") == method]
    values = [row[metric] for row in rows if _is_number(row.get(metric))]
    if values:
        return float(np.mean(values))
    known = {name for row in rows for name, value in row.items() if _is_number(value)}
    known |= result["metrics"].keys()
    lookup(dict.fromkeys(sorted(known)), metric, "metric of the runs")
    return float(result["metrics"].get(metric, math.nan))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
