"""Gymnasium's vector environments, such as langrl's batched worlds, for Stable-Baselines3.

Axes: ``N`` environments.
"""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvStepReturn

from langrl.errors import ConfigError, ShapeError
from langrl.protocols import Array

_TAKEN = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)


def check_space(space: spaces.Space[Any]) -> None:
    """Raise ShapeError, naming the wrapper that repairs it, if SB3 does not take a space."""
    parts = dict(space.items()) if isinstance(space, spaces.Dict) else {"observation": space}
    for name, part in parts.items():
        if isinstance(part, spaces.Text):
            raise ShapeError(
                f"{name!r} is text, which Stable-Baselines3 does not take; use EmbedInstruction,"
                " TokenizeInstruction or InstructionToGoal of langrl.envs.wrappers.instructions"
            )
        if not isinstance(part, _TAKEN):
            inside = " inside a Dict" if isinstance(space, spaces.Dict) else ""
            raise ShapeError(
                f"{name!r} is a {type(part).__name__}{inside}, which Stable-Baselines3 does not"
                " take; wrap the environment in gymnasium.wrappers.FlattenObservation"
            )


class VectorAdapter(VecEnv):
    """A Gymnasium vector environment as a ``VecEnv``, such as langrl's batched worlds.

    Args:
        env: made by ``gym.make_vec(..., autoreset_mode="Disabled")``: the adapter resets its
            environments itself, since it needs their last observations.

    Raises:
        ConfigError: if the environment resets itself.
        ShapeError: if SB3 does not take its observations; names the wrapper that repairs it.
    """

    def __init__(self, env: gym.vector.VectorEnv[Any, Any, Any]) -> None:
        if not isinstance(env, gym.vector.VectorEnv):
            raise ConfigError(
                'VectorAdapter takes gym.make_vec(..., autoreset_mode="Disabled"), got'
                f" {type(env).__name__}; Stable-Baselines3 takes single environments as they are"
            )
        if env.metadata.get("autoreset_mode") is not AutoresetMode.DISABLED:
            raise ConfigError(
                "VectorAdapter starts episodes anew itself; make the environment with"
                ' gym.make_vec(..., autoreset_mode="Disabled")'
            )
        check_space(env.single_observation_space)
        self.env = env
        self._actions: Array
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)

    def reset(self) -> Any:
        """Start every episode; returns observations [N, ...]."""
        observations, infos = self.env.reset(seed=self._seeds[0], options=self._options[0] or None)
        self.reset_infos = [_info_of(infos, n) for n in range(self.num_envs)]
        self._reset_seeds()
        self._reset_options()
        return observations

    def set_options(self, options: list[dict[str, Any]] | dict[str, Any] | None = None) -> None:
        """Set the options of the next ``reset``, those of the vector environment."""
        if isinstance(options, list):
            raise ConfigError(
                "VectorAdapter takes one dict of options for all environments; where they differ,"
                " give lists in it, such as {'instruction': [...]} with a text for each"
            )
        super().set_options(options)

    def step_async(self, actions: Array) -> None:
        """Keep actions [N, ...] for ``step_wait``."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Act; episodes that are over are reset, and their last observations are in infos."""
        observations, rewards, terminated, truncated, info = self.env.step(self._actions)
        over = terminated | truncated
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        ended: list[int] = np.flatnonzero(over).tolist()
        for n in ended:
            infos[n] = _info_of(info, n) | {
                "terminal_observation": _row(observations, n),
                "TimeLimit.truncated": bool(truncated[n] and not terminated[n]),
            }
        if ended:
            observations, info = self.env.reset(options={"reset_mask": over})
            for n in ended:
                self.reset_infos[n] = _info_of(info, n)
        return observations, rewards.astype(np.float32), over, infos

    def close(self) -> None:
        """Close the environments."""
        self.env.close()

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """Return an attribute of the vector environment, once for each of the indices."""
        value = None if attr_name == "render_mode" else getattr(self._owner(attr_name), attr_name)
        return [value for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set an attribute of the vector environment."""
        setattr(self._owner(attr_name), attr_name, value)

    def env_method(
        self, method_name: str, *args: Any, indices: VecEnvIndices = None, **kwargs: Any
    ) -> list[Any]:
        """Call a method of the vector environment once; its answer stands for each index."""
        answer = getattr(self._owner(method_name), method_name)(*args, **kwargs)
        return [answer for _ in self._get_indices(indices)]

    def env_is_wrapped(
        self, wrapper_class: type[gym.Wrapper], indices: VecEnvIndices = None
    ) -> list[bool]:
        """Return False: wrappers of single environments are not around these."""
        return [False for _ in self._get_indices(indices)]

    def _owner(self, name: str) -> Any:
        """Return the outermost environment that has an attribute, or the outermost of all."""
        env: Any = self.env
        while not hasattr(env, name) and hasattr(env, "env"):
            env = env.env
        return env if hasattr(env, name) else self.env


def _info_of(info: dict[str, Any], n: int) -> dict[str, Any]:
    """Return the infos of one environment, from those of a vector environment."""
    found: dict[str, Any] = {}
    for name, values in info.items():
        present = info.get(f"_{name}")  # which environments gave it, if not all of them
        if name.startswith("_") or (present is not None and not present[n]):
            continue
        if isinstance(values, dict):
            found[name] = _info_of(values, n)
        elif isinstance(values, np.ndarray):
            found[name] = values[n]
    return found


def _row(observations: Any, n: int) -> Any:
    if isinstance(observations, dict):
        return {name: _row(part, n) for name, part in observations.items()}
    return np.array(observations[n])  # a copy: some environments write over what they return
