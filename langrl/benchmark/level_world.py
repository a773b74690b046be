"""Levels of BabyAI in the benchmark, and environments with given tasks.

Minigrid, which takes half a second to import, is imported where it is used.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from numpy.random import Generator
from numpy.typing import NDArray

from langrl.benchmark.drawing import Situation
from langrl.envs.intents import Mode
from langrl.envs.phrasing import Meaning, TaskPhrasing
from langrl.envs.questions import Questions, grid_questions

_OPTIONS = ("layout", "instruction")

LEFT_OUT = {
    "mode hidden, and asking": (
        "a level ends by itself as soon as any denoted object is reached, so that nobody can commit"
        " to one of them, and nothing in it answers questions"
    ),
    "posterior-*, *-never, *-always, *-pays, *-conformal": "these differ in what they ask",
    "online-*": "their critics know the four actions and the goals of grid worlds alone",
    "cloning, sb3_*": "their policies choose among the four actions of grid worlds, not seven",
}
"""What levels have not, of what other worlds have, and why."""


@dataclass(frozen=True)
class LevelWorld:
    """A level of BabyAI, seen whole; an intent is an object.

    Args:
        env_id: Gymnasium's id.
        levels: of ambiguity that there are tasks of.
        places: whether texts may say where an object lies: "on your left".
    """

    env_id: str
    levels: tuple[int, ...] = (1, 2)
    places: bool = False

    modes: tuple[Mode, ...] = ("any",)

    @cached_property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        from langrl.envs.minigrid_levels.reading import make_level

        level = make_level(self.env_id)
        return level.height, level.width

    @property
    def questions(self) -> Questions:
        """What intents differ in; nothing can be asked in a level."""
        return grid_questions(self.shape[0])

    def situations(self, count: int, generator: Generator) -> dict[int, list[Situation]]:
        """Return ``count`` situations of each level of ambiguity; types of instruction take turns.

        Raises:
            ConfigError: if a level of ambiguity cannot be had.
        """
        from langrl.benchmark.level_situations import draw_situations

        return draw_situations(self.env_id, self.levels, self.places, count, generator)

    def write(
        self,
        meaning: Meaning,
        room: NDArray[np.uint8] | None,
        phrasing: TaskPhrasing,
        generator: Generator,
    ) -> str:
        """Return a text for a task, one that is read back the same in a layout [H, W, 3]."""
        from langrl.benchmark.level_situations import write

        assert room is not None  # each task of a level has one
        return write(meaning, room, phrasing, generator)

    def make(self, count: int, mode: Mode) -> VectorEnv[Any, Any, Any]:
        """Return a vector environment that starts episodes anew only when it is told to."""
        envs = [partial(_Row, self.env_id, n) for n in range(count)]
        return SyncVectorEnv(envs, autoreset_mode=AutoresetMode.DISABLED)

    def options(
        self,
        starts: Sequence[tuple[float, ...]],
        rooms: Sequence[Any],
        seeds: Sequence[int],
    ) -> dict[str, Any]:
        """Return the reset option that sets layouts, agents included [N]; there is no noise."""
        return {"layout": np.array(rooms, np.uint8)}


LEVELS = {
    "level-goto-local": LevelWorld("BabyAI-GoToLocal-v0"),
    "level-goto-open": LevelWorld("BabyAI-GoToOpen-v0"),
    "level-pickup-loc": LevelWorld("BabyAI-PickupLoc-v0", places=True),
}
"""The levels of the benchmark, by their names there."""
LEVEL_IDS = {
    level.env_id: name.removeprefix("level-").replace("-", "_") for name, level in LEVELS.items()
}
"""Their own names, by Gymnasium's ids."""


class _Row(gym.Wrapper[Any, Any, Any, Any]):
    """One level among N, which starts with its own row of the options ``layout``, ``instruction``.

    Args:
        env_id: of the level.
        row: its place among the N.
    """

    def __init__(self, env_id: str, row: int) -> None:
        from langrl.envs.minigrid_levels.env import MiniGridLevelEnv

        super().__init__(MiniGridLevelEnv(env_id))
        self._row = row

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start the episode of the row."""
        given = options or {}
        own = {name: given[name][self._row] for name in _OPTIONS if name in given}
        return self.env.reset(seed=seed, options=own)
