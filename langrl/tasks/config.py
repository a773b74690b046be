"""What the config of every run has; no torch here, so that ``langrl --help`` is quick."""

from pathlib import Path
from typing import Any, Self

from pydantic import Field, field_validator

from langrl.settings import Reference, Settings, with_absolute_paths
from langrl.training.config import LoggingConfig

DEFAULT_TASK = "street-maze"  # of a config file that does not name its task


OFF = ("none",)  # methods of a run that is not evaluated


class EvaluationConfig(Settings):
    """Base of how agents that follow instructions are evaluated in training and at its end."""

    methods: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="strategies and baselines to compare after the training; all that fit by"
        " default, none: do not evaluate, nor during the training",
    )
    every: int = Field(
        500, ge=0, le=100_000_000, description="steps between evaluations during training; 0: none"
    )
    episodes_during: int = Field(20, ge=1, le=10_000, description="episodes in each of them")

    @field_validator("methods", mode="before")
    @classmethod
    def _one_is_a_list(cls, methods: Any) -> Any:
        return (methods,) if isinstance(methods, str) else methods

    @field_validator("methods")
    @classmethod
    def _none_is_alone(cls, methods: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if methods and methods != OFF and OFF[0] in methods:
            raise ValueError("none turns the evaluation off; leave it or the other methods out")
        return methods


class RunConfig(Settings):
    """Base of every run's config; with the versions, a config decides a run's bits.

    A task family's config gives ``task`` a value of its own, by which the family is found.
    """

    refers = {"start": Reference("weights")}

    task: str = Field(description="the task family that this config is of")
    start: str | None = Field(
        None, description="run folder of this family whose weights training starts from; else new"
    )
    logging: LoggingConfig = LoggingConfig()
    seed: int = Field(0, ge=0, lt=2**63, description="seed of data, weights and batches")
    device: str = Field(
        "cpu", pattern=r"^(cpu|cuda(:\d+)?|mps)$", description="cpu, cuda, cuda:N or mps"
    )
    threads: int = Field(1, ge=1, le=1024, description="CPU threads; the last bits depend on it")

    @property
    def last_step(self) -> int:
        """How many steps the run trains for."""
        own: Any = self
        return int(own.learner.steps)

    def resolved(self) -> Self:
        """Return the config with absolute paths, so that the run can be used from any folder."""
        return with_absolute_paths(self, Path.cwd())
