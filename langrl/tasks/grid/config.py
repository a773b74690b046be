"""The config of a grid-world run; no torch here."""

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from langrl.agents.config import GridLearnerConfig
from langrl.data.config import GridDataConfig
from langrl.envs.grid.rooms import GRID_WORLDS
from langrl.errors import lookup, quoted, suggestion
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


def is_level(env_id: str) -> bool:
    """Return whether an id is that of a level of MiniGrid or BabyAI."""
    return env_id.startswith(("MiniGrid-", "BabyAI-"))


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


class LevelRunConfig(RunConfig):
    """Base of runs in grid worlds, or in a level of MiniGrid instead."""

    env: str | None = Field(
        None,
        description="a level of MiniGrid or BabyAI to learn and be evaluated in, such as"
        " BabyAI-GoToLocal-v0; else world.worlds",
    )

    @field_validator("env")
    @classmethod
    def _names_a_level(cls, env: str | None) -> str | None:
        if env is not None and not is_level(env):
            raise ValueError(
                f"env is a level of MiniGrid or BabyAI here, such as BabyAI-GoToLocal-v0, got"
                f" {quoted(env)}; grid worlds are named by world.worlds, and goals of other"
                " environments are reached by --config crl"
            )
        return env

    @model_validator(mode="after")
    def _is_one_place(self) -> Self:
        own: Any = self
        if self.env is None and own.data.walkers == "bot":
            raise ValueError("data.walkers bot needs env, a level of BabyAI")
        if self.env is not None and own.world.worlds != GridWorldConfig().worlds:
            raise ValueError(f"world.worlds has no effect in {self.env}; leave it or env out")
        return self


class GridRunConfig(LevelRunConfig):
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

    @model_validator(mode="after")
    def _compares_here(self) -> Self:
        if self.env is not None and self.grounding.compare_separate:
            raise ValueError(f"grounding.compare_separate has no effect in {self.env}; turn it off")
        return self
