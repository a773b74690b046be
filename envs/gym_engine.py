"""Any goal environments side by side, by Gymnasium's vector environments, as a ``GoalEngine``.

Axes: ``N`` environments, ``n`` some of them, ``T`` steps, ``A`` numbers in an action.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

from langrl.envs.goal_engine import Seen, Stepped
from langrl.envs.goal_parts import GOAL_KEYS, check_actions_space, goal_parts, joined_spaces
from langrl.envs.goal_worlds import make_goal_env
from langrl.envs.instructed import Options, Start, Step
from langrl.errors import CheckpointError
from langrl.protocols import Array, Integers

_NEAR = 1e-3  # how far processors may differ in an episode that is repeated

Past = tuple[int, Array]  # the seed of an episode, and its actions so far [T, ...]


class RepeatableEnv(gym.Wrapper[Any, Any, Any, Any]):
    """An environment that can repeat an episode so far; of its info, it hands on the success."""

    def __init__(self, env: gym.Env[Any, Any], options: Mapping[str, Any]) -> None:
        super().__init__(env)
        self._options = dict(options)
        self.past: Past | None = None
        """What ``repeat`` is to repeat: methods of a vector environment have the same arguments
        for every row, but attributes are set for each."""

    def reset(self, *, seed: int | None = None, options: Options = None) -> Start:
        """Start an episode, with the options that all episodes have."""
        observation, _ = self.env.reset(seed=seed, options=dict(self._options))
        return observation, {}

    def step(self, action: Any) -> Step:
        """Act once."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        info = {"is_success": info["is_success"]}
        return observation, float(reward), terminated, truncated, info

    def repeat(self) -> tuple[dict[str, Array], bool]:
        """Repeat ``past``; returns the last observation, and whether the episode has ended."""
        assert self.past is not None
        seed, actions = self.past
        observation, _ = self.reset(seed=seed)
        ended = False
        for action in actions:
            if ended:
                break
            observation, _, terminated, truncated, _ = self.step(action)
            ended = terminated or truncated
        self.past = None
        return observation, ended


class GymEngine:
    """N environments in one process or in one each; see ``GoalEngine``.

    The state of an episode is its seed and the actions so far, which are repeated when it is
    restored. This is exact where an environment draws everything from the seed of ``reset``.

    Args:
        spec: as it is registered.
        num_envs: how many, N.
        max_episode_steps: time limit of an episode; the environment's own if not given.
        processes: whether each environment has a process of its own.
        options: of every ``reset``, such as OGBench's ``task_id``.
        kwargs: arguments of the environment.

    Raises:
        LangRLError: as ``make_goal_env``.
    """

    def __init__(
        self,
        spec: EnvSpec,
        num_envs: int,
        max_episode_steps: int | None = None,
        *,
        processes: bool = False,
        options: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self.num_envs, self._name = num_envs, spec.id
        make = partial(_make_row, spec, max_episode_steps, dict(options or {}), kwargs)
        kind = AsyncVectorEnv if processes else SyncVectorEnv
        # Without copies: what is handed on is copied here.
        vector: Any = kind([make] * num_envs, copy=False, autoreset_mode=AutoresetMode.DISABLED)
        limit = spec.max_episode_steps if max_episode_steps is None else max_episode_steps
        parts = goal_parts(vector.single_observation_space, spec.id)
        action = check_actions_space(vector.single_action_space, spec.id)
        self._vector, self.spaces = vector, joined_spaces(parts, action, limit)
        self._seeds, self._elapsed = np.zeros(num_envs, np.int64), np.zeros(num_envs, np.int64)
        self._actions = np.zeros((num_envs, 1, *(action.shape or ())), action.dtype)
        self._seen: Seen | None = None

    def reset(self, rows: Integers, seeds: Integers) -> Seen:
        """Start new episodes in some rows; as ``GoalEngine``."""
        mask = np.zeros(self.num_envs, bool)
        mask[rows] = True
        self._seeds[rows], self._elapsed[rows] = seeds, 0
        observation, _ = self._vector.reset(seed=self._seeds.tolist(), options={"reset_mask": mask})
        self._seen = _seen(observation)
        return self._seen

    def step(self, actions: Array) -> Stepped:
        """Act once in all rows; as ``GoalEngine``."""
        if self._elapsed.max() == self._actions.shape[1]:  # twice the room
            self._actions = np.concatenate([self._actions, np.zeros_like(self._actions)], 1)
        self._actions[np.arange(self.num_envs), self._elapsed] = actions
        self._elapsed += 1
        observation, reward, terminated, truncated, info = self._vector.step(actions)
        terminated = np.array(terminated)
        truncated = np.array(truncated) & ~terminated
        success = np.array(info["is_success"], bool)
        self._seen = _seen(observation)
        return Stepped(self._seen, np.array(reward, np.float32), terminated, truncated, success)

    def state(self) -> dict[str, Array]:
        """Return the seeds [N], the actions so far [N, T, ...], and what rows show."""
        assert self._seen is not None
        return {
            "seeds": self._seeds.copy(),
            "elapsed": self._elapsed.copy(),
            "actions": self._past_actions(),
            "observation": self._seen.observation.copy(),
            "achieved": self._seen.achieved.copy(),
            "desired": self._seen.desired.copy(),
        }

    def _past_actions(self) -> Array:
        """Return the actions of the episodes that go on [N, T, ...], and 0 after them."""
        steps = np.arange(int(self._elapsed.max()))
        actions = self._actions[:, : len(steps)].copy()
        actions[steps >= self._elapsed[:, None]] = 0  # earlier episodes left others there
        return actions

    def load_state(self, state: Mapping[str, Array]) -> Seen:
        """Repeat the episodes so far; as ``GoalEngine``.

        Raises:
            CheckpointError: also if an episode does not repeat itself.
        """
        self._check(state)
        elapsed, actions = state["elapsed"], state["actions"]
        past = [
            (int(seed), actions[row, : elapsed[row]]) for row, seed in enumerate(state["seeds"])
        ]
        self._vector.set_attr("past", past)
        repeated = self._vector.call("repeat")
        values = [[observation[key] for observation, _ in repeated] for key in GOAL_KEYS]
        seen = Seen(*map(np.stack, values))
        self._check_repeated(seen, state, any(ended for _, ended in repeated))
        self._seeds, self._elapsed = np.array(state["seeds"]), np.array(elapsed)
        self._actions = np.array(actions if actions.shape[1] else self._actions[:, :1])
        self._seen = seen
        return seen

    def close(self) -> None:
        """Close the environments, and end their processes."""
        self._vector.close()

    def _check(self, state: Mapping[str, Array]) -> None:
        action = self.spaces.action
        shape = (self.num_envs, *(action.shape or ()))
        stored = state["actions"].shape if "actions" in state else ()
        if (*stored[:1], *stored[2:]) != shape:
            raise CheckpointError(
                f"the state is of actions {list(stored)} [N, steps, ...], and here are"
                f" {self.num_envs} of {self._name} with actions {list(action.shape or ())}"
            )

    def _check_repeated(self, seen: Seen, state: Mapping[str, Array], ended: bool) -> None:
        pairs = [
            (getattr(seen, name), state[name]) for name in ("observation", "achieved", "desired")
        ]
        if ended or not all(
            one.shape == two.shape and np.allclose(one, two, _NEAR, _NEAR) for one, two in pairs
        ):
            raise CheckpointError(
                f"{self._name} does not repeat an episode when its seed and actions are repeated,"
                " so that it cannot be resumed within an episode; let it draw everything from the"
                " seed of reset(seed=...), and make it with the arguments of before"
            )


def _make_row(
    spec: EnvSpec, limit: int | None, options: Mapping[str, Any], kwargs: Mapping[str, Any]
) -> RepeatableEnv:
    return RepeatableEnv(make_goal_env(spec, limit, **kwargs), options)


def _seen(observation: Mapping[str, Array]) -> Seen:
    """Return copies of what N environments observe."""
    return Seen(*(np.array(observation[key]) for key in GOAL_KEYS))
