"""The task suite of a Stable-Baselines3 run: that of its world, with the policy's strategies."""

from langrl.tasks.grid.config import GridEvaluationConfig
from langrl.tasks.grid.suite import GridSuite
from langrl.tasks.maze.suite import MazeSuite
from langrl.tasks.sb3.config import WORLDS, Sb3RunConfig
from langrl.tasks.sb3.guidance import groundings


def of(config: Sb3RunConfig) -> MazeSuite | GridSuite:
    """Return the suite of a run."""
    world, evaluation = WORLDS[config.world], config.evaluation
    if world.is_maze:
        return MazeSuite(world.name, evaluation, groundings(config))
    settings = GridEvaluationConfig(
        episodes=evaluation.episodes, seed=evaluation.seed, methods=evaluation.methods
    )
    return GridSuite(world.name, settings, groundings(config))
