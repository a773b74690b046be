"""How vector environments start episodes anew: at the next step, at the same one, or by a reset.

Axes: ``N`` environments.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode

from langrl.errors import ConfigError, ShapeError
from langrl.protocols import Array, Integers, Mask


def made_with(mode: AutoresetMode) -> str:
    """Return the calls that make vector environments with a mode, for messages."""
    # Only langrl's worlds take the mode itself; Gymnasium's own batched ones do not.
    return (
        f'gym.make_vec(..., autoreset_mode="{mode.value}") for worlds of langrl, gym.make_vec(...,'
        f' vectorization_mode="sync", vector_kwargs={{"autoreset_mode": "{mode.value}"}}) for'
        " others"
    )


def autoreset_mode(env: Any) -> AutoresetMode:
    """Return how a vector environment starts episodes anew.

    Raises:
        ConfigError: if it is no vector environment, or does not say.
    """
    if not isinstance(env, gym.vector.VectorEnv):
        raise ConfigError(
            f"a vector environment is needed, such as gym.make_vec gives, got {type(env).__name__}"
        )
    mode = (env.metadata or {}).get("autoreset_mode")
    try:
        return AutoresetMode(mode)
    except ValueError:
        known = " or ".join(f"AutoresetMode.{known.name}" for known in AutoresetMode)
        raise ConfigError(
            f"metadata['autoreset_mode'] of {type(env).__name__} is {mode!r}, so that it is not"
            f" known how it starts episodes anew; set it to {known} of gymnasium.vector"
        ) from None


class EpisodeStarts:
    """Says which observations of a vector environment are the first ones of an episode.

    Agents that remember need to know: ``agent.act(observation, starts=starts.mask)``. Make one
    after each ``env.reset``, and call ``step`` after each ``env.step``.

    Args:
        env: N environments. Where they do not start anew by themselves (DISABLED), those that are
            over are to be reset before the agent acts again.

    Raises:
        ConfigError: see ``autoreset_mode``.
    """

    def __init__(self, env: gym.vector.VectorEnv[Any, Any, Any]) -> None:
        self._next_step = autoreset_mode(env) is AutoresetMode.NEXT_STEP
        self.mask: Mask = np.ones(env.num_envs, bool)
        """Which of the present observations are first ones, bool [N]."""
        self._over: Mask = np.zeros(env.num_envs, bool)

    def step(self, terminated: Mask, truncated: Mask) -> Mask:
        """Note which episodes a step has ended [N] each; returns the new ``mask``."""
        over: Mask = np.asarray(terminated) | np.asarray(truncated)
        # NEXT_STEP shows the last observation now, and the first one after the next step.
        self.mask, self._over = self._over if self._next_step else over, over
        return self.mask


def undo_same_step(
    observation: Any, info: Mapping[str, Any], over: Mask
) -> tuple[Any, dict[str, Any]]:
    """Return what the step of a SAME_STEP environment led to, where an episode ended as well.

    There the observation and the info are those of the next episode, and those of the step itself
    are in ``final_obs`` and ``final_info``.

    Args:
        observation: of N environments, arrays, or Dicts of arrays and of tuples of texts.
        info: of the step.
        over: which episodes have ended, bool [N].
    """
    rows = np.flatnonzero(over)
    if not len(rows):
        return observation, dict(info)
    final = info.get("final_info", {})
    ended = {name: values for name, values in final.items() if not name.startswith("_")}
    known: dict[str, Any] = dict(info)
    for name, values in ended.items():
        if not isinstance(values, Mapping):
            before = np.asarray(info.get(name, np.zeros_like(values)))
            merged = before.astype(np.result_type(before, values))  # a copy that holds both
            merged[rows] = values[rows]
            mask = np.array(info.get(f"_{name}", np.full(len(over), name in info)))
            mask[rows] = final.get(f"_{name}", over)[rows]
            known |= {name: merged, f"_{name}": mask}
    return _with_rows(observation, rows, list(info["final_obs"][rows])), known


def _with_rows(batch: Any, rows: Integers, values: Sequence[Any]) -> Any:
    """Return a batch of observations in which some rows have other values."""
    if isinstance(batch, Mapping):
        return {name: _with_rows(batch[name], rows, [v[name] for v in values]) for name in batch}
    if isinstance(batch, tuple):
        changed = dict(zip(rows.tolist(), values, strict=True))
        return tuple(changed.get(n, value) for n, value in enumerate(batch))
    array: Array = np.array(batch)
    array[rows] = values
    return array


class Autoreset:
    """Which of N environments are over, and what happens to them.

    With NEXT_STEP, an environment that is over starts anew at the next step, which ignores its
    action. With DISABLED, ``reset(options={"reset_mask": [N]})`` starts some of them anew, before
    their next step.

    Args:
        count: how many environments, N.
        limit: steps after which an episode is cut off.
        mode: one of the two, or its name.

    Raises:
        ConfigError: if the count or the limit is no number from 1, or the mode is another.
    """

    def __init__(self, count: int, limit: int, mode: AutoresetMode | str) -> None:
        if not all(isinstance(n, int | np.integer) and n >= 1 for n in (count, limit)):
            raise ConfigError(
                "num_envs and max_episode_steps must be whole numbers, at least 1, got"
                f" {count!r} and {limit!r}"
            )
        known = {known.value: known for known in (AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED)}
        name = mode.value if isinstance(mode, AutoresetMode) else str(mode)
        if name not in known:
            raise ConfigError(f"autoreset_mode is {' or '.join(known)}, got {name!r}")
        self.mode, self.limit = known[name], int(limit)
        self._elapsed, self._over = np.zeros(count, int), np.zeros(count, bool)

    def read(self, options: dict[str, Any] | None) -> tuple[Integers, dict[str, Any]]:
        """Return the rows to start anew, all or those of ``reset_mask``, and the other options.

        Raises:
            ShapeError: if the mask is not bool [N], or True nowhere.
        """
        rest = dict(options or {})
        mask = rest.pop("reset_mask", None)
        count = len(self._over)
        try:
            chosen = np.ones(count, bool) if mask is None else np.asarray(mask)
        except ValueError:
            chosen = np.zeros(0)  # ragged
        if chosen.shape != (count,) or chosen.dtype != bool or not chosen.any():
            raise ShapeError(
                f"the option 'reset_mask' is bool [{count}], True at least once; got"
                f" {chosen.dtype} {list(chosen.shape)} with {np.count_nonzero(chosen)} True"
            )
        return np.flatnonzero(chosen), rest

    def begin(self, rows: Integers) -> None:
        """Note that episodes have started."""
        self._elapsed[rows], self._over[rows] = 0, False

    def renew(self) -> Integers:
        """Return the rows to start anew; raises ResetNeeded if they do not start by themselves."""
        rows = np.flatnonzero(self._over)
        if len(rows) and self.mode is AutoresetMode.DISABLED:
            raise ResetNeeded(
                f"environment {rows[0]} is over; call reset(options={{'reset_mask': mask}}) first"
            )
        return rows

    def count(self, renewed: Integers, terminated: Mask) -> Mask:
        """Count a step and return which episodes are at their limit, bool [N].

        As Gymnasium's ``TimeLimit``, it also counts those that ``terminated`` in that step.
        """
        self._elapsed += 1
        self._elapsed[renewed] = 0
        truncated: Mask = self._elapsed >= self.limit
        self._over = terminated | truncated
        return truncated
