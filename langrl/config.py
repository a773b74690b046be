"""Run configs: one frozen model of everything, read from YAML presets or files.

``--config NAME_OR_FILE`` gives the defaults, flags override them, and what results is written to
the run folder as ``config.yaml``, which reruns it. No torch here, so that ``--help`` is quick.
"""

from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError

from langrl.agents.config import LearnerConfig
from langrl.data.config import DataConfig
from langrl.errors import ConfigError, suggestion
from langrl.experiment.config import EvaluationConfig, LoggingConfig
from langrl.grounding.config import GroundingConfig
from langrl.models.config import CriticConfig, TextConfig
from langrl.settings import Settings, describe_invalid

MAX_CONFIG_BYTES = 1_000_000


class WorldConfig(Settings):
    """Where the agent acts."""

    layout: str = Field("fork", description="a published maze, an ASCII map, or a file with one")


class RunConfig(Settings):
    """Everything that decides a run's bits, with the number of threads and the versions."""

    world: WorldConfig = WorldConfig()
    data: DataConfig = DataConfig()
    critic: CriticConfig = CriticConfig()
    text: TextConfig = TextConfig()
    learner: LearnerConfig = LearnerConfig()
    grounding: GroundingConfig = GroundingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    logging: LoggingConfig = LoggingConfig()
    seed: int = Field(0, ge=0, lt=2**63, description="seed of data, weights and batches")
    device: str = Field(
        "cpu", pattern=r"^(cpu|cuda(:\d+)?|mps)$", description="cpu, cuda, cuda:N or mps"
    )
    threads: int = Field(1, ge=1, le=1024, description="CPU threads; the last bits depend on it")


class _Loader(yaml.SafeLoader):
    """Refuses duplicate keys, which YAML would silently resolve to the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise ConfigError(f"the key {key!r} appears twice; keep one")
        return super().construct_mapping(node, deep)


def preset_names() -> list[str]:
    """Return the names of the configs that ship with langrl."""
    folder = resources.files("langrl.configs")
    return sorted(
        p.name.removesuffix(".yaml") for p in folder.iterdir() if p.name.endswith(".yaml")
    )


def load_config(source: str) -> RunConfig:
    """Read a preset by name, or a YAML file.

    Raises:
        ConfigError: if there is neither, it is no YAML, or a field is unknown or wrong; names the
            file and the field.
    """
    if source in preset_names():
        text = (resources.files("langrl.configs") / f"{source}.yaml").read_text()
    else:
        path = Path(source)
        if not path.is_file():
            if path.suffix in (".yaml", ".yml") or len(path.parts) > 1:
                raise ConfigError(f"no config file {path}; check the path")
            raise ConfigError(f"no preset named {source!r}; {suggestion(source, preset_names())}")
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise ConfigError(f"{path} is larger than 1 MB; a config is a few lines")
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot read {path}: {error}") from error
    return parse_config(text, source)


def parse_config(text: str, source: str) -> RunConfig:
    """Parse YAML into a config; ``source`` names it in errors, which are as ``load_config``'s."""
    try:
        content = yaml.load(text, Loader=_Loader)
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from error
    except (yaml.YAMLError, RecursionError, TypeError) as error:
        raise ConfigError(f"{source} is not YAML: {error}") from error
    if not isinstance(content, dict | None):
        raise ConfigError(f"{source} must be a mapping of fields, as in 'seed: 0'")
    try:
        return RunConfig.model_validate(content or {})
    except ValidationError as error:
        raise ConfigError(f"{source}: {describe_invalid(error, RunConfig)}") from error


def dump_config(config: RunConfig) -> str:
    """Return a config as YAML that ``parse_config`` reads back to the same config."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
