"""Street mazes of the benchmark: situations, texts, and environments with given tasks."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.random import Generator
from numpy.typing import NDArray

from langrl.benchmark.drawing import (
    Situation,
    choose_intended,
    level_of,
    spread_choices,
    write_readable,
)
from langrl.envs.intents import MODES, Mode
from langrl.envs.maze.grammar import DRAWN_KINDS
from langrl.envs.maze.world import STEP_SIZE, StreetMaze
from langrl.envs.phrasing import Meaning, TaskPhrasing
from langrl.envs.questions import Questions, maze_questions

ANGLE_NOISE = 20.0  # degrees, on every direction
_MEANINGS = 300  # drawn of each instruction type
_OFFSETS = 64  # starts are at whole numbers of this part of a cell, which floats hold exactly


@dataclass(frozen=True)
class MazeWorld:
    """A street maze; an intent is a cell.

    Args:
        layout: name of a published maze.
        levels: of ambiguity that there are tasks of.
    """

    layout: str
    levels: tuple[int, ...] = (1, 2, 3, 4)

    modes = MODES

    @cached_property
    def maze(self) -> StreetMaze:
        """The maze."""
        return StreetMaze(self.layout)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        rows, columns = self.maze.walls.shape
        return rows, columns

    @property
    def questions(self) -> Questions:
        """What can be asked here."""
        return maze_questions(self.shape)

    def situations(self, count: int, generator: Generator) -> dict[int, list[Situation]]:
        """Return ``count`` situations of each level; types of instruction are equally frequent."""
        pools = self._meanings(generator)
        return {
            level: [
                self._situation(pools[level], choice, generator)
                for choice in spread_choices(count, generator)
            ]
            for level in self.levels
        }

    def _meanings(self, generator: Generator) -> dict[int, dict[str, list[Meaning]]]:
        """Return meanings by level of ambiguity and instruction type."""
        pools: dict[int, dict[str, list[Meaning]]] = {}
        for kind in DRAWN_KINDS:
            for _ in range(_MEANINGS):
                meaning = self.maze.grammar.draw_meaning(generator, (kind,))
                level = level_of(int(self.maze.grammar.mask(meaning).sum()))
                pools.setdefault(level, {}).setdefault(kind, []).append(meaning)
        return pools

    def _situation(
        self, pool: dict[str, list[Meaning]], choice: float, generator: Generator
    ) -> Situation:
        kinds = list(pool)
        kind = kinds[int(generator.integers(len(kinds)))]
        meaning = pool[kind][int(generator.integers(len(pool[kind])))]
        mask, layout = self.maze.grammar.mask(meaning), self.maze.layout
        denoted, others = np.argwhere(mask), np.argwhere(~mask & ~layout.walls)
        cell = others[int(generator.integers(len(others)))]
        start = cell + generator.integers(1, _OFFSETS, 2) / _OFFSETS
        index = layout.cell_index
        steps = layout.distances[index[tuple(cell)], index[tuple(denoted.T)]] / STEP_SIZE
        intended = choose_intended(steps, choice, generator)
        row, column = denoted[intended].tolist()
        pair = [("row", row), ("column", column)]
        generator.shuffle(pair)
        twin = ("cell", *pair)
        place = tuple(start.tolist())
        return Situation(kind, meaning, place, None, denoted, intended, steps, "cell", twin)

    def write(
        self,
        meaning: Meaning,
        room: NDArray[np.uint8] | None,
        phrasing: TaskPhrasing,
        generator: Generator,
    ) -> str:
        """Return a text for a meaning, one that is read back the same."""
        grammar = self.maze.grammar
        return write_readable(grammar, meaning, grammar.mask, phrasing, generator)

    def make(self, count: int, mode: Mode) -> VectorEnv[Any, Any, Any]:
        """Return a vector environment that starts episodes anew only when it is told to."""
        return gym.make_vec(
            "langrl/StreetMaze-v0",
            num_envs=count,
            layout=self.layout,
            mode=mode,
            angle_noise=ANGLE_NOISE,
            autoreset_mode=AutoresetMode.DISABLED,
        )

    def options(
        self,
        starts: Sequence[tuple[float, ...]],
        rooms: Sequence[Any],
        seeds: Sequence[int],
    ) -> dict[str, Any]:
        """Return the reset options that set starts and noise, [N] each."""
        return {"position": np.array(starts, np.float32), "noise_seed": np.array(seeds)}
