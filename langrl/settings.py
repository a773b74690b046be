"""The base of every config, and how to say in one line what is wrong with one."""

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from langrl.errors import ConfigError, suggestion

CONFIG_FILE = "config.yaml"  # of a run folder


class Settings(BaseModel):
    """Base of every config: frozen, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    earlier_names: ClassVar[dict[str, str | None]] = {}
    """Fields of earlier files: their name then, and their name now, or None if they are gone."""

    @model_validator(mode="before")
    @classmethod
    def _read_earlier_names(cls, content: Any) -> Any:
        if isinstance(content, dict) and cls.earlier_names.keys() & content.keys():
            for earlier, name in cls.earlier_names.items():
                if {earlier, name} <= content.keys():
                    raise ValueError(
                        f"{earlier} is an earlier name of {name}; leave one of them out"
                    )
            now = {cls.earlier_names.get(name, name): value for name, value in content.items()}
            now.pop(None, None)
            return now
        return content


S = TypeVar("S", bound=Settings)


def with_changes(config: S, changes: Mapping[str, object], name: str) -> S:
    """Return a config with some fields changed; raises ConfigError, naming the field."""
    try:
        return type(config).model_validate(config.model_dump() | dict(changes))
    except ValidationError as error:
        raise ConfigError(f"{name}: {describe_invalid(error, type(config))}") from error


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
    if not field:  # several settings together
        return problem
    return f"{field}: {problem[0].lower() + problem[1:]}, got {first['input']!r}"


def dump_config(config: Settings) -> str:
    """Return a config as YAML that ``parse_config`` reads back to the same config."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
