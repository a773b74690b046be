"""Held-out trajectories of maze runs: new experts, and shortest paths over the cells."""

from pathlib import Path

import numpy as np

from langrl.data.maze.experts import maze_experts
from langrl.data.trajectories import Trajectories, load_trajectories
from langrl.envs.maze.cells import street_frame
from langrl.envs.maze.world import StreetMaze
from langrl.errors import TrajectoryError
from langrl.grounding.critic_diagnosis import CriticProbe
from langrl.grounding.successor import SuccessorDistance
from langrl.tasks.cell_steps import CELLS, CellSteps
from langrl.tasks.loading import agents_of
from langrl.tasks.maze.config import MazeRunConfig
from langrl.tasks.maze.held_out import held_out_of

_TRAJECTORIES = 2000


def probe_of(folder: Path, config: MazeRunConfig, data: Path | None, seed: int) -> CriticProbe:
    """Return a run's critic with trajectories that it did not learn from.

    They are those of a file, or of experts by another seed than those of the run.

    Args:
        folder: of the run, or of a checkpoint in it.
        config: of the run.
        data: recorded trajectories.
        seed: of what is drawn.

    Raises:
        TrajectoryError: if a file does not fit; it names the file.
    """
    world = StreetMaze(config.world.layout)
    agent = agents_of(folder)()
    trajectories = _trajectories(config, world, data, seed)
    held_out = held_out_of(trajectories, config.data, seed)
    steps = CellSteps(street_frame(world))
    distance = SuccessorDistance([agent.critic], agent.actions)
    return CriticProbe(distance, held_out, steps, CELLS, True, needed_only=False)


def _trajectories(
    config: MazeRunConfig, world: StreetMaze, data: Path | None, seed: int
) -> Trajectories:
    if data is None:
        generator = np.random.default_rng([seed, config.seed, 1])  # none that a run has
        return maze_experts(world.layout, _TRAJECTORIES, generator, config.data.angle_noise)
    trajectories = load_trajectories(data, state_size=2, action_size=2)
    free = world.inside(trajectories.observations, ~world.walls)
    if not free.all():
        raise TrajectoryError(
            f"{data}: observations[{int((~free).argmax())}] is in a wall of the run's maze, or"
            " outside it; give trajectories of this maze"
        )
    return trajectories
