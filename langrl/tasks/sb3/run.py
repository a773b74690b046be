"""Runs of Stable-Baselines3: training, a run folder, and agents that come of it.

A run folder holds checkpoints as all runs do, without pickle, from which agents are loaded, and
``policy.zip`` beside them, as Stable-Baselines3 writes it. Reading a zip runs code that is in it.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import gymnasium as gym
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.logger import Logger

from langrl import MAZE_IDS
from langrl.agents.goal_policy import GoalPolicy, InstructionPolicy, PolicyActions
from langrl.agents.grounded import GroundedAgent
from langrl.agents.sb3.callbacks import InstructionEvaluation, MetricsWriter, Recording
from langrl.agents.sb3.extractors import check_encoders
from langrl.checkpoint import (
    Checkpoint,
    fill,
    find_checkpoint,
    read_checkpoint,
    step_folder,
    write_checkpoint,
)
from langrl.envs.goals import Goals
from langrl.envs.phrasing import Phrasing
from langrl.envs.wrappers.goals import GoalEnv
from langrl.envs.wrappers.instructions import EmbedInstruction
from langrl.envs.wrappers.text_features import EmbeddedText
from langrl.errors import CheckpointError, ConfigError
from langrl.grounding.chooser import GoalChooser
from langrl.grounding.instruction_to_goal import InstructionToGoal
from langrl.grounding.strategies import GROUNDINGS
from langrl.protocols import Agent
from langrl.tasks.maze.config import MazeRunConfig
from langrl.tasks.presets import load_config
from langrl.tasks.registry import train_run
from langrl.tasks.sb3.config import Sb3RunConfig
from langrl.tasks.sb3.guidance import (
    CRITICS,
    Guidance,
    critics_folder,
    groundings,
    language_side,
    text_encoder,
)
from langrl.tasks.sb3.model import (
    ALGORITHMS,
    build_model,
    instruction_sorts,
    make_world,
    training_env,
)
from langrl.training.logs import MetricsLog, console, progress, versions
from langrl.training.run_folder import CONFIG_FILE, check_empty, use_device, write_config

ZIP = "policy.zip"


@dataclass(frozen=True, eq=False)
class Sb3Run:
    """A run of Stable-Baselines3: its config, its folder, and the algorithm with the policy."""

    config: Sb3RunConfig
    folder: Path
    model: BaseAlgorithm
    during: list[dict[str, Any]] = field(default_factory=list)  # evaluations as it trained

    @cached_property
    def side(self) -> Guidance:
        """What the policy follows instructions by; loaded once."""
        return language_side(self.config, self.folder)

    @cached_property
    def encoder(self) -> Any:
        """What encodes instructions for a policy that reads them; loaded once."""
        return text_encoder(self.config)

    def agent(self, strategy: str | None = None) -> Agent:
        """Return the policy as an agent that follows instructions, by another strategy if given.

        Raises:
            GroundingError: if the strategy needs a critic and there is none.
        """
        config = self.config
        draw = config.evaluation.draw
        if config.policy.algorithm == "ppo":
            feature = EmbeddedText(self.encoder)
            return InstructionPolicy(self.model, feature, axes=_axes(config), draw=draw)
        name = strategy or config.grounding.strategy
        goals = make_world(config).get_wrapper_attr("goals")
        side = self.side
        if side.critic is not None and "critic" in GROUNDINGS[name].needs:
            return GroundedAgent(
                side.critic,
                side.language,
                GROUNDINGS[name],
                side.candidates,
                actions=self._proposal(goals),
                device=config.device,
                language_weight=side.language_weight,
            )
        chooser = GoalChooser(
            side.language,
            name,
            side.candidates,
            language_weight=side.language_weight,
            device=config.device,
        )
        return GoalPolicy(self.model, chooser, goals, axes=_axes(config), draw=draw)

    def _proposal(self, goals: Goals) -> PolicyActions:
        # A policy over directions spreads its proposals; DQN's draws are uniform ones at times.
        draw = self.config.policy.algorithm != "dqn"
        return PolicyActions(self.model, self.config.grounding.actions, goals, draw=draw)

    def goal_task(self) -> gym.Env[Any, Any]:
        """Return an environment of goals to reach, with the noise of evaluation."""
        return GoalEnv(make_world(self.config, noise=True))

    def instruction_task(
        self, sort: str, phrasing: Phrasing = "seen", strategy: str | None = None
    ) -> gym.Env[Any, Any]:
        """Return an environment of instructions of a sort, wrapped as the policy needs it."""
        config = self.config
        world = make_world(config, (sort,), phrasing, noise=True)
        if config.policy.algorithm == "ppo":
            return EmbedInstruction(world, self.encoder)
        side, name = self.side, strategy or config.grounding.strategy
        if strategy is None and GROUNDINGS[name].needs:
            name = "max_goal"  # a goal is needed here, and no critic is asked
        return InstructionToGoal(
            world, side.language, name, side.candidates, language_weight=side.language_weight
        )


def _axes(config: Sb3RunConfig) -> int:
    return 1 if config.world in MAZE_IDS else 3


def train_policy(config: Sb3RunConfig, folder: Path, label: str) -> tuple[Sb3Run, float]:
    """Train a new run in ``folder`` and return it with the seconds of training.

    Raises:
        ConfigError: if the folder holds something already, or a model cannot be loaded.
    """
    check_empty(folder)
    use_device(config.device, config.threads)
    if config.policy.algorithm != "ppo" and config.grounding.strategy not in groundings(config):
        raise ConfigError(
            f"grounding.strategy {config.grounding.strategy!r} needs a critic; name its run folder"
            f" as critics, or use one of: {', '.join(groundings(config))}"
        )
    critics = critics_folder(config, folder)
    if critics != folder / CRITICS:  # refused before the training, not after
        text_encoder(config) if config.policy.algorithm == "ppo" else language_side(config, folder)
    write_config(folder, config)
    if critics == folder / CRITICS:
        layout = MAZE_IDS[config.world]
        trained = load_config(f"street-{layout}", MazeRunConfig)
        trained = trained.model_copy(update={"seed": config.seed, "device": config.device})
        train_run(trained, critics, f"{label}, language side")
    run = Sb3Run(config, folder, build_model(config, folder))
    return run, _learn(run, label)


def resume_policy(folder: Path, config: Sb3RunConfig, label: str) -> tuple[Sb3Run, float]:
    """Go on with a run from its ``policy.zip``, with an empty replay: not to the same bits.

    Reading the zip runs code that is in it.

    Raises:
        CheckpointError: if there is no zip.
    """
    use_device(config.device, config.threads)
    model = read_zip(folder / ZIP, config)
    console.print(f"{label}: from step {model.num_timesteps}; replay starts empty")
    run = Sb3Run(config, folder, model, _evaluated_before(folder))
    return run, _learn(run, label)


def _evaluated_before(folder: Path) -> list[dict[str, Any]]:
    """Return the evaluations of a run as it trained so far."""
    try:
        rows = json.loads((folder / "results.json").read_text())["during"]
        return [row for row in rows if isinstance(row, dict)]
    except (OSError, ValueError, KeyError, TypeError):
        return []  # it was cut off before it was evaluated


def read_policy(path: Path, folder: Path, config: Sb3RunConfig) -> Sb3Run:
    """Return a run with the policy of a zip instead of its own; errors as ``read_zip``."""
    return Sb3Run(config, folder, read_zip(path, config))


def read_zip(path: Path, config: Sb3RunConfig) -> BaseAlgorithm:
    """Load a zip of Stable-Baselines3; this runs code that is in it.

    Raises:
        CheckpointError: if there is none, or it is no policy for the run's world.
    """
    if not path.is_file():
        raise CheckpointError(
            f"no policy in {path}; give the zip that Stable-Baselines3 has written"
        )
    count = config.policy.envs
    try:
        return ALGORITHMS[config.policy.algorithm].load(
            path, env=training_env(config, count), device=config.device
        )
    except Exception as error:  # whatever is in a zip may go wrong in any way
        if isinstance(error.__context__, CheckpointError):  # SB3 goes on after a ValueError
            raise error.__context__ from None
        if isinstance(error, CheckpointError):
            raise
        detail = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(
            f"{path} is no {config.policy.algorithm} policy for {config.world}: {detail}"
        ) from error


def _learn(run: Sb3Run, label: str) -> float:
    config, model, folder = run.config, run.model, run.folder
    steps = config.policy.steps
    begin = time.perf_counter()
    log = MetricsLog(folder, model.num_timesteps)
    evaluation = config.evaluation
    tasks: dict[str, Callable[[], gym.Env[Any, Any]]] = {
        sort: lambda sort=sort: run.instruction_task(sort)  # type: ignore[misc]
        for sort in instruction_sorts(config)
    }
    watch = InstructionEvaluation(
        tasks, evaluation.every, evaluation.episodes_during, seed=evaluation.seed
    )
    try:
        with progress(label, steps, model.num_timesteps) as bar:
            model.set_logger(Logger(str(folder), [MetricsWriter(log)]))
            logging = config.logging
            model.learn(
                steps - model.num_timesteps,
                callback=[
                    watch,
                    Recording(
                        bar, logging.log_every, logging.checkpoint_every, lambda _: store(run)
                    ),
                ],
                log_interval=None,  # type: ignore[arg-type]
                reset_num_timesteps=model.num_timesteps == 0,
            )
            store(run)
    finally:
        log.close()
    run.during.extend(watch.rows)
    return time.perf_counter() - begin


def store(run: Sb3Run) -> None:
    """Write a checkpoint of the policy, and the zip of the whole algorithm."""
    step = run.model.num_timesteps
    state = {"step": step, "versions": versions()}
    documents = {"agent": _description(run.config), "state": state}
    weights = {name: value.clone() for name, value in run.model.policy.state_dict().items()}
    write_checkpoint(step_folder(run.folder, step), Checkpoint(documents, {"weights": weights}))
    temporary = run.folder / f".{ZIP}.writing.zip"
    run.model.save(temporary)
    temporary.replace(run.folder / ZIP)


def load_policy(folder: Path, config: Sb3RunConfig) -> Sb3Run:
    """Load a run from its newest checkpoint; nothing that is read is run.

    Raises:
        CheckpointError: if there is none, it is damaged, or not of the config beside it.
    """
    path = find_checkpoint(folder)
    checkpoint = read_checkpoint(path)
    description = checkpoint.documents.get("agent")
    if description != _description(config):
        raise CheckpointError(f"{path} is not of the policy that {folder / CONFIG_FILE} names")
    model = build_model(config, folder, acting=True)
    try:
        check_encoders(model.policy, checkpoint.tensors["weights"])
        fill(model.policy.state_dict(), checkpoint.tensors["weights"])
    except (CheckpointError, KeyError) as error:
        raise CheckpointError(f"{path} does not fit {folder / CONFIG_FILE}: {error}") from error
    return Sb3Run(config, folder, model)


def _description(config: Sb3RunConfig) -> dict[str, str]:
    return {"kind": "sb3", "algorithm": config.policy.algorithm, "world": config.world}


def is_trained(folder: Path, config: Sb3RunConfig) -> bool:
    """Whether the folder holds a finished run of this config, however it was evaluated."""
    file = folder / CONFIG_FILE
    if not file.is_file():
        return False
    stored = load_config(str(file), Sb3RunConfig)
    if stored.model_copy(update={"evaluation": config.evaluation}) != config:
        return False
    try:
        done = read_checkpoint(find_checkpoint(folder)).documents["state"]["step"]
    except (CheckpointError, KeyError):
        return False
    return bool(done >= config.policy.steps)
