"""Held-out trajectories of goal-reaching runs, and what is known of the true steps in them."""

from contextlib import closing
from pathlib import Path

import torch

from langrl import GRID_IDS
from langrl.data.collection import OnlineExperience
from langrl.data.config import GoalReplayConfig
from langrl.data.goal_replay import GoalReplay
from langrl.data.recordings.making import validation_file
from langrl.data.recordings.reading import read_recording
from langrl.data.recordings.recording import check_recording
from langrl.envs.goal_engine import GoalSpaces
from langrl.envs.goal_vector import GoalVector
from langrl.envs.goal_worlds import make_goal_env, spaces_of
from langrl.envs.maze.cells import cell_frame
from langrl.errors import ConfigError, ShapeError, TrajectoryError
from langrl.grounding.critic_diagnosis import CriticProbe
from langrl.grounding.cutoff import HeldOut, KnownSteps
from langrl.settings import with_changes
from langrl.tasks.cell_steps import CELLS, CellSteps
from langrl.tasks.goal_reaching.agent import GoalAgents
from langrl.tasks.goal_reaching.config import GoalRunConfig
from langrl.tasks.loading import agents_of
from langrl.training.logs import console

_ACTED = 20_000  # steps of all environments
_ENVS = 16


def probe_of(folder: Path, config: GoalRunConfig, data: Path | None, seed: int) -> CriticProbe:
    """Return a run's critic with trajectories that it did not learn from.

    They are those of a file; or of the one beside the run's data that is called after it, with
    ``-val``; or, where the run has acted to learn, the agent acts again.

    Args:
        folder: of the run, or of a checkpoint in it.
        config: of the run.
        data: recorded trajectories.
        seed: of what is drawn.

    Raises:
        ConfigError: if nothing can be measured in the run's environment.
        TrajectoryError, ShapeError: if a file does not fit; they name it.
    """
    if config.env in GRID_IDS:
        raise ConfigError(
            f"MODEL {folder}: distances are measured between goals that are numbers, and those of"
            f" {config.env} are places in rooms; give a run in another environment"
        )
    agents = agents_of(folder)
    assert isinstance(agents, GoalAgents)
    env = make_goal_env(config.env, config.max_episode_steps)
    with closing(env):
        spaces, frame = spaces_of(env), cell_frame(env)
    if len(spaces.goal.shape) != 1:
        raise ConfigError(
            f"MODEL {folder}: distances are measured between goals that are numbers, and those of"
            f" {config.env} are images; give a run in another environment"
        )
    data = data or held_out_file(config)
    if data is None and config.data.file is not None:
        data = Path(config.data.file)
        console.print(f"{validation_file(data)} does not exist: trajectories are those of training")
    replay = recorded_replay(config, spaces, data) if data else _acted(config, agents, seed)
    generator, distance = torch.Generator().manual_seed(seed), agents.distance()
    held_out = HeldOut.of(replay, generator)
    if frame is not None and frame.steps_per_cell is not None:
        steps = CellSteps(frame)
        return CriticProbe(distance, held_out, steps, CELLS, True)
    known = KnownSteps(held_out.achieved, held_out.last, generator)
    source = "the fewest over joined trajectories"
    return CriticProbe(distance, held_out, known, source, False)


def held_out_file(config: GoalRunConfig) -> Path | None:
    """Return the file beside a run's data that is called after it, with ``-val``, if there is one.

    Those of OGBench and of ``langrl data make`` have one.
    """
    if config.data.file is None:
        return None
    file = validation_file(Path(config.data.file))
    return file if file.exists() else None


def recorded_replay(config: GoalRunConfig, spaces: GoalSpaces, data: Path) -> GoalReplay:
    """Return recorded trajectories, of which futures are drawn as a run draws them.

    Args:
        config: of the run.
        spaces: of its environment.
        data: the trajectories' file.

    Raises:
        TrajectoryError, ShapeError: if the file does not fit; they name it.
    """
    recording = read_recording(data)
    try:
        recording = check_recording(recording, spaces, config.data.goal_columns)
    except (ShapeError, TrajectoryError) as error:
        raise type(error)(f"{data} does not fit {config.env}: {error}") from error
    replay = GoalReplay(
        GoalSpaces(spaces.observation, spaces.goal, spaces.action), 1, _plain(config)
    )
    replay.fill(recording, config.data.loop_radius, config.data.mean_actions)
    return replay


def _plain(config: GoalRunConfig) -> GoalReplayConfig:
    """Return how futures are drawn in a run, of transitions that are drawn one by one."""
    changes = {"hard_negatives": 0.0, "hard_within": 0, "memory_map": False}
    return with_changes(config.replay, changes, "replay")


def _acted(config: GoalRunConfig, agents: GoalAgents, seed: int) -> GoalReplay:
    """Return what an agent does that draws its actions."""
    limit = config.max_episode_steps
    with closing(GoalVector(config.env, _ENVS, max_episode_steps=limit, seed=seed)) as vector:
        longest = vector.spaces.max_episode_steps or 0
        capacity = _ENVS * max(_ACTED // _ENVS, longest + 1)
        settings = with_changes(_plain(config), {"capacity": capacity}, "replay")
        replay = GoalReplay(vector.spaces, _ENVS, settings)
        collect = with_changes(config.collect, {"envs": _ENVS, "warmup": 1}, "collect")
        experience = OnlineExperience(
            vector, replay, collect, updates=1, sample=dict, seed=seed
        )  # fmt: skip
        policy = agents.plain(False)
        while experience.steps < _ACTED:
            experience.draw(policy)
    return replay
