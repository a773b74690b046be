"""The config of a grid-world run; no torch here."""

from typing import Literal

from pydantic import Field, field_validator

from langrl.agents.config import GridLearnerConfig
from langrl.data.config import GridDataConfig
from langrl.envs.grid.rooms import GRID_WORLDS
from langrl.errors import lookup, suggestion
from langrl.grounding.config import GridGroundingConfig
from langrl.models.config import GridCriticConfig
from langrl.settings import Reference, Settings
from langrl.tasks.config import EvaluationConfig, RunConfig

LANGUAGE = Reference("model", ("bundled",))


def check_worlds(worlds: tuple[str, ...]) -> None:
    """Raise ValueError unless they are different grid worlds."""
    for name in worlds:
        if name not in GRID_WORLDS:
            raise ValueError(f"no grid world named {name!r}; {suggestion(name, GRID_WORLDS)}")
    if len(set(worlds)) != len(worlds):
        raise ValueError("worlds names one twice; name each once")


class GridEvaluationConfig(EvaluationConfig):
    """How an agent of grid worlds is evaluated."""

    episodes: int = Field(200, ge=1, le=100_000, description="episodes per method")
    seed: int = Field(1000, ge=0, description="seed of rooms, starts and instructions")


class GridWorldConfig(Settings):
    """Where the agent of grid worlds learns; the first world is where it is evaluated."""

    worlds: tuple[str, ...] = Field(
        ("goto",), min_length=1, description=f"of {', '.join(GRID_WORLDS)}; one may come twice"
    )

    @field_validator("worlds")
    @classmethod
    def _known_worlds(cls, worlds: tuple[str, ...]) -> tuple[str, ...]:
        for world in worlds:
            lookup(GRID_WORLDS, world, "grid world")
        return worlds


class GridRunConfig(RunConfig):
    """As ``MazeRunConfig``, for grid worlds: the language side is a pretrained model."""

    refers = RunConfig.refers | {"language": LANGUAGE}

    task: Literal["grid"] = Field("grid", description="the task family")
    world: GridWorldConfig = GridWorldConfig()
    data: GridDataConfig = GridDataConfig()
    critic: GridCriticConfig = GridCriticConfig()
    language: str = Field(
        "bundled", min_length=1, description="language-image model: 'bundled', a name or a folder"
    )
    learner: GridLearnerConfig = GridLearnerConfig()
    grounding: GridGroundingConfig = GridGroundingConfig()
    evaluation: GridEvaluationConfig = GridEvaluationConfig()
