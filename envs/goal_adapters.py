"""Wrappers that make goal environments alike: flat arrays, and a success that is reported.

Axes: ``S`` numbers in an observation, ``G`` in a goal, ``A`` in an action.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from langrl.envs.goal_parts import GOAL_KEYS, NO_GOALS, check_actions_space, goal_parts
from langrl.envs.instructed import Options, Start, Step
from langrl.errors import ConfigError, GroundingError, ShapeError
from langrl.protocols import Array

_GLOBAL: Any = np.random  # type stubs lack the functions that exchange its generator


def is_success(info: dict[str, Any], reward: float, terminated: bool) -> bool:
    """Return whether a step has reached the goal.

    Environments report it as ``is_success`` (Gymnasium's convention) or ``success`` (mazes of
    gymnasium-robotics, OGBench). Of one that reports neither, a goal is reached where it ends the
    episode with a positive reward.
    """
    for name in ("is_success", "success"):
        if name in info:
            return bool(info[name])
    return bool(terminated) and float(reward) > 0


class InfoGoalEnv(gym.Wrapper[Any, Any, Any, Any]):
    """An environment whose goals are observations, and stand in ``info["goal"]`` of ``reset``.

    OGBench has it so. What is achieved is the observation itself. Such environments draw tasks and
    noise from NumPy's global generator, which no seed of ``reset`` changes: here each environment
    has one of its own, seeded by ``reset(seed=...)``, and the global one is left as it was.

    Args:
        env: such an environment; it is reset once, to see whether it is one.

    Raises:
        GroundingError: if ``info`` has no goal.
        ShapeError: if goals are of another shape than observations.
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        self._desired: Any = None
        self._seed(0)
        with self._own_numbers():
            _, info = env.reset(seed=0)
        if "goal" not in info:
            raise GroundingError(
                f"env: {env} has no goals, neither in its observations nor as info['goal'];"
                f" {NO_GOALS}"
            )
        shape = np.shape(info["goal"])
        if shape != env.observation_space.shape:
            raise ShapeError(
                f"env: info['goal'] of {env} is {list(shape)} and observations are"
                f" {env.observation_space.shape}; goals here are observations"
            )
        self.observation_space = spaces.Dict(dict.fromkeys(GOAL_KEYS, env.observation_space))

    @contextmanager
    def _own_numbers(self) -> Iterator[None]:
        """Let NumPy's global generator be this environment's own for a while."""
        before = _GLOBAL.get_bit_generator()
        _GLOBAL.set_bit_generator(self._numbers)
        try:
            yield
        finally:
            _GLOBAL.set_bit_generator(before)

    def reset(self, *, seed: int | None = None, options: Options = None) -> Start:
        """Start an episode; options are the environment's, such as ``task_id`` of OGBench.

        Raises:
            ConfigError: if there is no such task.
        """
        self._check_task(options or {})
        if seed is not None:
            self._seed(seed)
        with self._own_numbers():
            observation, info = self.env.reset(seed=seed, options=options)
        self._desired = info["goal"]
        return self._observe(observation), info

    def step(self, action: Any) -> Step:
        """Act, and end where the environment ends the episode."""
        with self._own_numbers():
            observation, reward, terminated, truncated, info = self.env.step(action)
        return self._observe(observation), float(reward), terminated, truncated, info

    def _check_task(self, options: dict[str, Any]) -> None:
        """Refuse a task that an environment of numbered ones does not have."""
        if "task_id" not in options or not self.env.has_wrapper_attr("num_tasks"):
            return
        task, count = options["task_id"], self.env.get_wrapper_attr("num_tasks")
        if task not in range(1, count + 1):
            name = self.env if self.env.spec is None else self.env.spec.id
            raise ConfigError(f"task_id: {name} has tasks 1 to {count}, got {task!r}")

    def _seed(self, seed: int) -> None:
        self._numbers = np.random.MT19937(seed)
        self.env.unwrapped.action_space.seed(seed)  # OGBench draws actions from it

    def _observe(self, observation: Any) -> dict[str, Any]:
        seen, desired = np.array(observation), np.array(self._desired)
        return {"observation": seen, "achieved_goal": seen.copy(), "desired_goal": desired}


class FlatGoalEnv(gym.Wrapper[Any, Any, Any, Any]):
    """A goal environment with flat arrays, whatever it observes and however it is acted in.

    Observations are {"observation", "achieved_goal", "desired_goal"}, each float32 [S] or [G], or
    uint8 images, as ``Part`` says. Actions are a float32 Box [A] with the environment's own
    bounds, or Discrete from 0. ``info["is_success"]`` says whether the goal is reached.

    Raises:
        GroundingError: if there are no goals.
        ShapeError: if observations cannot be numbers, or actions are neither a Box nor Discrete.
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        self._parts = goal_parts(env.observation_space, env)
        self.observation_space = spaces.Dict({k: part.space for k, part in self._parts.items()})
        self.action_space = check_actions_space(env.action_space, env)
        self._first = getattr(env.action_space, "start", None)  # of a Discrete

    def reset(self, *, seed: int | None = None, options: Options = None) -> Start:
        """Start an episode; options are the environment's."""
        observation, info = self.env.reset(seed=seed, options=options)
        return self._observe(observation), info

    def step(self, action: Any) -> Step:
        """Act, with an action of ``action_space``."""
        if self._first is None:
            space = self.env.action_space
            action = np.asarray(action, space.dtype).reshape(space.shape)
        else:
            action = np.int64(action) + self._first
        observation, reward, terminated, truncated, info = self.env.step(action)
        success = is_success(info, float(reward), terminated)
        info = {**info, "is_success": success}
        return self._observe(observation), float(reward), bool(terminated), bool(truncated), info

    def _observe(self, observation: Any) -> dict[str, Array]:
        return {key: part.one(observation[key]) for key, part in self._parts.items()}
