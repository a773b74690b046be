"""Every command with its flags, as the command line itself reads them.

A command is called with ``--help``, up to where its flags would be parsed; there its model is
taken. What prints a list of further commands instead has each of them called.
"""

import contextlib
import inspect
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from unittest import mock

from pydantic.fields import FieldInfo

from generators.plain import code, default, is_positional, kind, table
from langrl.cli import flags
from langrl.cli.arguments import TrainPaths
from langrl.cli.main import COMMANDS
from langrl.settings import Settings
from langrl.tasks.config import RunConfig


@dataclass(frozen=True)
class Command:
    """A command.

    Args:
        words: what is typed, after ``langrl``.
        model: its flags.
        taken: flags that it reads before those of the model.
        meaning: what its help says before the flags.
    """

    words: tuple[str, ...]
    model: type[Settings]
    taken: tuple[str, ...]
    meaning: str

    @property
    def name(self) -> str:
        """What is typed."""
        return " ".join(("langrl", *self.words))

    @property
    def trains(self) -> bool:
        """Whether its flags are the fields of a run's config."""
        return issubclass(self.model, RunConfig)


class _Parsed(Exception):
    """Ends a command where its flags would be parsed."""


def _call(words: Sequence[str]) -> Command | str:
    """Return the command, or what it prints where it is a family of commands."""
    names: list[str] = []
    found: list[Command] = []

    def take(model: Any, prog: str, description: str = "", **_: Any) -> None:
        own = {name for name, _ in flags._flags(model)}
        taken = tuple(name for name in names if name not in own)
        meaning = description or inspect.getdoc(model) or ""
        found.append(Command(tuple(words), model, taken, " ".join(meaning.split())))
        raise _Parsed

    printed = io.StringIO()
    with (
        contextlib.redirect_stdout(printed),
        contextlib.suppress(SystemExit, _Parsed),
        mock.patch.object(flags, "_check_names", lambda _, known: names.extend(known)),
        mock.patch.object(flags.tyro, "cli", take),
    ):
        COMMANDS[words[0]][0]([*words[1:], "--help"])
    return found[0] if found else printed.getvalue()


def commands(*words: str) -> Iterator[Command]:
    """Yield every command, or those whose first words are given."""
    names: Sequence[str] = tuple(COMMANDS)
    if words:
        found = _call(words)
        if isinstance(found, Command):
            yield found
            return
        names = re.findall(r"^  (\S+)", found, re.MULTILINE)
    for name in names:
        yield from commands(*words, name)


def render() -> str:
    """Return a section for each command: what it does, and a table of its flags."""
    return "\n".join(_section(command) for command in commands())


def _section(command: Command) -> str:
    model = command.model
    fields = TrainPaths.model_fields if command.trains else model.model_fields
    places = [name.upper() for name, field in fields.items() if is_positional(field)]
    rows = [
        (f"`{flag}`", kind(field.annotation, field.metadata), default(field), field.description)
        for name, field in fields.items()
        for flag in [name.upper() if is_positional(field) else _flag(name, field)]
    ]
    parts = [f"## {command.name}", _with_code(command.meaning)]
    if command.trains:
        parts.append(
            "Every field of a [config](configs.md) is a flag of this command, as in"
            " `--learner.steps 5000`. Beside them, it takes:"
        )
    if rows:
        parts.append(
            table(
                ("flag" if not places else "argument or flag", "takes", "default", "meaning"), rows
            )
        )
    if command.taken:
        parts.append(f"Also, explained above: {', '.join(map(code, command.taken))}.")
    return "\n\n".join(parts) + "\n"


def _flag(name: str, field: FieldInfo) -> str:
    flag = "--" + name.replace("_", "-")
    return f"{flag}`, `--no-{flag[2:]}" if field.annotation is bool else flag


def _with_code(text: str) -> str:
    """Return a text whose flags are code, also those that are no part of longer code."""
    parts = text.split("`")
    parts[::2] = [re.sub(r"(?<![\w-])(--[a-z][\w.-]*\w)", r"`\1`", part) for part in parts[::2]]
    return "`".join(parts)
