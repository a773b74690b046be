"""The flags of ``langrl reproduce``, as models."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from langrl.settings import Settings


class ReproduceArguments(Settings):
    """Train and evaluate on the published mazes, beside the published numbers."""

    out: Path = Field(description="folder of the runs, results.json and figures")
    seeds: int = Field(3, ge=1, le=1000, description="training seeds per maze")
    episodes: int = Field(200, ge=1, le=100_000, description="episodes per method, maze and seed")
    steps: int | None = Field(None, ge=1, description="gradient steps, instead of the presets'")


class GridGoToArguments(Settings):
    """Train agents of grid worlds and evaluate every method in four worlds, at every level."""

    out: Path = Field(description="folder of the runs, results.json and figures")
    seeds: int = Field(3, ge=1, le=1000, description="training seeds")
    episodes: int = Field(200, ge=1, le=100_000, description="per method, world, level and seed")
    steps: int | None = Field(None, ge=1, description="gradient steps, instead of the preset's")
    language: str = Field("bundled", description="language-image model, by name or folder")
    workers: int | None = Field(None, ge=1, le=1024, description="processes; one per core if unset")


class JoinedModelsArguments(Settings):
    """Join a image-sound and a image-text model, neither retrained, to name sounds."""

    out: Path = Field(description="folder of results.json and figures")
    seeds: int = Field(3, ge=1, le=1000, description="trainings of the image-sound model")
    steps: int = Field(500, ge=1, description="gradient steps of each training")
    language: str = Field("bundled", description="language-image model, by name or folder")
    workers: int | None = Field(None, ge=1, le=1024, description="processes; one per core if unset")


class ModalityGapArguments(Settings):
    """Show the modality gap's published phenomena, each as a number with its expected sign."""

    out: Path = Field(description="folder of results.json and figures")
    seeds: int = Field(5, ge=2, le=1000, description="networks and trainings of each setting")
    steps: int = Field(600, ge=1, le=1_000_000, description="gradient steps of each training")
    features: Path | None = Field(
        None, description="a .npy file of paired embeddings [2, n, D] to measure as well"
    )
    scale: float = Field(
        100.0, gt=0, le=10_000, description="features: inverse temperature they were trained with"
    )
    workers: int | None = Field(None, ge=1, le=1024, description="processes; one per core if unset")


class CpcArguments(Settings):
    """Train contrastive predictive coding: where the information is known, and in grid worlds."""

    out: Path = Field(description="folder of the runs, results.json and figures")
    seeds: int = Field(3, ge=1, le=1000, description="trainings of each critic and model")
    memory_seeds: int = Field(1, ge=1, le=1000, description="trainings of each agent")
    episodes: int = Field(
        100, ge=1, le=100_000, description="that agents are measured in, per level and world"
    )
    steps: int | None = Field(
        None, ge=1, le=1_000_000, description="gradient steps of each training, instead of our own"
    )
    workers: int | None = Field(None, ge=1, le=1024, description="processes; one per core if unset")


class RelatingArguments(Settings):
    """Contrast related with unrelated pairs in generative models of two modalities."""

    out: Path = Field(description="folder of the records, results.json and figures")
    seeds: int = Field(5, ge=1, le=1000, description="trainings of each model on digits")
    worlds_seeds: int = Field(5, ge=1, le=1000, description="the same on pairs of grid worlds")
    goals_seeds: int = Field(1, ge=1, le=1000, description="agents that the models are used by")
    episodes: int = Field(
        100, ge=1, le=100_000, description="that those agents are measured in, per level"
    )
    steps: int = Field(500, ge=1, le=1_000_000, description="gradient steps of each training")
    workers: int | None = Field(None, ge=1, le=1024, description="processes; one per core if unset")


class Sb3ZeroShotArguments(Settings):
    """Train policies of goals with Stable-Baselines3, and have them follow instructions."""

    out: Path = Field(description="folder of the runs, results.json and figures")
    seeds: int = Field(2, ge=1, le=1000, description="training seeds per world")
    episodes: int = Field(
        100, ge=1, le=100_000, description="per grounding, sort of instruction, phrasing and seed"
    )
    steps: int | None = Field(None, ge=1, description="environment steps, instead of the presets'")
    workers: int | None = Field(None, ge=1, le=1024, description="processes; one per core if unset")


class LawArguments(Settings):
    """Train critics of the synthetic world and compare estimators, beside the published table."""

    out: Path = Field(description="folder of results.json and figures")
    seeds: int = Field(5, ge=1, le=1000, description="worlds, and trainings in each")
    epochs: int = Field(64, ge=1, le=10_000, description="of training; 64 as published")
    workers: int | None = Field(None, ge=1, le=1024, description="processes; one per core if unset")


class LawIndependenceArguments(LawArguments):
    """The same where a hidden variable links A and C past the goal (Assumption 1 violated)."""

    seeds: int = Field(2, ge=1, le=1000, description="worlds, and trainings in each")


class LawAutoArguments(LawArguments):
    """A grid of settings for the rule that chooses an estimator."""

    seeds: int = Field(1, ge=1, le=1000, description="worlds; each is a grid of its own")
    epochs: int = Field(16, ge=1, le=10_000, description="of training")
    embeddings: Path | None = Field(
        None, description="a .npy file of goal embeddings to test for Assumption 3"
    )


@dataclass(frozen=True)
class Reproduction:
    """A published result: its flags, what it is, and a package and an extra that it needs."""

    arguments: type[Settings]
    meaning: str
    extra: tuple[str, str] | None = None


REPRODUCTIONS: dict[str, Reproduction] = {
    "street-mazes": Reproduction(ReproduceArguments, "agents in three mazes: half an hour"),
    "grid-goto": Reproduction(GridGoToArguments, "agents in four grid worlds: an hour"),
    "joined-models": Reproduction(JoinedModelsArguments, "two models of one modality, joined"),
    "sb3-zero-shot": Reproduction(
        Sb3ZeroShotArguments,
        "policies of goals follow language: 45 minutes",
        ("stable_baselines3", "sb3"),
    ),
    "law": Reproduction(LawArguments, "estimators of the marginal in the synthetic world"),
    "law-independence": Reproduction(
        LawIndependenceArguments, "the same with Assumption 1 violated"
    ),
    "law-auto": Reproduction(LawAutoArguments, "a grid for the rule that chooses an estimator"),
    "modality-gap": Reproduction(
        ModalityGapArguments, "cones, gaps, temperature and mismatched pairs"
    ),
    "cpc": Reproduction(
        CpcArguments, "contrastive predictive coding: information, and what histories know"
    ),
    "relating": Reproduction(
        RelatingArguments, "generative models of related pairs, contrasted: half an hour"
    ),
}
"""Reproductions by name; ``reproduce`` is in the module of that name."""
