"""Callbacks for Stable-Baselines3: how well a policy follows instructions while it trains.

Axes: ``E`` episodes.
"""

import json
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import KVWriter
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.type_aliases import TrainFreq, TrainFrequencyUnit

from langrl.errors import ConfigError
from langrl.evaluation.policies import predict
from langrl.evaluation.rollouts import follow
from langrl.evaluation.statistics import mean_and_sem
from langrl.training.interrupts import requested
from langrl.training.logs import Bar, MetricsLog, print_table, write_results

_COMMAND = "InstructionEvaluation"  # in results.json
_RECENT = 200  # episodes that the reported success is of


class InstructionEvaluation(BaseCallback):
    """Evaluates how the policy follows instructions at intervals, by level of ambiguity.

    Success by level goes to SB3's logger (TensorBoard, if it is on) as ``instructions/LEVEL``, and
    to ``results.json`` in ``folder``, one row for each evaluation and level.

    Args:
        tasks: makes an environment by name of level: one with instructions that reports
            ``is_success``, wrapped as the policy needs it, by ``InstructionToGoal``,
            ``EmbedInstruction`` or ``TokenizeInstruction``.
        every: steps between evaluations; there is one at the end, too.
        episodes: E, for each level.
        folder: of results.json, made at once; not written if not given.
        seed: of the episodes, the same at every evaluation.
        draw: draw actions, instead of taking the best.

    Raises:
        ConfigError: if there are no tasks, a task is no function, a number is below 1, or the
            folder cannot be made or has other results; before the first step of training, if the
            policy cannot act in a task, or a task does not report ``is_success``.
    """

    def __init__(
        self,
        tasks: Mapping[str, Callable[[], gym.Env[Any, Any]]],
        every: int,
        episodes: int = 20,
        folder: Path | str | None = None,
        seed: int = 1000,
        draw: bool = False,
    ) -> None:
        super().__init__()
        if not tasks or every < 1 or episodes < 1:
            raise ConfigError("InstructionEvaluation needs a task, and every and episodes above 0")
        for level, task in tasks.items():
            if not callable(task):
                raise ConfigError(
                    f"task {level!r} is {type(task).__name__}; give a function that makes an"
                    " environment: each episode has its own"
                )
        self.rows: list[dict[str, Any]] = []
        self._tasks, self._every, self._episodes = dict(tasks), every, episodes
        self._folder = None if folder is None else _own_folder(Path(folder))
        self._seed, self._draw = seed, draw
        self._next = every

    def _init_callback(self) -> None:
        for level, make_env in self._tasks.items():
            _check_task(self.model, level, make_env, self._seed)

    def _on_training_start(self) -> None:
        self._next = (self.model.num_timesteps // self._every + 1) * self._every

    def _on_step(self) -> bool:
        if self.num_timesteps >= self._next:
            self._next = (self.num_timesteps // self._every + 1) * self._every
            self._evaluate()
        return True

    def _on_training_end(self) -> None:
        if requested():
            return
        if not self.rows or self.rows[-1]["step"] < self.num_timesteps:
            self._evaluate()
            self.logger.dump(self.num_timesteps)
        if self.verbose:
            last = [row for row in self.rows if row["step"] == self.num_timesteps]
            print_table(
                "following instructions", last, ("level", "success", "success_sem", "episodes")
            )

    def _evaluate(self) -> None:
        # The policy acts in its own mode; SB3 puts it back into training mode at each update.
        successes = []
        for level, make_env in self._tasks.items():
            generator = np.random.default_rng(self._seed) if self._draw else None
            followed = follow(self.model, make_env, self._episodes, self._seed, generator)
            success, sem = mean_and_sem(followed.success.tolist())
            successes.append(success)
            self.logger.record(f"instructions/{level}", success)
            self.rows.append(
                {
                    "step": self.num_timesteps,
                    "level": level,
                    "success": success,
                    "success_sem": sem,
                    "mean_ambiguity_bits": followed.mean_ambiguity_bits,
                    "episodes": len(followed.success),
                }
            )
        self.logger.record("instructions/mean", float(np.mean(successes)))
        if self._folder is not None:
            config = {"every": self._every, "episodes": self._episodes, "seed": self._seed}
            write_results(self._folder, _COMMAND, config, self.rows)


def _own_folder(folder: Path) -> Path:
    """Make the folder; raises ConfigError if it cannot be, or has results of something else."""
    path = folder / "results.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"the folder {folder} cannot be made ({error.strerror}); give one that can"
        ) from error
    try:
        other = path.is_file() and json.loads(path.read_text())["command"] != _COMMAND
    except (OSError, ValueError, KeyError, TypeError):
        other = True
    if other:
        raise ConfigError(f"{path} has results of something else; give another folder")
    return folder


def _check_task(policy: Any, name: str, make_env: Callable[[], Any], seed: int) -> None:
    """Raise ConfigError unless a policy can act in a task that says whether it succeeded."""
    try:
        fault = _fault(policy, make_env(), seed)
    except Exception as error:  # policies and environments of others fail in any way
        raise ConfigError(f"task {name!r} does not fit the policy: {error}") from error
    if fault:
        raise ConfigError(f"task {name!r} does not fit the policy: {fault}")


def _fault(policy: Any, env: Any, seed: int) -> str:
    """Return why a policy cannot be evaluated in an environment, or nothing; takes one step."""
    if not isinstance(env, gym.Env):
        return "it is no single environment of Gymnasium"
    if fault := _misfit(policy.observation_space, env.observation_space):
        return fault
    if env.action_space != policy.action_space:
        return f"its actions are {env.action_space}, and the policy's {policy.action_space}"
    seen, _ = env.reset(seed=seed)
    batch = {name: np.asarray(part)[None] for name, part in _parts(seen).items()}
    actions = predict(policy, batch if isinstance(seen, Mapping) else batch[""], None)
    info = env.step(actions[0])[-1]
    env.close()
    reports = "is_success" in info
    return "" if reports else "it reports no info['is_success']; give AddInstruction a denotation"


def _misfit(known: spaces.Space[Any], given: spaces.Space[Any]) -> str:
    """Return what of the observations of a task a policy cannot read, or nothing."""
    there = _parts(given)
    for name, part in _parts(known).items():
        other = there.get(name)
        if other is None:
            return f"its observations have no {name!r}, only {', '.join(map(repr, there))}"
        # Stable-Baselines3 moves the channels of images.
        if sorted(other.shape or ()) != sorted(part.shape or ()):
            return f"{name or 'observation'!r} is {other.shape}, and the policy reads {part.shape}"
        numbers = isinstance(part, spaces.Box) and np.issubdtype(part.dtype, np.integer)
        if numbers and isinstance(other, spaces.Box) and other.high.max() > part.high.max():
            return (
                f"{name or 'observation'!r} goes up to {other.high.max()}, and the policy knows"
                f" numbers up to {part.high.max()}; give it the same tokeniser"
            )
    return ""


def _parts(of: Any) -> dict[str, Any]:
    """Return the parts of observations or of their space, by name."""
    return dict(of.items()) if isinstance(of, Mapping | spaces.Dict) else {"": of}


class RefillReplay(BaseCallback):
    """Fills the empty replay buffer of a loaded policy before it trains on.

    A zip of Stable-Baselines3 holds no replay buffer, and ``learn(..., reset_num_timesteps=False)``
    would draw from it at once. The policy acts for as many steps as ``learning_starts``, and until
    an episode is over where goals are relabelled. The steps count as steps of training. Nothing is
    done where the buffer was loaded, for a new policy, or where there is no buffer.

    Raises:
        ConfigError: when the training starts, if no episode ends before the buffer is full.
    """

    def _on_training_start(self) -> None:
        model, last = self.model, self.locals["total_timesteps"]
        if not isinstance(model, OffPolicyAlgorithm) or not model.num_timesteps:
            return
        replay, env = model.replay_buffer, model.env
        assert replay is not None
        assert env is not None
        if replay.size():
            return
        enough = model.num_timesteps + model.learning_starts
        once = TrainFreq(1, TrainFrequencyUnit.STEP)
        while model.num_timesteps < last and not requested():
            ended = getattr(replay, "ep_length", None)  # of each transition, 0 while it goes on
            can_draw = replay.size() > 0 if ended is None else bool(ended.any())
            if can_draw and model.num_timesteps >= enough:
                return
            if replay.full and not can_draw:
                raise ConfigError(
                    "no episode ended before the replay buffer was full; make the environment with"
                    " max_episode_steps, or a larger buffer_size"
                )
            model.collect_rollouts(env, self, once, replay, model.action_noise)

    def _on_step(self) -> bool:
        return not requested()


class MetricsWriter(KVWriter):
    """Writes what SB3 logs to a run's ``metrics.jsonl`` and TensorBoard events."""

    def __init__(self, log: MetricsLog) -> None:
        self._log = log

    def write(
        self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0
    ) -> None:
        """Write the numbers among the values of a step."""
        numbers = {
            name: float(value)
            for name, value in key_values.items()
            if isinstance(value, int | float | np.number)
            and not name.startswith(("time/", "train/n_updates", "train/clip_range"))
        }
        self._log.write(step, numbers)

    def close(self) -> None:
        """Do nothing: the log is closed where it was opened."""


class Recording(BaseCallback):
    """Reports and stores a run as it trains, and ends its training if the process is to end.

    Args:
        bar: shows how far it is.
        log_every: steps between records.
        store_every: steps between checkpoints.
        store: writes one; called with the step.
    """

    def __init__(
        self, bar: Bar, log_every: int, store_every: int, store: Callable[[int], None]
    ) -> None:
        super().__init__()
        self._bar, self._store = bar, store
        self._log_every, self._store_every = log_every, store_every
        self._success: deque[bool] = deque(maxlen=_RECENT)

    def _on_step(self) -> bool:
        for over, info in zip(self.locals["dones"], self.locals["infos"], strict=True):
            if over:
                self._success.append(bool(info["is_success"]))
        step, moved = self.num_timesteps, self.training_env.num_envs
        if step % self._log_every < moved:
            if self._success:
                self.logger.record("rollout/success", float(np.mean(self._success)))
            self.logger.dump(step)
            self._bar.update(step)
        if step % self._store_every < moved:
            self._store(step)
        return not requested()
