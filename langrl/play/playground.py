"""What is played with: a trained run and its world."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from langrl import GRID_IDS, MAZE_IDS
from langrl.envs.grid.rooms import GRID_WORLDS, draw_rooms
from langrl.envs.maze.world import StreetMaze
from langrl.errors import ConfigError
from langrl.play.grids import GridRoom
from langrl.play.mazes import MazeWorld
from langrl.play.worlds import World
from langrl.tasks.loading import AgentMaker, agents_of_run
from langrl.tasks.registry import config_beside
from langrl.tasks.suite import suite_of

ABOUT = {
    "direct": "compares actions with the text itself, as if it were a goal",
    "log_sum_exp": "adds up all goals, each by its belief, anew at every step",
    "sampled_goal": "draws one goal from its belief and keeps it",
    "nearest_goal": "keeps the goal that is likely and near",
    "max_goal": "keeps the likeliest goal, however far",
}
"""What the strategies do, in a few words."""


@dataclass(frozen=True, eq=False)
class Playground:
    """A trained run to play with, which all sessions share.

    Args:
        title: what to call the run.
        world: where sessions begin.
        make: makes agents; ``make(strategy=name)``.
        strategies: that agents can have.
        strategy: the run's own.
    """

    title: str
    world: World
    make: AgentMaker
    strategies: tuple[str, ...]
    strategy: str


def open_run(run: Path) -> Playground:
    """Return the playground of a run folder, or of a checkpoint in one.

    Raises:
        ConfigError: if there is no run, or it is of a world that cannot be shown.
        CheckpointError: if its checkpoint is missing or damaged.
    """
    config: Any = config_beside(run)
    world = _world_of(config)
    make = agents_of_run(run, config)
    own = config.grounding.strategy
    make(strategy=own)  # here, not in the first visitor's time: language sides may be learned
    strategies = tuple(dict.fromkeys((own, *suite_of(config).for_agents(make).groundings)))
    return Playground(str(run), world, make, strategies, own)


def _world_of(config: Any) -> World:
    """Return the world that a run was trained in."""
    env = getattr(config, "env", None)
    if config.task == "street-maze":
        return _maze(config.world.layout)
    if config.task == "grid" and env is None:
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
