"""Playgrounds in levels of MiniGrid, whose agents plan by the grammar."""

from types import SimpleNamespace

import numpy as np

from langrl.envs.grid.rooms import list_poses
from langrl.envs.minigrid_levels.reading import PICKUP
from langrl.grounding.chooser import Posterior
from langrl.play.levels import LevelWorld
from langrl.play.playground import Playground
from langrl.tasks.grid.levels import LevelPlanner


class Plans:
    """Believes every pose alike, and goes a shortest way by the grammar."""

    waypoints, grounding = None, SimpleNamespace(needs={"shared encoder"})

    def reset(self, generator=None, mask=None):
        pass

    def prepare(self, observations, instructions, starts=None):
        pass

    def posterior(self, observation, instruction):
        free = observation["observation"][..., 0] == 1
        poses = list_poses(free)
        goals = np.column_stack([poses, np.full(len(poses), PICKUP)]).astype(np.float32)
        return Posterior(goals, np.full(len(goals), 1 / len(goals), np.float32))

    def act(self, observation, instruction, starts=None):
        return LevelPlanner().act(observation, instruction)


def playground_in(level):
    return Playground(
        "runs/all", LevelWorld.of(level), lambda strategy: Plans(), ("max_goal",), "max_goal"
    )
