"""Tasks of the benchmark: ambiguous instructions, each with a twin that is not ambiguous.

A task is plain values, so that it can be hashed, stored, and set by the reset options of an
environment: every agent meets the same tasks, whatever the number of others beside them.

Axes: ``N`` tasks, ``n`` denoted intents, ``H`` rows, ``W`` columns.
"""

import json
import math
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv
from numpy.random import Generator
from numpy.typing import NDArray

from langrl.benchmark.drawing import Situation, level_of
from langrl.benchmark.grid_world import GridWorld
from langrl.benchmark.level_world import LEVELS, LevelWorld
from langrl.benchmark.maze_world import MazeWorld
from langrl.envs.intents import Mode, check_mode
from langrl.envs.phrasing import TASK_PHRASINGS, TaskPhrasing
from langrl.envs.wrappers.asking import AskQuestions
from langrl.errors import ConfigError, lookup
from langrl.protocols import Mask

WORLDS: dict[str, MazeWorld | GridWorld | LevelWorld] = {
    "street-fork": MazeWorld("fork"),
    "street-blank": MazeWorld("blank"),
    "street-island": MazeWorld("island"),
    "street-slit": MazeWorld("slit"),
    "street-blocker": MazeWorld("blocker"),
    "grid-goto": GridWorld("goto", (1, 2, 3)),
    "grid-crowded": GridWorld("crowded", (1, 2)),
    "grid-rooms": GridWorld("rooms", (1, 2, 3, 4)),
    "grid-relations": GridWorld("relations", (1, 2)),
    "grid-nine-rooms": GridWorld("nine_rooms", (1, 2, 3)),
    **LEVELS,
}


@dataclass(frozen=True)
class BenchmarkTask:
    """One task; ``dataclasses.asdict`` and JSON and ``BenchmarkTask.load`` give it back.

    Args:
        name: unlike that of any other task of a suite.
        world: of ``WORLDS``.
        kind: instruction type.
        phrasing: of ``langrl.envs.phrasing.TASK_PHRASINGS``.
        mode: ``any`` or ``hidden``.
        instruction: the text.
        start: position (row, column) in a maze, else a pose (row, column, direction).
        room: type and colour of each cell, [H][W][2]; in a level its whole layout, with the agent
            at the start, [H][W][3]; None in a maze.
        denoted: row and column of each intent that the instruction denotes.
        intended: row and column of the one that is meant.
        pair: number that an ambiguous task shares with its twin.
        twin: whether it is the one that is not ambiguous.
        shortest_steps: fewest steps from the start to any denoted intent; in mode ``hidden``, to
            the intended one.
        seed: of the noise on actions.
    """

    name: str
    world: str
    kind: str
    phrasing: TaskPhrasing
    mode: Mode
    instruction: str
    start: tuple[float, ...]
    room: tuple[tuple[tuple[int, int], ...], ...] | None
    denoted: tuple[tuple[int, int], ...]
    intended: tuple[int, int]
    pair: int
    twin: bool
    shortest_steps: float
    seed: int

    @property
    def bits(self) -> float:
        """Ambiguity: log2 of the number of denoted intents."""
        return math.log2(len(self.denoted))

    @property
    def level(self) -> int:
        """Level of ambiguity: the bits rounded, at most 4."""
        return level_of(len(self.denoted))

    @property
    def denoted_mask(self) -> Mask:
        """Where the denoted intents are, bool [H, W]."""
        mask = np.zeros(WORLDS[self.world].shape, bool)
        mask[tuple(np.array(self.denoted).T)] = True
        return mask

    @property
    def room_array(self) -> NDArray[np.uint8] | None:
        """The room, uint8 [H, W, 2], or the layout of a level [H, W, 3]; None in a maze."""
        return None if self.room is None else np.array(self.room, np.uint8)

    def dump(self) -> str:
        """Return the task as one line of JSON, the same on every machine."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def load(cls, text: str) -> "BenchmarkTask":
        """Return the task that ``dump`` wrote; raises ConfigError if the text is none."""
        try:
            return cls(**{name: _tuples(value) for name, value in json.loads(text).items()})
        except (ValueError, TypeError, AttributeError) as error:
            raise ConfigError(f"this is no benchmark task ({error}); write one with dump") from None


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


# -- drawing -----------------------------------------------------------------------------------


def draw_tasks(world: str, pairs: int, seed: int, mode: Mode = "hidden") -> list[BenchmarkTask]:
    """Return ambiguous tasks, each followed by its twin.

    Levels of ambiguity and phrasings take turns, so that of the first k tasks, each combination has
    about the same share. Both modes have the same tasks but for the mode.

    Args:
        world: of ``WORLDS``.
        pairs: how many ambiguous tasks.
        seed: of everything that is drawn.
        mode: ``any`` or ``hidden``.

    Raises:
        UnknownNameError: if there is no such world or mode.
        ConfigError: if there are fewer than one pair, or the world has no tasks of the mode.
    """
    check_world_has(world, mode)
    return draw_tasks_of_modes(world, pairs, seed)[mode]


def check_world_has(world: str, mode: Mode) -> None:
    """Raise UnknownNameError or ConfigError unless there are such a world and mode together."""
    here = lookup(WORLDS, world, "benchmark world")
    if check_mode(mode) not in here.modes:
        raise ConfigError(
            f"{world} has no tasks of mode {mode!r}: a level ends by itself at any denoted object;"
            f" use mode {here.modes[0]!r}"
        )


def draw_tasks_of_modes(world: str, pairs: int, seed: int) -> dict[Mode, list[BenchmarkTask]]:
    """Return what ``draw_tasks`` returns for each mode of a world, drawn once; errors as there."""
    here = lookup(WORLDS, world, "benchmark world")
    if pairs < 1:
        raise ConfigError(f"pairs is how many ambiguous tasks there are, at least 1, got {pairs}")
    generator = np.random.default_rng([seed, zlib.crc32(world.encode())])
    situations = here.situations(-(-pairs // len(here.levels)), generator)
    tasks: dict[Mode, list[BenchmarkTask]] = {mode: [] for mode in here.modes}
    for pair in range(pairs):
        turn, place = divmod(pair, len(here.levels))
        situation = situations[here.levels[place]][turn]
        phrasing = TASK_PHRASINGS[(turn + place) % len(TASK_PHRASINGS)]
        for task in _pair_of_tasks(world, pair, situation, phrasing, generator):
            if "hidden" in tasks:
                tasks["hidden"].append(task)
            nearest = float(situation.steps.min())
            steps = task.shortest_steps if task.twin else nearest
            name = task.name.replace("/hidden/", "/any/")
            tasks["any"].append(replace(task, name=name, mode="any", shortest_steps=steps))
    return tasks


def _pair_of_tasks(
    world: str, pair: int, situation: Situation, phrasing: TaskPhrasing, generator: Generator
) -> list[BenchmarkTask]:
    """Return the ambiguous task of a situation in mode ``hidden``, and its twin."""
    write, room = WORLDS[world].write, situation.room
    denoted = tuple((row, column) for row, column in situation.denoted.tolist())
    intended = denoted[situation.intended]
    task = BenchmarkTask(
        name=f"{world}/hidden/{pair:04d}",
        world=world,
        kind=situation.kind,
        phrasing=phrasing,
        mode="hidden",
        instruction=write(situation.meaning, room, phrasing, generator),
        start=situation.start,
        room=None if room is None else _tuples(room.tolist()),
        denoted=denoted,
        intended=intended,
        pair=pair,
        twin=False,
        shortest_steps=float(situation.steps[situation.intended]),
        seed=int(generator.integers(2**31)),
    )
    twin = replace(
        task,
        name=f"{task.name}-twin",
        kind=situation.twin_kind,
        instruction=write(situation.twin, room, phrasing, generator),
        denoted=(intended,),
        twin=True,
    )
    return [task, twin]


# -- environments ------------------------------------------------------------------------------


class TasksEnv(gym.vector.VectorWrapper):
    """N environments with a task each: whatever is reset starts its own task again.

    The other reset options are ``reset_mask`` alone. What agents observe, and ``info``, are those
    of the world.
    """

    def __init__(self, tasks: Sequence[BenchmarkTask]) -> None:
        self.tasks = _check_alike(tasks)
        world = WORLDS[tasks[0].world]
        super().__init__(world.make(len(tasks), tasks[0].mode))
        self._options = world.options(
            [task.start for task in tasks],
            [task.room for task in tasks],
            [task.seed for task in tasks],
        ) | {
            "instruction": [task.instruction for task in tasks],
            "intended": np.array([task.intended for task in tasks]),
        }

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start every task, or those of the option ``reset_mask`` [N]; errors as the world's."""
        return self.env.reset(seed=seed, options=self._options | (options or {}))


def _check_alike(tasks: Sequence[BenchmarkTask]) -> tuple[BenchmarkTask, ...]:
    if not tasks:
        raise ConfigError("there are no tasks; give at least one")
    for name in ("world", "mode"):
        if len(found := {getattr(task, name) for task in tasks}) > 1:
            raise ConfigError(
                f"tasks of one environment have one {name}, got {' and '.join(sorted(found))};"
                " make an environment for each"
            )
    lookup(WORLDS, tasks[0].world, "benchmark world")
    return tuple(tasks)


def make_tasks_env(
    tasks: Sequence[BenchmarkTask], *, price: float | None = None
) -> VectorEnv[Any, Any, Any]:
    """Return a vector environment whose episodes are some tasks, in their order.

    Each has the noise of its own seed, so that a task is the same whatever the others are. Episodes
    that are over start again only by ``reset(options={"reset_mask": [N]})``.

    Args:
        tasks: N tasks of one world and mode.
        price: of a question; no question can be asked without it.

    Raises:
        ConfigError: if there are no tasks, or they differ in world or mode; see ``AskQuestions``.
    """
    env = TasksEnv(tasks)
    return env if price is None else AskQuestions(env, price)
