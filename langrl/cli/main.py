"""The command line: reads arguments, prints one clear line for what is wrong with them.

Exit codes: 0 done; 1 the reader of the output has gone; 2 bad usage or input; 130 interrupted
(SIGINT), 143 terminated (SIGTERM).
Commands import what they need when they run, so that ``langrl --help`` is quick.
"""

import contextlib
import errno
import importlib
import multiprocessing
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
)
from langrl.cli.flags import parse, subcommand, take_fields
from langrl.cli.folders import (
    DIAGNOSES,
    OWN_EVALUATIONS,
    check_folder,
    check_results_folder,
    evaluations_of,
    find_run,
    new_folder,
)
from langrl.cli.training import pretrain, train
from langrl.errors import (
    OF_THE_MACHINE,
    ConfigError,
    LangRLError,
    check_extra,
    lookup,
    one_line,
)
from langrl.models.hub import looks_like_a_folder
from langrl.reproduce.arguments import REPRODUCTIONS
from langrl.tasks.config import RunConfig
from langrl.tasks.hub import is_on_hub, local_folder
from langrl.tasks.registry import demos, load_run_config, run_of
from langrl.tasks.sharing import is_shared
from langrl.training import interrupts

_LONGEST = 300  # characters of an error that is printed
_GOES_ON = dict.fromkeys(("train", "pretrain"), "; a run goes on with --resume") | dict.fromkeys(
    ("benchmark", "reproduce", "sweep"), "; the same command goes on with what is there"
)


def _typed(name: str, arguments: Sequence[str]) -> str:
    """Return what the user typed, for the record."""
    return shlex.join(["langrl", name, *arguments])


def evaluate(arguments: list[str]) -> None:
    """Evaluate a run folder, or an agent of the user's own in a world of langrl."""
    grounding, rest = take_fields(arguments, "grounding")
    given = parse(EvaluateArguments, rest, "langrl evaluate")
    if given.run is None:
        if grounding:
            raise ConfigError("fields of the grounding are for run folders; leave them out")
        _evaluate_own(given, _typed("evaluate", arguments))
        return
    run = find_run(local_folder(given.run))
    if given.policy is None or run_of(run) is None:
        find_checkpoint(run)  # says what is wrong, if there is none
    out = given.out
    if out is None and is_shared(run_of(run) or run):  # what was shared stays as it is
        name = str(given.run) if is_on_hub(given.run) else run.name
        out = new_folder(OWN_EVALUATIONS, name)
    if out is None:
        check_folder(evaluations_of(run))
    else:
        check_results_folder(out)
    from langrl.cli import commands

    options = given.model_dump(exclude={"run", "out"})
    options["grounding"] = grounding
    commands.evaluate(run, out, _typed("evaluate", arguments), **options)


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


def push(arguments: list[str]) -> None:
    """Share a run's agent on the Hugging Face Hub."""
    importlib.import_module("langrl.cli.push").run(arguments)


def demo(arguments: list[str]) -> None:
    """Show the whole path in under three minutes."""
    given = parse(DemoArguments, arguments, "langrl demo")
    task, own = lookup(demos(), given.world, "world with a demo")
    preset = own.preset if given.config is None else given.config
    config: RunConfig = load_run_config(preset, task)
    out = check_folder(given.out or Path("runs") / own.folder)
    from langrl.cli import commands

    text = own.instruction if given.instruction is None else given.instruction
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
    """Diagnose the embeddings of two modalities, or the critic of a run."""
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


def play(arguments: list[str]) -> None:
    """Play with a run in the browser."""
    importlib.import_module("langrl.cli.play").play(arguments)


def render(arguments: list[str]) -> None:
    """Write an episode as a page or a film."""
    importlib.import_module("langrl.cli.play").render(arguments)


COMMANDS: dict[str, tuple[Callable[[list[str]], None], str]] = {
    "demo": (demo, "train in a world and follow a typed instruction, with figures"),
    "pretrain": (pretrain, "train a language-image model, or a memory by --method cpc"),
    "train": (train, "train an agent, or resume a run"),
    "evaluate": (evaluate, "evaluate a run folder, on drawn instructions or on a text"),
    "push": (push, "share a run's agent on the Hugging Face Hub, or write what would be sent"),
    "play": (play, "play with a trained run in the browser"),
    "render": (render, "write an episode of a run as a page or a film"),
    "sweep": (sweep, "train a config with fields changed, and compare the runs"),
    "reproduce": (reproduce, f"reproduce a published result: {', '.join(REPRODUCTIONS)}"),
    "data": (data, "describe recorded trajectories, or make a published data set anew"),
    "diagnose": (diagnose, "say what is wrong with a model's embeddings, or with a run's critic"),
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
            with interrupts.handled():
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
        print(one_line(f"langrl: error: {error}", _LONGEST), file=sys.stderr)
        raise SystemExit(2) from None
    except OSError as error:
        if error.errno not in OF_THE_MACHINE:
            raise
        where = "" if error.filename is None else f"{str(error.filename)[-80:]}: "
        repair = "; make room" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        message = f"langrl: error: {where}{str(error.strerror).lower()}{repair}"
        print(one_line(message, _LONGEST), file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt as error:
        for process in multiprocessing.active_children():  # else, the exit would wait for them
            process.terminate()
        goes_on = _GOES_ON.get("".join(sys.argv[1:2]), "")
        print(f"langrl: interrupted{goes_on}", file=sys.stderr)
        status = error.status if isinstance(error, interrupts.Stopped) else 130
        raise SystemExit(status) from None
