"""The command line: reads arguments, prints one clear line for what is wrong with them.

Exit codes: 0 done; 1 the reader of the output has gone; 2 bad usage or input; 130 interrupted.
Commands import what they need when they run, so that ``langrl --help`` is quick.
"""

import contextlib
import errno
import importlib
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from langrl.checkpoint import find_checkpoint
from langrl.cli.arguments import (
    DemoArguments,
    DiagnoseArguments,
    EvaluateArguments,
    TrainPaths,
)
from langrl.cli.flags import flags_of, parse, split_paths, subcommand, take_flag, take_flags
from langrl.cli.folders import (
    DIAGNOSES,
    EVALUATION,
    OWN_EVALUATIONS,
    check_folder,
    check_results_folder,
    find_run,
    new_folder,
)
from langrl.errors import ConfigError, LangRLError, check_extra, lookup
from langrl.models.hub import looks_like_a_folder
from langrl.reproduce.arguments import REPRODUCTIONS
from langrl.settings import CONFIG_FILE, dump_config, with_absolute_paths
from langrl.tasks.config import RunConfig
from langrl.tasks.presets import preset_names
from langrl.tasks.registry import (
    TASKS,
    Command,
    Task,
    config_beside,
    demos,
    has_config,
    load_run_config,
    preset_of,
    tasks_of,
)

_OF_THE_MACHINE = (errno.ENAMETOOLONG, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC)
_TAKEN = {  # flags that are read before the others
    "train": ("--config", "--trajectories", "--data", "--import-module", "--trust-pickle"),
    "pretrain": ("--config", "--method"),
}


_SHORT = {"--trajectories": "--data.trajectories", "--data": "--data.file"}


def train(arguments: list[str]) -> None:
    """Train an agent: ``--config`` names the defaults, and any field can be set by flag.

    The fields of the config are listed by ``langrl train --help``.
    """
    rest = list(arguments)
    for flag, field in _SHORT.items():
        value, rest = take_flag(rest, flag)
        rest += [] if value is None else [field, value]
    rest = _import_modules(rest)
    trust_pickle = "--trust-pickle" in rest
    rest = [argument for argument in rest if argument != "--trust-pickle"]
    usage = " [--config NAME_OR_FILE] [--data FILE] [--import-module NAME] [--trust-pickle]"
    _train("train", arguments, rest, usage, _train_help(), trust_pickle)


def pretrain(arguments: list[str]) -> None:
    """Pre-train a model: ``--method`` and ``--config`` give the defaults, flags override fields.

    The fields of the config are listed by ``langrl pretrain [--method NAME] --help``.
    """
    method, rest = take_flag(arguments, "--method")
    tasks = tasks_of("pretrain")
    task = None if method is None else lookup(tasks, method, "method of pre-training")
    usage = " --method {task} [--config NAME_OR_FILE]"
    _train("pretrain", arguments, rest, usage, _pretrain_help(), task=task)


def _train(
    command: Command,
    arguments: list[str],
    rest: list[str],
    usage: str,
    help_text: str,
    trust_pickle: bool = False,
    task: Task | None = None,
) -> None:
    """Read the flags of a run's config and train it, or go on with a run.

    Args:
        command: which one it is.
        arguments: all that the user typed.
        rest: of them, what is not read yet.
        usage: its first flags, for its help.
        help_text: what the command does.
        trust_pickle: whether ``--trust-pickle`` was among them.
        task: the task family, if one was named; else the config says, or it is the first.
    """
    tasks = [task] if task else list(tasks_of(command).values())
    presets = preset_names(*(each.config_class for each in tasks))
    source, rest = take_flag(rest, "--config", presets)
    start = None
    if command == "train":
        start, rest = _started_from(rest)
    env, _ = take_flag(rest, "--env")
    preset = None if source is None else preset_of(source, env or "")
    if preset is not None:
        base = load_run_config(preset, *tasks)
    elif start is not None:
        base = config_beside(start)
    else:
        base = tasks[0].config_class.model_validate({})
    if (extra := TASKS[base.task].extra) is not None:
        check_extra(*extra)
    if env is not None and "env" not in type(base).model_fields:
        raise ConfigError(f"--env is no flag of {base.task} runs; add --config crl to reach goals")
    flags = flags_of(type(base))
    default = flags(**base.model_dump())
    program = f"langrl {command}{usage.format(task=base.task)}"
    given = parse(
        flags, rest, program, taken=_TAKEN[command], default=default, description=help_text
    )
    paths, config = split_paths(given, type(base))
    config = with_absolute_paths(config, Path.cwd())
    if paths.print_config:
        print(dump_config(config), end="")
        return
    name = _run_name(command, base.task, source, start)
    folder = _run_folder(paths, name, changed=source is not None or config != base)
    resumes = paths.resume is not None
    if trust_pickle and not resumes:
        raise ConfigError("--trust-pickle is for --resume: training writes pickles, it reads none")
    check_folder(folder, "--resume" if resumes else "--out")
    if source is None and not resumes:
        print(_what_is_trained(base, start, presets), flush=True)
    if preset != source and not resumes:
        print(f"--config {source}: {env} has a preset, {preset}", flush=True)
    from langrl.cli import commands

    commands.train(
        None if resumes else config,
        folder,
        _typed(command, arguments),
        tasks=tasks,
        trust_pickle=trust_pickle,
    )


def _import_modules(arguments: Sequence[str]) -> list[str]:
    """Import the modules that ``--import-module`` names; returns the other arguments."""
    modules, rest = take_flags(arguments, "--import-module")
    if modules:
        from langrl.envs.registered import import_modules

        import_modules(modules)
    return rest


def _run_name(command: Command, task: str, source: str | None, start: Path | None) -> str:
    """Return what a run is called that has no ``--out``: after its config, or what it goes on."""
    if source is not None:
        return Path(source).stem
    if start is not None:
        return f"{start.resolve().name}-longer"
    return command + f"-{task}" * (task != next(iter(tasks_of(command))))


def _started_from(arguments: list[str]) -> tuple[Path | None, list[str]]:
    """Return the run folder that ``--start`` names, if it does, and the arguments with it."""
    start, rest = take_flag(arguments, "--start")
    if start is None:
        return None, rest
    folder = find_run(Path(start))
    find_checkpoint(folder)  # says what is wrong, if there is none
    return folder, [*rest, "--start", str(folder)]


def _what_is_trained(config: RunConfig, start: Path | None, presets: Sequence[str]) -> str:
    """Say what the defaults of a new run are, where no ``--config`` does."""
    if start is not None:
        return f"no --config: as {start} was trained, from its weights"
    same = [name for name in presets if load_run_config(name) == config]
    return f"no --config: the defaults of {config.task}" + "".join(
        f", which are those of the preset {name}" for name in same[:1]
    )


def _run_folder(paths: TrainPaths, name: str, changed: bool) -> Path:
    """Return the folder of a run; ``name`` is that of a new one, where no folder was given.

    Raises:
        ConfigError: if a run is to go on with another config than its own.
    """
    if paths.resume is None:
        return paths.out or Path("runs") / name
    if changed or paths.out is not None:
        raise ConfigError("--resume goes on with the run's own config; leave other flags out")
    folder = find_run(paths.resume)
    if not (folder / CONFIG_FILE).is_file():
        raise ConfigError(
            f"no {CONFIG_FILE} in {folder}; give a run folder that langrl has written"
        )
    return folder


def _pretrain_help() -> str:
    return (
        "Pre-train a model. --method language-image, the default: on images of worlds and"
        " captions, or on a folder of images. --method cpc: contrastive predictive coding, on"
        " explorations of grid worlds. --config takes a preset (pretrain-bundled) or a YAML"
        " file; `langrl pretrain --method NAME --help` lists a method's fields."
    )


def _train_help() -> str:
    presets = preset_names(*(task.config_class for task in tasks_of("train").values()))
    return (
        "Train an agent from trajectories without language, and pairs of states and texts or a"
        " pretrained language-image model."
        f" --config takes a preset ({', '.join(presets)}) or a YAML file and gives the"
        " defaults; every flag overrides a field of it. --start takes a run folder: its weights,"
        " and its config where no --config is given. --trajectories is short for"
        " --data.trajectories, and --data for --data.file; --import-module NAME imports a module"
        " that registers environments; --trust-pickle lets --resume read a Stable-Baselines3"
        " run's zip, which runs code that is in it."
    )


def _typed(name: str, arguments: Sequence[str]) -> str:
    """Return what the user typed, for the record."""
    return shlex.join(["langrl", name, *arguments])


def evaluate(arguments: list[str]) -> None:
    """Evaluate a run folder, or an agent of the user's own in a world of langrl."""
    given = parse(EvaluateArguments, arguments, "langrl evaluate")
    if given.run is None:
        _evaluate_own(given, _typed("evaluate", arguments))
        return
    if given.env is not None:
        raise ConfigError("--env is for --agent without a run folder; leave it out")
    run = find_run(given.run)
    if given.policy is None or not has_config(run):
        find_checkpoint(run)  # says what is wrong, if there is none
    if given.out is None:
        check_folder(run / EVALUATION)
    else:
        check_results_folder(given.out)
    from langrl.cli import commands

    options = given.model_dump(exclude={"run", "out", "env"})
    commands.evaluate(run, given.out, _typed("evaluate", arguments), **options)


def _evaluate_own(given: EvaluateArguments, command: str) -> None:
    if not given.agent or given.env is None:
        raise ConfigError(
            "name a run folder, or give --agent mypackage:MyAgent --env langrl/StreetMaze-Fork-v0"
        )
    for name in ("methods", "layout", "policy"):
        if getattr(given, name) is not None:
            raise ConfigError(f"--{name} is for run folders; leave it out")
    check_results_folder(given.out or OWN_EVALUATIONS)
    from langrl.cli import commands

    options = given.model_dump(include={"instruction", "kinds", "phrasings", "episodes", "seed"})
    out = given.out or new_folder(OWN_EVALUATIONS, given.instruction or "drawn")
    commands.evaluate_own(given.agent, given.env, out, command, **options)


def demo(arguments: list[str]) -> None:
    """Show the whole path in under three minutes."""
    given = parse(DemoArguments, arguments, "langrl demo")
    task = lookup(demos(), given.world, "world with a demo")
    assert task.demo is not None
    config: RunConfig = load_run_config(given.config or task.demo.preset, task)
    out = check_folder(given.out or Path("runs") / task.demo.folder)
    from langrl.cli import commands

    text = task.demo.instruction if given.instruction is None else given.instruction
    commands.demo(config, text, out, _typed("demo", arguments))


def reproduce(arguments: list[str]) -> None:
    """Reproduce a published result."""
    table = {name: each.meaning for name, each in REPRODUCTIONS.items()}
    name, rest = subcommand(arguments, table, "langrl reproduce")
    reproduction = REPRODUCTIONS[name]
    given = parse(reproduction.arguments, rest, f"langrl reproduce {name}")
    check_results_folder(given.out).mkdir(parents=True, exist_ok=True)
    if reproduction.extra is not None:
        check_extra(*reproduction.extra)
    command = _typed("reproduce", arguments)
    module = importlib.import_module(f"langrl.reproduce.{name.replace('-', '_')}")
    module.reproduce(given, command)


def sweep(arguments: list[str]) -> None:
    """Train a config with fields changed, and compare the runs."""
    module = importlib.import_module("langrl.cli.sweep")
    module.run(arguments, _typed("sweep", arguments))


def benchmark(arguments: list[str]) -> None:
    """Run the benchmark, list what is in it, compare results, or measure speed."""
    module = importlib.import_module("langrl.cli.benchmark")
    module.dispatch(arguments, _typed("benchmark", arguments))


def diagnose(arguments: list[str]) -> None:
    """Diagnose the embeddings of two modalities."""
    given = parse(DiagnoseArguments, arguments, "langrl diagnose")
    check_results_folder(given.out or DIAGNOSES)
    for model in filter(None, (given.model, given.other)):
        if looks_like_a_folder(model) and not Path(model).exists():
            raise ConfigError(f"MODEL {model}: no such file or folder; check the path")
    module = importlib.import_module("langrl.cli.diagnose")
    module.run(**given.model_dump(), command=_typed("diagnose", arguments))


def data(arguments: list[str]) -> None:
    """Describe recorded trajectories, or make a published data set."""
    module = importlib.import_module("langrl.cli.data")
    module.run(arguments, _typed("data", arguments))


COMMANDS: dict[str, tuple[Callable[[list[str]], None], str]] = {
    "demo": (demo, "train in a world and follow a typed instruction, with figures"),
    "pretrain": (pretrain, "train a language-image model, or a memory by --method cpc"),
    "train": (train, "train an agent, or resume a run"),
    "evaluate": (evaluate, "evaluate a run folder, on drawn instructions or on a text"),
    "sweep": (sweep, "train a config with fields changed, and compare the runs"),
    "reproduce": (reproduce, f"reproduce a published result: {', '.join(REPRODUCTIONS)}"),
    "data": (data, "describe recorded trajectories, or make a published data set anew"),
    "diagnose": (diagnose, "say what is wrong with a model's embeddings of two modalities"),
    "benchmark": (
        benchmark,
        "measure how well agents act under ambiguity, or speed",
    ),
}


def main() -> None:
    """Run ``langrl`` with the arguments of the process."""
    # Figures are files. Matplotlib refuses to be imported where MPLBACKEND names what is not
    # installed here, as the one that a notebook hands on to its commands.
    os.environ["MPLBACKEND"] = "agg"
    try:
        try:
            _run()
        finally:
            sys.stdout.flush()  # here, where a closed pipe is caught
    except BrokenPipeError:  # whoever read the output has gone, as `head` does
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None


def _run() -> None:
    try:
        table = {name: meaning for name, (_, meaning) in COMMANDS.items()}
        name, rest = subcommand(sys.argv[1:], table, "langrl")
        COMMANDS[name][0](rest)
    except LangRLError as error:
        print(f"langrl: error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except OSError as error:
        if error.errno not in _OF_THE_MACHINE:
            raise
        where = "" if error.filename is None else f"{str(error.filename)[-80:]}: "
        print(f"langrl: error: {where}{str(error.strerror).lower()}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("langrl: interrupted; a run goes on with --resume", file=sys.stderr)
        raise SystemExit(130) from None
