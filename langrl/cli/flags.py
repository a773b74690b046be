"""Reads the flags of a command line by tyro, with one clear line for what is wrong."""

import contextlib
import difflib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar, get_args, get_origin

import tyro
from pydantic import create_model

from langrl.cli.arguments import TrainPaths
from langrl.errors import ConfigError, lookup
from langrl.settings import Settings

C = TypeVar("C", bound=Settings)
_NUMBERS: dict[Any, str] = {int: "a whole number", float: "a number"}


def parse(
    model: Any, arguments: Sequence[str], program: str, *, taken: Sequence[str] = (), **options: Any
) -> Any:
    """Parse flags with tyro, turning its boxed errors into one line.

    Args:
        model: a ``Settings`` class.
        arguments: what the user typed.
        program: the command, for its help.
        taken: flags of the command that were read before, for messages.
        **options: of ``tyro.cli``.

    Raises:
        ConfigError: if the arguments are wrong.
    """
    known = dict(_flags(model))
    _check_names(arguments, [*known, *taken])
    printed = io.StringIO()
    try:
        with contextlib.redirect_stderr(printed):
            return tyro.cli(model, args=list(arguments), prog=program, **options)
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        raise ConfigError(_plain(_unbox(printed.getvalue()), known)) from None


def _flags(model: type[Settings], before: str = "--") -> Iterator[tuple[str, Any]]:
    """Yield every flag of a model, and the type of its values."""
    for name, field in model.model_fields.items():
        inner, flag = field.annotation, before + name.replace("_", "-")
        if isinstance(inner, type) and issubclass(inner, Settings):
            yield from _flags(inner, f"{flag}.")
        elif tyro.conf.Positional not in field.metadata:
            yield flag, inner
            if inner is bool:
                yield f"{before}no-" + name.replace("_", "-"), inner


def _check_names(arguments: Sequence[str], known: Sequence[str]) -> None:
    """Raise ConfigError for the first flag that there is not, naming the nearest one."""
    for argument in arguments:
        typed = argument.partition("=")[0]
        if not re.match("--?[A-Za-z]", typed) or typed in ("-h", "--help"):
            continue
        name = "--" + typed.lstrip("-").replace("_", "-")
        if name not in known or not typed.startswith("--"):
            close = [flag for flag in known if flag.startswith(f"{name}.")]
            close = close or difflib.get_close_matches(name, known, n=1)
            repair = f"did you mean {' or '.join(close)}?" if close else "--help lists them"
            raise ConfigError(f"no flag {typed}; {repair}")


def _plain(message: str, known: Mapping[str, Any]) -> str:
    """Say in plain words what tyro says of a value; what it says of anything else is kept."""
    if found := re.match(r"Error parsing (--\S+): .*: '(.*)'$", message):
        flag, value = found.groups()
        wanted = [name for kind, name in _NUMBERS.items() if kind in _types(known.get(flag))]
        if wanted:
            return f"{flag} takes {wanted[0]}, got {value!r}"
    if found := re.match(r"invalid choice '(.*)' for argument '(--\S+)'.*\((.*?),?\)", message):
        value, flag, listed = found.groups()
        choices = sorted(choice.strip(" '") for choice in listed.split(","))
        return f"{flag} takes {' or '.join(map(repr, choices))}, got {value!r}"
    if found := re.match(r"Error parsing (--\S+): no type matching ", message):
        for kind in _types(known.get(found[1])):
            if get_origin(kind) is tuple:
                return f"{found[1]} takes {len(get_args(kind))} values"
    missing = r"Missing value for argument '(--\S+?)'|(--\S+): tuple should have at least 1 item"
    if found := re.match(missing, message):
        return f"{found[1] or found[2]} needs a value"
    if found := re.match("Unrecognized options: (.*)", message):
        return f"{found[1]!r} belongs to no flag; a value comes after its flag, as in --seed 3"
    return message


def _types(annotation: Any) -> tuple[Any, ...]:
    """Return the types of a flag's values: of ``int | None``, int and None."""
    inner = get_args(annotation)
    return (annotation, *(kind for each in inner for kind in _types(each)))


def _unbox(text: str) -> str:
    """Return what tyro's box says, from its title up to its next rule, as one line."""
    lines = [line.strip("│ ") for line in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()]
    kept: list[str] = []
    titled = "╭" in text  # the title is in the frame; without UTF-8, it is a line above a rule
    for line in lines:
        if line.startswith(("╭", "╰")):
            continue
        if not re.fullmatch("─{2,}|-{2,}", line):
            kept.append(line)
        elif titled:
            break
        else:
            kept, titled = [], True
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
        problem = invalid["problem"].removeprefix("Value error, ")
        return f"--{flag}: {problem[:1].lower()}{problem[1:]}, got {invalid['value']}"
    return message or "the arguments cannot be read; see --help"


def take_flag(
    arguments: list[str], flag: str, known: Sequence[str] = ()
) -> tuple[str | None, list[str]]:
    """Split ``--flag VALUE`` or ``--flag=VALUE`` off the arguments; the last one counts.

    Raises:
        ConfigError: if the value is missing; names the ``known`` ones.
    """
    values, rest = take_flags(arguments, flag, known)
    return (values[-1] if values else None), rest


def take_flags(
    arguments: Sequence[str], flag: str, known: Sequence[str] = ()
) -> tuple[list[str], list[str]]:
    """Split every ``--flag VALUE`` off the arguments; errors are those of ``take_flag``."""
    rest, values = [], []
    remaining = iter(arguments)
    for argument in remaining:
        if argument == flag:
            value = next(remaining, None)
            if value is None:
                listed = f"; presets are {', '.join(known)}" if known else ""
                raise ConfigError(f"{flag} needs a value{listed}")
            values.append(value)
        elif argument.startswith(f"{flag}="):
            values.append(argument.removeprefix(f"{flag}="))
        else:
            rest.append(argument)
    return values, rest


def take_fields(arguments: Sequence[str], group: str) -> tuple[dict[str, str | None], list[str]]:
    """Split every ``--GROUP.FIELD VALUE`` off the arguments; fields by name, the last one counts.

    The value None is none.

    Raises:
        ConfigError: if a value is missing.
    """
    fields: dict[str, str | None] = {}
    rest = list(arguments)
    for argument in arguments:
        flag = argument.partition("=")[0]
        if flag.startswith(f"--{group}."):
            values, rest = take_flags(rest, flag)
            if values:
                name = flag.removeprefix(f"--{group}.").replace("-", "_")
                fields[name] = None if values[-1] == "None" else values[-1]
    return fields, rest


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
