"""``langrl train`` and ``langrl pretrain``: what a run begins from, its config, its folder.

No torch here, so that ``--help`` and errors are quick; the training is in ``langrl.cli.commands``.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from langrl.checkpoint import find_checkpoint
from langrl.cli.arguments import TrainPaths
from langrl.cli.flags import flags_of, parse, split_paths, take_flag, take_flags
from langrl.cli.folders import check_folder, find_run
from langrl.errors import ConfigError, check_extra, lookup
from langrl.settings import CONFIG_FILE, dump_config, with_absolute_paths
from langrl.tasks.config import RunConfig
from langrl.tasks.presets import preset_names
from langrl.tasks.registry import (
    TASKS,
    Command,
    Task,
    config_beside,
    is_recorded,
    load_run_config,
    preset_of,
    tasks_of,
)

_TAKEN = {  # flags that are read before the others
    "train": ("--config", "--trajectories", "--data", "--import-module"),
    "pretrain": ("--config", "--method", "--calibrate", "--import-module"),
}
_SHORT = {"--trajectories": "--data.trajectories", "--data": "--data.file"}
_USAGE = " [--config NAME_OR_FILE] [--data FILE] [--import-module NAME]"


@dataclass(frozen=True)
class _Origin:
    """What a run begins from.

    Args:
        command: ``train`` or ``pretrain``.
        tasks: the families that it may be of; the first one's defaults are those of the command.
        source: what ``--config`` names, if it does.
        preset: the same, or the environment's own preset where the general one was named.
        start: the run folder that ``--start`` names, if it does.
        resume: the run folder that ``--resume`` names, if it does.
        env: what ``--env`` names, if it does.
    """

    command: Command
    tasks: tuple[Task, ...]
    source: str | None
    preset: str | None
    start: Path | None
    resume: Path | None
    env: str | None

    def base(self) -> RunConfig:
        """Return the config whose fields the other flags change.

        Raises:
            LangRLError: if there is no such config, or the family lacks a package or has no
                environments.
        """
        if self.preset is not None:
            base = load_run_config(self.preset, *self.tasks)
        elif self.resume is not None and (self.resume / CONFIG_FILE).is_file():
            base = load_run_config(str(self.resume / CONFIG_FILE), *self.tasks)
        elif self.start is not None:
            base = config_beside(self.start)
        else:
            base = self.tasks[0].config_class.model_validate({})
        if (extra := TASKS[base.task].extra) is not None:
            check_extra(*extra)
        if self.env is not None and "env" not in type(base).model_fields:
            raise ConfigError(
                f"--env is no flag of {base.task} runs; add --config crl to reach"
                " goals, or --config babyai in a level of BabyAI"
            )
        return base

    def name(self, task: str) -> str:
        """Return what a run is called that has no ``--out``."""
        if self.source is not None:
            return Path(self.source).stem
        if self.start is not None:
            return f"{self.start.resolve().name}-longer"
        return self.command + f"-{task}" * (task != next(iter(tasks_of(self.command))))

    def describe(self, base: RunConfig) -> list[str]:
        """Say what the defaults of a new run are, where that is not what was typed."""
        if self.source is None and self.start is not None:
            return [f"no --config: as {self.start} was trained, from its weights"]
        if self.source is None:
            names = preset_names(*(task.config_class for task in self.tasks))
            same = [name for name in names if load_run_config(name) == base]
            preset = f", which are those of the preset {same[0]}" if same else ""
            return [f"no --config: the defaults of {base.task}{preset}"]
        own = preset_of(self.source, self.env or "")
        if self.preset != self.source:
            return [f"--config {self.source}: {self.env} has a preset, {own}"]
        if own != self.source:
            return [
                f"--config {self.source}: the agent acts; {self.env} has a preset for recorded"
                f" data, {own}, which --data FILE chooses"
            ]
        return []


def train(arguments: list[str]) -> None:
    """Train an agent: ``--config`` names the defaults, and any field can be set by flag.

    The fields of the config are listed by ``langrl train --help``.
    """
    rest = list(arguments)
    for flag, field in _SHORT.items():
        value, rest = take_flag(rest, flag)
        rest += [] if value is None else [field, value]
    rest = _import_modules(rest)
    if "--trust-pickle" in rest:
        raise ConfigError(
            "--trust-pickle: no pickle is read any longer to go on with a run; leave the flag out"
        )
    _train("train", arguments, rest, _USAGE, _train_help())


def pretrain(arguments: list[str]) -> None:
    """Pre-train a model: ``--method`` and ``--config`` give the defaults, flags override fields.

    The fields of the config are listed by ``langrl pretrain [--method NAME] --help``.
    """
    method, rest = take_flag(arguments, "--method")
    rest = _import_modules(rest)
    model, rest = take_flag(rest, "--calibrate")
    if model is not None:
        _calibrate(model, rest)
        return
    tasks = tasks_of("pretrain")
    task = None if method is None else lookup(tasks, method, "method of pre-training")
    usage = " --method {task} [--config NAME_OR_FILE] [--import-module NAME]"
    _train("pretrain", arguments, rest, usage, _pretrain_help(), task=task)


def _calibrate(model: str, arguments: list[str]) -> None:
    """Fit P(understood) of a stored model; its texts are those of ``--config``, or of its run."""
    task = TASKS["language-image"]
    source, rest = take_flag(arguments, "--config", preset_names(task.config_class))
    beside = Path(model) / CONFIG_FILE
    if source is None and beside.is_file():
        source = str(beside)
    new = task.config_class.model_validate({})
    base = new if source is None else load_run_config(source, task)
    program = "langrl pretrain --calibrate MODEL [--config NAME_OR_FILE]"
    paths, config = _read_config(base, rest, program, _TAKEN["pretrain"], _pretrain_help())
    if paths != TrainPaths():
        raise ConfigError(
            "--calibrate stores what it fits beside the model, and trains nothing; leave --out,"
            " --resume and --print-config out"
        )
    from langrl.cli import commands

    commands.calibrate(model, config)


def _train(
    command: Command,
    arguments: list[str],
    rest: list[str],
    usage: str,
    help_text: str,
    task: Task | None = None,
) -> None:
    """Read the flags of a run's config and train it, or go on with a run.

    Args:
        command: which one it is.
        arguments: all that the user typed.
        rest: of them, what is not read yet.
        usage: its first flags, for its help.
        help_text: what the command does.
        task: the task family, if one was named; else the config says, or it is the first.
    """
    tasks = (task,) if task else tuple(tasks_of(command).values())
    origin, rest = _read_origin(command, tasks, rest)
    base = origin.base()
    program = f"langrl {command}{usage.format(task=base.task)}"
    paths, config = _read_config(base, rest, program, _TAKEN[command], help_text)
    if paths.print_config:
        print(dump_config(config), end="")
        return
    changed = origin.source is not None or config != base
    folder = _run_folder(paths, origin.name(base.task), changed)
    resumes = paths.resume is not None
    check_folder(folder, "--resume" if resumes else "--out")
    if not resumes:
        _check_data(origin, config)
        for line in origin.describe(base):
            print(line, flush=True)
    from langrl.cli import commands

    commands.train(
        None if resumes else config,
        folder,
        shlex.join(["langrl", command, *arguments]),
        tasks=tasks,
    )


def _read_origin(
    command: Command, tasks: tuple[Task, ...], arguments: list[str]
) -> tuple[_Origin, list[str]]:
    """Return what a run begins from, and the arguments that are not read yet."""
    names = preset_names(*(each.config_class for each in tasks))
    source, rest = take_flag(arguments, "--config", names)
    start = None
    if command == "train":
        start, rest = _started_from(rest)
    resume, rest = _run_of_flag(rest, "--resume")
    env, _ = take_flag(rest, "--env")
    file, _ = take_flag(rest, "--data.file")
    preset = None if source is None else preset_of(source, env or "")
    if preset != source and is_recorded(preset) and file in (None, "None"):
        preset = source
    return _Origin(command, tasks, source, preset, start, resume, env), rest


def _read_config(
    base: RunConfig, arguments: list[str], program: str, taken: Sequence[str], help_text: str
) -> tuple[TrainPaths, RunConfig]:
    """Return the paths of a run, and its config: ``base`` with what flags change."""
    flags = flags_of(type(base))
    default = flags(**base.model_dump())
    given = parse(flags, arguments, program, taken=taken, default=default, description=help_text)
    paths, config = split_paths(given, type(base))
    return paths, with_absolute_paths(config, Path.cwd())


def _check_data(origin: _Origin, config: RunConfig) -> None:
    """Refuse a preset for recorded data that has none, unless it goes on from other weights."""
    data = getattr(config, "data", None)
    if origin.start is None and is_recorded(origin.preset) and getattr(data, "file", None) is None:
        raise ConfigError(
            f"--config {origin.preset} learns from recorded data; add --data FILE, or let an agent"
            " act with --config crl"
        )


def _import_modules(arguments: Sequence[str]) -> list[str]:
    """Import the modules that ``--import-module`` names; returns the other arguments."""
    modules, rest = take_flags(arguments, "--import-module")
    if modules:
        from langrl.envs.registered import import_modules

        import_modules(modules)
    return rest


def _started_from(arguments: list[str]) -> tuple[Path | None, list[str]]:
    """Return the run folder that ``--start`` names, if it does, and the arguments with it."""
    folder, rest = _run_of_flag(arguments, "--start")
    if folder is not None:
        find_checkpoint(folder)  # says what is wrong, if there is none
    return folder, rest


def _run_of_flag(arguments: list[str], flag: str) -> tuple[Path | None, list[str]]:
    """Return the run folder that a flag names, if it does, and the arguments with that folder."""
    given, rest = take_flag(arguments, flag)
    if given is None:
        return None, rest
    folder = find_run(Path(given))
    return folder, [*rest, flag, str(folder)]


def _run_folder(paths: TrainPaths, name: str, changed: bool) -> Path:
    """Return the folder of a run; ``name`` is that of a new one, where no folder was given.

    Raises:
        ConfigError: if a run is to go on with another config than its own.
    """
    if paths.resume is None:
        return paths.out or Path("runs") / name
    if changed or paths.out is not None:
        raise ConfigError("--resume goes on with the run's own config; leave other flags out")
    if not (paths.resume / CONFIG_FILE).is_file():
        raise ConfigError(
            f"no {CONFIG_FILE} in {paths.resume}; give a run folder that langrl has written"
        )
    return paths.resume


def _pretrain_help() -> str:
    return (
        "Pre-train a model. --method language-image, the default: on images of worlds and"
        " captions, or on a folder of images. --method cpc: contrastive predictive coding, on"
        " explorations of grid worlds. --config takes a preset (pretrain-bundled) or a YAML"
        " file; `langrl pretrain --method NAME --help` lists a method's fields. --calibrate MODEL"
        " trains nothing: it fits P(understood) of 'bundled', or of a model in a folder, anew."
        " --import-module NAME imports a module that registers environments."
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
        " that registers environments."
    )
