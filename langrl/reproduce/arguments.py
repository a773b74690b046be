"""The flags of ``langrl reproduce``, as models."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from langrl.settings import Settings
from langrl.training.engines.config import EngineFlags


class Reproduction(Settings):
    """What every reproduction is given."""

    out: Path = Field(description="folder of results.json, figures and what is trained")


class ParallelReproduction(EngineFlags, Reproduction):
    """What every reproduction of many trainings is given."""


class ReproduceArguments(ParallelReproduction):
    """Train and evaluate on the published mazes, beside the published numbers."""

    seeds: int = Field(3, ge=1, le=1000, description="training seeds per maze")
    episodes: int = Field(200, ge=1, le=100_000, description="episodes per method, maze and seed")
    steps: int | None = Field(None, ge=1, description="gradient steps, instead of the presets'")


class GridGoToArguments(ParallelReproduction):
    """Train agents of grid worlds and evaluate every method in four worlds, at every level."""

    seeds: int = Field(3, ge=1, le=1000, description="training seeds")
    episodes: int = Field(200, ge=1, le=100_000, description="per method, world, level and seed")
    steps: int | None = Field(None, ge=1, description="gradient steps, instead of the preset's")
    language: str = Field("bundled", description="language-image model, by name or folder")


class JoinedModelsArguments(ParallelReproduction):
    """Join an image-sound and an image-text model, neither retrained, to name sounds."""

    seeds: int = Field(3, ge=1, le=1000, description="trainings of the image-sound model")
    steps: int = Field(500, ge=1, description="gradient steps of each training")
    language: str = Field("bundled", description="language-image model, by name or folder")


class ModalityGapArguments(ParallelReproduction):
    """Show the modality gap's published phenomena, each as a number with its expected sign."""

    seeds: int = Field(5, ge=2, le=1000, description="networks and trainings of each setting")
    steps: int = Field(600, ge=1, le=1_000_000, description="gradient steps of each training")
    features: Path | None = Field(
        None, description="a .npy file of paired embeddings [2, n, D] to measure as well"
    )
    scale: float = Field(
        100.0, gt=0, le=10_000, description="features: inverse temperature they were trained with"
    )


class CpcArguments(ParallelReproduction):
    """Train contrastive predictive coding: where the information is known, and in grid worlds."""

    seeds: int = Field(3, ge=1, le=1000, description="trainings of each critic and model")
    memory_seeds: int = Field(1, ge=1, le=1000, description="trainings of each agent")
    episodes: int = Field(
        100, ge=1, le=100_000, description="that agents are measured in, per level and world"
    )
    steps: int | None = Field(
        None, ge=1, le=1_000_000, description="gradient steps of each training, instead of our own"
    )


class RelatingArguments(ParallelReproduction):
    """Contrast related with unrelated pairs in generative models of two modalities."""

    seeds: int = Field(5, ge=1, le=1000, description="trainings of each model on digits")
    worlds_seeds: int = Field(2, ge=0, le=1000, description="the same on pairs of grid worlds")
    found_seeds: int = Field(1, ge=0, le=1000, description="of those, that find more pairs")
    ablation_seeds: int = Field(1, ge=0, le=1000, description="of those, for ablations")
    goals_seeds: int = Field(1, ge=0, le=1000, description="agents that the models are used by")
    episodes: int = Field(
        100, ge=1, le=100_000, description="that those agents are measured in, per level"
    )
    steps: int = Field(400, ge=1, le=1_000_000, description="gradient steps of each training")
    batch_size: int = Field(64, ge=2, le=100_000, description="digits: pairs in a batch")
    samples: int = Field(2, ge=1, le=4096, description="digits: latents of each pair (K)")
    channels: int = Field(
        8,
        ge=1,
        le=1024,
        description="digits: of the convolution nearest to an image; 32 as published",
    )
    device: str = Field("cpu", description="digits: where models are trained and measured")


class Sb3ZeroShotArguments(ParallelReproduction):
    """Train policies of goals with Stable-Baselines3, and have them follow instructions."""

    seeds: int = Field(2, ge=1, le=1000, description="training seeds per world")
    episodes: int = Field(
        100, ge=1, le=100_000, description="per grounding, instruction type, phrasing and seed"
    )
    steps: int | None = Field(None, ge=1, description="environment steps, instead of the presets'")


class LawArguments(ParallelReproduction):
    """Train critics of the synthetic world and compare estimators, beside the published table."""

    seeds: int = Field(5, ge=1, le=1000, description="worlds, and trainings in each")
    epochs: int = Field(64, ge=1, le=10_000, description="of training; 64 as published")


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


class CrlVsHerArguments(ParallelReproduction):
    """Train contrastive agents from scratch, beside SAC with HER for the same seconds."""

    seeds: int = Field(3, ge=1, le=1000, description="trainings in each environment")
    envs: tuple[str, ...] = Field(
        (
            "langrl/StreetMaze-Fork-v0",
            "langrl/StreetMaze-Island-v0",
            "FetchReach-v4",
            "PointMaze_UMaze-v3",
        ),
        min_length=1,
        description="environments; each has the preset that `langrl train --config crl` gives it",
    )
    env_steps: int | None = Field(None, ge=1, description="of ours, instead of the presets'")
    episodes: int = Field(100, ge=1, le=100_000, description="held-out goals of each evaluation")


class OgbenchPointmazeArguments(ParallelReproduction):
    """Learn from OGBench's PointMaze data, made anew, and reach their tasks."""

    seeds: int = Field(3, ge=1, le=1000, description="trainings on each data set")
    mazes: tuple[str, ...] = Field(
        ("medium", "large", "giant"), min_length=1, description="sizes of the maze"
    )
    episodes: int = Field(50, ge=1, le=100_000, description="episodes of each of the five tasks")
    steps: int | None = Field(None, ge=1, description="gradient steps, instead of the presets'")
    data: Path | None = Field(
        None, description="folder of pointmaze-SIZE-navigate.npz files; made in --out if unset"
    )


class WaypointsArguments(ParallelReproduction):
    """Reach far goals of OGBench's PointMaze by waypoints, beside the critic alone."""

    seeds: int = Field(3, ge=1, le=1000, description="trainings on each data set")
    mazes: tuple[str, ...] = Field(
        ("medium", "large", "giant"), min_length=1, description="sizes of the maze"
    )
    kinds: tuple[str, ...] = Field(
        ("navigate", "stitch"), min_length=1, description="kinds of data"
    )
    episodes: int = Field(50, ge=1, le=100_000, description="episodes of each of the five tasks")
    steps: int | None = Field(None, ge=1, description="gradient steps, instead of the preset's")
    waypoints: int = Field(1500, ge=1, le=5000, description="waypoints of each graph")
    data: Path | None = Field(
        None, description="folder of pointmaze-SIZE-KIND.npz files; made in --out if unset"
    )


class WordsArguments(ParallelReproduction):
    """Score text towers on texts that they were told, and on texts that they never were."""

    seeds: int = Field(3, ge=1, le=1000, description="trainings, and draws of rooms")
    worlds: tuple[str, ...] = Field(
        ("street-blank", "grid-goto", "grid-crowded", "grid-rooms", "grid-relations"),
        min_length=1,
        description="the maze and grid worlds",
    )
    towers: tuple[str, ...] = Field(
        ("compact", "table", "texts", "table+texts", "exclusions"),
        min_length=1,
        description="text towers of the maze's agents: these, or a SentenceTransformer",
    )
    languages: tuple[str, ...] = Field(
        ("bundled",), min_length=1, description="language-image models, by name or folder"
    )
    rooms: int = Field(60, ge=1, le=10_000, description="rooms of each grid world")
    episodes: int = Field(
        100,
        ge=0,
        le=100_000,
        description="per level, phrasing and strategy; 0: no success, and no agents in grid worlds",
    )
    steps: int | None = Field(None, ge=1, description="gradient steps, instead of the presets'")


class BabyaiArguments(ParallelReproduction):
    """Follow BabyAI's missions without one pair, beside policies that are shown pairs."""

    levels: tuple[str, ...] = Field(
        (
            "BabyAI-GoToObj-v0", "BabyAI-GoToRedBall-v0", "BabyAI-GoToLocal-v0",
            "BabyAI-GoToObjMazeOpen-v0", "BabyAI-GoToOpen-v0", "BabyAI-GoTo-v0",
            "BabyAI-PickupLoc-v0", "BabyAI-Pickup-v0", "BabyAI-OpenDoor-v0",
        ),
        min_length=1,
        description="levels of BabyAI",
    )  # fmt: skip
    views: tuple[Literal["full", "partial"], ...] = Field(
        ("full", "partial"), min_length=1, description="what is seen: everything, or 7x7 cells"
    )
    seeds: int = Field(1, ge=1, le=1000, description="trainings of each agent and policy")
    episodes: int = Field(
        1000, ge=1, le=100_000, description="the level's own, per method and phrasing"
    )
    steps: int | None = Field(None, ge=1, description="gradient steps, instead of the presets'")
    trajectories: int = Field(
        2000, ge=1, le=10_000_000, description="of agents that learn in a level, to one goal each"
    )
    demonstrations: tuple[Annotated[int, Field(ge=1, le=10_000)], ...] = Field(
        (1, 10),
        description="demonstrations with missions that policies are cloned from, times the"
        " trajectories",
    )
    learned: tuple[Literal["rooms", "level"], ...] = Field(
        ("rooms", "level"), min_length=1, description="where langrl's agents learn"
    )
    walkers: tuple[Literal["own", "bot"], ...] = Field(
        ("own",),
        min_length=1,
        description="whose trajectories agents of a level learn from, as data.walkers; each has"
        " rows of its own",
    )
    memory: tuple[Literal["with", "without"], ...] = Field(
        ("with", "without"),
        min_length=1,
        description="whether agents of a level that see a part remember; without is the ablation",
    )
    language: str = Field("bundled", description="language-image model, by name or folder")


@dataclass(frozen=True)
class PublishedResult:
    """A published result: its flags, what it is, and a package and an extra that it needs."""

    arguments: type[Settings]
    meaning: str
    extra: tuple[str, str] | None = None


REPRODUCTIONS: dict[str, PublishedResult] = {
    "street-mazes": PublishedResult(ReproduceArguments, "agents in three mazes: half an hour"),
    "grid-goto": PublishedResult(GridGoToArguments, "agents in four grid worlds: an hour"),
    "joined-models": PublishedResult(JoinedModelsArguments, "two models of one modality, joined"),
    "sb3-zero-shot": PublishedResult(
        Sb3ZeroShotArguments,
        "policies of goals follow language: 45 minutes",
        ("stable_baselines3", "sb3"),
    ),
    "law": PublishedResult(LawArguments, "estimators of the marginal in the synthetic world"),
    "law-independence": PublishedResult(
        LawIndependenceArguments, "the same with Assumption 1 violated"
    ),
    "law-auto": PublishedResult(LawAutoArguments, "a grid for the rule that chooses an estimator"),
    "modality-gap": PublishedResult(
        ModalityGapArguments, "cones, gaps, temperature and mismatched pairs"
    ),
    "cpc": PublishedResult(
        CpcArguments, "contrastive predictive coding: information, and what histories know"
    ),
    "relating": PublishedResult(
        RelatingArguments, "generative models of related pairs, contrasted: half an hour"
    ),
    "crl-vs-her": PublishedResult(
        CrlVsHerArguments,
        "contrastive agents from scratch, beside SAC with HER",
        ("stable_baselines3", "sb3"),
    ),
    "ogbench-pointmaze": PublishedResult(
        OgbenchPointmazeArguments,
        "agents of recorded data in OGBench's PointMaze",
        ("ogbench", "ogbench"),
    ),
    "waypoints": PublishedResult(
        WaypointsArguments,
        "far goals in OGBench's PointMaze, by waypoints",
        ("ogbench", "ogbench"),
    ),
    "babyai": PublishedResult(
        BabyaiArguments, "missions of BabyAI, without one pair: 20 hours; fewer --levels"
    ),
    "words": PublishedResult(WordsArguments, "texts that no text tower was told"),
}
"""Reproductions by name; ``reproduce`` is in the module of that name."""
