"""The config of a maze run; no torch here."""

from typing import Literal

from pydantic import Field

from langrl.agents.config import LearnerConfig
from langrl.data.config import DataConfig
from langrl.grounding.config import GroundingConfig
from langrl.models.config import CriticConfig, TextConfig
from langrl.settings import Settings
from langrl.training.config import LoggingConfig


class MazeEvaluationConfig(Settings):
    """How an agent is evaluated."""

    episodes: int = Field(200, ge=1, le=100_000, description="episodes per method")
    angle_noise: float = Field(20.0, ge=0, le=180, description="noise on each action in degrees")
    seed: int = Field(1000, ge=0, description="seed of starts, instructions and noise")


class MazeWorldConfig(Settings):
    """Where the agent acts."""

    layout: str = Field("fork", description="a published maze, an ASCII map, or a file with one")


class MazeRunConfig(Settings):
    """Everything that decides a run's bits, with the number of threads and the versions."""

    task: Literal["street-maze"] = Field("street-maze", description="what sort of config this is")
    world: MazeWorldConfig = MazeWorldConfig()
    data: DataConfig = DataConfig()
    critic: CriticConfig = CriticConfig()
    text: TextConfig = TextConfig()
    learner: LearnerConfig = LearnerConfig()
    grounding: GroundingConfig = GroundingConfig()
    evaluation: MazeEvaluationConfig = MazeEvaluationConfig()
    logging: LoggingConfig = LoggingConfig()
    seed: int = Field(0, ge=0, lt=2**63, description="seed of data, weights and batches")
    device: str = Field(
        "cpu", pattern=r"^(cpu|cuda(:\d+)?|mps)$", description="cpu, cuda, cuda:N or mps"
    )
    threads: int = Field(1, ge=1, le=1024, description="CPU threads; the last bits depend on it")
