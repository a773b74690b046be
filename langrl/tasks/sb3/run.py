"""Runs of Stable-Baselines3: a maze's language side first, then the policy.

A run folder holds checkpoints as all runs do, without pickle, from which agents are loaded, and
``policy.zip`` beside them, as Stable-Baselines3 writes it. Training goes on from the zip; the
pickles in it are not read.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.logger import Logger

from langrl.agents.sb3.callbacks import (
    InstructionEvaluation,
    MetricsWriter,
    Recording,
    RefillReplay,
)
from langrl.agents.sb3.finite import FiniteTraining, check_finite_weights, finite_weights
from langrl.agents.sb3.resumed import load_training
from langrl.checkpoint import (
    Checkpoint,
    find_checkpoint,
    read_checkpoint,
    step_folder,
    write_checkpoint,
)
from langrl.errors import CheckpointError, ConfigError
from langrl.protocols import Agent
from langrl.tasks.changes import STORED, training_fields, warn_of_changes
from langrl.tasks.maze.config import MazeRunConfig
from langrl.tasks.presets import load_config
from langrl.tasks.references import check_references
from langrl.tasks.registry import TASKS
from langrl.tasks.run import START_REPAIR, Newest, Run, is_trained, train_or_resume
from langrl.tasks.sb3.agent import TrainedPolicy, describe, fill_policy
from langrl.tasks.sb3.config import WORLDS, Sb3RunConfig
from langrl.tasks.sb3.guidance import (
    CRITICS,
    critics_folder,
    groundings,
    language_side,
    text_encoder,
)
from langrl.tasks.sb3.model import build_model
from langrl.training import interrupts
from langrl.training.logs import MetricsLog, console, progress, versions
from langrl.training.run_folder import use_device

ZIP = str(TASKS["sb3"].zip)


@dataclass(eq=False)
class Sb3Run(Run):
    """A run whose training is Stable-Baselines3's.

    Args:
        policy: what is trained; None until the training starts.
        first: the checkpoint whose weights training starts from, and where it is; if there is one.
    """

    policy: TrainedPolicy | None = None
    first: tuple[Path, Checkpoint] | None = None

    def __post_init__(self) -> None:
        """Make agents of the trained policy."""
        self.agent = self._agent

    def _agent(self, strategy: str | None = None) -> Agent:
        assert self.policy is not None, "the run is trained first"
        return self.policy.agent(strategy)

    def snapshot(self) -> Checkpoint:
        """Return a checkpoint of the policy, from which agents are loaded."""
        assert self.policy is not None
        model = self.policy.model
        state = {
            "step": model.num_timesteps,
            "versions": versions(),
            "references": self.references,
            STORED: training_fields(self.config),
        }
        weights = {name: value.clone() for name, value in model.policy.state_dict().items()}
        return Checkpoint({self.document: self.description, "state": state}, {"weights": weights})

    def begin(self) -> None:
        """Read the policy that training starts from; see ``Run.begin``."""
        config = self.config
        if config.start is None:
            return
        path = find_checkpoint(Path(config.start))
        checkpoint = read_checkpoint(path)
        if checkpoint.documents.get(self.document) != self.description:
            detail = "it is of another task, world or algorithm"
            raise CheckpointError(START_REPAIR.format(path=path, detail=detail))
        self.first = path, checkpoint
        if config.encoder == "own" or config.critics is not None:  # else, there is no encoder yet
            self._fill(build_model(config, Path(), acting=True))

    def _fill(self, model: BaseAlgorithm) -> None:
        if self.first is not None:
            path, checkpoint = self.first
            try:
                fill_policy(model, checkpoint)
            except CheckpointError as error:
                raise CheckpointError(START_REPAIR.format(path=path, detail=error)) from error

    def train(self, folder: Path, label: str) -> float:
        """Train the language side, if it is the run's own, and then the policy."""
        self._train_critics(folder, label)
        model = build_model(self.config, folder)
        self._fill(model)
        return self._learn(folder, label, model)

    def resume(self, folder: Path, label: str, newest: Newest) -> float:
        """Go on from ``policy.zip``, with a replay that is filled anew: not to the same bits.

        A run that was cut off before its first checkpoint starts again; its language side goes on
        where it was.

        Raises:
            CheckpointError: if there is a checkpoint and no zip.
        """
        if newest is None:
            self.begin()
            return self.train(folder, label)
        path, checkpoint = newest
        check_references(checkpoint.documents["state"], path, self.config)
        warn_of_changes(checkpoint.documents["state"], self.config)
        model = build_model(self.config, folder)
        load_training(folder / ZIP, model)
        filled = "" if self.config.policy.algorithm == "ppo" else "; replay is filled anew"
        console.print(f"{label}: from step {model.num_timesteps}{filled}")
        self.results["during"] = _evaluated_before(folder)
        return self._learn(folder, label, model)

    def _train_critics(self, folder: Path, label: str) -> None:
        critics, config = folder / CRITICS, self.config
        if critics_folder(config, folder) != critics:
            return
        own = load_config(f"street-{WORLDS[config.world].name}", MazeRunConfig)
        own = own.model_copy(update={"seed": config.seed, "device": config.device})
        if not is_trained(critics, own):
            train_or_resume(own, critics, f"{label}, language side")
            use_device(config.device, config.threads)  # the run's own threads again

    def _learn(self, folder: Path, label: str, model: BaseAlgorithm) -> float:
        self.policy = policy = TrainedPolicy(self.config, folder, model)
        logging, evaluation = self.config.logging, self.config.evaluation
        begin = time.perf_counter()
        log = MetricsLog(folder, model.num_timesteps)
        tasks: dict[str, Callable[[], gym.Env[Any, Any]]] = {
            name: partial(policy.instruction_task, name)
            for name in WORLDS[self.config.world].during
        }
        watch = InstructionEvaluation(
            tasks, evaluation.every, evaluation.episodes_during, seed=evaluation.seed
        )
        steps = self.config.policy.steps
        try:
            with progress(label, steps, model.num_timesteps) as bar, interrupts.deferred():
                model.set_logger(Logger(str(folder), [MetricsWriter(log)]))
                recording = Recording(
                    bar, logging.log_every, logging.checkpoint_every, lambda _: self._store(folder)
                )
                try:
                    with finite_weights(model):
                        model.learn(
                            steps - model.num_timesteps,
                            callback=[FiniteTraining(), RefillReplay(), watch, recording],
                            log_interval=None,  # type: ignore[arg-type]
                            reset_num_timesteps=model.num_timesteps == 0,
                        )
                except KeyboardInterrupt:
                    self._store(folder)
                    raise
                self._store(folder)
                interrupts.check()
        finally:
            log.close()
        self.results["during"] = [*self.results.get("during", ()), *watch.rows]
        return time.perf_counter() - begin

    def _store(self, folder: Path) -> None:
        """Write the zip of the whole algorithm, and a checkpoint of the policy.

        The zip comes first: a run that has a checkpoint can be resumed.

        Raises:
            NonFiniteError: if a weight is not finite; what is stored stays.
        """
        assert self.policy is not None
        model = self.policy.model
        check_finite_weights(model)
        temporary = folder / f".{ZIP}.writing.zip"
        with interrupts.storing():
            model.save(temporary)
            temporary.replace(folder / ZIP)
            write_checkpoint(step_folder(folder, model.num_timesteps), self.snapshot())


def build(config: Sb3RunConfig, folder: Path) -> Sb3Run:
    """Check what a run needs, before its training; the policy is built when it starts.

    Raises:
        ConfigError: if the strategy needs a critic that is not given, or a model cannot be loaded.
    """
    reads = config.policy.algorithm == "ppo"
    if not reads and config.grounding.strategy not in groundings(config):
        raise ConfigError(
            f"grounding.strategy {config.grounding.strategy!r} needs a critic; name its run folder"
            f" as critics, or use one of: {', '.join(groundings(config))}"
        )
    if critics_folder(config, folder) != folder / CRITICS:
        text_encoder(config) if reads else language_side(config, folder)
    return Sb3Run(config, None, describe(config), "")


def _evaluated_before(folder: Path) -> list[dict[str, Any]]:
    """Return the evaluations of a run as it trained so far."""
    try:
        rows = json.loads((folder / "results.json").read_text())["during"]
        return [row for row in rows if isinstance(row, dict)]
    except (OSError, ValueError, KeyError, TypeError):
        return []  # it was cut off before it was evaluated
