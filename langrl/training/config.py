"""Settings of a run's log and checkpoints; no torch here."""

from pydantic import Field

from langrl.settings import Settings


class LoggingConfig(Settings):
    """How often a run logs metrics and writes checkpoints."""

    log_every: int = Field(50, ge=1, description="steps between records in metrics.jsonl")
    checkpoint_every: int = Field(1000, ge=1, description="steps between checkpoints")
    keep: int = Field(0, ge=0, description="newest checkpoints that are kept; 0: all")
