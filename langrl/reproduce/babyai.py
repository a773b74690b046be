"""``langrl reproduce babyai``: BabyAI's missions without one pair, beside policies shown pairs.

In each level and view: agents that learned in rooms of langrl's own, agents that learned in the
level's layouts, both from trajectories without language; BabyAI's bot, random actions; and policies
cloned from the bot's demonstrations with their missions, as many as the trajectories and more.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from langrl.envs.minigrid_levels.bot import check_bot, demonstrate
from langrl.envs.minigrid_levels.reading import make_level
from langrl.envs.phrasing import PHRASINGS, Phrasing
from langrl.evaluation.comparison import compare, summarise
from langrl.evaluation.intervals import wilson
from langrl.evaluation.statistics import labelled_groups, mean_and_sem
from langrl.plots.base import methods_figure
from langrl.reproduce.arguments import BabyaiArguments
from langrl.reproduce.babyai_cost import cost_table
from langrl.reproduce.common import digest_of, run_parts, train_timed, with_given, write_report
from langrl.tasks.config import OFF
from langrl.tasks.grid.config import GridRunConfig
from langrl.tasks.grid.drawn_suite import SEPARATE
from langrl.tasks.grid.level_cloning import clone_in_level
from langrl.tasks.grid.level_suite import level_suite
from langrl.tasks.grid.levels import RANDOM, in_levels
from langrl.tasks.grid_partial.config import GridPartialRunConfig
from langrl.tasks.loading import agents_of
from langrl.tasks.presets import load_config
from langrl.tasks.suite import Makers
from langrl.training.jobs import chained
from langrl.training.logs import TIMES, print_table, read_metrics
from langrl.training.result_cache import ResultCache, Row

View = Literal["full", "partial"]
Config = GridRunConfig | GridPartialRunConfig
COMMAND = "langrl reproduce babyai"
OWN_ROOMS = ("goto", "crowded", "rooms")  # of agents that see a part; others have grid-all's
COLUMNS = (
    "level", "view", "phrasing", "learned", "method", "success", "low", "high", "spl",
    "trajectories", "pairs", "train_minutes",
)  # fmt: skip
_GIVEN = (
    "episodes", "steps", "trajectories", "demonstrations", "learned", "walkers", "memory",
    "language",
)  # fmt: skip
_MEASURED = ("episodes", "steps", "trajectories", "language")  # what rows depend on, beside names
_MEMORY = 0.15  # what memory should add to success


def reproduce(options: BabyaiArguments, command: str) -> None:
    """Run the whole comparison and write its table, results.json and the figures."""
    views: tuple[View, ...] = options.views
    for level in options.levels:
        check_bot(make_level(level), level)  # refused before the trainings
    seeds, depends = range(options.seeds), digest_of(options.language)
    given = options.model_dump(mode="json", include=set(_GIVEN))
    print_table("what this takes, beside no other work", *cost_table(options))
    own = [(options.out / "runs", view, seed, given) for view in views for seed in seeds]
    if "rooms" in options.learned:  # first: they are shared by all levels
        run_parts(train_in_rooms, own, options, "training", depends)
    jobs = [(*job[:2], level, *job[2:]) for job in own for level in options.levels]
    parts = run_parts(run_level, jobs, options, "training and evaluating", depends)
    rows = over_seeds(chained(parts))
    title = f"levels of BabyAI, {options.seeds} seeds x {options.episodes} episodes"
    print_table(title, rows, COLUMNS)
    found = claims(rows)
    if found:
        print_table("what memory adds where a part is seen", found, tuple(found[0]))
    figures = {
        f"babyai-{view}-{phrasing}": methods_figure(
            [_drawn(row) for row in rows if (row["view"], row["phrasing"]) == (view, phrasing)],
            f"{title}, {view} view, {phrasing} phrasings",
            "level",
        )
        for view in views
        for phrasing in PHRASINGS
    }
    config = options.model_dump(mode="json", exclude={"out"})
    write_report(options.out, command, config, rows, figures, claims=found)


def config_in_rooms(view: View, seed: int, given: Mapping[str, Any]) -> Config:
    """Return the config of an agent that learns in rooms of langrl's own."""
    config: Any
    if view == "full":
        config = load_config("grid-all", GridRunConfig)
    else:
        config = load_config("grid-partial", GridPartialRunConfig)
        config = with_given(config, world=with_given(config.world, worlds=OWN_ROOMS))
    return _shortened(config, seed, given)


def config_in_level(
    level: str,
    view: View,
    seed: int,
    given: Mapping[str, Any],
    memory: bool = True,
    walkers: str = "own",
) -> Config:
    """Return the config of an agent that learns in a level, from as many trajectories as given."""
    config: Any = (
        load_config("babyai", GridRunConfig)
        if view == "full"
        else load_config("babyai-partial", GridPartialRunConfig)
    )
    each = config.data.trajectories_per_room * getattr(config.data, "segments", 1)
    rooms = max(1, given["trajectories"] // each)
    data = with_given(config.data, rooms=rooms, walkers=walkers)
    config = with_given(config, env=level, data=data)
    if not memory:
        config = with_given(
            config,
            history=with_given(config.history, memory=False),
            learner=with_given(config.learner, cpc_weight=0.0),
        )
    return _shortened(config, seed, given)


def _shortened(config: Any, seed: int, given: Mapping[str, Any]) -> Config:
    learner = with_given(config.learner, steps=given["steps"])
    evaluation = with_given(config.evaluation, methods=OFF)
    made: Config = with_given(
        config, seed=seed, learner=learner, evaluation=evaluation, language=given["language"]
    )
    return made


def trajectories_of(config: Config) -> int:
    """Return how many ways to a goal a run learns from."""
    worlds = 1 if config.env is not None else len(config.world.worlds)
    each = config.data.trajectories_per_room * getattr(config.data, "segments", 1)
    return int(config.data.rooms * each * worlds)


def train_in_rooms(folder: Path, view: View, seed: int, given: Mapping[str, Any]) -> float | None:
    """Train an agent in rooms of langrl's own, unless it is there; returns the seconds."""
    config = config_in_rooms(view, seed, given)
    return train_timed(config, folder / f"rooms-{view}-{seed}", f"rooms, {view}, {seed}", COMMAND)


def run_level(
    folder: Path, view: View, level: str, seed: int, given: Mapping[str, Any]
) -> list[Row]:
    """Train what learns in a level, and return a row for each method and phrasing."""
    here = folder / f"{level}-{view}-{seed}"
    groups = list(_groups(folder, here, view, level, seed, given))
    measured = {name: given[name] for name in _MEASURED}
    record = ResultCache(here.with_suffix(".jsonl"), [level, view, seed, measured])
    rows = []
    for phrasing in PHRASINGS:
        for labels, makers in groups:
            label = f"{phrasing}, {labels['learned']}, {' '.join(makers)}"
            measure = partial(_measure, level, view, phrasing, makers, seed, given["episodes"])
            rows += [labels | row for row in record.rows(label, measure)]
    bot = partial(_measure_bot, level, view, seed, given["episodes"])
    nothing = {"learned": "nothing", "trajectories": 0, "pairs": 0, "train_minutes": None}
    rows += [nothing | row for row in record.rows("bot", bot)]
    place = {"level": level, "view": view, "seed": seed}
    return [place | row for row in rows]


def _groups(
    folder: Path, here: Path, view: View, level: str, seed: int, given: Mapping[str, Any]
) -> list[tuple[Row, Makers]]:
    """Return agents that are measured together, with what they learned from."""
    groups: list[tuple[Row, Makers]] = []
    if "rooms" in given["learned"]:
        config, run = config_in_rooms(view, seed, given), folder / f"rooms-{view}-{seed}"
        seconds = train_timed(config, run, f"rooms, {view}, seed {seed}", COMMAND)
        groups.append(_ours("own rooms", config, run, seconds))
    for learned, name, memory, walkers in variants(view, given):
        config = config_in_level(level, view, seed, given, memory, walkers)
        seconds = train_timed(config, here / name, f"{level}, {view}, seed {seed}", COMMAND)
        groups.append(_ours(learned, config, here / name, seconds))
    config = config_in_level(level, view, seed, given)
    for times in given["demonstrations"]:
        count, run = times * given["trajectories"], here / f"cloned-{times}x"
        cloned = clone_in_level(config, count, run)
        labels = _labels("pairs", count, count, _seconds(run))
        groups.append((labels, {f"cloned_{times}x": cloned}))
    return [*groups, (_labels("nothing", 0, 0, None), RANDOM)]


def variants(view: View, given: Mapping[str, Any]) -> list[tuple[str, str, bool, str]]:
    """Return the agents that learn in a level: what they learned, run, memory, and walkers."""
    if "level" not in given["learned"]:
        return []
    found = []
    for walkers in given["walkers"]:
        for memory in ("with", "without") if view == "partial" else ("with",):
            if view == "full" or memory in given["memory"]:
                learned = "level" if walkers == "own" else "level, bot's walks"
                run = "agent" if memory == "with" else "no-memory"
                without = ", no memory" if memory == "without" else ""
                name = run if walkers == "own" else f"{run}-{walkers}"
                found.append((f"{learned}{without}", name, memory == "with", walkers))
    return found


def _ours(learned: str, config: Config, run: Path, seconds: float | None) -> tuple[Row, Makers]:
    make = in_levels(agents_of(run))
    makers: Makers = {name: partial(make, strategy=name) for name in SEPARATE}
    return _labels(learned, trajectories_of(config), 0, seconds), makers


def _labels(learned: str, trajectories: int, pairs: int, seconds: float | None) -> Row:
    minutes = None if seconds is None else round(seconds / 60, 2)
    counts = {"trajectories": trajectories, "pairs": pairs}
    return {"learned": learned, "train_minutes": minutes} | counts


def _seconds(run: Path) -> float | None:
    times = read_metrics(run / TIMES)
    return float(times[-1]["seconds"]) if times else None


def _measure(
    level: str, view: View, phrasing: Phrasing, makers: Makers, seed: int, episodes: int
) -> list[Row]:
    """Return a row for each method, on the level's own episodes."""
    suite = level_suite(level, None if view == "full" else 7)
    settings = suite.settings.model_copy(update={"episodes": episodes})
    make_env = partial(suite.tasks, settings, None, phrasing)
    results = compare(makers, make_env, settings.seed + seed, f"{level}, {view}, {phrasing}")
    return [
        {"method": method, "phrasing": phrasing} | summarise(done)
        for method, done in results.items()
    ]


def _measure_bot(name: str, view: View, seed: int, episodes: int) -> list[Row]:
    """Return the bot's rows, which are alike: it reads the mission as a program, not its words."""
    level, size = check_bot(make_level(name), name), None if view == "full" else 7
    level.agent_view_size = 3 if size is None else size
    first = level_suite(name, size).settings.seed + seed
    done = [demonstrate(level, first + n, size) is not None for n in range(episodes)]
    success, error = mean_and_sem([float(each) for each in done])
    row = {"method": "bot", "episodes": episodes, "success": success, "success_sem": error}
    return [row | {"phrasing": phrasing, "spl": None} for phrasing in PHRASINGS]


def over_seeds(measured: Sequence[Row]) -> list[Row]:
    """Return means over seeds, with Wilson's intervals over all episodes."""
    rows = []
    keys = ("level", "view", "phrasing", "learned", "method")
    for labels, group in labelled_groups(measured, keys):
        episodes = sum(row["episodes"] for row in group)
        success = float(np.average([row["success"] for row in group]))
        low, high = wilson(success * episodes, episodes)
        spl = [row["spl"] for row in group if row["spl"] is not None]
        minutes = [row["train_minutes"] for row in group if row["train_minutes"] is not None]
        rows.append(
            labels
            | {"episodes": episodes, "success": success, "low": float(low), "high": float(high)}
            | {"spl": float(np.mean(spl)) if spl else None}
            | {name: group[0][name] for name in ("trajectories", "pairs")}
            | {"train_minutes": float(np.mean(minutes)) if minutes else None}
        )
    return rows


def claims(rows: Sequence[Row]) -> list[Row]:
    """Return what memory adds to the success of agents that learned in a level, by strategy."""
    by = {(r["level"], r["phrasing"], r["method"], r["learned"]): r["success"] for r in rows
          if r["view"] == "partial"}  # fmt: skip
    return [
        {
            "claim": f"memory raises success of {method} ({learned}) in {level}, {phrasing}",
            "expected": f">= {_MEMORY}",
            "ours": success - without,
            "holds": success - without >= _MEMORY,
        }
        for (level, phrasing, method, learned), success in by.items()
        if method == "log_sum_exp"
        and (without := by.get((level, phrasing, method, f"{learned}, no memory"))) is not None
    ]  # fmt: skip


def _drawn(row: Row) -> Row:
    """Return a row whose method says what it learned from, for figures."""
    ours = row["learned"] not in ("pairs", "nothing")
    name = f"{row['method']} ({row['learned']})" if ours else row["method"]
    return row | {"method": name, "spl": np.nan if row["spl"] is None else row["spl"]}
