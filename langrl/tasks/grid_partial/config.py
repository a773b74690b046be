"""The config of a run in partially observed grid worlds; no torch here."""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from langrl.agents.config import RecurrentLearnerConfig
from langrl.data.config import ExplorationDataConfig
from langrl.envs.grid.views import check_view
from langrl.grounding.config import GridPartialGroundingConfig
from langrl.models.config import HistoryConfig, RecurrentCriticConfig
from langrl.tasks.config import RunConfig
from langrl.tasks.grid.config import (
    LANGUAGE,
    GridEvaluationConfig,
    GridWorldConfig,
    LevelRunConfig,
)


class GridPartialWorldConfig(GridWorldConfig):
    """Where the agent that sees a part of a grid world learns; it is evaluated in the first one."""

    view: int = Field(7, description="cells along a side of the egocentric view; odd, from 3 on")

    @field_validator("view")
    @classmethod
    def _has_a_middle(cls, view: int) -> int:
        return check_view(view)


class GridPartialRunConfig(LevelRunConfig):
    """As ``GridRunConfig``, for agents that see what is in front of them, and remember."""

    refers = RunConfig.refers | {"language": LANGUAGE}

    task: Literal["grid-partial"] = Field("grid-partial", description="the task family")
    world: GridPartialWorldConfig = GridPartialWorldConfig()
    data: ExplorationDataConfig = ExplorationDataConfig()
    history: HistoryConfig = HistoryConfig()
    critic: RecurrentCriticConfig = RecurrentCriticConfig()
    language: str = Field(
        "bundled", min_length=1, description="language-image model: 'bundled', a name or a folder"
    )
    learner: RecurrentLearnerConfig = RecurrentLearnerConfig()
    grounding: GridPartialGroundingConfig = GridPartialGroundingConfig()
    evaluation: GridEvaluationConfig = GridEvaluationConfig()

    @model_validator(mode="after")
    def _has_an_effect(self) -> Self:
        default = RecurrentLearnerConfig.model_fields["cpc_weight"].default
        idle = not self.history.memory or self.history.frozen
        if idle and self.learner.cpc_weight not in (0, default):
            raise ValueError(
                "learner.cpc_weight has no effect where history.memory is off or history.frozen is"
                " on; leave it out"
            )
        return self
