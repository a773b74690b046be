"""Held-out goals: how often a policy reaches the goals that a seed draws in an environment."""

import math
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from langrl.envs.goal_engine import GoalSpaces
from langrl.envs.goal_vector import GoalVector, is_batched
from langrl.envs.goal_worlds import make_goal_env, spaces_of
from langrl.errors import ConfigError, LangRLError
from langrl.evaluation.goal_reaching import (
    GoalEpisodes,
    GoalPolicy,
    concatenate,
    reach_goals,
    summarise_goals,
)
from langrl.plots.base import CEILING
from langrl.tasks.goal_reaching.config import GoalRunConfig
from langrl.tasks.suite import Row
from langrl.training.logs import Bar, progress

_WIDEST = 256  # environments side by side at most, where they are arrays
_FEW = 10  # where each is one of its own
_DURING = 1  # added to the seed of evaluations in training: the best weights are chosen on others


@dataclass(frozen=True)
class HeldOutGoals:
    """Goals of a run's environment that training does not see.

    Args:
        config: of the run.
    """

    config: GoalRunConfig

    @property
    def spaces(self) -> GoalSpaces:
        """The spaces of the environment."""
        env = make_goal_env(self.config.env, self.config.max_episode_steps)
        env.close()
        return spaces_of(env)

    def check_tasks(self) -> None:
        """Raise ConfigError if the environment does not have as many tasks as it is to be asked."""
        config = self.config
        if not config.evaluation.tasks:
            return
        options = {"task_id": config.evaluation.tasks}
        with closing(make_goal_env(config.env, config.max_episode_steps)) as env:
            try:
                env.reset(seed=0, options=options)
            except LangRLError as error:
                raise ConfigError(f"evaluation.tasks: {error}") from error

    def watch(self, policy: GoalPolicy) -> dict[str, float]:
        """Return how well a policy reaches a few goals, as metrics."""
        settings = self.config.evaluation
        row = summarise_goals(self.reach(policy, settings.episodes_during, settings.seed + _DURING))
        names = ("success", "spl", "return")
        return {f"evaluation/{name}": row[name] for name in names if row[name] is not None}

    def rows(self, policy: GoalPolicy, with_random: bool) -> list[Row]:
        """Return the row of a policy, and that of random actions if it is asked for."""
        settings = self.config.evaluation
        policies = {CEILING: policy} | ({"random": self._wander()} if with_random else {})
        return [
            {"method": name, "task": "goals"}
            | summarise_goals(self.reach(each, settings.episodes, settings.seed, f"goals: {name}"))
            for name, each in policies.items()
        ]

    def reach(
        self, policy: GoalPolicy, episodes: int, seed: int, label: str = "held-out goals"
    ) -> GoalEpisodes:
        """Run a policy towards goals that a seed draws, in each of the environment's tasks."""
        tasks = self.config.evaluation.tasks
        count = max(tasks, 1)
        rows, quota = self._split(math.ceil(episodes / count))
        size = rows * quota
        parts: list[GoalEpisodes] = []
        with progress(label, count * size) as bar:
            for task in range(count):
                options = {"task_id": task + 1} if tasks else None
                show = partial(_show, bar, task * size)
                parts.append(self._reach_in(policy, rows, size, seed, options, show))
        return concatenate(parts)

    def _split(self, episodes: int) -> tuple[int, int]:
        """Return how many environments run side by side, and how many episodes each runs."""
        batched = is_batched(self.config.env) and not self.config.evaluation.tasks
        quota = math.ceil(episodes / (_WIDEST if batched else _FEW))
        return math.ceil(episodes / quota), quota

    def _reach_in(
        self,
        policy: GoalPolicy,
        rows: int,
        episodes: int,
        seed: int,
        options: dict[str, Any] | None,
        on_step: Callable[[int, int], None],
    ) -> GoalEpisodes:
        config = self.config
        limit = config.max_episode_steps
        with closing(
            GoalVector(config.env, rows, max_episode_steps=limit, seed=seed, options=options)
        ) as vector:
            return reach_goals(vector, policy, episodes, on_step)

    def _wander(self) -> GoalPolicy:
        """Return a policy of goals that acts at random."""
        spaces, generator = self.spaces, np.random.default_rng(self.config.evaluation.seed)
        return lambda seen: spaces.sample_unit(len(seen["observation"]), generator)


def _show(bar: Bar, before: int, done: int, _: int) -> None:
    bar.update(before + done, "episodes")
