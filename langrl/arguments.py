"""The flags of every command, as models; those of training are the fields of its config."""

from pathlib import Path
from typing import Annotated, Literal

import tyro
from pydantic import Field

from langrl.config import GridRunConfig, PartialRunConfig, PolicyRunConfig, RunConfig
from langrl.envs.grammar import KINDS
from langrl.envs.grid_grammar import LEVELS
from langrl.grounding.config import StrategyName
from langrl.pretrain_config import CpcPretrainConfig, PretrainConfig
from langrl.settings import Settings

MethodName = Literal[StrategyName, "policy", "nearest_object", "oracle", "random"]


class EvaluateArguments(Settings):
    """Evaluate a trained run: on drawn instructions of each kind, or on a text of your own."""

    run: Annotated[Path, tyro.conf.Positional] = Field(description="a run folder")
    instruction: str | None = Field(None, description="follow this text instead of drawn ones")
    methods: tuple[MethodName, ...] | None = Field(
        None, min_length=1, description="what to compare; all that fits the world by default"
    )
    kinds: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description=f"kinds of instruction: of {', '.join(KINDS)} in mazes, levels of"
        f" {', '.join(LEVELS)} in grid worlds; all of the world's by default",
    )
    phrasings: tuple[Literal["seen", "held_out"], ...] = Field(
        ("seen", "held_out"), min_length=1, description="phrasings of training, or others"
    )
    episodes: int = Field(100, ge=1, le=100_000, description="episodes per row of the table")
    seed: int | None = Field(None, ge=0, description="seed of the tasks; the config's by default")
    layout: str | None = Field(
        None, description="refuse the run unless it was trained in this maze"
    )
    policy: Path | None = Field(
        None, description="a Stable-Baselines3 zip to use in the place of the run's own policy"
    )
    trust_pickle: bool = Field(
        False, description="read the zip, which runs code that its author chose"
    )
    out: Path | None = Field(None, description="folder of the results; RUN/evaluation by default")


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
    """Join a picture-sound and a picture-text model, neither retrained, to name sounds."""

    out: Path = Field(description="folder of results.json and figures")
    seeds: int = Field(3, ge=1, le=1000, description="trainings of the picture-sound model")
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


class DiagnoseArguments(Settings):
    """Say what a model's embeddings of two modalities are good for, and what is wrong with them."""

    model: Annotated[str, tyro.conf.Positional] = Field(
        min_length=1,
        description="'bundled', a folder or hub name of a language-image model, or a .npy file of"
        " paired embeddings [2, n, D]",
    )
    pairs: str | None = Field(
        None,
        min_length=1,
        description="pictures with texts: a folder of captioned images, a grid world or an"
        " environment id; not for .npy files",
    )
    count: int = Field(500, ge=4, le=3_000, description="pairs at most")
    scale: float | None = Field(
        None, gt=0, le=10_000, description=".npy files: the model's inverse temperature, if known"
    )
    seed: int = Field(0, ge=0, lt=2**32, description="seed of the pairs that are drawn")
    out: Path = Field(Path("runs/diagnose"), description="folder of results.json and figures")


class SpeedArguments(Settings):
    """Measure speed as a ratio against a baseline in the same run."""

    only: str | None = Field(None, description="a single benchmark; all by default")
    rounds: int = Field(5, ge=1, le=1000, description="measurements of each variant")
    out: Path = Field(Path("runs/speed"), description="folder of results.json")


class TrainPaths(Settings):
    """Where a run goes, and how it starts."""

    out: Path | None = Field(None, description="run folder; runs/NAME by default")
    resume: Path | None = Field(None, description="go on with the run in this folder")
    print_config: bool = Field(False, description="print the resolved YAML and stop")


class DemoArguments(Settings):
    """Train in one world, compare the methods, follow one instruction; a few minutes."""

    world: Literal["street", "grid"] = Field("street", description="street maze or grid world")
    instruction: str | None = Field(None, description="the text to follow and to draw")
    config: str | None = Field(None, description="a preset or a YAML file, instead of the world's")
    out: Path | None = Field(
        None, description="folder of the run, results and pictures; runs/demo, or runs/demo-grid"
    )


class TrainArguments(RunConfig, TrainPaths):
    """A run config with the paths of ``langrl train`` beside it."""


class GridTrainArguments(GridRunConfig, TrainPaths):
    """The same for grid worlds."""


class PartialTrainArguments(PartialRunConfig, TrainPaths):
    """The same for grid worlds of which the agent sees a part."""


class PolicyTrainArguments(PolicyRunConfig, TrainPaths):
    """The same for policies of Stable-Baselines3."""


class PretrainArguments(PretrainConfig, TrainPaths):
    """A pretraining config with the paths of ``langrl pretrain`` beside it."""


class CpcPretrainArguments(CpcPretrainConfig, TrainPaths):
    """The same for contrastive predictive coding."""
