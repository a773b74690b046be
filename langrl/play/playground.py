"""What is played with: a trained run and its world."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from langrl import GRID_IDS, MAZE_IDS
from langrl.envs.grid.rooms import GRID_WORLDS, draw_rooms
from langrl.envs.maze.world import StreetMaze
from langrl.errors import ConfigError
from langrl.play.goals import GoalWorld
from langrl.play.grids import GridRoom
from langrl.play.mazes import MazeWorld
from langrl.play.worlds import World
from langrl.tasks.goal_reaching.agent import GoalAgents
from langrl.tasks.hub import local_folder
from langrl.tasks.loading import AgentMaker, agents_of_run
from langrl.tasks.registry import config_beside
from langrl.tasks.suite import suite_of

_PLAYED = ("street-maze", "grid", "goal-reaching")
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


def open_run(run: str | Path, env: str | None = None) -> Playground:
    """Return the playground of a run folder, of a checkpoint in one, or of a shared agent.

    Args:
        run: the folder, or ``hf:user/name@revision``.
        env: a level of MiniGrid to act in, for agents of grid worlds; else the run's own world.

    Raises:
        ConfigError: if there is no run, or it is of a world that cannot be shown.
        CheckpointError: if its checkpoint is missing or damaged.
    """
    folder = local_folder(run)
    config: Any = config_beside(folder)
    _check_played(config, env)
    make = agents_of_run(folder, config)
    level = env or (config.env if config.task == "grid" else None)
    if level is not None:
        from langrl.tasks.grid.levels import in_levels  # minigrid takes half a second

        make = in_levels(make)
    own = config.grounding.strategy
    make(strategy=own)  # here, not in the first visitor's time: language sides may be learned
    world = _world_of(config, make) if level is None else _level(level)
    strategies = tuple(dict.fromkeys((own, *suite_of(config).for_agents(make).groundings)))
    return Playground(str(run), world, make, strategies, own)


def _check_played(config: Any, env: str | None) -> None:
    """Raise ConfigError if a run cannot be played with, or not in a level of MiniGrid."""
    if config.task not in _PLAYED:
        raise ConfigError(
            f"runs of {config.task} cannot be played with yet; name one of a street maze, a grid"
            " world, or goals to reach"
        )
    if env is not None and config.task != "grid":
        raise ConfigError(
            f"--env {env}: a run of {config.task} cannot be played with in levels of MiniGrid;"
            " name one of `langrl train --config grid-all`, or leave --env out"
        )


def _level(env: str) -> World:
    from langrl.play.levels import LevelWorld

    return LevelWorld.of(env)


def _world_of(config: Any, make: AgentMaker) -> World:
    """Return the world that a run was trained in, of which it makes agents."""
    if config.task == "street-maze":
        return _maze(config.world.layout)
    if config.task == "grid":
        return _room(config.world.worlds[0])
    if config.env in MAZE_IDS:
        return _maze(MAZE_IDS[config.env])
    if config.env in GRID_IDS:
        return _room(GRID_IDS[config.env])
    return _goal_world(config, cast(GoalAgents, make))


def _goal_world(config: Any, agents: GoalAgents) -> World:
    if agents.words is None:
        raise ConfigError(
            f"there are no words for the goals of {config.env}, so that there is nothing to say;"
            " name the axes of its goals by --words.axes in training"
        )
    return GoalWorld.of(config.env, agents.words, config.max_episode_steps)


def _maze(layout: str) -> MazeWorld:
    maze = StreetMaze(layout)
    name = "a maze of your own" if "\n" in layout else f"the {Path(layout).stem} maze"
    return MazeWorld(name, maze, maze)


def _room(name: str) -> GridRoom:
    return GridRoom(name, draw_rooms(GRID_WORLDS[name], 1, np.random.default_rng(0))[0])
