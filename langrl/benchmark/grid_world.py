"""Grid worlds of the benchmark: situations, texts, and environments with given tasks.

Axes: ``N`` rooms, ``H`` rows, ``W`` columns, ``D`` denoted objects of all rooms.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

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
    take_in_turns,
    write_readable,
)
from langrl.envs.draws import pick_each
from langrl.envs.grid import grammar
from langrl.envs.grid.episodes import far_starts
from langrl.envs.grid.meanings import cells_denoted_alone, draw_meanings
from langrl.envs.grid.rooms import (
    GRID_WORLDS,
    Poses,
    Rooms,
    draw_rooms,
    facing,
    is_free,
    pose_distances,
)
from langrl.envs.intents import MODES, Mode
from langrl.envs.phrasing import Meaning, TaskPhrasing
from langrl.envs.questions import Questions, grid_questions
from langrl.errors import ConfigError
from langrl.protocols import Integers, Mask

_ROOMS = 500  # drawn together
_ROUNDS = 200  # of drawing before a level is called impossible


class _Instruction(NamedTuple):
    """A meaning in a room [H, W, 2], and the objects that it denotes there [H, W]."""

    kind: str
    meaning: Meaning
    room: Rooms
    denoted: Mask


@dataclass(frozen=True)
class GridWorld:
    """A grid world; an intent is an object.

    Args:
        world: its name in ``GRID_WORLDS``.
        levels: of ambiguity that there are tasks of. There are more objects than meanings that
            denote one alone where many look alike, so that the higher levels have no twins there.
    """

    world: str
    levels: tuple[int, ...]

    modes = MODES

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        size = GRID_WORLDS[self.world].size
        return size, size

    @property
    def questions(self) -> Questions:
        """What can be asked here."""
        return grid_questions(self.shape[0])

    def situations(self, count: int, generator: Generator) -> dict[int, list[Situation]]:
        """Return ``count`` situations of each level; types of instruction take turns.

        Raises:
            ConfigError: if a level cannot be had.
        """
        pools: dict[int, dict[str, list[_Instruction]]] = {level: {} for level in self.levels}
        for _ in range(_ROUNDS):
            if all(sum(map(len, pool.values())) >= count for pool in pools.values()):
                break
            for each in self._instructions(generator):
                level = level_of(int(each.denoted.sum()))
                if level in pools:
                    pools[level].setdefault(each.kind, []).append(each)
        else:
            raise ConfigError(f"grid world {self.world!r} has too few tasks; leave a level out")
        return {
            level: _situations(take_in_turns(pool, count, generator), generator)
            for level, pool in pools.items()
        }

    def _instructions(self, generator: Generator) -> Iterator[_Instruction]:
        """Yield ambiguous instructions in new rooms that have a twin whatever is meant."""
        spec = GRID_WORLDS[self.world]
        rooms = draw_rooms(spec, _ROOMS, generator)
        alone = cells_denoted_alone(rooms)
        for kind in spec.levels:
            meanings, denoted = draw_meanings(rooms, generator, (kind,))
            fits = (denoted.sum((1, 2)) > 1) & ~(denoted & ~alone).any((1, 2))
            for n in np.flatnonzero(fits):
                meaning = meanings[n]
                assert meaning is not None
                yield _Instruction(kind, meaning, rooms[n], denoted[n])

    def write(
        self,
        meaning: Meaning,
        room: NDArray[np.uint8] | None,
        phrasing: TaskPhrasing,
        generator: Generator,
    ) -> str:
        """Return a text for a meaning, one that is read back the same in a room [H, W, 2]."""
        assert room is not None  # each task of a grid world has one
        denote = partial(grammar.denoted, rooms=room)
        return write_readable(grammar, meaning, denote, phrasing, generator)

    def make(self, count: int, mode: Mode) -> VectorEnv[Any, Any, Any]:
        """Return a vector environment that starts episodes anew only when it is told to."""
        return gym.make_vec(
            "langrl/GridGoTo-v0",
            num_envs=count,
            world=self.world,
            mode=mode,
            autoreset_mode=AutoresetMode.DISABLED,
        )

    def options(
        self,
        starts: Sequence[tuple[float, ...]],
        rooms: Sequence[Any],
        seeds: Sequence[int],
    ) -> dict[str, Any]:
        """Return the reset options that set starts and rooms, [N] each; there is no noise."""
        return {"pose": np.array(starts, np.int64), "room": np.array(rooms, np.uint8)}


def _situations(instructions: list[_Instruction], generator: Generator) -> list[Situation]:
    """Return a situation for each instruction: with a start, and what is meant; in one batch."""
    rooms = np.stack([each.room for each in instructions])
    masks = np.stack([each.denoted for each in instructions])
    starts, which, cells, steps = _starts(rooms, masks, generator)
    chosen, choices = [], spread_choices(len(rooms), generator)
    for n, choice in enumerate(choices):
        chosen.append(choose_intended(steps[which == n], choice, generator))
    intended = np.stack([cells[which == n][place] for n, place in enumerate(chosen)])
    twins = _twins(rooms, intended, generator)
    return [
        Situation(
            each.kind,
            each.meaning,
            tuple(starts[n].tolist()),
            each.room,
            cells[which == n],
            chosen[n],
            steps[which == n],
            *twins[n],
        )
        for n, each in enumerate(instructions)
    ]


def _starts(
    rooms: Rooms, denoted: Mask, generator: Generator
) -> tuple[Poses, Integers, Integers, NDArray[np.float64]]:
    """Return starts [N, 3]; and of each denoted object its room [D], cell [D, 2], and steps [D]."""
    free = is_free(rooms)
    distances = pose_distances(free, facing(denoted, free))
    places = pick_each(far_starts(distances, free).reshape(len(rooms), -1), generator)
    starts = np.stack(np.unravel_index(places, distances.shape[1:]), 1)
    which, rows, columns = np.nonzero(denoted)
    one = np.zeros((len(which), *denoted.shape[1:]), bool)
    one[np.arange(len(which)), rows, columns] = True
    away = pose_distances(free[which], facing(one, free[which]))
    steps = away[np.arange(len(which)), *starts[which].T] + 1.0  # with the one to say done
    return starts, which, np.stack([rows, columns], 1), steps


def _twins(rooms: Rooms, cells: Integers, generator: Generator) -> list[tuple[str, Meaning]]:
    """Return, for one object of each room, type and meaning of a text that denotes it alone.

    It is a relation only where nothing simpler does.
    """
    simple = tuple(level for level in grammar.LEVELS if level != "relation")
    drawn, _ = draw_meanings(rooms, generator, simple, cells, alone=True)
    related, _ = draw_meanings(rooms, generator, ("relation",), cells, alone=True)
    found = [one or other for one, other in zip(drawn, related, strict=True)]
    return [(grammar.level_of(twin), twin) for twin in found if twin is not None]
