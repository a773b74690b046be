"""Policies of Stable-Baselines3 as agents: from a checkpoint without pickle, or from a zip."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import gymnasium as gym
from stable_baselines3.common.base_class import BaseAlgorithm

from langrl.agents.goal_policy import GoalPolicy, InstructionPolicy, PolicyActions
from langrl.agents.grounded import GroundedAgent
from langrl.agents.sb3 import zips
from langrl.agents.sb3.extractors import check_encoders
from langrl.checkpoint import (
    Checkpoint,
    fill,
    find_checkpoint,
    no_larger_than,
    weights_digest,
)
from langrl.envs.goals import Goals
from langrl.envs.maze.world import StreetMaze
from langrl.envs.phrasing import TaskPhrasing
from langrl.envs.wrappers.goals import GoalEnv
from langrl.envs.wrappers.instructions import EmbedInstruction
from langrl.envs.wrappers.text_features import EmbeddedText
from langrl.errors import CheckpointError, ConfigError, PickledError
from langrl.grounding.chooser import GoalChooser
from langrl.grounding.instruction_to_goal import InstructionToGoal
from langrl.grounding.strategies import GROUNDINGS
from langrl.models.language_image.model import BUNDLED
from langrl.protocols import Agent
from langrl.settings import CONFIG_FILE
from langrl.tasks.loading import AgentMaker
from langrl.tasks.maze.agent import check_same_maze
from langrl.tasks.references import check_references
from langrl.tasks.sb3.config import WORLDS, Sb3RunConfig
from langrl.tasks.sb3.guidance import (
    LanguageSide,
    critics_folder,
    language_side,
    text_encoder,
)
from langrl.tasks.sb3.model import ALGORITHMS, build_model, make_world, training_env
from langrl.training.run_folder import read_newest, read_or_name_sound

_READS = "language_sha256"  # in a checkpoint: the bundled model that a policy reads texts by


@dataclass(frozen=True, eq=False)
class TrainedPolicy:
    """A policy with the config and the folder of its run."""

    config: Sb3RunConfig
    folder: Path
    model: BaseAlgorithm

    @cached_property
    def guidance(self) -> LanguageSide:
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
        config, axes = self.config, WORLDS[self.config.world].axes
        draw = config.evaluation.draw
        if config.policy.algorithm == "ppo":
            return InstructionPolicy(self.model, EmbeddedText(self.encoder), axes=axes, draw=draw)
        name = strategy or config.grounding.strategy
        goals = make_world(config).get_wrapper_attr("goals")
        guidance = self.guidance
        if guidance.critic is not None and "critic" in GROUNDINGS[name].needs:
            return GroundedAgent(
                guidance.critic,
                guidance.language,
                GROUNDINGS[name],
                guidance.candidates,
                actions=self._proposal(goals),
                device=config.device,
                language_weight=guidance.language_weight,
            )
        chooser = GoalChooser(
            guidance.language,
            name,
            guidance.candidates,
            language_weight=guidance.language_weight,
            device=config.device,
        )
        return GoalPolicy(self.model, chooser, goals, axes=axes, draw=draw)

    def _proposal(self, goals: Goals) -> PolicyActions:
        # A policy over directions spreads its proposals; DQN's draws are uniform ones at times.
        draw = self.config.policy.algorithm != "dqn"
        return PolicyActions(self.model, self.config.grounding.actions, goals, draw=draw)

    def goal_task(self) -> gym.Env[Any, Any]:
        """Return an environment of goals to reach, with the noise of evaluation."""
        return GoalEnv(make_world(self.config, noise=True))

    def instruction_task(
        self, instruction_type: str, phrasing: TaskPhrasing = "seen", strategy: str | None = None
    ) -> gym.Env[Any, Any]:
        """Return an environment of instructions of a type, wrapped as the policy needs it."""
        config = self.config
        world = make_world(config, (instruction_type,), phrasing, noise=True)
        if config.policy.algorithm == "ppo":
            return EmbedInstruction(world, self.encoder)
        guidance, name = self.guidance, strategy or config.grounding.strategy
        if strategy is None and GROUNDINGS[name].needs:
            name = "max_goal"  # a goal is needed here, and no critic is asked
        return InstructionToGoal(
            world,
            guidance.language,
            name,
            guidance.candidates,
            language_weight=guidance.language_weight,
        )


def load(
    checkpoint: Checkpoint, path: Path, *, device: str = "cpu", world: StreetMaze | None = None
) -> AgentMaker:
    """Raise CheckpointError: a policy is loaded with the config of its run, by ``load_run``."""
    raise CheckpointError(
        f"{path} is a policy of Stable-Baselines3, which has no critic; give the run folder of"
        " a contrastive agent, or, to evaluate the policy, the folder with its config.yaml"
    )


def load_run(
    folder: Path,
    config: Sb3RunConfig,
    *,
    world: StreetMaze | None = None,
    policy: Path | None = None,
    trust_pickle: bool = False,
) -> AgentMaker:
    """Return what makes the agents of a run.

    Args:
        folder: of the run.
        config: of the run.
        world: the maze that they are to act in.
        policy: a zip to use in the place of the run's own policy.
        trust_pickle: whether Stable-Baselines3 is to read it, which runs code that is in it.

    Raises:
        CheckpointError, ConfigError: if there is no such policy, or it is of another world.
    """
    if world is not None:
        home = WORLDS[config.world]
        if not home.is_maze:
            raise ConfigError(f"{folder} was trained in {config.world}; leave the layout out")
        check_same_maze(StreetMaze(home.name), world, folder)
    if policy is not None:
        model = read_zip(policy, config) if trust_pickle else read_policy(policy, config, folder)
        if (newest := read_newest(folder)) is not None:
            path, checkpoint = newest
            _check_agent(checkpoint, path, config, folder)
            check_references(checkpoint.documents.get("state"), path, config)
        return TrainedPolicy(config, folder, model).agent
    return load_policy(folder, config).agent


def load_policy(folder: Path, config: Sb3RunConfig) -> TrainedPolicy:
    """Load a run's policy from its newest checkpoint; nothing that is read is run.

    Raises:
        CheckpointError: if there is none, it is damaged, or not of the config beside it.
    """
    path = find_checkpoint(folder)
    checkpoint = read_or_name_sound(path)
    _check_agent(checkpoint, path, config, folder)
    with no_larger_than(checkpoint.tensors.get("weights", {})):
        model = build_model(config, folder, acting=True)
    try:
        fill_policy(model, checkpoint)
    except CheckpointError as error:
        raise CheckpointError(f"{path} does not fit {folder / CONFIG_FILE}: {error}") from error
    check_references(checkpoint.documents.get("state"), path, config)
    return TrainedPolicy(config, folder, model)


def fill_policy(model: BaseAlgorithm, checkpoint: Checkpoint) -> None:
    """Copy the weights of a checkpoint into a policy; CheckpointError if it is another one."""
    if (weights := checkpoint.tensors.get("weights")) is None:
        raise CheckpointError("it has no weights")
    check_encoders(model.policy, weights)
    fill(model.policy.state_dict(), weights)


def describe(config: Sb3RunConfig) -> dict[str, str]:
    """Return what a checkpoint says of a policy."""
    named = {"kind": "sb3", "algorithm": config.policy.algorithm, "world": config.world}
    if config.policy.algorithm == "ppo" and config.language == BUNDLED:
        named |= {_READS: weights_digest(text_encoder(config).state_dict())}
    return named


def _check_agent(checkpoint: Checkpoint, path: Path, config: Sb3RunConfig, folder: Path) -> None:
    """Raise CheckpointError if it is of another policy, or of one that reads by another model."""
    stored, ours = checkpoint.documents.get("agent"), describe(config)
    if stored == ours:
        return
    if isinstance(stored, dict) and stored | {_READS: ours.get(_READS)} == ours:
        raise CheckpointError(
            f"{path} reads texts by another bundled model than this version of langrl has, which"
            f" it would misread; train it anew, by --config {folder / CONFIG_FILE}"
        )
    raise CheckpointError(f"{path} is not of the policy that {folder / CONFIG_FILE} names")


def read_policy(path: Path, config: Sb3RunConfig, folder: Path) -> BaseAlgorithm:
    """Load the policy of a zip of Stable-Baselines3 for a run's world; its pickles are not read.

    Raises:
        CheckpointError: if there is none, it is of other spaces, or only a pickle says what it is.
    """
    encoder = critics_folder(config, folder)
    try:
        return zips.load_policy(
            path, training_env(config, 1), device=config.device, encoder=encoder
        )
    except PickledError as error:
        raise CheckpointError(
            f"{error}; to have Stable-Baselines3 read it, which runs code that its author chose,"
            " add --trust-pickle if you trust where it came from"
        ) from error


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
