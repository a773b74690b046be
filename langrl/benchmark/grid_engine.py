"""Speed of the array engine of grid worlds against minigrid, resets included."""

import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np

from langrl.envs.draws import keys_of
from langrl.envs.grid.goal_engine import GridGoalEngine
from langrl.envs.grid.rooms import ACTIONS, GRID_WORLDS, Rooms, draw_rooms
from langrl.training.jobs import one_thread
from langrl.training.logs import progress

ENVS, STEPS = 4096, 16
LEVELS, LEVEL_STEPS, ROOMS = 64, 16, 1000


def grid_engine(rounds: int) -> list[dict[str, Any]]:
    """Time random actions in each grid world, in steps per second of the processor.

    Every fourth action is ``done`` and ends an episode. The baseline is a ``SyncVectorEnv`` of
    levels of minigrid with the same rooms, which are drawn beforehand: ``ratio`` is over levels
    that show the whole room, as the engine does, and ``ratio_to_view`` over those that show
    minigrid's own view of 7 x 7 cells. All take turns; rates are medians over rounds.
    """
    rows = []
    with one_thread(), progress("speed: grid-engine", len(GRID_WORLDS)) as bar:
        for number, world in enumerate(GRID_WORLDS):
            rates = _rates(world, rounds)
            rows.append(
                {
                    "benchmark": "grid-engine",
                    "variant": f"{world}, {ENVS:,} environments; baseline: {LEVELS}",
                    "steps_per_second": round(rates["engine"]),
                    "minigrid_per_second": round(rates["whole"]),
                    "minigrid_view_per_second": round(rates["view"]),
                    "ratio": rates["engine"] / rates["whole"],
                    "ratio_to_view": rates["engine"] / rates["view"],
                }
            )
            bar.update(number + 1, "worlds")
    return rows


def _rates(world: str, rounds: int) -> dict[str, float]:
    variants: dict[str, tuple[Callable[[], None], int]] = {
        "engine": (_engine(world), ENVS * STEPS),
        "whole": (_minigrid(world, True), LEVELS * LEVEL_STEPS),
        "view": (_minigrid(world, False), LEVELS * LEVEL_STEPS),
    }
    rates: dict[str, list[float]] = {name: [] for name in variants}
    for run, _ in variants.values():
        run()  # caches are filled
    for _ in range(rounds):
        for name, (run, steps) in variants.items():
            begin = time.process_time()
            run()
            rates[name].append(steps / (time.process_time() - begin))
    return {name: statistics.median(values) for name, values in rates.items()}


def _engine(world: str) -> Callable[[], None]:
    """Return a function that acts ``STEPS`` times in all environments, and starts them anew."""
    engine, each = GridGoalEngine(ENVS, world=world), np.arange(ENVS)
    episodes = np.zeros(ENVS, np.int64)
    actions = np.random.default_rng(0).integers(len(ACTIONS), size=(STEPS, ENVS))

    def reset(rows: Any) -> None:
        episodes[rows] += 1
        seeds = keys_of(rows, episodes[rows]) >> np.uint64(1)
        engine.reset(rows, seeds.view(np.int64))

    def run() -> None:
        for action in actions:
            moved = engine.step(action)
            reset(np.flatnonzero(moved.terminated | moved.truncated))

    reset(each)
    return run


def _minigrid(world: str, whole: bool) -> Callable[[], None]:
    """Return a function that acts ``LEVEL_STEPS`` times in all levels of a ``SyncVectorEnv``."""
    rooms = itertools.cycle(draw_rooms(GRID_WORLDS[world], ROOMS, np.random.default_rng(0)))
    level = partial(_level, rooms, GRID_WORLDS[world].size, whole)
    envs: Any = gym.vector.SyncVectorEnv([level] * LEVELS)
    envs.reset(seed=0)
    actions = np.random.default_rng(0).integers(len(ACTIONS), size=(LEVEL_STEPS, LEVELS))

    def run() -> None:
        for action in actions:
            envs.step(action)

    return run


def _level(rooms: Iterator[Rooms], size: int, whole: bool) -> gym.Env[Any, Any]:
    from minigrid.wrappers import FullyObsWrapper

    from langrl.benchmark.minigrid_level import MinigridLevel

    level = MinigridLevel(rooms, size)
    return FullyObsWrapper(level) if whole else level
