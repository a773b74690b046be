"""The flags of every command, as models; those of training are the fields of its config."""

from pathlib import Path
from typing import Annotated

import tyro
from pydantic import Field

from langrl.envs.grid.grammar import LEVELS
from langrl.envs.maze.grammar import KINDS
from langrl.envs.phrasing import TaskPhrasing
from langrl.settings import Settings
from langrl.training.engines.config import EngineFlags


class EvaluateArguments(Settings):
    """Evaluate a trained run: on drawn instructions of each kind, or on a text of your own."""

    run: Annotated[Path | None, tyro.conf.Positional] = Field(
        None, description="a run folder, or hf:user/name; with --agent it can be left out"
    )
    agent: tuple[str, ...] = Field(
        (), description="agents of your own, which meet the same tasks: mypackage:MyAgent"
    )
    env: str | None = Field(
        None,
        description="where to act: a level of MiniGrid, such as BabyAI-GoToLocal-v0, for runs of"
        " grid worlds; without a run, also a world of langrl by its Gymnasium id",
    )
    instruction: str | None = Field(None, description="follow this text instead of drawn ones")
    methods: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="strategies and baselines to compare; all that fit by default, which takes a"
        " minute or more for all kinds and phrasings",
    )
    kinds: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description=f"kinds of instruction: of {', '.join(KINDS)} in mazes, levels of"
        f" {', '.join(LEVELS)} in grid worlds; all of the world's by default",
    )
    phrasings: tuple[TaskPhrasing, ...] = Field(
        ("seen", "held_out"),
        min_length=1,
        description="phrasings of training, others, or noisy ones: with politeness and slips of"
        " spelling",
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
        False,
        description="have Stable-Baselines3 read the zip, which runs code that its author chose;"
        " needed only for policy classes and arguments of one's own",
    )
    out: Path | None = Field(
        None, description="folder of the results; a new one in RUN/evaluation if unset"
    )


class PushArguments(Settings):
    """Share a run's agent on the Hugging Face Hub: weights, config, a card and pictures."""

    run: Annotated[Path, tyro.conf.Positional] = Field(
        description="a run folder, or a checkpoint in one"
    )
    repository: Annotated[str, tyro.conf.Positional] = Field(
        description="the repository on the hub, made if there is none: user/name"
    )
    dry_run: Path | None = Field(
        None, description="write what would be sent to this new folder, and send nothing"
    )
    private: bool = Field(False, description="make a new repository for yourself alone")
    licence: str = Field("mit", description="of the weights, for the card")


class PlayArguments(Settings):
    """Play with a trained run in the browser: type, see what is believed, watch it go."""

    run: Annotated[str | None, tyro.conf.Positional] = Field(
        None,
        min_length=1,
        description="a run folder of a street maze, a grid world, or goals to reach; or a shared"
        " agent, as hf:user/name@revision; that of `langrl demo` if unset, which is trained first"
        " where it is not there",
    )
    env: str | None = Field(
        None,
        min_length=1,
        description="a level of MiniGrid or BabyAI to play in, such as BabyAI-GoToLocal-v0; for"
        " runs of grid worlds",
    )
    world: str | None = Field(
        None,
        description="without RUN: the world of the demo, street, grid or babyai; street if unset",
    )
    host: str = Field(
        "127.0.0.1",
        min_length=1,
        max_length=255,
        description="address to listen at; others than this machine's own reach it only if you"
        " name one of theirs, such as 0.0.0.0",
    )
    port: int = Field(
        8000, ge=0, le=65535, description="port to listen at; the next free one if it is in use"
    )
    browser: bool = Field(False, description="open the page in a browser, too")


class RenderArguments(Settings):
    """Write an episode of a trained run as a page that opens without a server, or as a film."""

    run: Annotated[str, tyro.conf.Positional] = Field(
        min_length=1,
        description="a run folder of a street maze, a grid world, or goals to reach; or a shared"
        " agent, as hf:user/name@revision",
    )
    instruction: str = Field(description="what the agent is told")
    env: str | None = Field(
        None,
        min_length=1,
        description="a level of MiniGrid or BabyAI to act in; for runs of grid worlds",
    )
    out: Path = Field(
        description="the file: .html, .gif, or .mp4, which needs the extra langrl[video]"
    )
    strategies: tuple[str, ...] | None = Field(
        None, min_length=1, description="strategies side by side; the run's own if unset"
    )
    seed: int = Field(0, ge=0, lt=2**32, description="seed of the start")


class DiagnoseArguments(Settings):
    """Say what a model's embeddings are good for, and what is wrong; or a run's critic."""

    model: Annotated[str, tyro.conf.Positional] = Field(
        min_length=1,
        description="'bundled', a folder or hub name of a language-image model, or embeddings: a"
        " .npy file of pairs [2, n, D], an .npz file of two arrays [n, D] and [n, E], or the first"
        " of two .npy files of these; or a run folder, whose critic's distances are measured",
    )
    other: Annotated[str | None, tyro.conf.Positional] = Field(
        None, min_length=1, description="the second of two .npy files"
    )
    names: tuple[str, str] | None = Field(
        None, description="files of embeddings: what to call the two modalities"
    )
    pairs: str | None = Field(
        None,
        min_length=1,
        description="images with texts: a folder of captioned images, a grid world or an"
        " environment id; not for files of embeddings",
    )
    data: Path | None = Field(
        None,
        description="runs: held-out trajectories; by default the file beside the run's data that"
        " is called after it, with -val, or new ones",
    )
    count: int = Field(500, ge=4, le=3_000, description="pairs at most; runs: states")
    scale: float | None = Field(
        None,
        gt=0,
        le=10_000,
        description="files of embeddings: the model's inverse temperature, if known",
    )
    seed: int = Field(0, ge=0, lt=2**32, description="seed of the pairs that are drawn")
    out: Path | None = Field(
        None, description="folder of results.json and figures; a new one in runs/diagnose if unset"
    )


class DescribeDataArguments(Settings):
    """Say what is in a file of recorded trajectories, and whether it fits an environment."""

    file: Annotated[Path, tyro.conf.Positional] = Field(
        description="an .npz or .hdf5 file of OGBench, D4RL or langrl, or a folder of Minari"
    )
    env: str | None = Field(
        None, min_length=1, description="id of an environment that the trajectories are to fit"
    )
    goal_columns: tuple[Annotated[int, Field(ge=0)], ...] | None = Field(
        None,
        min_length=1,
        description="with --env: which numbers of an observation are the goal, where no achieved"
        " goal is recorded; all of them by default",
    )
    out: Path | None = Field(
        None, description="folder of results.json and figures; a new one in runs/data if unset"
    )


class MakeDataArguments(Settings):
    """Make a published data set anew by its recipe: the same distribution, not the same bits."""

    name: Annotated[str, tyro.conf.Positional] = Field(
        min_length=1,
        description="the data set: ogbench/pointmaze-{medium,large,giant}-{navigate,stitch}",
    )
    out: Path = Field(
        description="the .npz file; validation episodes go beside it, to a file with -val"
    )
    episodes: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="for training, the published number by default; a tenth as many to validate",
    )
    seed: int = Field(0, ge=0, lt=2**32, description="seed of the episodes")
    workers: int | None = Field(
        None, ge=1, le=1024, description="processes; one per core by default"
    )


class SweepArguments(EngineFlags):
    """Train one config with fields changed: every combination of values, or random ones."""

    config: str = Field(min_length=1, description="a preset or a YAML file")
    out: Path = Field(
        description="folder of results.json and of the runs; the same command goes on there"
    )
    random: int | None = Field(
        None, ge=1, le=100_000, description="draw so many settings, instead of all combinations"
    )
    draw_seed: int = Field(0, ge=0, lt=2**32, description="with --random: seed of what is drawn")
    seeds: int = Field(1, ge=1, le=1000, description="trainings of each setting")
    metric: str = Field(
        "success",
        min_length=1,
        description="what is compared: a column of the runs' results, or of metrics.jsonl",
    )
    method: str | None = Field(
        None,
        min_length=1,
        description="whose metric; of the config's own grounding strategy if unset, or the first",
    )
    lowest: bool = Field(False, description="the lowest metric is the best, as of a loss")


class SpeedArguments(Settings):
    """Measure speed as a ratio against a baseline in the same run."""

    only: str | None = Field(None, description="a single benchmark; all by default")
    rounds: int = Field(5, ge=1, le=1000, description="measurements of each variant")
    out: Path | None = Field(
        None, description="folder of results.json; runs/speed, with a number, if unset"
    )


class BenchmarkArguments(EngineFlags):
    """Run the benchmark of acting under ambiguity: train, evaluate, and write the report."""

    profile: str = Field(
        "fast", description="how much: smoke (half a minute), fast (ten minutes), full (some hours)"
    )
    suite: str | None = Field(
        None,
        description="suite of tasks, of those that `list` names; langrl/AmbiguousInstructions-v1,"
        " and -v2 has levels of BabyAI as well",
    )
    agents: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="entrants, of those that `langrl benchmark list` names, and run folders; the"
        " profile's by default",
    )
    agent: tuple[str, ...] = Field(
        (), description="agents of your own by their import paths, as in mypackage:MyAgent"
    )
    worlds: tuple[str, ...] | None = Field(
        None, min_length=1, description="worlds, of those that `list` names; the profile's"
    )
    seeds: int | None = Field(
        None, ge=1, le=1000, description="seeds of trainings and agents; the profile's by default"
    )
    out: Path | None = Field(
        None,
        description="folder, in which a run that was cut off goes on; runs/benchmark-PROFILE, or"
        " runs/benchmark-PROFILE-v2 of version 2",
    )


class CompareArguments(Settings):
    """Compare two results of the benchmark: paired differences, the first minus the second."""

    first: Annotated[Path, tyro.conf.Positional] = Field(
        description="a folder of the benchmark, or of one entrant in it: DIR/cells/NAME"
    )
    second: Annotated[Path, tyro.conf.Positional] = Field(description="another one")
    seed: int = Field(0, ge=0, description="seed of the bootstrap")


class TrainPaths(Settings):
    """Where a run goes, and how it starts."""

    out: Path | None = Field(None, description="run folder; runs/NAME by default")
    resume: Path | None = Field(None, description="go on with the run in this folder")
    print_config: bool = Field(False, description="print the resolved YAML and stop")


class DemoArguments(Settings):
    """Train in one world, compare the methods, follow one instruction; a few minutes."""

    world: str = Field(
        "street", description="street: a maze; grid: a grid world; babyai: a level of BabyAI"
    )
    instruction: str | None = Field(None, description="the text to follow and to draw")
    config: str | None = Field(None, description="a preset or a YAML file, instead of the world's")
    out: Path | None = Field(
        None,
        description="folder of the run, results and images; runs/demo, runs/demo-grid or"
        " runs/demo-babyai",
    )
