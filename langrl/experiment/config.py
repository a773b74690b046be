"""Settings of a run's book-keeping and evaluation; no torch here."""

from pydantic import Field

from langrl.settings import Settings


class EvaluationConfig(Settings):
    """How an agent is evaluated."""

    episodes: int = Field(200, ge=1, le=100_000, description="episodes per method")
    angle_noise: float = Field(20.0, ge=0, le=180, description="noise on each action in degrees")
    seed: int = Field(1000, ge=0, description="seed of starts, instructions and noise")


class GridEvaluationConfig(Settings):
    """How an agent of grid worlds is evaluated."""

    episodes: int = Field(200, ge=1, le=100_000, description="episodes per method")
    seed: int = Field(1000, ge=0, description="seed of rooms, starts and instructions")


class PolicyEvaluationConfig(EvaluationConfig):
    """How a policy of Stable-Baselines3 is evaluated; noise is that of mazes."""

    draw: bool = Field(False, description="draw actions of the policy, instead of taking the best")
    every: int = Field(100_000, ge=1, description="steps between evaluations during training")
    episodes_during: int = Field(
        20, ge=1, le=10_000, description="episodes per sort of instruction in each of them"
    )


class LoggingConfig(Settings):
    """How often a run reports and stores."""

    log_every: int = Field(50, ge=1, description="steps between records in metrics.jsonl")
    checkpoint_every: int = Field(1000, ge=1, description="steps between checkpoints")
