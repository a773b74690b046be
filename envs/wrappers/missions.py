"""Levels of MiniGrid for a policy of your own: the mission as the instruction.

Axes: ``H`` rows, ``W`` columns, ``V`` cells along a side of a view.
"""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs
from minigrid.minigrid_env import MiniGridEnv
from numpy.random import Generator

from langrl.envs.instructed import Observation, Options, Start, Step
from langrl.envs.instruction_space import InstructionSpace
from langrl.envs.minigrid_levels.reading import all_cells, observe, view_of
from langrl.envs.wrappers import checks
from langrl.errors import InstructionError, ShapeError
from langrl.protocols import check_instruction


def _draw_mission(generator: Generator) -> str:
    return "go to the red ball"


class MissionInstruction(gym.Wrapper[Observation, Any, Any, Any], RecordConstructorArgs):
    """Gives a level of MiniGrid langrl's observation: {"observation": ..., "instruction": mission}.

    Any level that minigrid registers will do, those with goal squares and lava too. Actions, reward
    and end are the level's own; ``info["is_success"]`` is whether there was a reward. The
    observation is uint8 [V, V, 3], MiniGrid's view with rows before columns, or [H, W, 3] of the
    whole level; the third number of the agent's cell is its direction + 1, as in langrl's grid
    worlds, so that the parts for policies (``centre_on_agent``) read it.

    Args:
        env: a level, with or without wrappers that leave its missions in the observations.
        full: whether the whole level is seen.

    Raises:
        ShapeError: if this is no level of MiniGrid with missions.
    """

    def __init__(self, env: gym.Env[Any, Any], full: bool = False) -> None:
        checks.begin(self, env, full=full)
        super().__init__(env)
        level, space = env.unwrapped, env.observation_space
        if not isinstance(level, MiniGridEnv):
            raise ShapeError(
                f"MissionInstruction is for levels of MiniGrid, and {env} is none; give texts with"
                " langrl.envs.wrappers.instructions.AddInstruction"
            )
        if not isinstance(space, spaces.Dict) or "mission" not in space.spaces:
            raise ShapeError(
                f"{env} has no mission in its observations any more; put MissionInstruction around"
                " the level itself, in the place of ImgObsWrapper and FullyObsWrapper"
            )
        self._level, self.full = level, full
        size = (level.height, level.width) if full else (level.agent_view_size,) * 2
        seen = spaces.Box(0, 255, (*size, 3), np.uint8)
        text = InstructionSpace(_draw_mission)
        self.observation_space = spaces.Dict({"observation": seen, "instruction": text})

    def reset(self, *, seed: int | None = None, options: Options = None) -> Start:
        """Start an episode; options are the level's."""
        seen, info = self.env.reset(seed=seed, options=options)
        if not str(seen["mission"]).strip():
            raise InstructionError(
                f"{self.env} has no mission; give it texts with"
                " langrl.envs.wrappers.instructions.AddInstruction"
            )
        return self._observe(seen), info | {"is_success": False}

    def step(self, action: Any) -> Step:
        """Act; a reward is success."""
        seen, reward, terminated, truncated, info = self.env.step(action)
        earned = float(reward)
        info = info | {"is_success": earned > 0}
        return self._observe(seen), earned, bool(terminated), bool(truncated), info

    def _observe(self, seen: Any) -> Observation:
        level = self._level
        shown = observe(level, all_cells(level)) if self.full else view_of(level)
        return {"observation": shown, "instruction": check_instruction(seen["mission"])}
