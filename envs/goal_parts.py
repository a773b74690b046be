"""Spaces of goal worlds as arrays: flat float32 numbers or uint8 images, one or a batch of them.

Axes: ``N`` environments, ``S`` numbers, ``A`` in an action, ``H`` rows, ``W`` columns.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.spaces.utils import flatten, flatten_space

from langrl.envs.goal_engine import GoalSpaces
from langrl.errors import ConfigError, GroundingError, ShapeError
from langrl.protocols import Array

GOAL_KEYS = ("observation", "achieved_goal", "desired_goal")
_NUMBERS = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)
NO_GOALS = (
    "put langrl.envs.wrappers.goals.GoalEnv around it and register that, with goals="
    "langrl.envs.goals.BoxGoals(...) where some numbers of the observation are the goal"
)


class Part:
    """The observation or a goal of a world, as a Box of float32 numbers [S] or of uint8 images.

    Images [H, W, C] of uint8 stay as they are, and [H, W] become [H, W, 1]. Everything else
    becomes numbers, in the order of ``gymnasium.spaces.flatten``: Discrete as one of n.

    Raises:
        ShapeError: if the space has other parts than Box, Discrete, MultiDiscrete and MultiBinary.
    """

    def __init__(self, space: spaces.Space[Any], name: str) -> None:
        for leaf in _leaves(space):
            if not isinstance(leaf, _NUMBERS):
                raise ShapeError(
                    f"env: {name} has a {type(leaf).__name__} in it, and only Box, Discrete,"
                    " MultiDiscrete and MultiBinary become numbers; put"
                    " gymnasium.wrappers.TransformObservation around the environment"
                )
        self._source = space
        self._image = isinstance(space, spaces.Box) and _is_image(space)
        self.space = _image_box(space) if self._image else _flat_box(flatten_space(space))
        self._shape = self.space.shape
        self._dtype = self.space.dtype
        self._is_box = isinstance(space, spaces.Box)
        self.batches = self._is_box

    def one(self, value: Any) -> Array:
        """Return a new array for one observation or goal."""
        array = value if self._is_box else flatten(self._source, value)
        return np.array(array, self._dtype).reshape(self._shape)

    def many(self, values: Any) -> Array:
        """Return a new array [N, ...] for N of them; of a Box only (``batches``)."""
        array = np.array(values, self._dtype)
        return array.reshape(len(array), *self._shape)


def goal_parts(space: spaces.Space[Any], env: Any) -> dict[str, Part]:
    """Return the three parts of a goal environment's observations.

    Raises:
        GroundingError: if there are no goals in them.
        ShapeError: if a part cannot be numbers, or goals are not of one shape.
    """
    if not isinstance(space, spaces.Dict) or not set(GOAL_KEYS) <= set(space):
        raise GroundingError(
            f"env: {env} has no goals: it observes {_short(space)}, not a Dict of"
            f" {', '.join(GOAL_KEYS)}; {NO_GOALS}"
        )
    parts = {key: Part(space[key], key) for key in GOAL_KEYS}
    achieved, desired = parts["achieved_goal"].space, parts["desired_goal"].space
    if achieved.shape != desired.shape or achieved.dtype != desired.dtype:
        raise ShapeError(
            f"env: {env} achieves goals {list(achieved.shape)} of {achieved.dtype} and desires"
            f" {list(desired.shape)} of {desired.dtype}; goals keep one shape"
        )
    return parts


def check_actions_space(space: spaces.Space[Any], env: Any) -> "spaces.Box[Any] | spaces.Discrete":
    """Return a space of actions as a flat float32 Box [A] or a Discrete from 0.

    Raises:
        ShapeError: if it is neither a Box of float numbers nor Discrete, or a bound is infinite.
    """
    if isinstance(space, spaces.Discrete):
        return spaces.Discrete(int(space.n))
    if not isinstance(space, spaces.Box) or not np.issubdtype(space.dtype, np.floating):
        raise ShapeError(
            f"env: actions of {env} are {_short(space)}, and langrl acts with a Box of float"
            " numbers or Discrete; put gymnasium.wrappers.TransformAction around it"
        )
    if not (np.isfinite(space.low) & np.isfinite(space.high)).all():
        raise ShapeError(
            f"env: actions of {env} have infinite bounds, so that their scale is unknown; put"
            " gymnasium.wrappers.TransformAction with a Box of finite bounds around it"
        )
    return _flat_box(space)


def check_limit(limit: int | None, env: Any) -> int:
    """Return a time limit; raises ConfigError if there is none, or it is no number from 1."""
    if limit is None:
        raise ConfigError(
            f"max_episode_steps: {env} has no time limit, and an episode has to end; give one,"
            " such as max_episode_steps=500"
        )
    if not isinstance(limit, int | np.integer) or limit < 1:
        raise ConfigError(f"max_episode_steps is a whole number from 1, got {limit!r}")
    return int(limit)


def joined_spaces(parts: dict[str, Part], actions: Any, limit: int | None) -> GoalSpaces:
    """Return the spaces of a world with these parts; goals have the bounds of those achieved."""
    return GoalSpaces(parts["observation"].space, parts["achieved_goal"].space, actions, limit)


def _leaves(space: spaces.Space[Any]) -> Iterator[spaces.Space[Any]]:
    if isinstance(space, spaces.Dict | spaces.Tuple):
        inner = space.values() if isinstance(space, spaces.Dict) else space
        for part in inner:
            yield from _leaves(part)
    else:
        yield space


def _is_image(space: "spaces.Box[Any]") -> bool:
    return space.dtype == np.uint8 and len(space.shape) in (2, 3)


def _image_box(space: Any) -> "spaces.Box[Any]":
    shape = space.shape if len(space.shape) == 3 else (*space.shape, 1)
    return spaces.Box(space.low.reshape(shape), space.high.reshape(shape), dtype=np.uint8)


def _flat_box(space: Any) -> "spaces.Box[Any]":
    with np.errstate(over="ignore"):  # the largest float64 is no float32
        low, high = space.low.astype(np.float32).ravel(), space.high.astype(np.float32).ravel()
    return spaces.Box(low, high, dtype=np.float32)


def _short(space: spaces.Space[Any]) -> str:
    if isinstance(space, spaces.Dict):
        return f"a Dict of {', '.join(map(str, space))}"
    shape = "" if space.shape is None else f" {list(space.shape)}"
    return f"{type(space).__name__}{shape}"
