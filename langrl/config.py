"""Run configs: one frozen model of everything, read from YAML presets or files.

``--config NAME_OR_FILE`` gives the defaults, flags override them, and what results is written to
the run folder as ``config.yaml``, which reruns it. No torch here, so that ``--help`` is quick.
"""

from importlib import resources
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from langrl import GRID_IDS, MAZE_IDS
from langrl.agents.config import (
    HistoryLearnerConfig,
    LearnerConfig,
    PolicyConfig,
    RoomLearnerConfig,
)
from langrl.data.config import DataConfig, GridDataConfig, TourDataConfig
from langrl.envs.grid_rooms import GRID_WORLDS
from langrl.envs.grid_views import check_view
from langrl.errors import ConfigError, lookup, suggestion
from langrl.experiment.config import (
    EvaluationConfig,
    GridEvaluationConfig,
    LoggingConfig,
    PolicyEvaluationConfig,
)
from langrl.grounding.config import (
    GridGroundingConfig,
    GroundingConfig,
    PolicyGroundingConfig,
)
from langrl.models.config import (
    CriticConfig,
    HistoryConfig,
    HistoryCriticConfig,
    RoomCriticConfig,
    TextConfig,
)
from langrl.settings import Settings, describe_invalid

MAX_CONFIG_BYTES = 1_000_000


class WorldConfig(Settings):
    """Where the agent acts."""

    layout: str = Field("fork", description="a published maze, an ASCII map, or a file with one")


class RunConfig(Settings):
    """Everything that decides a run's bits, with the number of threads and the versions."""

    task: Literal["street-maze"] = Field("street-maze", description="what sort of config this is")
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


class GridWorldConfig(Settings):
    """Where the agent of grid worlds learns; the first world is where it is evaluated."""

    worlds: tuple[str, ...] = Field(
        ("goto",), min_length=1, description=f"of {', '.join(GRID_WORLDS)}; one may come twice"
    )

    @field_validator("worlds")
    @classmethod
    def _known_worlds(cls, worlds: tuple[str, ...]) -> tuple[str, ...]:
        for world in worlds:
            lookup(GRID_WORLDS, world, "grid world")
        return worlds


class GridRunConfig(Settings):
    """As ``RunConfig``, for grid worlds: the language side is a pretrained model."""

    task: Literal["grid"] = Field("grid", description="what sort of config this is")
    world: GridWorldConfig = GridWorldConfig()
    data: GridDataConfig = GridDataConfig()
    critic: RoomCriticConfig = RoomCriticConfig()
    language: str = Field(
        "bundled", min_length=1, description="language-image model: 'bundled', a name or a folder"
    )
    learner: RoomLearnerConfig = RoomLearnerConfig()
    grounding: GridGroundingConfig = GridGroundingConfig()
    evaluation: GridEvaluationConfig = GridEvaluationConfig()
    logging: LoggingConfig = LoggingConfig()
    seed: int = Field(0, ge=0, lt=2**63, description="seed of data, weights and batches")
    device: str = Field(
        "cpu", pattern=r"^(cpu|cuda(:\d+)?|mps)$", description="cpu, cuda, cuda:N or mps"
    )
    threads: int = Field(1, ge=1, le=1024, description="CPU threads; the last bits depend on it")


class PartialWorldConfig(GridWorldConfig):
    """Where the agent that sees a part of a grid world learns; it is evaluated in the first one."""

    view: int = Field(7, description="cells along a side of the egocentric view; odd, from 3 on")

    @field_validator("view")
    @classmethod
    def _has_a_middle(cls, view: int) -> int:
        return check_view(view)


class PartialRunConfig(Settings):
    """As ``GridRunConfig``, for agents that see what is in front of them, and remember."""

    task: Literal["grid-partial"] = Field("grid-partial", description="what sort of config this is")
    world: PartialWorldConfig = PartialWorldConfig()
    data: TourDataConfig = TourDataConfig()
    history: HistoryConfig = HistoryConfig()
    critic: HistoryCriticConfig = HistoryCriticConfig()
    language: str = Field(
        "bundled", min_length=1, description="language-image model: 'bundled', a name or a folder"
    )
    learner: HistoryLearnerConfig = HistoryLearnerConfig()
    grounding: GridGroundingConfig = GridGroundingConfig()
    evaluation: GridEvaluationConfig = GridEvaluationConfig()
    logging: LoggingConfig = LoggingConfig()
    seed: int = Field(0, ge=0, lt=2**63, description="seed of data, weights and batches")
    device: str = Field(
        "cpu", pattern=r"^(cpu|cuda(:\d+)?|mps)$", description="cpu, cuda, cuda:N or mps"
    )
    threads: int = Field(1, ge=1, le=1024, description="CPU threads; the last bits depend on it")

    @model_validator(mode="after")
    def _has_an_effect(self) -> Self:
        default = HistoryLearnerConfig.model_fields["cpc_weight"].default
        idle = not self.history.memory or self.history.frozen
        if idle and self.learner.cpc_weight not in (0, default):
            raise ValueError(
                "learner.cpc_weight has no effect where history.memory is off or history.frozen is"
                " on; leave it out"
            )
        return self


class PolicyRunConfig(Settings):
    """A policy that Stable-Baselines3 trains, in a world of langrl."""

    task: Literal["sb3"] = Field("sb3", description="what sort of config this is")
    world: str = Field(
        "langrl/StreetMaze-Fork-v0", description=f"of {', '.join((*MAZE_IDS, *GRID_IDS))}"
    )
    policy: PolicyConfig = PolicyConfig()
    encoder: Literal["own", "frozen", "fine_tuned"] = Field(
        "own", description="features of goals: the policy's own, or a trained critic's encoders"
    )
    critics: str | None = Field(
        None,
        description="run folder of `langrl train` in such a world: language side of mazes, and a"
        " critic that ranks the policy's actions; in mazes, trained first if not given",
    )
    language: str = Field(
        "bundled",
        min_length=1,
        description="grid worlds: language-image model, 'bundled', a name or a folder; ppo: or any"
        " SentenceTransformer",
    )
    grounding: PolicyGroundingConfig = PolicyGroundingConfig()
    evaluation: PolicyEvaluationConfig = PolicyEvaluationConfig()
    logging: LoggingConfig = LoggingConfig(log_every=10_000, checkpoint_every=100_000)
    seed: int = Field(0, ge=0, lt=2**32, description="seed of worlds, weights and batches")
    device: str = Field(
        "cpu", pattern=r"^(cpu|cuda(:\d+)?|mps)$", description="cpu, cuda, cuda:N or mps"
    )
    threads: int = Field(1, ge=1, le=1024, description="CPU threads; the last bits depend on it")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        lookup(MAZE_IDS | GRID_IDS, self.world, "world")
        algorithm, is_maze = self.policy.algorithm, self.world in MAZE_IDS
        if algorithm == ("dqn" if is_maze else "sac"):
            other = "sac" if is_maze else "dqn"
            raise ValueError(
                f"{algorithm} cannot act in {self.world}; set policy.algorithm {other}"
            )
        if algorithm == "ppo" and self.critics is not None:
            raise ValueError("critics has no effect on ppo; leave it out")
        if self.encoder != "own" and (algorithm == "ppo" or (not is_maze and self.critics is None)):
            raise ValueError(
                f"encoder {self.encoder!r} needs a policy of goals and a trained critic; use sac or"
                " dqn, and name the critic's run folder as critics"
            )
        return self


OwnRunConfig = RunConfig | GridRunConfig | PartialRunConfig  # what langrl trains itself
AnyRunConfig = OwnRunConfig | PolicyRunConfig
OWN_RUN_CONFIGS = (RunConfig, GridRunConfig, PartialRunConfig)
RUN_CONFIGS = (*OWN_RUN_CONFIGS, PolicyRunConfig)


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


C = TypeVar("C", bound=Settings)


def load_config(source: str, *models: type[C]) -> C:
    """Read a preset by name, or a YAML file, as one of several sorts of config.

    Args:
        source: a preset's name, or a file.
        models: the sorts that are taken; the file's ``task`` says which, a street maze by default.

    Raises:
        ConfigError: if there is neither, it is no YAML, of another sort, or a field is unknown or
            wrong; names the file and the field.
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
    return parse_config(text, source, *models)


def parse_config(text: str, source: str, *models: type[C]) -> C:
    """Parse YAML into a config; ``source`` names it in errors, which are as ``load_config``'s."""
    try:
        content = yaml.load(text, Loader=_Loader)
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from error
    except (yaml.YAMLError, RecursionError, TypeError) as error:
        raise ConfigError(f"{source} is not YAML: {error}") from error
    if not isinstance(content, dict | None):
        raise ConfigError(f"{source} must be a mapping of fields, as in 'seed: 0'")
    content = content or {}
    tasks = {str(model.model_fields["task"].default): model for model in models}
    task = content.get("task", RunConfig.model_fields["task"].default)
    if task not in tasks:
        told = repr(task) if "task" in content else f"{task!r} where a file does not say"
        raise ConfigError(f"{source}: task is {told}; this command takes {' or '.join(tasks)}")
    model = tasks[task]
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"{source}: {describe_invalid(error, model)}") from error


def dump_config(config: Settings) -> str:
    """Return a config as YAML that ``parse_config`` reads back to the same config."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
