"""Stable-Baselines3's SAC with hindsight in a goal environment, measured while it learns.

It is what contrastive agents are compared with. Axes: ``N`` environments.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from stable_baselines3 import SAC, HerReplayBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from langrl.envs.goal_engine import GoalSpaces
from langrl.evaluation.goal_reaching import GoalPolicy
from langrl.protocols import Array


@dataclass(frozen=True)
class HindsightSettings:
    """Settings of SAC with HER.

    Those of rl-baselines3-zoo for FetchReach (hyperparams/her.yml), whose ``normalize`` scales
    observations and rewards by their running statistics.
    """

    learning_rate: float = 1e-3
    batch_size: int = 256
    buffer_size: int = 1_000_000
    gamma: float = 0.95
    learning_starts: int = 1000
    n_sampled_goal: int = 4
    normalize: bool = True


def learn_with_hindsight(
    make_env: Callable[[], gym.Env[Any, Any]],
    spaces: GoalSpaces,
    evaluate: Callable[[GoalPolicy], float],
    *,
    settings: HindsightSettings,
    seed: int,
    every: int,
    steps: int,
    seconds: float,
    on_row: Callable[[Mapping[str, float]], None] = lambda _: None,
) -> list[dict[str, float]]:
    """Train SAC with HER until its steps or its seconds are over, whichever comes first.

    Args:
        make_env: returns an environment that observes ``achieved_goal`` and ``desired_goal``.
        spaces: of the environments that it is evaluated in.
        evaluate: returns the success of a policy of numbers from -1 to 1.
        settings: of the algorithm.
        seed: of weights, actions and the environment.
        every: steps between evaluations; one follows at the end.
        steps: of the environment at most.
        seconds: of training at most, evaluations left out.
        on_row: called with each row.

    Returns:
        A row for each evaluation: ``steps``, ``seconds`` and ``success``.
    """
    env: Any = DummyVecEnv([make_env])
    env.seed(seed)
    options = asdict(settings)
    if options.pop("normalize"):
        env = VecNormalize(env, gamma=settings.gamma)
    limit = spaces.max_episode_steps or 0
    options["learning_starts"] = max(options["learning_starts"], limit + 1)  # one episode is over
    replay = {"n_sampled_goal": options.pop("n_sampled_goal"), "goal_selection_strategy": "future"}
    model = SAC(
        "MultiInputPolicy",
        env,
        replay_buffer_class=HerReplayBuffer,
        replay_buffer_kwargs=replay,
        seed=seed,
        **options,
    )
    curve = _Curve(lambda: evaluate(policy_of(model, spaces)), every, seconds, on_row)
    model.learn(steps, callback=curve)
    curve.measure()
    env.close()
    return curve.rows


def policy_of(model: SAC, spaces: GoalSpaces) -> GoalPolicy:
    """Return the policy of a model, which takes its best actions."""
    normalizer = model.get_vec_normalize_env()

    def act(observations: Mapping[str, Array]) -> Array:
        seen: dict[str, Any] = {name: np.asarray(values) for name, values in observations.items()}
        if normalizer is not None:
            seen = dict(normalizer.normalize_obs(seen))
        actions, _ = model.predict(seen, deterministic=True)
        return spaces.to_unit(actions)

    return act


class _Curve(BaseCallback):
    """Evaluates now and then, and stops when the seconds are over."""

    def __init__(
        self,
        success: Callable[[], float],
        every: int,
        seconds: float,
        on_row: Callable[[Mapping[str, float]], None],
    ) -> None:
        super().__init__()
        self._success, self._every, self._limit, self._on_row = success, every, seconds, on_row
        self.rows: list[dict[str, float]] = []

    def _on_training_start(self) -> None:
        self._begun, self._paused = time.perf_counter(), 0.0

    @property
    def _seconds(self) -> float:
        return time.perf_counter() - self._begun - self._paused

    def _on_step(self) -> bool:
        if self.num_timesteps % self._every == 0:
            self.measure()
        return self._seconds < self._limit

    def measure(self) -> None:
        """Add a row for the present policy, unless there is one."""
        if self.rows and self.rows[-1]["steps"] == self.num_timesteps:
            return
        seconds, begun = self._seconds, time.perf_counter()
        row = {"steps": self.num_timesteps, "seconds": seconds, "success": self._success()}
        self._paused += time.perf_counter() - begun
        self.rows.append(row)
        self._on_row(row)
