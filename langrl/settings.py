"""The base of every config, and how to say in one line what is wrong with one."""

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from langrl.errors import suggestion


class Settings(BaseModel):
    """Base of every config: frozen, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def describe_invalid(error: ValidationError, model: type[Settings]) -> str:
    """Return the first thing that is wrong as one line: field, problem, repair."""
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known: dict[str, Any] = dict(model.model_fields)
        for part in first["loc"][:-1]:
            known = dict(known[str(part)].annotation.model_fields)
        return f"unknown key {field!r}; {suggestion(str(first['loc'][-1]), known)}"
    problem = first["msg"].removeprefix("Value error, ")
    return f"{field}: {problem[0].lower() + problem[1:]}, got {first['input']!r}"
