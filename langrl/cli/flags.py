"""Reads the flags of a command line by tyro, with one clear line for what is wrong."""

import contextlib
import io
import re
from collections.abc import Sequence
from typing import Any, TypeVar

import tyro
from pydantic import create_model

from langrl.cli.arguments import TrainPaths
from langrl.errors import ConfigError, lookup
from langrl.settings import Settings
from langrl.tasks.presets import preset_names

C = TypeVar("C", bound=Settings)


def parse(model: Any, arguments: Sequence[str], program: str, **options: Any) -> Any:
    """Parse flags with tyro, turning its boxed errors into one line.

    Raises:
        ConfigError: if the arguments are wrong.
    """
    printed = io.StringIO()
    try:
        with contextlib.redirect_stderr(printed):
            return tyro.cli(model, args=list(arguments), prog=program, **options)
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        raise ConfigError(_unbox(printed.getvalue())) from None


def _unbox(text: str) -> str:
    """Return what tyro's box says, up to its first rule, as one line."""
    lines = [line.strip("│ ") for line in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()]
    kept: list[str] = []
    for line in lines:
        if line.startswith(("╭", "╰")):
            continue
        if line.startswith("──") and kept:
            break
        kept.append(line)
    message = " ".join(" ".join(kept).split())
    invalid = re.search(
        r"Error parsing (?P<group>\S+): \d+ validation errors? for \S+ (?P<field>\S+)"
        r" (?P<problem>.*?) \[type=\w+, input_value=(?P<value>.*?), input_type=",
        message,
    )
    if invalid and invalid["field"] == "Value":  # "Value error, ...": several settings together
        return invalid["problem"].removeprefix("error, ")
    if invalid:
        group = invalid["group"].strip(":")
        path = (
            invalid["field"] if group.lstrip("_")[:1].isupper() else f"{group}.{invalid['field']}"
        )
        flag = path.replace("_", "-")
        return f"--{flag}: {invalid['problem'].lower()}, got {invalid['value']}"
    return message or "the arguments cannot be read; see --help"


def take_flag(arguments: list[str], flag: str) -> tuple[str | None, list[str]]:
    """Split ``--flag VALUE`` or ``--flag=VALUE`` off the arguments."""
    rest, value = [], None
    remaining = iter(arguments)
    for argument in remaining:
        if argument == flag:
            value = next(remaining, None)
            if value is None:
                known = f"; presets are {', '.join(preset_names())}" if flag == "--config" else ""
                raise ConfigError(f"{flag} needs a value{known}")
        elif argument.startswith(f"{flag}="):
            value = argument.removeprefix(f"{flag}=")
        else:
            rest.append(argument)
    return value, rest


def flags_of(config: type[C]) -> Any:
    """Return a model with the fields of a config, and the paths of a run beside them."""
    return create_model(
        f"{config.__name__.removesuffix('Config')}Flags",
        __base__=(config, TrainPaths),
        __doc__="A run's config, and where the run goes.",
    )


def split_paths(given: Settings, model: type[C]) -> tuple[TrainPaths, C]:
    """Take the paths and the config apart."""
    values = {name: getattr(given, name) for name in type(given).model_fields}
    own = {name: values.pop(name) for name in TrainPaths.model_fields}
    return TrainPaths(**own), model(**values)


def subcommand(arguments: list[str], table: dict[str, str], program: str) -> tuple[str, list[str]]:
    """Split off the first word, which has to be in the table; prints help if asked."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(f"usage: {program} NAME [flags]; {program} NAME --help lists its flags\n")
        for name, meaning in table.items():
            print(f"  {name:<18}{meaning}")
        raise SystemExit(0)
    lookup(table, arguments[0], f"command under '{program}'")
    return arguments[0], arguments[1:]
