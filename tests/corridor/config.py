from typing import Literal

from pydantic import Field

from langrl.settings import Settings
from langrl.tasks.config import EvaluationConfig, RunConfig


class CorridorLearnerConfig(Settings):
    steps: int = Field(200, ge=1, description="optimiser steps")
    learning_rate: float = Field(0.1, gt=0, description="Adam's, at first")


class CorridorEvaluationConfig(EvaluationConfig):
    episodes: int = Field(20, ge=1, description="episodes per method")
    seed: int = Field(0, ge=0, description="of starts and instructions")


class CorridorRunConfig(RunConfig):
    task: Literal["corridor"] = Field("corridor", description="the task family")
    cells: int = Field(7, ge=3, description="cells of the corridor")
    learner: CorridorLearnerConfig = CorridorLearnerConfig()
    evaluation: CorridorEvaluationConfig = CorridorEvaluationConfig()
