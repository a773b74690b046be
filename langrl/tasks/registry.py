"""The task families."""

from pathlib import Path
from typing import cast

from langrl import GRID_IDS, MAZE_IDS
from langrl.checkpoint import step_folder
from langrl.tasks.grid.config import GridRunConfig, GridWorldConfig
from langrl.tasks.grid.run import build_grid_run
from langrl.tasks.grid.suite import GridSuite
from langrl.tasks.grid_partial.config import GridPartialRunConfig
from langrl.tasks.grid_partial.run import build_grid_partial_run
from langrl.tasks.grid_partial.suite import GridPartialSuite
from langrl.tasks.maze.config import MazeRunConfig, MazeWorldConfig
from langrl.tasks.maze.run import build_maze_run, resolve_layout
from langrl.tasks.maze.suite import MazeSuite
from langrl.tasks.presets import load_config
from langrl.tasks.run import Run
from langrl.tasks.sb3.config import Sb3RunConfig
from langrl.tasks.suite import TaskSuite
from langrl.training.loop import Training
from langrl.training.run_folder import (
    CONFIG_FILE,
    check_empty,
    read_newest,
    take_up,
    use_device,
    write_config,
)

OwnRunConfig = MazeRunConfig | GridRunConfig | GridPartialRunConfig  # what langrl trains itself


AnyRunConfig = OwnRunConfig | Sb3RunConfig


OWN_RUN_CONFIGS = (MazeRunConfig, GridRunConfig, GridPartialRunConfig)


RUN_CONFIGS = (*OWN_RUN_CONFIGS, Sb3RunConfig)


def build_run(config: OwnRunConfig) -> Run:
    """Build everything that a run trains. The same config gives the same bits.

    Raises:
        LayoutError, TrajectoryError, ConfigError: naming the field or file and the repair.
    """
    use_device(config.device, config.threads)
    if isinstance(config, GridPartialRunConfig):
        return build_grid_partial_run(config)
    return build_maze_run(config) if isinstance(config, MazeRunConfig) else build_grid_run(config)


def resolve(config: OwnRunConfig) -> OwnRunConfig:
    """Return the config with files replaced by what they hold, so that the run is portable."""
    return resolve_layout(config) if isinstance(config, MazeRunConfig) else config


def load_run_config(source: str) -> AnyRunConfig:
    """Read a preset or a file of a run in any sort of world; see ``load_config``."""
    return cast(AnyRunConfig, load_config(source, *RUN_CONFIGS))


def load_own_config(file: Path) -> OwnRunConfig:
    """Read the config file of a run that langrl trains itself; see ``load_config``."""
    return cast(OwnRunConfig, load_config(str(file), *OWN_RUN_CONFIGS))


def train_run(config: OwnRunConfig, folder: Path, label: str) -> tuple[Run, float]:
    """Train a new run in ``folder`` and return it with the seconds of training.

    Raises:
        ConfigError: if the folder holds something already; what ``build_run`` raises, too.
    """
    config = resolve(config)
    check_empty(folder)
    run = build_run(config)
    write_config(folder, config)
    return run, _train(run, folder, label)


def is_trained(folder: Path, config: OwnRunConfig) -> bool:
    """Whether the folder holds a finished run of this config, however it was evaluated."""
    done = step_folder(folder, config.learner.steps)
    file = folder / CONFIG_FILE
    if not (done.is_dir() and file.is_file()):
        return False
    stored = load_own_config(file)
    return stored.model_copy(update={"evaluation": config.evaluation}) == resolve(config)


def resume_run(folder: Path, label: str) -> tuple[Run, float]:
    """Go on with a run from its newest checkpoint, to the bits of an uninterrupted one.

    Raises:
        CheckpointError: if there is no sound checkpoint, or it is not of the config beside it.
        ConfigError: if ``config.yaml`` is missing or wrong.
    """
    path, checkpoint = read_newest(folder)
    run = build_run(load_own_config(folder / CONFIG_FILE))
    take_up(run, checkpoint, path)
    return run, _train(run, folder, label)


def _train(run: Run, folder: Path, label: str) -> float:
    config = run.config
    training = Training(run.learner, config.learner.steps, folder, config.logging, run.snapshot)
    return training.run(label)


def scene_of(config: AnyRunConfig) -> TaskSuite:
    """Return the scene of a run's world."""
    if isinstance(config, Sb3RunConfig):
        from langrl.tasks.sb3.guidance import groundings

        if config.world in MAZE_IDS:
            maze = MazeRunConfig(
                world=MazeWorldConfig(layout=MAZE_IDS[config.world]), evaluation=config.evaluation
            )
            return MazeSuite(maze, groundings(config))
        world = GridWorldConfig(worlds=(GRID_IDS[config.world],))
        return GridSuite(GridRunConfig(world=world), groundings(config))
    if isinstance(config, GridPartialRunConfig):
        return GridPartialSuite(config)
    return MazeSuite(config) if isinstance(config, MazeRunConfig) else GridSuite(config)
