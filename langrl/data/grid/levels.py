"""Trajectories without language in levels of MiniGrid and BabyAI, in the numbers of grid worlds.

Layouts are a level's own. In them walk experts and explorers of grid worlds, for whom doors open by
themselves, or ``BabyAIBot``, which is sent to objects and whose missions are not kept. Trajectories
are made in parts, each from a seed of its own, and a part that is made is kept in a file, so that a
run that was cut off goes on with the same data.

Axes: ``R`` layouts, ``T`` states, ``V`` cells along a side of a view.
"""

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.random import Generator, SeedSequence

from langrl.checkpoint import digest
from langrl.data.grid.experts import GridTrajectories, grid_experts
from langrl.data.grid.exploration import GridExplorations
from langrl.data.grid.explorer import explorer_trajectories
from langrl.data.npz import Arrays, kept_arrays
from langrl.envs.grid.rooms import DONE
from langrl.envs.minigrid_levels.bot import Walk, check_bot, explore
from langrl.envs.minigrid_levels.layouts import draw_layouts, rooms_of
from langrl.envs.minigrid_levels.reading import Level, as_partial_views, make_level
from langrl.errors import ConfigError
from langrl.protocols import Array
from langrl.training.logs import progress

_LAYOUTS_AT_ONCE = 64  # in a part
_LOST = 20  # explorations of a layout that fail before another is drawn


@dataclass(frozen=True)
class LevelWalks:
    """Which trajectories there are to be in a level.

    Args:
        level: Gymnasium's id.
        layouts: how many.
        per_layout: trajectories in each.
        segments: objects that each trajectory goes to.
        action_noise: chance of a random turn or step instead of the best action.
        bot: whether ``BabyAIBot`` walks, not those of langrl.
        view: cells along a side of what is seen; all if not given.
        seed: of everything.
    """

    level: str
    layouts: int
    per_layout: int
    segments: int
    action_noise: float
    bot: bool
    view: int | None
    seed: int

    def trajectories(self, folder: Path) -> GridTrajectories:
        """Return trajectories where everything is seen; ``folder`` keeps what is made.

        Raises:
            UnknownNameError, ConfigError: if there is no such level, or nobody can walk there.
        """
        return GridTrajectories(**_without(self._arrays(folder), "exploration"))

    def explorations(self, folder: Path) -> GridExplorations:
        """Return explorations where a part is seen; errors and argument as ``trajectories``'."""
        arrays = self._arrays(folder)
        views = arrays.pop("views", None)
        number = arrays.pop("exploration")
        return GridExplorations(GridTrajectories(**arrays), number, views)

    def _arrays(self, folder: Path) -> Arrays:
        """Return the arrays of all parts, one after another."""
        level = make_level(self.level)
        if self.bot:
            check_bot(level, self.level)
        level.agent_view_size = 3 if self.view is None else self.view
        sizes = [
            min(_LAYOUTS_AT_ONCE, self.layouts - begin)
            for begin in range(0, self.layouts, _LAYOUTS_AT_ONCE)
        ]
        seeds = SeedSequence([self.seed, 19]).spawn(len(sizes))
        parts = []
        with progress(f"trajectories in {self.level}", self.layouts) as bar:
            for number, (size, seed) in enumerate(zip(sizes, seeds, strict=True)):
                make = partial(self._part, level, size, np.random.default_rng(seed))
                parts.append(kept_arrays(folder / f"walks-{number}.npz", self._key, make))
                bar.update(sum(sizes[: number + 1]), "layouts")
        return _joined(parts)

    @property
    def _key(self) -> str:
        return digest(json.dumps(vars(self), sort_keys=True).encode())

    def _part(self, level: Level, count: int, generator: Generator) -> Arrays:
        """Return the arrays of the trajectories in some new layouts."""
        if self.bot:
            return self._bot_part(level, count, generator)
        rooms = rooms_of(draw_layouts(level, count, generator, self.level))
        if self.view is None:
            made = grid_experts(rooms, self.per_layout, generator, action_noise=self.action_noise)
            return _arrays_of(made)
        explored = explorer_trajectories(
            rooms, self.per_layout, self.segments, generator,
            view=self.view, action_noise=self.action_noise,
        )  # fmt: skip
        return _arrays_of(explored.segments) | {"exploration": explored.exploration}

    def _bot_part(self, level: Level, count: int, generator: Generator) -> Arrays:
        rooms, walks, number = [], list[tuple[int, int, Walk]](), 0
        for place in range(count):
            layout, found = self._explore(level, generator)
            rooms.append(rooms_of(layout[None])[0])
            for exploration in found:
                walks += [(place, number, walk) for walk in exploration]
                number += 1
        lengths = [len(walk.actions) for _, _, walk in walks]
        arrays: Arrays = {
            "rooms": np.stack(rooms),
            "room": np.repeat([place for place, _, _ in walks], lengths),
            "exploration": np.repeat([each for _, each, _ in walks], lengths),
            "poses": np.concatenate([walk.poses for _, _, walk in walks]),
            "actions": np.concatenate([walk.actions for _, _, walk in walks]),
        }
        arrays["terminals"] = arrays["actions"] == DONE
        seen = [walk.views for _, _, walk in walks if walk.views is not None]
        return arrays | ({"views": as_partial_views(np.concatenate(seen))} if seen else {})

    def _explore(self, level: Level, generator: Generator) -> tuple[Array, list[list[Walk]]]:
        """Return a layout and the bot's explorations of it; another where the bot is lost."""
        for _ in range(_LOST):
            layout = draw_layouts(level, 1, generator, self.level)[0]
            found: list[list[Walk]] = []
            for _ in range(_LOST + self.per_layout):
                walks = explore(
                    check_bot(level, self.level), layout, self.segments, generator,
                    view=self.view, action_noise=self.action_noise,
                )  # fmt: skip
                found += [] if walks is None else [walks]
                if len(found) == self.per_layout:
                    return layout, found
        raise ConfigError(
            f"BabyAIBot finds no way in {_LOST} layouts of {self.level}; use data.walkers own"
        )


def _arrays_of(made: GridTrajectories) -> Arrays:
    names = ("rooms", "room", "poses", "actions", "terminals")
    return {name: getattr(made, name) for name in names}


def _without(arrays: Arrays, name: str) -> Arrays:
    return {key: array for key, array in arrays.items() if key != name}


def _joined(parts: list[Arrays]) -> Arrays:
    """Return the arrays of several parts as those of one; numbers of rooms go on."""
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    for name in ("room", "exploration"):
        if name in joined:
            before = np.cumsum([0, *(part[name][-1] + 1 for part in parts[:-1])])
            joined[name] = np.concatenate(
                [part[name] + first for part, first in zip(parts, before, strict=True)]
            )
    return joined
