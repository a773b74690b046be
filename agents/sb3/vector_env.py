"""Gymnasium's vector environments, such as langrl's batched worlds, for Stable-Baselines3.

Axes: ``N`` environments.
"""

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.env_util import is_wrapped
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvStepReturn

from langrl.envs.autoreset import autoreset_mode, made_with
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

    Attributes and methods are those of each environment, where Gymnasium has one for each; a
    batched world has one for all of them. Environments in processes of their own cannot be asked
    one by one: a method is called in each of them, also where few answers are asked for.

    Args:
        env: made by ``gym.make_vec(..., autoreset_mode="Disabled")``, or for environments of
            others ``vectorization_mode="sync", vector_kwargs={"autoreset_mode":
            gym.vector.AutoresetMode.DISABLED}``: the adapter resets its environments itself,
            since it needs their last observations.

    Raises:
        ConfigError: if the environment resets itself.
        ShapeError: if SB3 does not take its observations; names the wrapper that repairs it.
    """

    def __init__(self, env: gym.vector.VectorEnv[Any, Any, Any]) -> None:
        if not isinstance(env, gym.vector.VectorEnv):
            raise ConfigError(
                f"VectorAdapter takes {made_with(AutoresetMode.DISABLED)}, got"
                f" {type(env).__name__}; Stable-Baselines3 takes single environments as they are"
            )
        mode = autoreset_mode(env)
        if mode is not AutoresetMode.DISABLED:
            raise ConfigError(
                f"VectorAdapter starts episodes anew itself, and autoreset_mode is"
                f" {mode.value}; make the environment with {made_with(AutoresetMode.DISABLED)}"
            )
        check_space(env.single_observation_space)
        self.env = env
        self._base: Any = env.unwrapped
        self._actions: Array
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)
        self.metadata = dict(env.metadata) | self.metadata

    def reset(self) -> Any:
        """Start every episode; returns observations [N, ...]."""
        observations, infos = self.env.reset(seed=self._seeds[0], options=self._options[0] or None)
        self.reset_infos = _infos_of(infos, self.num_envs)
        self._reset_seeds()
        self._reset_options()
        return _copied(observations)

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
        seen, rewards, terminated, truncated, info = self.env.step(self._actions)
        observations, over = _copied(seen), terminated | truncated
        infos = _infos_of(info, self.num_envs)
        for each, cut in zip(infos, (truncated & ~terminated).tolist(), strict=True):
            each["TimeLimit.truncated"] = cut
        ended: list[int] = np.flatnonzero(over).tolist()
        if ended:
            for n in ended:
                infos[n]["terminal_observation"] = _row(observations, n)
            seen, info = self.env.reset(options={"reset_mask": over})
            observations, started = _copied(seen), _infos_of(info, self.num_envs)
            for n in ended:
                self.reset_infos[n] = started[n]
        return observations, rewards.astype(np.float32), over, infos

    def close(self) -> None:
        """Close the environments."""
        self.env.close()

    def get_images(self) -> Sequence[Array | None]:
        """Return a frame of each environment; None where there is none."""
        frames: Any = self.env.render() if self.render_mode == "rgb_array" else None
        return [None] * self.num_envs if frames is None else list(frames)

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """Return an attribute of each of the indices' environments."""
        chosen = self._get_indices(indices)
        if not self._is_of_each(attr_name):
            value = getattr(self._owner(attr_name), attr_name)
            return [value for _ in chosen]
        if hasattr(self._base, "envs"):
            return [self._base.envs[n].get_wrapper_attr(attr_name) for n in chosen]
        values = self._base.get_attr(attr_name)
        return [values[n] for n in chosen]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set an attribute of the indices' environments.

        Raises:
            ConfigError: if it is one attribute for all, and not all of them are meant.
        """
        chosen = set(self._get_indices(indices))
        some = len(chosen) < self.num_envs
        if hasattr(self._base, "envs"):
            for n in chosen:
                self._base.envs[n].set_wrapper_attr(attr_name, value)
        elif hasattr(self._base, "set_attr"):
            values = self.get_attr(attr_name) if some else [None] * self.num_envs
            self._base.set_attr(
                attr_name, [value if n in chosen else old for n, old in enumerate(values)]
            )
        elif some:
            raise ConfigError(
                f"{attr_name!r} is one attribute for all environments of {self._base}; leave"
                " indices out"
            )
        else:
            setattr(self._owner(attr_name), attr_name, value)

    def env_method(
        self, method_name: str, *args: Any, indices: VecEnvIndices = None, **kwargs: Any
    ) -> list[Any]:
        """Call a method of each of the indices' environments, or one for all of them once."""
        chosen = self._get_indices(indices)
        if not self._is_of_each(method_name):
            answer = getattr(self._owner(method_name), method_name)(*args, **kwargs)
            return [answer for _ in chosen]
        if hasattr(self._base, "envs"):
            envs = [self._base.envs[n] for n in chosen]
            return [env.get_wrapper_attr(method_name)(*args, **kwargs) for env in envs]
        answers = self._base.call(method_name, *args, **kwargs)
        return [answers[n] for n in chosen]

    def env_is_wrapped(
        self, wrapper_class: type[gym.Wrapper], indices: VecEnvIndices = None
    ) -> list[bool]:
        """Return whether wrappers are around environments; False where that cannot be seen."""
        envs = getattr(self._base, "envs", [None] * self.num_envs)
        return [is_wrapped(envs[n], wrapper_class) for n in self._get_indices(indices)]

    def _is_of_each(self, name: str) -> bool:
        """Return whether each environment has an attribute of its own."""
        # Asked for first: a process whose environment lacks what is asked for ends.
        return hasattr(self._base, "call") and all(self._base.call("has_wrapper_attr", name))

    def _owner(self, name: str) -> Any:
        """Return the outermost vector environment with an attribute, or the outermost of all."""
        env: Any = self.env
        while not hasattr(env, name) and hasattr(env, "env"):
            env = env.env
        return env if hasattr(env, name) else self.env


def _infos_of(info: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """Return the infos of each of ``count`` environments, from those of a vector environment."""
    found: list[dict[str, Any]] = [{} for _ in range(count)]
    for name, values in info.items():
        if name.startswith("_") and name[1:] in info:
            continue  # which environments gave it, if not all of them
        present = info.get(f"_{name}")
        rows = range(count) if present is None else np.flatnonzero(present).tolist()
        each = _rows(values, count)
        for n in rows:
            found[n][name] = each[n]
    return found


def _rows(values: Any, count: int) -> Sequence[Any]:
    """Return what each environment gave, or, where it is one for all of them, that for each."""
    if isinstance(values, dict):
        return _infos_of(values, count)
    if isinstance(values, np.ndarray) and values.shape[:1] == (count,):
        return list(values.copy())
    if isinstance(values, list | tuple) and len(values) == count:
        return values
    return [values] * count


def _copied(observations: Any) -> Any:
    """Return a copy, as some environments write over what they return."""
    if isinstance(observations, dict):
        return {name: _copied(part) for name, part in observations.items()}
    return np.array(observations)


def _row(observations: Any, n: int) -> Any:
    if isinstance(observations, dict):
        return {name: _row(part, n) for name, part in observations.items()}
    return observations[n]
