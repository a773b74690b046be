"""What wrappers ask of the environments that they are put around, and how they say what is wrong.

Axes: ``G`` numbers in a goal.
"""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from langrl.envs.goals import Goals
from langrl.errors import GroundingError, InstructionError, ShapeError

_BELOW = "gymnasium.wrappers.FlattenObservation, FilterObservation or TransformObservation"


def is_instructed(space: spaces.Space[Any]) -> bool:
    """Return whether a space is {"observation": ..., "instruction": ...}."""
    return isinstance(space, spaces.Dict) and {"observation", "instruction"} <= set(space)


def plain_space(space: spaces.Space[Any], wrapper: str) -> spaces.Space[Any]:
    """Return the space of what is observed beside the instruction, if there is one.

    Raises:
        ShapeError: if it is a Dict or a Tuple, which does not fit into a Dict for other libraries.
    """
    seen = (
        space["observation"] if isinstance(space, spaces.Dict) and is_instructed(space) else space
    )
    if isinstance(seen, spaces.Dict | spaces.Tuple):
        raise ShapeError(
            f"{wrapper} puts the observation into a Dict, and Stable-Baselines3 takes no"
            f" {type(seen).__name__} inside a Dict; put a {_BELOW} around the environment first"
        )
    return seen


def with_feature(space: spaces.Space[Any], feature: spaces.Box) -> spaces.Dict:
    """Return the space of observations with another space in the place of the text's."""
    assert isinstance(space, spaces.Dict)
    return spaces.Dict({"observation": space["observation"], "instruction": feature})


def check_instructed(env: Any, wrapper: str) -> None:
    """Raise InstructionError unless an environment's observations have an instruction in words."""
    space = getattr(env, "single_observation_space", env.observation_space)
    if is_instructed(space) and isinstance(space["instruction"], spaces.Text):
        return
    told = (
        "its instructions are numbers already: leave one of the wrappers out"
        if is_instructed(space)
        else "its observations have no 'instruction': put langrl.envs.wrappers.AddInstruction"
        " around it first"
    )
    raise InstructionError(f"{wrapper} reads instructions in words, and of {env} {told}")


def goals_of(env: gym.Env[Any, Any], goals: Goals | None, wrapper: str) -> Goals:
    """Return the goals that are given, or else the environment's own.

    Raises:
        GroundingError: if there are none.
    """
    if goals is not None:
        return goals
    try:
        found: Goals = env.get_wrapper_attr("goals")
    except AttributeError:
        raise GroundingError(
            f"{wrapper} needs to know what a goal is, and {env} does not say; pass goals=, such"
            " as langrl.envs.goals.BoxGoals, or use langrl.envs.wrappers.RenderedGoals"
        ) from None
    return found


def check_goal(goal: Any, space: spaces.Box, name: str) -> NDArray[Any]:
    """Return a goal [G] as its space has it.

    Raises:
        ShapeError: if it is of another shape, or not finite.
    """
    array = np.array(goal, space.dtype)
    if array.shape != space.shape:
        raise ShapeError(
            f"{name} is {list(array.shape)} and goals are {list(space.shape)}; goals keep one"
            " shape: mend Goals.achieved, Goals.draw or the candidates, or use"
            " langrl.envs.wrappers.RenderedGoals, whose goals are embeddings of one size"
        )
    if not np.isfinite(array).all():
        raise ShapeError(f"{name} is not finite; mend the environment or its Goals")
    return array
