"""The config of pre-training by contrastive predictive coding; no torch here."""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from langrl.envs.grid.rooms import GRID_WORLDS
from langrl.models.config import CpcConfig
from langrl.tasks.config import RunConfig
from langrl.tasks.grid.config import check_worlds


class CpcRunConfig(RunConfig):
    """Contrastive predictive coding, on explorations without language."""

    earlier_names = {
        "tours_per_room": "trajectories_per_room",
        "legs": "segments",
        "tours_per_batch": "trajectories_per_batch",
    }

    task: Literal["cpc"] = Field("cpc", description="the task family")
    worlds: tuple[str, ...] = Field(
        ("goto",),
        min_length=1,
        description=f"grid worlds of the explorations: {', '.join(GRID_WORLDS)}",
    )
    rooms: int = Field(2000, ge=2, le=1_000_000, description="rooms of each world")
    trajectories_per_room: int = Field(2, ge=1, le=1000, description="explorations in each room")
    segments: int = Field(
        6, ge=1, le=1000, description="poses that an exploration goes to, one after another"
    )
    action_noise: float = Field(
        0.1, ge=0, lt=1, description="share of random actions on explorations"
    )
    object_share: float = Field(
        0.5, ge=0, le=1, description="share of segments that end at an object"
    )
    view: int = Field(7, ge=3, le=63, description="cells along a side of what is seen; odd")
    length: int = Field(
        48, ge=2, le=10_000, description="states of an exploration that are used, at most"
    )
    actions: bool = Field(True, description="whether contexts read the actions between views")
    model: CpcConfig = Field(CpcConfig(), description="sizes of the model")
    trajectories_per_batch: int = Field(16, ge=2, le=100_000, description="explorations in a batch")
    anchors: int = Field(
        256, ge=2, le=100_000, description="contexts of each horizon in a batch; log of it bounds"
    )
    negatives: Literal["batch", "trajectories", "times"] = Field(
        "batch",
        description="negatives: codes of all, of other explorations, or of the same exploration",
    )
    steps: int = Field(1500, ge=1, le=100_000_000, description="gradient steps")
    learning_rate: float = Field(4e-3, gt=0, le=1, description="Adam's highest")
    probe_rooms: int = Field(
        800, ge=10, le=100_000, description="further rooms of each world that probes are fitted in"
    )
    seed: int = Field(
        0, ge=0, lt=2**32, description="seed of weights, rooms, explorations and batches"
    )

    @property
    def last_step(self) -> int:
        """How many steps the run trains for."""
        return self.steps

    @field_validator("view")
    @classmethod
    def _is_odd(cls, view: int) -> int:
        if view % 2 == 0:
            raise ValueError("the agent is in the middle of its view; give an odd number")
        return view

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        check_worlds(self.worlds)
        least = 2 * self.model.horizon + 1  # probes look as far back as ahead
        if self.length < least:
            raise ValueError(
                f"length {self.length} is too short for a horizon of {self.model.horizon} steps;"
                f" set it to {least} or more, or lower model.horizon"
            )
        return self
