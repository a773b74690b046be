"""The base of every config, and how to say in one line what is wrong with one."""

import math
import os.path
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, model_validator

from langrl.errors import ConfigError, quoted, suggestion

CONFIG_FILE = "config.yaml"  # of a run folder


class Reference(NamedTuple):
    """What a field that names a file or folder refers to.

    Args:
        use: training data; weights that training begins with, and that are in the run's own
            checkpoints from then on; a model that a run is built from; one that agents go on using.
        names: values that are names of our own, and never of a file.
    """

    use: Literal["data", "weights", "start", "model"]
    names: tuple[str, ...] = ()


class Settings(BaseModel):
    """Base of every config: frozen, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    earlier_names: ClassVar[dict[str, str | None]] = {}
    """Fields of earlier files: their name then, and their name now, or None if they are gone."""

    refers: ClassVar[dict[str, Reference]] = {}
    """Fields that name files or folders; ``with_absolute_paths`` and checkpoints need to know."""

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


def _no_import_path(name: str) -> str:
    if ":" in name:  # Gymnasium would import what is before it: code, by a file that was shared
        module = name.partition(":")[0]
        raise ValueError(f"no config imports a module; add --import-module {module} instead")
    return name


EnvironmentId = Annotated[str, AfterValidator(_no_import_path)]
"""Gymnasium's id of an environment, in a config or a checkpoint: without a module to import."""


def check_finite(values: Any, field: str = "") -> None:
    """Raise ValueError, naming the field, for a number in nested JSON values that is not finite."""
    if isinstance(values, float) and not math.isfinite(values):
        raise ValueError(f"{field} is {values}")
    pairs: Iterable[tuple[object, Any]] = ()
    if isinstance(values, Mapping):
        pairs = values.items()
    elif isinstance(values, list | tuple):
        pairs = enumerate(values)
    for key, value in pairs:
        check_finite(value, f"{field}.{key}" if field else str(key))


def with_changes(config: S, changes: Mapping[str, object], name: str) -> S:
    """Return a config with some fields changed; raises ConfigError, naming the field."""
    try:
        return type(config).model_validate(config.model_dump() | dict(changes))
    except ValidationError as error:
        raise ConfigError(f"{name}: {describe_invalid(error, type(config))}") from error


def references(config: Settings, before: str = "") -> Iterator[tuple[str, Reference, str]]:
    """Yield the fields that name files or folders: dotted field, what it refers to, its value.

    Names of our own are left out, and fields without a value.
    """
    for name in type(config).model_fields:
        value = getattr(config, name)
        if isinstance(value, Settings):
            yield from references(value, f"{before}{name}.")
            continue
        reference = type(config).refers.get(name)
        if reference is not None and value and value not in reference.names:
            yield f"{before}{name}", reference, value


def with_absolute_paths(config: S, *folders: Path) -> S:
    """Return a config whose relative paths are absolute, so that it means the same from anywhere.

    What is in none of the folders is left as it is: it may be a name on a hub.

    Args:
        config: a config.
        folders: where relative paths are looked for, the first ones first.
    """
    values: dict[str, Any] = {}
    own = {field: value for field, _, value in references(config) if "." not in field}
    for name in type(config).model_fields:
        value = getattr(config, name)
        if isinstance(value, Settings):
            values[name] = with_absolute_paths(value, *folders)
        elif name in own:
            values[name] = _absolute(value, folders)
    return config.model_copy(update=values)


def _absolute(path: str, folders: tuple[Path, ...]) -> str:
    places = (os.path.abspath(folder / path) for folder in folders)
    return next((place for place in places if os.path.exists(place)), path)


_WANTED = {  # by pydantic's name of the error
    "int_parsing": "takes a whole number",
    "int_type": "takes a whole number",
    "int_from_float": "takes a whole number",
    "float_parsing": "takes a number",
    "float_type": "takes a number",
    "bool_parsing": "takes true or false",
    "bool_type": "takes true or false",
    "string_type": "takes a text",
    "tuple_type": "takes a list",
}


def describe_invalid(error: ValidationError, model: type[Settings]) -> str:
    """Return the first thing that is wrong as one line: field, problem, repair."""
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known: dict[str, Any] = dict(model.model_fields)
        for part in first["loc"][:-1]:
            known = dict(known[str(part)].annotation.model_fields)
        return f"unknown key {quoted(field)}; {suggestion(str(first['loc'][-1]), known)}"
    problem = _WANTED.get(first["type"], first["msg"].removeprefix("Value error, "))
    if first["type"] == "literal_error":
        choices = first["ctx"]["expected"].replace(" or ", ", ").split(", ")
        problem = f"takes {' or '.join(sorted(choices))}"
    if not field:  # several settings together
        return problem
    return f"{field}: {problem[0].lower() + problem[1:]}, got {quoted(first['input'])}"


def dump_config(config: Settings) -> str:
    """Return a config as YAML that ``parse_config`` reads back to the same config."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
