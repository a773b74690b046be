"""Goal-reaching runs: from a config to an agent that acts, or recorded data, and a learner.

Axes: ``N`` environments, ``G`` numbers in a goal.
"""

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from langrl import GRID_IDS
from langrl.agents.contrastive_actor_critic import ContrastiveActorCritic
from langrl.checkpoint import (
    Checkpoint,
    best_folder,
    digest,
    find_checkpoint,
    write_checkpoint,
)
from langrl.data.collection import OnlineExperience
from langrl.data.goal_replay import GoalReplay
from langrl.data.recordings.reading import read_recording
from langrl.data.recordings.recording import Recording, check_recording
from langrl.envs.goal_engine import GoalSpaces
from langrl.envs.goal_vector import Engine, GoalVector
from langrl.envs.goal_words import find_grammar
from langrl.envs.goal_worlds import make_goal_env
from langrl.errors import (
    CheckpointError,
    ConfigError,
    DomainError,
    ShapeError,
    TrajectoryError,
    lookup,
    quoted,
)
from langrl.models.goal_networks import InputDescription, describe_input
from langrl.protocols import Array
from langrl.tasks.goal_reaching.agent import (
    ACHIEVED_THERE,
    CUTOFF,
    STATES,
    GoalAgentDescription,
    GoalAgents,
    acting,
    build_networks,
)
from langrl.tasks.goal_reaching.config import GoalRunConfig
from langrl.tasks.goal_reaching.held_out import HeldOutGoals
from langrl.tasks.goal_reaching.kept import (
    achieved_goals,
    as_arrays,
    trusted_distance,
    visited_states,
)
from langrl.tasks.goal_reaching.probe import held_out_file, recorded_replay
from langrl.tasks.goal_reaching.rooms import RoomAgents, learner_of
from langrl.tasks.run import Run
from langrl.training.learner import Experience, OfflineReplay
from langrl.training.logs import console
from langrl.training.loop import run_state
from langrl.training.run_folder import REPLAY

_SCOUTS, _SCOUTED = 16, 2000  # environments, and steps of all that say how large numbers are


@dataclass(eq=False)
class GoalRun(Run):
    """A run that is evaluated by reaching goals, and whose best weights are kept.

    Args:
        replay: where achieved goals are drawn from.
        best: the best success of an evaluation so far; -1 before the first.
    """

    replay: GoalReplay | None = None
    best: float = -1.0

    @property
    def evaluation_steps(self) -> int:
        """Gradient steps between evaluations, of the config's steps of environments."""
        config = self.config
        every = config.evaluation.every
        if config.data.file or not every:
            return int(every)
        round_ = config.collect.envs * config.collect.unroll
        return max(1, round(every / round_)) * int(config.learner.updates)

    def snapshot(self) -> Checkpoint:
        """Return a checkpoint of the present state, from which training goes on bit for bit."""
        self.tensors = {"goals": self._goals()}
        checkpoint = super().snapshot()
        checkpoint.documents["state"] |= {"best": self.best}
        return checkpoint

    def restore(self, checkpoint: Checkpoint, path: Path) -> None:
        """Put the run into the state of a checkpoint; see ``Run.restore``."""
        super().restore(checkpoint, path)
        best = checkpoint.documents["state"].get("best", -1.0)
        if not isinstance(best, int | float) or not -1 <= best <= 1:
            raise CheckpointError(
                f"{path}: best in state.json is {quoted(best)}, which is no share of successes; use"
                " an earlier checkpoint"
            )
        self.best = float(best)

    def _goals(self) -> dict[str, Tensor]:
        """Return what a checkpoint holds of the replay: goals, and states with theirs."""
        assert self.replay is not None
        found = {"achieved": achieved_goals(self.replay, self.config.seed)}
        if (visited := visited_states(self.replay, self.config.seed)) is not None:
            found |= dict(zip((STATES, ACHIEVED_THERE), visited, strict=True))
        trusted = self.agent.trusted() if isinstance(self.agent, GoalAgents) else None
        if trusted is not None:
            found[CUTOFF] = torch.tensor(trusted)
        return found

    def _evaluate(self, folder: Path) -> dict[str, float]:
        """Measure how often the present weights reach held-out goals, and keep the best ones."""
        policy = self.agent.policy(self.config.evaluation.deterministic)  # type: ignore[attr-defined]
        measured = HeldOutGoals(self.config).watch(policy)
        if (success := measured["evaluation/success"]) > self.best:
            state = run_state(self.learner, self.config.threads, self.data_sha256)
            documents = {self.document: self.description.model_dump(mode="json")}
            kept = {"weights": self.learner.weights, "goals": self._goals()}
            write_checkpoint(best_folder(folder), Checkpoint(documents | {"state": state}, kept))
            self.best = success  # once it is kept: a run may be stopped before
        return measured


def build(config: GoalRunConfig, folder: Path) -> GoalRun:
    """Build everything that a run trains. The same config gives the same bits.

    Raises:
        LangRLError: naming the field or file and the repair.
    """
    seeds = np.random.SeedSequence(config.seed).generate_state(4, np.uint64) >> 1
    acting_seed, scouting, network, batches = (int(seed) for seed in seeds)
    device = torch.device(config.device)
    generator = torch.Generator(device).manual_seed(batches)
    HeldOutGoals(config).check_tasks()
    _check_data(config)
    if config.env in GRID_IDS:
        return _in_rooms(config, folder, (acting_seed, network, batches))
    experience: Experience
    if config.data.file is None:
        vector, replay = _world(config, folder, acting_seed)
        spaces = vector.spaces
        inputs = _describe_inputs(spaces, *_scout(config, scouting))
        experience = OnlineExperience(
            vector,
            replay,
            config.collect,
            updates=config.learner.updates,
            sample=partial(replay.sample, config.learner.batch_size, generator),
            seed=acting_seed,
        )
        data_sha256 = ""
    else:
        spaces, replay, inputs, data_sha256 = _recorded(config, folder, device)
        experience = OfflineReplay(replay.sample, config.learner.batch_size, generator)
    _check_words(config, spaces)
    inputs = _begun_inputs(config, folder) or inputs
    description = GoalAgentDescription.of(config, spaces, *inputs)
    critic, actor = build_networks(description, network)
    critic, actor = critic.to(device), actor.to(device)
    learner = ContrastiveActorCritic(
        critic, actor, experience, config.learner, config.last_step, generator
    )
    file = held_out_file(config) if config.grounding.waypoints else None
    held_out = None if file is None else recorded_replay(config, spaces, file)
    agents = GoalAgents(
        description,
        critic,
        actor,
        lambda best: acting(critic, actor, best, config.seed),
        lambda: achieved_goals(replay, config.seed).numpy(),
        folder,
        lambda: as_arrays(visited_states(replay, config.seed)),
        lambda: trusted_distance(config, agents, replay, held_out),
    )
    return GoalRun(
        config,
        learner,
        description,
        data_sha256,
        agent=agents,
        compared=("env", "critic", "actor"),
        replay=replay,
    )


def _check_data(config: GoalRunConfig) -> None:
    """Refuse fields of recorded data where there is none; say so where training goes on.

    Whoever acts from the weights that recorded data gave (``start``) has its fields in the config.

    Raises:
        ConfigError: naming the fields and the repair.
    """
    data, default = config.data, type(config.data)()
    idle = [f"data.{name}" for name in type(data).model_fields
            if getattr(data, name) != getattr(default, name)]  # fmt: skip
    if data.file is not None or not idle:
        return
    have = f"{', '.join(idle)} {'has' if len(idle) == 1 else 'have'} no effect without data.file"
    if config.start is None:
        raise ConfigError(f"{have}; add --data FILE, or leave them out and the agent acts")
    console.print(f"{have}: the agent acts")


def _in_rooms(config: GoalRunConfig, folder: Path, seeds: tuple[int, int, int]) -> GoalRun:
    """Build a run in a grid world."""
    vector, replay = _world(config, folder, seeds[0])
    description, learner = learner_of(config, vector, replay, seeds)
    agents = RoomAgents(description, learner.critic, config.device)
    return GoalRun(
        config, learner, description, "", agent=agents, compared=("env", "rooms"), replay=replay
    )


def _world(config: GoalRunConfig, folder: Path, seed: int) -> tuple[GoalVector, GoalReplay]:
    """Return the environments that a run acts in, and what it remembers of them."""
    vector = make_vector(config, config.collect.envs, seed, config.collect.engine)
    _check_restorable(vector, config.env)
    replay = GoalReplay(
        vector.spaces,
        vector.num_envs,
        config.replay,
        folder=folder / REPLAY,
        device=config.device,
    )
    return vector, replay


def make_vector(
    config: GoalRunConfig, count: int, seed: int, engine: Engine = "auto"
) -> GoalVector:
    """Return environments of a config side by side."""
    return GoalVector(
        config.env, count, engine, max_episode_steps=config.max_episode_steps, seed=seed
    )


def _check_restorable(vector: GoalVector, env: str) -> None:
    if not vector.restorable:
        vector.close()
        raise ConfigError(
            f"env: {env} runs as a vector environment of its own, whose episodes cannot be stored;"
            " register the single environment, and set collect.engine to sync or async"
        )


def _check_words(config: GoalRunConfig, spaces: GoalSpaces) -> None:
    """Refuse words that do not fit the goals: before the training, not after."""
    words = config.words
    if len(spaces.goal.shape) != 1 or not (words.axes or words.kinds):
        return
    env = make_goal_env(config.env, config.max_episode_steps)
    try:
        grammar = find_grammar(env, spaces.goal.shape[0], words.named_axes)
    except (ShapeError, DomainError) as error:
        raise ConfigError(f"words.axes: {error}") from error
    finally:
        env.close()
    known = () if grammar is None else grammar.drawn_kinds
    for kind in words.kinds if known else ():
        lookup(dict.fromkeys(known), kind, "instruction type of words.kinds")


def _recorded(
    config: GoalRunConfig, folder: Path, device: torch.device
) -> tuple[GoalSpaces, GoalReplay, tuple[InputDescription, InputDescription], str]:
    """Return the environment's spaces, a replay of the data, the networks' inputs, a digest."""
    vector = make_vector(config, 1, 0)
    spaces = vector.spaces
    vector.close()
    recording = _read_data(config, spaces)
    replay = GoalReplay(
        GoalSpaces(spaces.observation, spaces.goal, spaces.action),
        1,
        config.replay,
        folder=folder / REPLAY,
        device=device,
    )
    replay.fill(recording, config.data.loop_radius, config.data.mean_actions)
    assert recording.achieved is not None
    inputs = _describe_inputs(spaces, recording.observations, recording.achieved)
    arrays = (recording.observations, recording.actions, recording.last)
    return spaces, replay, inputs, digest(*arrays)


def _read_data(config: GoalRunConfig, spaces: GoalSpaces) -> Recording:
    """Return the recorded trajectories, which fit the environment; errors name their file."""
    assert config.data.file is not None
    recording = read_recording(Path(config.data.file))
    try:
        return check_recording(recording, spaces, config.data.goal_columns)
    except (ShapeError, TrajectoryError) as error:
        raise type(error)(f"{config.data.file} does not fit {config.env}: {error}") from error


def _begun_inputs(
    config: GoalRunConfig, folder: Path
) -> tuple[InputDescription, InputDescription] | None:
    """Return how inputs are scaled for the weights that training starts from; None if for none.

    Other experience would give other ranges, which these weights do not know. What is wrong with
    the checkpoint, ``begin`` says.
    """
    if config.start is None:
        return None
    begun = (folder / "checkpoints").is_dir()  # the run that it started from may have gone
    try:
        document = find_checkpoint(folder if begun else Path(config.start)) / "agent.json"
        critic = GoalAgentDescription.model_validate_json(document.read_bytes()).critic
    except (CheckpointError, OSError, ValueError):
        return None
    return critic.observation, critic.goal


def _scout(config: GoalRunConfig, seed: int) -> tuple[Array, Array]:
    """Return observations [any, ...] and goals [any, G] that a random policy meets."""
    vector = make_vector(config, min(config.collect.envs, _SCOUTS), seed)
    generator, seen = np.random.default_rng(seed), vector.reset()
    observations, goals = [seen.observation], [seen.achieved, seen.desired]
    for _ in range(math.ceil(_SCOUTED / vector.num_envs)):
        unit = vector.spaces.sample_unit(vector.num_envs, generator)
        seen = vector.step(vector.spaces.to_action(unit)).seen
        observations.append(seen.observation)
        goals += [seen.achieved, seen.desired]
    vector.close()
    return np.concatenate(observations), np.concatenate(goals)


def _describe_inputs(
    spaces: GoalSpaces, observations: Array, goals: Array
) -> tuple[InputDescription, InputDescription]:
    """Return how observations and goals are scaled, by their bounds or by what was met."""
    pairs = ((spaces.observation, observations), (spaces.goal, goals))
    one, two = (
        describe_input(space.shape, space.low, space.high, samples) for space, samples in pairs
    )
    return one, two
