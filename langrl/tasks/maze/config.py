"""The config of a maze run; no torch here."""

from typing import Literal, Self

from pydantic import Field

from langrl import MAZE_IDS
from langrl.agents.config import LearnerConfig
from langrl.data.config import DataConfig
from langrl.grounding.config import GroundingConfig
from langrl.models.config import CriticConfig, TextConfig
from langrl.settings import Reference, Settings
from langrl.tasks.config import EvaluationConfig, RunConfig


class MazeEvaluationConfig(EvaluationConfig):
    """How an agent is evaluated."""

    episodes: int = Field(200, ge=1, le=100_000, description="episodes per method")
    angle_noise: float = Field(20.0, ge=0, le=180, description="noise on each action in degrees")
    seed: int = Field(1000, ge=0, description="seed of starts, instructions and noise")


class MazeWorldConfig(Settings):
    """Where the agent acts."""

    # "." and ".." are maps of free cells, and folders too
    refers = {"layout": Reference("data", (*MAZE_IDS.values(), ".", ".."))}

    layout: str = Field("fork", description="a published maze, an ASCII map, or a file with one")


class MazeRunConfig(RunConfig):
    """Everything that decides a run's bits, with the number of threads and the versions."""

    task: Literal["street-maze"] = Field("street-maze", description="the task family")
    world: MazeWorldConfig = MazeWorldConfig()
    data: DataConfig = DataConfig()
    critic: CriticConfig = CriticConfig()
    text: TextConfig = TextConfig()
    learner: LearnerConfig = LearnerConfig()
    grounding: GroundingConfig = GroundingConfig()
    evaluation: MazeEvaluationConfig = MazeEvaluationConfig()

    def resolved(self) -> Self:
        """Return the config with a layout file replaced by its map, so that the run is portable."""
        from langrl.envs.maze.layouts import LAYOUTS
        from langrl.envs.maze.world import StreetMaze

        config = super().resolved()
        if config.world.layout in LAYOUTS:
            return config
        world = MazeWorldConfig(layout=StreetMaze(config.world.layout).layout.text)
        return config.model_copy(update={"world": world})
