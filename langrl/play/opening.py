"""A playground from a run folder."""

from pathlib import Path
from typing import Any

from langrl import GRID_IDS, MAZE_IDS
from langrl.envs.grid.rooms import GRID_WORLDS, draw_rooms
from langrl.envs.maze.world import StreetMaze
from langrl.errors import ConfigError
from langrl.play.grids import GridRoom
from langrl.play.mazes import MazeWorld
from langrl.play.session import Playground
from langrl.play.worlds import World
from langrl.tasks.loading import agents_of_run
from langrl.tasks.registry import config_beside
from langrl.tasks.suite import suite_of

import numpy as np


def open_run(run: Path) -> Playground:
    """Return the playground of a run folder, or of a checkpoint in one.

    Raises:
        ConfigError: if there is no run, or it is of a world that cannot be shown.
        CheckpointError: if its checkpoint is missing or damaged.
    """
    config: Any = config_beside(run)
    world = _world_of(config)
    make = agents_of_run(run, config)
    strategies = tuple(suite_of(config).for_agents(make).groundings)
    own = config.grounding.strategy
    make(strategy=own)  # here, not in the first visitor's time: language sides may be learned
    strategies = tuple(dict.fromkeys((own, *strategies)))
    return Playground(str(run), world, make, strategies, own)


def _world_of(config: Any) -> World:
    """Return the world that a run was trained in."""
    env = getattr(config, "env", None)
    if config.task == "street-maze":
        return _maze(config.world.layout)
    if config.task == "grid":
        return _room(config.world.worlds[0])
    if config.task == "goal-reaching" and env in MAZE_IDS:
        return _maze(MAZE_IDS[env])
    if config.task == "goal-reaching" and env in GRID_IDS:
        return _room(GRID_IDS[env])
    where = config.task if env is None else env
    raise ConfigError(
        f"runs of {where} cannot be played with yet; name one of a street maze or a grid world"
    )


def _maze(layout: str) -> MazeWorld:
    maze = StreetMaze(layout)
    name = "a maze of your own" if "\n" in layout else f"the {Path(layout).stem} maze"
    return MazeWorld(name, maze, maze)


def _room(name: str) -> GridRoom:
    return GridRoom(name, draw_rooms(GRID_WORLDS[name], 1, np.random.default_rng(0))[0])
