"""Wrappers that give an environment goals to reach, as Gymnasium's convention has them.

Axes: ``N`` rows of a batch, ``M`` goals, ``G`` numbers in a goal, ``D`` numbers in an embedding.
"""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils import RecordConstructorArgs
from numpy.random import Generator
from numpy.typing import NDArray

from langrl.envs.goals import NO_TASK, FrameGoals, Goals, check_number
from langrl.envs.instructed import Observation, Options, Start, Step
from langrl.envs.wrappers import checks
from langrl.envs.wrappers.resets import draw_unsatisfied, generator_of, read_options
from langrl.protocols import Array


class GoalEnv(gym.Wrapper[Observation, Any, Any, Any], RecordConstructorArgs):
    """An environment of goals to reach, as hindsight relabelling needs it; without language.

    Observations are {"observation", "achieved_goal", "desired_goal"}. A goal is drawn at each
    ``reset``, or set by its option ``desired_goal``; other options are the environment's. A goal
    that the start reaches is drawn again; where that does not help, or it was set,
    ``info["started_satisfied"]`` of ``reset`` is True. The reward is 1 when the goal is reached,
    which ends the episode, less ``step_cost`` at every step. ``compute_reward`` is vectorised.

    Args:
        env: a world of langrl, or any environment with ``goals``.
        goals: what a goal is; the environment's own if not given.
        step_cost: taken from every reward; 1 makes it -1 on the way and 0 at the goal.

    Raises:
        GroundingError: if it is not known what a goal is, or goals belong to other observations.
        ShapeError: if observations are Dicts or Tuples, or a goal is not of the space of goals.
        DomainError: if the cost is no finite number.
    """

    def __init__(
        self, env: gym.Env[Any, Any], goals: Goals | None = None, step_cost: float = 0.0
    ) -> None:
        checks.begin(self, env, goals=goals, step_cost=step_cost)
        name = type(self).__name__
        super().__init__(env)
        seen = checks.plain_space(env.observation_space, name)
        self.goals = checks.goals_of(env, goals, name)
        self.step_cost = check_number(step_cost, "step_cost", -np.inf, np.inf)
        cost = np.float32(self.step_cost)
        self._rewards = (float(-cost), float(np.float32(1) - cost))  # on the way, at the goal
        self._instructed = checks.is_instructed(env.observation_space)
        self._desired = np.zeros(self.goals.space.shape, self.goals.space.dtype)
        self._read = checks.goal_reader(self.goals)
        self._unknown: list[str] = []
        self._generator: Generator | None = None
        self.observation_space = checks.goal_space(seen, self.goals)

    def reset(self, *, seed: int | None = None, options: Options = None) -> Start:
        """Start an episode with a new goal; the option ``desired_goal`` sets it."""
        name = type(self).__name__
        own = ("desired_goal", "instruction") if self._instructed else ("desired_goal",)
        free = {**NO_TASK, **self.goals.options} if self._instructed else {}
        options = free | read_options(options, name, *own)
        desired = options.pop("desired_goal", None)
        if desired is not None:  # before anything is changed
            desired = checks.check_goal(desired, self.goals.space, "desired_goal")
        observation, info = self._restart(seed, options)
        self._generator = generator_of(name, seed, self._generator)
        seen = observation["observation"] if self._instructed else observation
        achieved = self._read(seen)
        self._desired, satisfied = self._begin(seen, achieved, desired, self._generator)
        self._unknown = checks.unknown(info)
        info = self._report(info, False) | {"started_satisfied": satisfied}
        desired = self._desired.copy()
        return {"observation": seen, "achieved_goal": achieved, "desired_goal": desired}, info

    def _restart(self, seed: int | None, options: Options) -> tuple[Any, dict[str, Any]]:
        return self.env.reset(seed=seed, options=options)

    def _begin(
        self, seen: Any, achieved: Array, desired: Array | None, generator: Generator
    ) -> tuple[Array, bool]:
        """Return the goal that is given, or else drawn, and whether the start reaches it."""

        def draw() -> Array:
            drawn = self.goals.draw(np.asarray(seen)[None], generator)[0]
            return checks.check_goal(drawn, self.goals.space, "the goal that was drawn")

        def is_reached(goal: Array) -> bool:
            return bool(checks.check_reached(self.goals, achieved, goal))  # in full, not as steps

        if desired is None:
            return draw_unsatisfied(draw, is_reached)
        return desired, is_reached(desired)

    def step(self, action: Any) -> Step:
        """Act; the episode ends at the goal, or where the environment ends it."""
        observation, _, terminated, truncated, info = self.env.step(action)
        seen = observation["observation"] if self._instructed else observation
        achieved = self._read(seen, action)
        reached = bool(self.goals.reached(achieved, self._desired))
        desired = self._desired.copy()
        result = {"observation": seen, "achieved_goal": achieved, "desired_goal": desired}
        info = self._report(info, reached)
        return result, self._rewards[reached], bool(terminated) or reached, truncated, info

    def _report(self, info: dict[str, Any], reached: bool) -> dict[str, Any]:
        """Return what the environment reports, without what is unknown, and the success."""
        if self._unknown:
            info = {name: value for name, value in info.items() if name not in self._unknown}
        return info | {"is_success": reached}

    def compute_reward(self, achieved_goal: Any, desired_goal: Any, info: Any) -> Array:
        """Return the rewards [...] for goals achieved [..., G] where others are desired."""
        reached = checks.check_reached(self.goals, achieved_goal, desired_goal)
        return reached.astype(np.float32) - np.float32(self.step_cost)


class RenderedGoals(GoalEnv):
    """As ``GoalEnv``, for any environment that renders: goals are images, by their embeddings.

    Args:
        env: made with ``render_mode="rgb_array"``.
        encode_image: maps images uint8 [M, H, W, 3] to embeddings [M, D], such as the
            ``encode_image`` of a language-image model.
        images: goals to draw from; if not given, frames that were seen since the last seed, or
            on a random walk before.
        similarity: the least cosine at which a goal is reached. If not given, it is estimated
            from frames of a random walk, as ``FrameGoals`` says, and stands in
            ``goals.similarity``.
        step_cost: as in ``GoalEnv``.
        size: pixels that frames and images are resized to before they are encoded, (rows,
            columns) or one number for both; not resized if not given.

    Raises:
        GroundingError: if the environment does not render as images.
        ShapeError, DomainError: as ``GoalEnv`` and ``FrameGoals``.

    Warns:
        UserWarning: if frames can hardly be told apart.
    """

    def __init__(
        self,
        env: gym.Env[Any, Any],
        encode_image: Callable[[NDArray[np.uint8]], Any],
        images: NDArray[np.uint8] | None = None,
        similarity: float | None = None,
        step_cost: float = 0.0,
        size: int | tuple[int, int] | None = None,
    ) -> None:
        checks.begin(
            self,
            env,
            encode_image=encode_image,
            images=images,
            similarity=similarity,
            step_cost=step_cost,
            size=size,
        )
        checks.plain_space(env.observation_space, "RenderedGoals")
        self._frames = FrameGoals(env, encode_image, images, similarity, size)
        super().__init__(env, self._frames, step_cost)
        self.metadata = {**env.metadata, "render_modes": ["rgb_array"]}

    def _restart(self, seed: int | None, options: Options) -> tuple[Any, dict[str, Any]]:
        start = super()._restart(seed, options)
        if seed is not None:  # and nothing was refused
            self._frames.forget()
        return start
