"""Settings of the contrastive learner; no torch here, so that ``langrl --help`` is quick."""

from pydantic import Field

from langrl.settings import Settings


class LearnerConfig(Settings):
    """How the critic and the language side are trained, together."""

    steps: int = Field(2500, ge=1, le=100_000_000, description="gradient steps")
    batch_size: int = Field(256, ge=2, le=1_000_000, description="state-actions in a batch")
    language_batch_size: int = Field(128, ge=2, le=1_000_000, description="state-text pairs in it")
    learning_rate: float = Field(6e-3, gt=0, le=1, description="Adam's, falling to 0 by a cosine")
    logsumexp_penalty: float = Field(0.0, ge=0, description="weight of the squared log-partition")
    action_weight: float = Field(1.0, ge=0, description="weight of telling actions apart")
    language_weight: float = Field(1.0, gt=0, description="weight of the language loss")


class RoomLearnerConfig(Settings):
    """How the critic of grid worlds is trained."""

    steps: int = Field(7000, ge=1, le=100_000_000, description="gradient steps")
    rooms: int = Field(32, ge=1, le=100_000, description="rooms in a batch")
    states: int = Field(32, ge=2, le=100_000, description="state-actions in each room")
    learning_rate: float = Field(3e-3, gt=0, le=1, description="Adam's, falling to 0 by a cosine")
    warmup: int = Field(100, ge=0, description="steps in which the learning rate rises from 0")
    clip: float = Field(1.0, gt=0, description="largest norm of the gradient")
    action_weight: float = Field(2.0, ge=0, description="weight of telling actions apart")
