"""How the batched worlds start episodes anew: at the next step, or at a reset of some rows."""

from typing import Any

import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode

from langrl.errors import ConfigError, ShapeError
from langrl.protocols import Integers, Mask


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
        """Count a step and return which episodes it cuts off, bool [N]."""
        self._elapsed += 1
        self._elapsed[renewed] = 0
        truncated: Mask = (self._elapsed >= self.limit) & ~terminated
        self._over = terminated | truncated
        return truncated
