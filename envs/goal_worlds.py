"""Goal environments by id, whoever wrote them, with the same flat observations.

Axes: ``S`` numbers in an observation, ``G`` in a goal.
"""

from typing import Any

import gymnasium as gym
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec

from langrl.envs.goal_adapters import FlatGoalEnv, InfoGoalEnv
from langrl.envs.goal_engine import GoalSpaces
from langrl.envs.goal_parts import (
    GOAL_KEYS,
    check_actions_space,
    check_limit,
    goal_parts,
    joined_spaces,
)
from langrl.envs.registered import make_registered, spec_of
from langrl.envs.wrappers.goals import GoalEnv


def make_goal_env(
    name: str | EnvSpec, max_episode_steps: int | None = None, **kwargs: Any
) -> gym.Env[Any, Any]:
    """Return a goal environment by its id, with flat observations and ``info["is_success"]``.

    Observations are {"observation", "achieved_goal", "desired_goal"}, float32 [S] and [G], or uint8
    images; see ``FlatGoalEnv``. It takes environments that have these three already (those of
    gymnasium-robotics, and most of users), environments with ``goals`` (langrl's mazes and grid
    worlds), and environments with ``info["goal"]`` (OGBench).

    Args:
        name: Gymnasium's id, such as ``FetchReach-v4``, or what is registered.
        max_episode_steps: time limit of an episode; the environment's own if not given.
        kwargs: arguments of the environment.

    Raises:
        UnknownNameError, MissingExtraError, ConfigError: see ``spec_of`` and ``make_registered``;
            ConfigError also if no time limit is known.
        GroundingError: if it has no goals; names the wrapper that gives it some.
        ShapeError: if observations cannot be numbers, or actions are neither a Box nor Discrete.
    """
    spec = spec_of(name) if isinstance(name, str) else name
    limit = spec.max_episode_steps if max_episode_steps is None else max_episode_steps
    limit = check_limit(limit, spec.id)
    env = make_registered(spec, max_episode_steps=limit, **kwargs)
    try:
        return FlatGoalEnv(_with_goals(env))
    except BaseException:
        env.close()
        raise


def spaces_of(env: gym.Env[Any, Any]) -> GoalSpaces:
    """Return the spaces of a goal environment, as they are after ``make_goal_env``.

    Raises:
        GroundingError, ShapeError: as ``make_goal_env``.
    """
    limit = None if env.spec is None else env.spec.max_episode_steps
    actions = check_actions_space(env.action_space, env)
    return joined_spaces(goal_parts(env.observation_space, env), actions, limit)


def _with_goals(env: gym.Env[Any, Any]) -> gym.Env[Any, Any]:
    """Return an environment that observes goals."""
    space = env.observation_space
    if isinstance(space, spaces.Dict) and set(GOAL_KEYS) <= set(space):
        return env
    return GoalEnv(env) if env.has_wrapper_attr("goals") else InfoGoalEnv(env)
