"""How often a policy reaches goals: whole episodes in a batch of environments with goals.

Axes: ``E`` episodes, ``N`` environments.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langrl.envs.goal_vector import GoalVector
from langrl.evaluation.statistics import mean_and_sem
from langrl.protocols import Array

GoalPolicy = Callable[[Mapping[str, Array]], Array]
"""From ``observation`` and ``desired_goal`` [N, ...] to actions [N, ...]; see ``GoalSpaces``."""


@dataclass(frozen=True, eq=False, kw_only=True)
class GoalEpisodes:
    """What happened in E episodes.

    Args:
        success: whether the goal was reached [E].
        steps: until then, or until the end [E].
        returns: sums of rewards [E].
        shortest_steps: length of a shortest episode [E]; nan where it is unknown.
    """

    success: NDArray[np.bool_]
    steps: NDArray[np.int64]
    returns: NDArray[np.float64]
    shortest_steps: NDArray[np.float64]

    @property
    def spl(self) -> NDArray[np.float64]:
        """Success weighted by path length [E]; nan where no shortest path is known.

        Source: Anderson et al. 2018, arXiv:1807.06757.
        """
        return self.success * self.shortest_steps / np.maximum(self.steps, self.shortest_steps)


def reach_goals(
    vector: GoalVector,
    policy: GoalPolicy,
    episodes: int,
    on_step: Callable[[int, int], None] | None = None,
) -> GoalEpisodes:
    """Run episodes with the goals that the environments draw.

    Each environment runs as many as the others, so that short episodes do not count more often.
    An episode that goes on after its goal was reached has succeeded, in the steps until then.

    Args:
        vector: the environments; they are reset.
        policy: chooses actions.
        episodes: at least so many, rounded up to a multiple of the environments.
        on_step: called with (episodes finished, episodes) after each step.
    """
    count, quota = vector.num_envs, math.ceil(episodes / vector.num_envs)
    shape = (count, quota)
    success, steps = np.zeros(shape, bool), np.zeros(shape, np.int64)
    returns, shortest = np.zeros(shape), np.full(shape, np.nan)
    number = np.zeros(count, int)  # of the episode that each environment is in
    seen = vector.reset()
    shortest[:, 0] = vector.shortest_steps()
    while (number < quota).any():
        actions = policy(
            {
                "observation": seen.observation,
                "achieved_goal": seen.achieved,
                "desired_goal": seen.desired,
            }
        )
        moved = vector.step(vector.spaces.to_action(actions))
        rows = np.flatnonzero(moved.acted & (number < quota))
        at = rows, number[rows]
        returns[at] += moved.reward[rows]
        steps[at] += ~success[at]
        success[at] |= moved.success[rows]
        number += moved.acted & (moved.terminated | moved.truncated)
        begun = np.flatnonzero(moved.started & (number < quota))
        if len(begun):
            shortest[begun, number[begun]] = vector.shortest_steps()[begun]
        seen = moved.seen
        if on_step is not None:
            on_step(int(np.minimum(number, quota).sum()), count * quota)
    return GoalEpisodes(
        success=success.ravel(),
        steps=steps.ravel(),
        returns=returns.ravel(),
        shortest_steps=shortest.ravel(),
    )


def concatenate(parts: Sequence[GoalEpisodes]) -> GoalEpisodes:
    """Return episodes of several batches as one."""
    return GoalEpisodes(
        **{
            field.name: np.concatenate([getattr(part, field.name) for part in parts])
            for field in fields(GoalEpisodes)
        }
    )


def summarise_goals(episodes: GoalEpisodes) -> dict[str, Any]:
    """Return success, SPL where it is known, and return, with standard errors over episodes."""
    values: dict[str, NDArray[Any]] = {"success": episodes.success, "spl": episodes.spl}
    values["return"] = episodes.returns
    row: dict[str, Any] = {"episodes": len(episodes.success)}
    for name, value in values.items():
        known = value[~np.isnan(value.astype(float))]
        mean, sem = mean_and_sem(known.tolist()) if len(known) else (None, None)
        row |= {name: mean, f"{name}_sem": sem}
    return row
