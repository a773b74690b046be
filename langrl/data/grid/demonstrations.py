"""Demonstrations: missions of a level of BabyAI, each with what ``BabyAIBot`` did to follow it.

langrl's agents learn from none of them; policies that they are compared with do.

Axes: ``D`` demonstrations, ``S`` scenes, ``T`` states, ``V`` cells along a side of a view.
"""

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.random import SeedSequence

from langrl.checkpoint import digest
from langrl.data.grid.experts import GridTrajectories
from langrl.data.npz import Arrays, kept_arrays
from langrl.envs.minigrid_levels.bot import Demonstration, check_bot, demonstrate
from langrl.envs.minigrid_levels.reading import Level, make_level
from langrl.errors import ConfigError
from langrl.protocols import Array, Integers
from langrl.training.logs import progress

_AT_ONCE = 64  # in a part
_FAILURES = 200  # of the bot, one after another


@dataclass(frozen=True, eq=False)
class Demonstrations:
    """Demonstrations, one after another.

    Args:
        missions: D texts.
        scenes: the level without the agent, each time that it changed uint8 [S, H, W, 3].
        scene: which of them each state is in [T].
        demonstration: which demonstration each state is of [T].
        poses: [T, 3].
        actions: of levels [T].
        views: uint8 [T, V, V, 3]; None where everything is seen.
    """

    missions: tuple[str, ...]
    scenes: Array
    scene: Integers
    demonstration: Integers
    poses: Integers
    actions: Integers
    views: Array | None

    def by_scene(self) -> tuple[GridTrajectories, list[str]]:
        """Return the parts between changes of the level as trajectories, and a text for each."""
        ends = np.append(self.scene[1:] != self.scene[:-1], True)
        _, room = np.unique(self.scene, return_inverse=True)  # a last change is in no state
        rooms = self.scenes[np.unique(self.scene)]
        made = GridTrajectories(rooms, room.ravel(), self.poses, self.actions, ends)
        return made, [self.missions[n] for n in self.demonstration[ends]]


def draw_demonstrations(
    level: str, count: int, view: int | None, seed: int, folder: Path
) -> Demonstrations:
    """Have the bot follow missions of a level's episodes until it has succeeded ``count`` times.

    Args:
        level: Gymnasium's id.
        count: D.
        view: cells along a side of what is seen; everything if not given.
        seed: of the episodes. Of more demonstrations, the first are the same.
        folder: keeps what is made.

    Raises:
        UnknownNameError, ConfigError: if there is no such level, or the bot cannot act there.
    """
    made = check_bot(make_level(level), level)
    made.agent_view_size = 3 if view is None else view
    key = digest(json.dumps([level, view, seed]).encode())
    parts: list[Arrays] = []
    with progress(f"demonstrations in {level}", count) as bar:
        for number in range(-(-count // _AT_ONCE)):
            make = partial(_part, made, level, view, SeedSequence([seed, number]))
            parts.append(kept_arrays(folder / f"shown-{number}.npz", key, make))
            bar.update(min(count, (number + 1) * _AT_ONCE), "demonstrations")
    return _first(parts, count)


def _part(made: Level, level: str, view: int | None, seeds: SeedSequence) -> Arrays:
    generator, shown = np.random.default_rng(seeds), list[Demonstration]()
    failures = 0
    while len(shown) < _AT_ONCE:
        found = demonstrate(check_bot(made, level), int(generator.integers(2**31)), view)
        if found is not None:
            shown.append(found)
        failures = 0 if found is not None else failures + 1
        if failures == _FAILURES:
            raise ConfigError(
                f"BabyAIBot fails {_FAILURES} missions of {level} in a row; choose another level"
            )
    lengths = [len(each.actions) for each in shown]
    before = np.cumsum([0, *(len(each.scenes) for each in shown[:-1])])
    arrays: Arrays = {
        "missions": np.array([each.mission for each in shown]),
        "scenes": np.concatenate([each.scenes for each in shown]),
        "scene": np.concatenate(
            [each.scene + first for each, first in zip(shown, before, strict=True)]
        ),
        "demonstration": np.repeat(np.arange(len(shown)), lengths),
        "poses": np.concatenate([each.poses for each in shown]),
        "actions": np.concatenate([each.actions for each in shown]),
    }
    seen = [each.views for each in shown if each.views is not None]
    return arrays | ({"views": np.concatenate(seen)} if seen else {})


def _first(parts: list[Arrays], count: int) -> Demonstrations:
    """Return the first demonstrations of several parts."""
    scenes = np.cumsum([0, *(len(part["scenes"]) for part in parts[:-1])])
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    joined["scene"] = np.concatenate(
        [part["scene"] + first for part, first in zip(parts, scenes, strict=True)]
    )
    joined["demonstration"] = np.concatenate(
        [part["demonstration"] + n * _AT_ONCE for n, part in enumerate(parts)]
    )
    some = joined["demonstration"] < count
    used = joined["scene"][some].max() + 1
    return Demonstrations(
        tuple(joined["missions"][:count].tolist()),
        joined["scenes"][:used],
        joined["scene"][some],
        joined["demonstration"][some],
        joined["poses"][some],
        joined["actions"][some],
        joined["views"][some] if "views" in joined else None,
    )
