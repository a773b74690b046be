"""What goal-reaching agents are evaluated on: held-out goals of their environment."""

import math
from dataclasses import dataclass
from typing import Any

from langrl.envs.goal_vector import GoalVector, is_batched
from langrl.evaluation.goal_reaching import (
    GoalEpisodes,
    GoalPolicy,
    concatenate,
    reach_goals,
    summarise_goals,
)
from langrl.tasks.goal_reaching.config import GoalEvaluationConfig, GoalRunConfig

_WIDEST = 256  # environments side by side at most, where they are arrays
_FEW = 10  # where each is one of its own
_DURING = 1  # added to the seed of evaluations in training: the best weights are chosen on others


def of(config: GoalRunConfig) -> "GoalSuite":
    """Return the suite of a run."""
    return GoalSuite(config, config.evaluation)


@dataclass(frozen=True)
class GoalSuite:
    """Goals in one environment.

    Args:
        config: of the run.
        settings: of evaluations.
    """

    config: GoalRunConfig
    settings: GoalEvaluationConfig

    def watch(self, policy: GoalPolicy) -> dict[str, float]:
        """Return how well a policy reaches a few held-out goals, as metrics."""
        count, seed = self.settings.episodes_during, self.settings.seed + _DURING
        row = summarise_goals(self.reach(policy, count, seed))
        names = ("success", "spl", "return")
        return {f"evaluation/{name}": row[name] for name in names if row[name] is not None}

    def reach(self, policy: GoalPolicy, episodes: int, seed: int) -> GoalEpisodes:
        """Run a policy towards goals that a seed draws, in each of the environment's tasks."""
        tasks = self.settings.tasks
        count = math.ceil(episodes / max(tasks, 1))
        parts = [
            self._reach_in(policy, count, seed, {"task_id": task} if tasks else None)
            for task in range(1, max(tasks, 1) + 1)
        ]
        return concatenate(parts)

    def _reach_in(
        self, policy: GoalPolicy, episodes: int, seed: int, options: dict[str, Any] | None
    ) -> GoalEpisodes:
        config = self.config
        widest = _WIDEST if is_batched(config.env) and not options else _FEW
        vector = GoalVector(
            config.env,
            min(episodes, widest),
            max_episode_steps=config.max_episode_steps,
            seed=seed,
            options=options,
        )
        try:
            return reach_goals(vector, policy, episodes)
        finally:
            vector.close()
