"""The flags that choose an engine; no torch here, so that ``langrl --help`` is quick."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from langrl.settings import Settings

if TYPE_CHECKING:
    from langrl.training.engines.base import Engine

_ONLY_FOR = {
    "ray_address": "ray",
    "slurm_partition": "slurm",
    "slurm_minutes": "slurm",
    "slurm_options": "slurm",
}


class EngineFlags(Settings):
    """Where many independent trainings and evaluations run."""

    engine: Literal["local", "ray", "slurm"] = Field(
        "local", description="processes of this machine, a Ray cluster, or SLURM job arrays"
    )
    workers: int | None = Field(
        None,
        ge=1,
        le=1024,
        description="how many at a time; if unset: one per core, or as many as the cluster starts",
    )
    ray_address: str | None = Field(
        None,
        min_length=1,
        description="HOST:PORT of a Ray cluster; local: start one here; if unset: RAY_ADDRESS, or"
        " the one that runs here",
    )
    slurm_partition: str | None = Field(None, min_length=1, description="of the SLURM jobs")
    slurm_minutes: int | None = Field(
        None, ge=1, le=100_000, description="time limit of a SLURM job; 240 if unset"
    )
    slurm_options: tuple[str, ...] | None = Field(
        None, min_length=1, description="further options of sbatch, each as NAME=VALUE"
    )

    @model_validator(mode="after")
    def _flags_fit_the_engine(self) -> Self:
        for name, engine in _ONLY_FOR.items():
            if getattr(self, name) is not None and self.engine != engine:
                flag = "--" + name.replace("_", "-")
                raise ValueError(f"{flag} is for --engine {engine}; add that, or leave it out")
        for option in self.slurm_options or ():
            name, equals, _ = option.partition("=")
            if not (name and equals) or name.startswith("-"):
                raise ValueError(
                    f"--slurm-options: {option!r} is no NAME=VALUE, such as account=mine"
                )
        return self


def make_engine(flags: EngineFlags, folder: Path) -> "Engine":
    """Return the engine that flags choose.

    Args:
        flags: of the command.
        folder: of the command's results, on a disk that all machines share; SLURM's files and logs
            go to its folder ``slurm``.

    Raises:
        MissingExtraError: if the engine's package is not installed.
        ConfigError: if no cluster answers.
    """
    if flags.engine == "ray":
        from langrl.training.engines.ray import RayEngine

        return RayEngine(flags.ray_address, flags.workers)
    if flags.engine == "slurm":
        from langrl.training.engines.slurm import MINUTES, SlurmEngine

        options = dict(option.split("=", 1) for option in flags.slurm_options or ())
        return SlurmEngine(
            folder / "slurm",
            flags.workers,
            flags.slurm_partition,
            flags.slurm_minutes or MINUTES,
            options,
        )
    from langrl.training.engines.local import LocalEngine

    return LocalEngine(flags.workers)
