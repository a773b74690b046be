"""Vector environments that users have made, in whatever way they start episodes anew.

Axes: ``N`` environments, ``A`` numbers in an action, ``G`` in a goal.
"""

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

from langrl.envs.autoreset import autoreset_mode, undo_same_step
from langrl.envs.goal_engine import Moved, Seen
from langrl.envs.goal_parts import (
    GOAL_KEYS,
    check_actions_space,
    check_limit,
    goal_parts,
    joined_spaces,
)
from langrl.errors import CheckpointError, ShapeError
from langrl.protocols import Array, Floats, Mask


class GivenEpisodes:
    """The episodes of a vector environment that starts them anew in its own way.

    Its state cannot be stored: nothing is known of its seeds.

    Args:
        vector: observes goals; any autoreset mode.
        max_episode_steps: time limit of its episodes, which it keeps itself; what it is
            registered with if not given.
        seed: of the first reset.

    Raises:
        ConfigError: if its autoreset mode is not known, so that the last states of episodes would
            be taken for first ones; or if no time limit is known.
        GroundingError: if it observes no goals.
        ShapeError: if observations are not Boxes, or actions are neither a Box nor Discrete.
    """

    restorable = False

    def __init__(
        self, vector: gym.vector.VectorEnv[Any, Any, Any], max_episode_steps: int | None, seed: int
    ) -> None:
        self._mode = autoreset_mode(vector)
        self._vector, self.num_envs, self._seed = vector, vector.num_envs, seed
        self._name = type(vector.unwrapped).__name__
        self._parts = goal_parts(vector.single_observation_space, self._name)
        for key, part in self._parts.items():
            if not part.batches:
                raise ShapeError(
                    f"env: {key} of {self._name} is no Box; put"
                    " gymnasium.wrappers.vector.VectorizeTransformObservation around it"
                )
        actions = check_actions_space(vector.single_action_space, self._name)
        limit = _limit_of(vector) if max_episode_steps is None else max_episode_steps
        limit = check_limit(limit, self._name)
        self.spaces = joined_spaces(self._parts, actions, limit)
        self._over = np.zeros(self.num_envs, bool)

    def reset(self) -> Seen:
        """Start an episode in every row; seeded the first time."""
        observation, _ = self._vector.reset(seed=self._seed)
        self._seed = None  # type: ignore[assignment]
        self._over = np.zeros(self.num_envs, bool)
        return self._read(observation)

    def move(self, actions: Array) -> Moved:
        """Act once; see ``GoalVector.step``."""
        ignored = self._over  # rows that start anew instead; of NEXT_STEP only
        result = self._vector.step(self._own_actions(actions))
        observation, reward, terminated, truncated, info = result
        terminated, truncated = np.array(terminated, bool), np.array(truncated, bool)
        over = terminated | truncated
        final, started = observation, ignored
        if self._mode is AutoresetMode.SAME_STEP:
            started = over
            final, info = undo_same_step(observation, info, over)
        success = _successes(info, np.asarray(reward), terminated) & ~ignored
        led_to = self._read(final)  # a copy, before a reset that may write into the same arrays
        if self._mode is AutoresetMode.DISABLED and over.any():
            observation, _ = self._vector.reset(options={"reset_mask": over.copy()})
            started = over
        self._over = over if self._mode is AutoresetMode.NEXT_STEP else np.zeros_like(over)
        return Moved(
            seen=self._read(observation),
            acted=~ignored,
            reward=np.where(ignored, 0, reward).astype(np.float32),
            terminated=terminated,
            truncated=truncated & ~terminated,
            success=success,
            final_observation=led_to.observation,
            final_achieved=led_to.achieved,
            started=started.copy(),
        )

    def state(self) -> dict[str, Array]:
        """Refuse.

        Raises:
            CheckpointError: always.
        """
        raise CheckpointError(
            f"a vector environment of one's own ({self._name}) cannot be stored within episodes;"
            " register the single environment and give its id, with engine sync or async, where a"
            " run is to be resumed"
        )

    def load_state(self, state: Mapping[str, Array]) -> Seen:
        """Refuse, as ``state``."""
        self.state()
        raise AssertionError

    def shortest_steps(self) -> Floats:
        """Return nan for every row: nothing is known of the world."""
        return np.full(self.num_envs, np.nan)

    def close(self) -> None:
        """Close the vector environment."""
        self._vector.close()

    def _own_actions(self, actions: Array) -> Array:
        space = self._vector.single_action_space
        if isinstance(space, spaces.Discrete):
            return np.asarray(actions + space.start, space.dtype)
        return actions.astype(space.dtype).reshape(self.num_envs, *(space.shape or ()))

    def _read(self, observation: Mapping[str, Any]) -> Seen:
        return Seen(*(self._parts[key].many(observation[key]) for key in GOAL_KEYS))


def _limit_of(vector: gym.vector.VectorEnv[Any, Any, Any]) -> int | None:
    """Return the time limit that a vector environment, or each of its environments, has."""
    if (limit := getattr(vector, "max_episode_steps", None)) is not None:
        return int(limit)
    specs = [vector.spec]
    if isinstance(vector.unwrapped, SyncVectorEnv | AsyncVectorEnv):
        specs = [*vector.unwrapped.get_attr("spec"), *specs]  # a limit of the user's stands here
    limits = [spec.max_episode_steps for spec in specs if spec is not None]
    return next((limit for limit in limits if limit is not None), None)


def _successes(info: Mapping[str, Any], reward: Array, terminated: Mask) -> Mask:
    """Return which steps reached the goal [N]; the rules are those of ``is_success``."""
    success = terminated & (reward > 0)
    for name in ("success", "is_success"):  # the second counts, where there are both
        if name in info:
            told = np.asarray(info[name]).astype(bool)
            success = np.where(info.get(f"_{name}", True), told, success)
    return np.asarray(success, bool)
