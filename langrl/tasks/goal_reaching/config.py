"""The config of a goal-reaching run, in any goal environment; no torch here."""

import math
from typing import Literal, Self

from pydantic import Field, model_validator

from langrl import GRID_IDS
from langrl.agents.config import GoalLearnerConfig
from langrl.data.config import CollectConfig, GoalReplayConfig, RecordedDataConfig
from langrl.grounding.config import GoalGroundingConfig, WordsConfig
from langrl.models.config import ActorConfig, GridCriticConfig, StateGoalCriticConfig
from langrl.settings import EnvironmentId
from langrl.tasks.config import EvaluationConfig, RunConfig
from langrl.training.config import LoggingConfig


class GoalEvaluationConfig(EvaluationConfig):
    """How reaching goals, and following instructions, is evaluated."""

    every: int = Field(
        50_000,
        ge=0,
        description="steps of environments (recorded data: gradient steps) between"
        " evaluations in training; 0: none",
    )
    episodes: int = Field(100, ge=1, le=100_000, description="episodes per method")
    tasks: int = Field(
        0,
        ge=0,
        le=1000,
        description="tasks that the environment numbers from 1, by its option task_id (OGBench has"
        " 5), which share the episodes; 0: the goals that it draws",
    )
    seed: int = Field(1000, ge=0, description="seed of starts and goals; training has others")
    deterministic: bool = Field(True, description="the actor's mean or best action; else a draw")


class GoalRunConfig(RunConfig):
    """Everything that decides a run's bits, with the number of threads and the versions."""

    task: Literal["goal-reaching"] = Field("goal-reaching", description="the task family")
    env: EnvironmentId = Field(
        "langrl/StreetMaze-Fork-v0", min_length=1, description="Gymnasium's id"
    )
    max_episode_steps: int | None = Field(
        None, ge=1, description="time limit of an episode; the environment's own by default"
    )
    collect: CollectConfig = CollectConfig()
    data: RecordedDataConfig = RecordedDataConfig()
    replay: GoalReplayConfig = GoalReplayConfig()
    critic: StateGoalCriticConfig = StateGoalCriticConfig()
    rooms: GridCriticConfig = Field(
        GridCriticConfig(), description="grid worlds: the critic, in the place of the other one"
    )
    actor: ActorConfig = ActorConfig()
    learner: GoalLearnerConfig = GoalLearnerConfig()
    words: WordsConfig = WordsConfig()
    grounding: GoalGroundingConfig = GoalGroundingConfig()
    evaluation: GoalEvaluationConfig = GoalEvaluationConfig()
    logging: LoggingConfig = LoggingConfig(log_every=200, checkpoint_every=5000, keep=1)

    @model_validator(mode="after")
    def _has_an_effect(self) -> Self:
        idle = ("critic", "words", "data") if self.env in GRID_IDS else ("rooms",)
        for name in idle:
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} has no effect in {self.env}; leave it out")
        if self.grounding.waypoints and self.env in GRID_IDS:
            raise ValueError(
                f"grounding.waypoints needs a world that stays as it is, and each episode of"
                f" {self.env} is in another room; leave it out"
            )
        if self.replay.hard_negatives and self.env in GRID_IDS:
            raise ValueError(
                f"replay.hard_negatives has no effect in {self.env}, where all goals that are"
                " contrasted are of one room; leave it out"
            )
        if self.replay.hard_negatives and self.learner.ignored_negatives == "same_episode":
            raise ValueError(
                "replay.hard_negatives are of the same episode, which learner.ignored_negatives"
                " leaves out; set that to none or equal_goals"
            )
        return self

    @property
    def rounds(self) -> int:
        """How often the agent acts and then learns."""
        collect = self.collect
        left = max(self.learner.env_steps - collect.warmup, 0)
        return math.ceil(left / (collect.envs * collect.unroll))

    @property
    def last_step(self) -> int:
        """How many gradient steps the run takes."""
        learner = self.learner
        return learner.steps if self.data.file else max(self.rounds, 1) * learner.updates
