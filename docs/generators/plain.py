"""Types, values and limits of fields, in words for the cells of tables."""

import types
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import tyro
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

_WORDS = {
    int: "whole number",
    float: "number",
    str: "text",
    bool: "true or false",
    Path: "path",
    type(None): "None",
}
_LIMITS = (("ge", "at least"), ("gt", "above"), ("le", "at most"), ("lt", "below"))


def kind(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    """Return what values a field takes, in words.

    Args:
        annotation: its type.
        metadata: its limits, as pydantic keeps them beside the type.
    """
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return kind(inner[0], [*inner[1:], *metadata])
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in inner)
    if origin in (Union, types.UnionType):
        return " or ".join(kind(each, metadata if each is not type(None) else ()) for each in inner)
    if origin is tuple and inner[-1] is Ellipsis:
        return f"list of: {kind(inner[0])}"
    if origin is tuple:
        return " and ".join(kind(each) for each in inner)
    if origin in (list, dict) or annotation not in _WORDS:
        return f"`{getattr(annotation, '__name__', annotation)}`"
    return _WORDS[annotation] + _limits(metadata)


def _limits(metadata: Sequence[Any]) -> str:
    found = [
        f"{word} {_number(getattr(each, name))}"
        for each in metadata
        for name, word in _LIMITS
        if getattr(each, name, None) is not None
    ]
    return f", {', '.join(found)}" if found else ""


def _number(value: Any) -> str:
    power = value.bit_length() - 1 if isinstance(value, int) and value > 0 else 0
    return f"2**{power}" if power > 20 and value == 2**power else f"{value:,}"


def is_positional(field: FieldInfo) -> bool:
    """Whether a command reads the field from the place of a word, without a flag."""
    return tyro.conf.Positional in field.metadata


def default(field: FieldInfo) -> str:
    """Return a field's default as it is typed, or that there is none."""
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "needed"
    return code(value)


def code(value: Any) -> str:
    """Return a value as code for a cell of a table; nothing for None and what is empty."""
    if value is None or value in ((), ""):
        return "none"
    if isinstance(value, tuple | list):
        return " ".join(code(each) for each in value)
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return (
        "\n".join(
            f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in lines
        )
        + "\n"
    )
