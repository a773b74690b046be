"""Run configs: one frozen model of everything, read from YAML presets or files.

``--config NAME_OR_FILE`` gives the defaults, flags override them, and what results is written to
the run folder as ``config.yaml``, which reruns it. No torch here, so that ``--help`` is quick.
"""

import re
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from langrl.errors import ConfigError, quoted, suggestion
from langrl.settings import Settings, describe_invalid, with_absolute_paths
from langrl.tasks.config import DEFAULT_TASK

MAX_CONFIG_BYTES = 100_000
_NO_YAML = (  # YAML's own parsers of dates and numbers raise what they like
    yaml.YAMLError, RecursionError, ValueError, LookupError, TypeError, AttributeError,
)  # fmt: skip


class _Loader(yaml.SafeLoader):
    """Refuses duplicate keys, which YAML would silently resolve to the last one.

    A merge key, ``<<: *anchor``, may bring in a key that the mapping has too: its own value holds.
    """

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        # Checked as written: a merge puts the keys that it brings in among a mapping's own.
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if (key.tag, key.value) in seen:
                raise ConfigError(f"the key {quoted(key.value)} appears twice; keep one")
            seen.add((key.tag, key.value))
        return node


C = TypeVar("C", bound=Settings)


def preset_names(*models: type[C]) -> list[str]:
    """Return the names of the configs that ship with langrl, of some task families or of all."""
    folder = resources.files("langrl.configs")
    files = {p.name.removesuffix(".yaml"): p for p in folder.iterdir() if p.name.endswith(".yaml")}
    tasks = {model.model_fields["task"].default for model in models}
    return sorted(name for name, file in files.items() if not models or _task_of(file) in tasks)


def _task_of(preset: Traversable) -> str:
    found = re.search(r"^task:\s*(\S+)", preset.read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else DEFAULT_TASK


def load_config(source: str, *models: type[C]) -> C:
    """Read a preset by name, or a YAML file, as the config of one of several task families.

    Relative paths in a file are looked for beside the file and then in the working directory, and
    are absolute in what is returned.

    Args:
        source: a preset's name, or a file.
        models: the families' configs; the file's ``task`` says which, a street maze by default.

    Raises:
        ConfigError: if there is neither, it is no YAML, of another family, or a field is unknown or
            wrong; names the file and the field.
    """
    if source in preset_names():
        text = (resources.files("langrl.configs") / f"{source}.yaml").read_text(encoding="utf-8")
    else:
        path = Path(source)
        if not _is_file(path):
            if path.suffix in (".yaml", ".yml") or len(path.parts) > 1:
                raise ConfigError(f"no config file {path}; check the path")
            presets = preset_names(*models)
            raise ConfigError(f"no preset named {source!r}; {suggestion(source, presets)}")
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise ConfigError(
                f"{path} is larger than {MAX_CONFIG_BYTES // 1000} kB; a config is a few lines"
            )
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot read {path}: {error}") from error
        return with_absolute_paths(parse_config(text, source, *models), path.parent, Path.cwd())
    return parse_config(text, source, *models)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is longer than names may be
        return False


def parse_config(text: str, source: str, *models: type[C]) -> C:
    """Parse YAML into a config; ``source`` names it in errors, which are as ``load_config``'s."""
    try:
        content = yaml.load(text, Loader=_Loader)
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from error
    except (
        yaml.YAMLError,
        RecursionError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
    ) as error:
        # YAML's own parsers of dates and numbers raise what they like.
        raise ConfigError(f"{source} is not YAML: {error}") from error
    if not isinstance(content, dict | None):
        raise ConfigError(f"{source} must be a mapping of fields, as in 'seed: 0'")
    content = content or {}
    tasks = {str(model.model_fields["task"].default): model for model in models}
    task = content.get("task", DEFAULT_TASK)
    if not isinstance(task, str) or task not in tasks:
        where = "" if "task" in content else " where a file does not say"
        raise ConfigError(
            f"{source}: task is {quoted(task)}{where}; this command takes {' or '.join(tasks)}"
        )
    model = tasks[task]
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"{source}: {describe_invalid(error, model)}") from error
