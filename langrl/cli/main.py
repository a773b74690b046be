"""The command line: reads arguments, prints one clear line for what is wrong with them.

Exit codes: 0 done; 2 bad usage or input; 130 interrupted. Commands import what they need when they
run, so that ``langrl --help`` is quick.
"""

import importlib
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

from langrl.cli.arguments import (
    CpcPretrainArguments,
    DemoArguments,
    DiagnoseArguments,
    EvaluateArguments,
    GridTrainArguments,
    PartialTrainArguments,
    PolicyTrainArguments,
    PretrainArguments,
    SpeedArguments,
    TrainArguments,
    TrainPaths,
)
from langrl.cli.flags import parse, split_paths, subcommand, take_flag
from langrl.errors import ConfigError, LangRLError, check_extra, lookup
from langrl.reproduce.arguments import (
    CpcArguments,
    GridGoToArguments,
    JoinedModelsArguments,
    LawArguments,
    LawAutoArguments,
    LawIndependenceArguments,
    ModalityGapArguments,
    RelatingArguments,
    ReproduceArguments,
    Sb3ZeroShotArguments,
)
from langrl.settings import Settings, dump_config
from langrl.tasks.cpc.config import CpcRunConfig
from langrl.tasks.grid.config import GridRunConfig
from langrl.tasks.grid_partial.config import GridPartialRunConfig
from langrl.tasks.language_image.config import LanguageImageRunConfig
from langrl.tasks.maze.config import MazeRunConfig
from langrl.tasks.presets import load_config, preset_names
from langrl.tasks.registry import RUN_CONFIGS, AnyRunConfig
from langrl.tasks.sb3.config import Sb3RunConfig

DEMOS = {
    "street": ("street-fork", "go to row 3 or column 11"),
    "grid": ("grid-goto", "go to something red or a key"),
}
"""The preset and the instruction of each demo."""


def train(arguments: list[str]) -> None:
    """Train an agent: ``--config`` names the defaults, and any field can be set by flag.

    The fields of the config are listed by ``langrl train --help``.
    """
    source, rest = take_flag(arguments, "--config")
    trajectories, rest = take_flag(rest, "--trajectories")
    if trajectories is not None:
        rest += ["--data.trajectories", trajectories]
    base: AnyRunConfig = MazeRunConfig()
    if source:
        base = cast(AnyRunConfig, load_config(source, *RUN_CONFIGS))
    if isinstance(base, Sb3RunConfig):
        check_extra("stable_baselines3", "sb3")
    model = _TRAIN_ARGUMENTS[type(base)]
    trust_pickle = "--trust-pickle" in rest
    rest = [argument for argument in rest if argument != "--trust-pickle"]
    paths, config = split_paths(
        parse(
            model,
            rest,
            "langrl train [--config NAME_OR_FILE] [--trajectories FILE] [--trust-pickle]",
            default=model(**base.model_dump()),
            description=_train_help(),
        ),
        type(base),
    )
    if paths.print_config:
        print(dump_config(config), end="")
        return
    from langrl.cli import commands

    folder, goes_on = _run_folder(paths, source, config != base, "train")
    if trust_pickle and not goes_on:
        raise ConfigError("--trust-pickle is for --resume: training writes pickles, it reads none")
    commands.train(
        None if goes_on else config,
        folder,
        _command("train", arguments),
        trust_pickle=trust_pickle,
    )


_TRAIN_ARGUMENTS: dict[type[Settings], type[Settings]] = {
    MazeRunConfig: TrainArguments,
    GridRunConfig: GridTrainArguments,
    GridPartialRunConfig: PartialTrainArguments,
    Sb3RunConfig: PolicyTrainArguments,
}


def _run_folder(
    paths: TrainPaths, source: str | None, changed: bool, name: str
) -> tuple[Path, bool]:
    """Return the folder of a run, and whether it is one that goes on.

    Raises:
        ConfigError: if a run is to go on with another config than its own.
    """
    if paths.resume is None:
        return paths.out or Path("runs") / (Path(source).stem if source else name), False
    if source or changed or paths.out is not None:
        raise ConfigError("--resume goes on with the run's own config; leave other flags out")
    return paths.resume, True


METHODS: dict[str, tuple[type[Settings], type[Settings], str]] = {
    "language-image": (
        LanguageImageRunConfig,
        PretrainArguments,
        "langrl.tasks.language_image.run",
    ),
    "cpc": (CpcRunConfig, CpcPretrainArguments, "langrl.tasks.cpc.run"),
}
"""Methods of pre-training: config, flags and module; a config's ``task`` is its method."""


def pretrain(arguments: list[str]) -> None:
    """Pre-train a model: ``--method`` and ``--config`` give the defaults, flags override fields.

    The fields of the config are listed by ``langrl pretrain [--method NAME] --help``.
    """
    source, rest = take_flag(arguments, "--config")
    method, rest = take_flag(rest, "--method")
    base = _pretrain_defaults(method, source)
    method = _method_of(base)
    model, flags, module = METHODS[method]
    paths, config = split_paths(
        parse(
            flags,
            rest,
            f"langrl pretrain --method {method} [--config NAME_OR_FILE]",
            default=flags(**base.model_dump()),
            description=_pretrain_help(),
        ),
        model,
    )
    if paths.print_config:
        print(dump_config(config), end="")
        return
    name = "pretrain" if method == "language-image" else f"pretrain-{method}"
    folder, goes_on = _run_folder(paths, source, config != base, name)
    if goes_on and (folder / "config.yaml").is_file():
        module = METHODS[_method_of(_pretrain_defaults(None, str(folder / "config.yaml")))][2]
    pretraining = importlib.import_module(module)
    if goes_on:
        pretraining.resume(folder, _command("pretrain", arguments))
    else:
        pretraining.pretrain(config, folder, _command("pretrain", arguments))


def _pretrain_defaults(method: str | None, source: str | None) -> Settings:
    """Return the config that flags override: of a method, a preset or a file."""
    if method is not None:
        model = lookup(METHODS, method, "method of pre-training")[0]
        return load_config(source, model) if source else model()
    models = [each for each, _, _ in METHODS.values()]
    return load_config(source, *models) if source else LanguageImageRunConfig()


def _method_of(config: Settings) -> str:
    """Return which method of pre-training a config is of."""
    return next(name for name, (model, *_) in METHODS.items() if isinstance(config, model))


def _pretrain_help() -> str:
    return (
        "Pre-train a model. --method language-image, the default: on images of worlds and"
        " captions, or on a folder of images. --method cpc: contrastive predictive coding, on"
        " explorations of grid worlds. --config takes a preset (pretrain-bundled) or a YAML"
        " file; `langrl pretrain --method NAME --help` lists a method's fields."
    )


def _train_help() -> str:
    return (
        "Train an agent from trajectories without language, and pairs of states and texts or a"
        " pretrained language-image model."
        f" --config takes a preset ({', '.join(preset_names())}) or a YAML file and gives the"
        " defaults; every flag overrides a field of it. --trajectories is short for"
        " --data.trajectories; --trust-pickle lets --resume read a Stable-Baselines3 run's zip,"
        " which runs code that is in it."
    )


def _command(name: str, arguments: Sequence[str]) -> str:
    return shlex.join(["langrl", name, *arguments])


def _results_folder(path: Path) -> Path:
    """Make the folder of results before the work that is to fill it.

    Raises:
        ConfigError: if it cannot be made or written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = (error.strerror or "cannot be made").lower()
        raise ConfigError(f"--out {path}: {reason}; name a folder for the results") from None
    if not os.access(path, os.W_OK):
        raise ConfigError(f"--out {path}: no permission to write there; name another folder")
    return path


def evaluate(arguments: list[str]) -> None:
    """Evaluate a run folder."""
    given = parse(EvaluateArguments, arguments, "langrl evaluate")
    if given.out is not None:
        _results_folder(given.out)
    from langrl.cli import commands

    commands.evaluate(
        given.run,
        given.out or given.run / "evaluation",
        _command("evaluate", arguments),
        instruction=given.instruction,
        methods=given.methods,
        kinds=given.kinds,
        phrasings=given.phrasings,
        episodes=given.episodes,
        seed=given.seed,
        layout=given.layout,
        policy=given.policy,
        trust_pickle=given.trust_pickle,
    )


def demo(arguments: list[str]) -> None:
    """Show the whole path in under three minutes."""
    given = parse(DemoArguments, arguments, "langrl demo")
    preset, instruction = DEMOS[given.world]
    models = (MazeRunConfig,) if given.world == "street" else (GridRunConfig,)
    config = load_config(given.config or preset, *models)
    from langrl.cli import commands

    out = given.out or Path("runs") / ("demo" if given.world == "street" else "demo-grid")
    text = instruction if given.instruction is None else given.instruction
    commands.demo(config, text, out, _command("demo", arguments))


REPRODUCTIONS: dict[str, tuple[type[Settings], str]] = {
    "street-mazes": (ReproduceArguments, "agents in three mazes: half an hour"),
    "grid-goto": (GridGoToArguments, "agents in four grid worlds: an hour"),
    "joined-models": (JoinedModelsArguments, "two models of one modality, joined"),
    "sb3-zero-shot": (Sb3ZeroShotArguments, "policies of goals follow language: 45 minutes"),
    "law": (LawArguments, "estimators of the marginal in the synthetic world"),
    "law-independence": (LawIndependenceArguments, "the same with Assumption 1 violated"),
    "law-auto": (LawAutoArguments, "a grid for the rule that chooses an estimator"),
    "modality-gap": (ModalityGapArguments, "cones, gaps, temperature and mismatched pairs"),
    "cpc": (CpcArguments, "contrastive predictive coding: information, and what histories know"),
    "relating": (RelatingArguments, "generative models of related pairs, contrasted: half an hour"),
}


def reproduce(arguments: list[str]) -> None:
    """Reproduce a published result."""
    table = {name: meaning for name, (_, meaning) in REPRODUCTIONS.items()}
    name, rest = subcommand(arguments, table, "langrl reproduce")
    given = parse(REPRODUCTIONS[name][0], rest, f"langrl reproduce {name}")
    _results_folder(given.out)
    command = _command("reproduce", arguments)
    if name == "sb3-zero-shot":
        check_extra("stable_baselines3", "sb3")
    module = importlib.import_module(f"langrl.reproduce.{name.replace('-', '_')}")
    module.reproduce(given, command)


def benchmark(arguments: list[str]) -> None:
    """Measure."""
    _, rest = subcommand(arguments, {"speed": "speed ratios"}, "langrl benchmark")
    given = parse(SpeedArguments, rest, "langrl benchmark speed")
    _results_folder(given.out)
    from langrl.benchmark.speed import speed

    speed(given.only, given.rounds, given.out, _command("benchmark", arguments))


def diagnose(arguments: list[str]) -> None:
    """Diagnose the embeddings of two modalities."""
    given = parse(DiagnoseArguments, arguments, "langrl diagnose")
    _results_folder(given.out)
    module = importlib.import_module("langrl.cli.diagnose")
    module.run(**given.model_dump(), command=_command("diagnose", arguments))


COMMANDS: dict[str, tuple[Callable[[list[str]], None], str]] = {
    "demo": (demo, "train in a world and follow a typed instruction, with images"),
    "pretrain": (pretrain, "train a language-image model, or a memory by --method cpc"),
    "train": (train, "train an agent, or resume a run"),
    "evaluate": (evaluate, "evaluate a run folder, on drawn instructions or on a text"),
    "reproduce": (reproduce, f"reproduce a published result: {', '.join(REPRODUCTIONS)}"),
    "diagnose": (diagnose, "say what is wrong with a model's embeddings of two modalities"),
    "benchmark": (benchmark, "speed ratios: benchmark speed"),
}


def main() -> None:
    """Run ``langrl`` with the arguments of the process."""
    try:
        table = {name: meaning for name, (_, meaning) in COMMANDS.items()}
        name, rest = subcommand(sys.argv[1:], table, "langrl")
        COMMANDS[name][0](rest)
    except LangRLError as error:
        print(f"langrl: error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("langrl: interrupted; a run goes on with --resume", file=sys.stderr)
        raise SystemExit(130) from None
