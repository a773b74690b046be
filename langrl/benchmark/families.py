"""What the benchmark trains: a family of agents is a preset for mazes and one for grid worlds."""

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from langrl import GRID_IDS, MAZE_IDS
from langrl.benchmark.level_world import LEVEL_IDS, LEVELS
from langrl.benchmark.profiles import PROFILES, Recipe
from langrl.envs.maze.grammar import DRAWN_KINDS
from langrl.envs.maze.layouts import LAYOUTS
from langrl.errors import check_extra, lookup
from langrl.settings import CONFIG_FILE
from langrl.tasks.config import OFF, RunConfig
from langrl.tasks.grid.cloning import clone
from langrl.tasks.grid.config import GridEvaluationConfig, is_level
from langrl.tasks.grid.suite import GridSuite
from langrl.tasks.loading import AgentMaker, agents_of_run
from langrl.tasks.maze.config import MazeEvaluationConfig
from langrl.tasks.maze.suite import MazeSuite
from langrl.tasks.registry import TASKS, load_run_config
from langrl.tasks.run import is_trained, train_or_resume
from langrl.tasks.suite import TaskSuite
from langrl.training.logs import TIMES, read_metrics

Kind = Literal["street", "grid", "level"]
SHARED = "all"  # in the name of a run for all worlds of its type
_OWN_NAMES: dict[Kind, Mapping[str, str]] = {
    "street": MAZE_IDS,
    "grid": GRID_IDS,
    "level": LEVEL_IDS,
}
_IDS: dict[Kind, Mapping[str, str]] = {
    kind: {own: env_id for env_id, own in names.items()} for kind, names in _OWN_NAMES.items()
}


@dataclass(frozen=True)
class World:
    """A world of the benchmark, by its name there: "street-fork", "grid-nine-rooms".

    Args:
        name: of the world.
    """

    name: str

    @property
    def kind(self) -> Kind:
        """Whether it is a street maze, a grid world, or a level of BabyAI."""
        prefix = self.name.partition("-")[0]
        return "street" if prefix == "street" else "level" if prefix == "level" else "grid"

    @property
    def own_name(self) -> str:
        """The name of the layout, of the grid world or of the level."""
        return self.name.partition("-")[2].replace("-", "_")

    @property
    def env_id(self) -> str:
        """Gymnasium's id."""
        return _IDS[self.kind][self.own_name]

    @classmethod
    def of(cls, env_id: str) -> "World":
        """Return the world of one of Gymnasium's ids."""
        kind = next(kind for kind, names in _OWN_NAMES.items() if env_id in names)
        return cls(f"{kind}-{_OWN_NAMES[kind][env_id].replace('_', '-')}")


def taught_in(world: World) -> World:
    """Return the world that agents of a world are trained in, where each world has its own run.

    Nothing is trained in levels: agents of grid worlds act there as they are.
    """
    return World("grid-goto") if world.kind == "level" else world


def suite_in(env_id: str) -> TaskSuite:
    """Return the suite of a world by Gymnasium's id, for agents that were trained elsewhere.

    Raises:
        UnknownNameError: if there is no such world or level.
        ConfigError: if it is a level that langrl's agents cannot act in; says why.
    """
    if is_level(env_id):
        from langrl.tasks.grid.level_suite import level_suite  # minigrid takes half a second

        return level_suite(env_id)
    lookup({**MAZE_IDS, **GRID_IDS}, env_id, "world")
    if env_id in MAZE_IDS:
        return MazeSuite(MAZE_IDS[env_id], MazeEvaluationConfig())
    return GridSuite(GRID_IDS[env_id], GridEvaluationConfig(), ())


def worlds_of(config: Any) -> tuple[str, ...]:
    """Return the worlds of the benchmark that agents of a config's run act in; there may be none.

    They are those that it is trained in, and levels for agents of grid worlds. Agents of partly
    seen grid worlds have none: they do not see what the benchmark shows.
    """
    if config.task == "street-maze":
        return tuple(f"street-{name}" for name in LAYOUTS if name == config.world.layout)
    if config.task == "grid":
        own = () if config.env is not None else dict.fromkeys(config.world.worlds)
        return (*(World.of(_IDS["grid"][name]).name for name in own), *LEVELS)
    where = {"goal-reaching": "env", "sb3": "world"}.get(config.task)
    env_id = None if where is None else getattr(config, where)
    return (World.of(env_id).name,) if env_id in {**MAZE_IDS, **GRID_IDS} else ()


@dataclass(frozen=True)
class Family:
    """Agents that are trained alike.

    Args:
        about: how, in a few words.
        presets: by type of world; "{}" stands for the world's own name.
        place: the field of the config that says where: the env's id, or "world.worlds", or none
            where the preset does.
        kinds: the field with the instruction types of mazes: the tasks have more than the presets.
    """

    about: str
    presets: Mapping[str, str]
    place: Mapping[str, str]
    kinds: str | None = None


_SB3_PLACE = {"street": "world", "grid": "world"}
FAMILIES: dict[str, Family] = {
    "offline": Family(
        "contrastive, on trajectories of experts without language",
        {"street": "street-{}", "grid": "grid-goto"},
        {"grid": "world.worlds"},
        kinds="data.kinds",
    ),
    "online": Family(
        "contrastive, from scratch, on what the agent does itself",
        {"street": "crl-street-maze", "grid": "crl-grid-goto"},
        {"street": "env", "grid": "env"},
        kinds="words.kinds",
    ),
    "cloning": Family(
        "behaviour cloning, on trajectories of experts with their instructions",
        {"grid": "grid-goto"},
        {"grid": "world.worlds"},
    ),
    "sb3_goals": Family(
        "SAC or DQN of Stable-Baselines3 on goals, with hindsight",
        {"street": "sb3-sac-her-street-fork", "grid": "sb3-dqn-her-grid-goto"},
        _SB3_PLACE,
    ),
    "sb3_reads": Family(
        "PPO of Stable-Baselines3, rewarded for following instructions that it reads",
        dict.fromkeys(("street", "grid"), "sb3-ppo-instruction-grid-goto"),
        _SB3_PLACE,
    ),
}


def recipe_of(family: str, world: World, profile: str) -> Recipe:
    """Return how a profile trains a family for a world."""
    return PROFILES[profile].training.get(family, {}).get(taught_in(world).kind, Recipe())


def run_name(family: str, world: World, seed: int, profile: str) -> str:
    """Return what the run is called that agents of a family have in a world."""
    shared, world = recipe_of(family, world, profile).shared, taught_in(world)
    return f"{world.kind}-{SHARED}-seed-{seed}" if shared else f"{world.name}-seed-{seed}"


def config_of(family: str, world: World, seed: int, profile: str) -> RunConfig:
    """Return the config of a run; nothing is evaluated in it.

    Raises:
        MissingExtraError: if the family needs what is not installed.
    """
    recipe, own, world = recipe_of(family, world, profile), FAMILIES[family], taught_in(world)
    preset = recipe.preset or own.presets[world.kind].format(world.own_name)
    config = load_run_config(preset)
    if (extra := TASKS[config.task].extra) is not None:
        check_extra(*extra)
    place = None if recipe.shared else own.place.get(world.kind)
    where = (world.own_name,) if place == "world.worlds" else world.env_id
    changes: dict[str, Any] = {place: where} if place else {}
    if own.kinds is not None and world.kind == "street":
        changes[own.kinds] = DRAWN_KINDS
    changes |= {"evaluation.methods": OFF, "seed": seed, **recipe.changes}
    fields = config.model_dump()
    for path, value in changes.items():
        _put(fields, path, value)
    return type(config).model_validate(fields)


def _put(fields: dict[str, Any], path: str, value: Any) -> None:
    """Set a field of nested ones by its dotted path."""
    *groups, last = path.split(".")
    for group in groups:
        fields = fields[group]
    fields[last] = value


def train(family: str, world: str, seed: int, profile: str, folder: str) -> dict[str, Any]:
    """Train a run of a family, or go on with it where it was cut off: a cell of the first wave.

    Args:
        family: of ``FAMILIES``.
        world: by its name in the benchmark.
        seed: of the training.
        profile: how long it is trained.
        folder: of the run.

    Returns:
        What there is to know of it: {"family", "run", "train_seconds"}.
    """
    config, run = config_of(family, World(world), seed, profile), Path(folder)
    began = time.perf_counter()
    if not _goes_on(run, config):
        shutil.rmtree(run, ignore_errors=True)
    agents_of_family(family, config, run)
    seconds = run_seconds(run) or time.perf_counter() - began
    return {"family": family, "run": run.name, "train_seconds": round(seconds, 1)}


def _goes_on(run: Path, config: RunConfig) -> bool:
    """Whether what is in a folder of the benchmark's is used or trained on; else it is begun anew.

    A run of Stable-Baselines3 that was cut off would not go on to the same bits, and a cloned
    policy has no run to go on with.
    """
    if not (run / CONFIG_FILE).is_file():
        return False
    return TASKS[config.task].zip is None or is_trained(run, config)


def agents_of_family(family: str, config: RunConfig, run: Path) -> AgentMaker:
    """Return what makes the agents of a run, which is trained first where it is not.

    The language side of agents that learn words after their training is learned here as well, so
    that processes that load the agents do not learn it at once.
    """
    if family == "cloning":
        return clone(config, run)  # type: ignore[arg-type]  # whose config is of grid worlds
    if not is_trained(run, config):
        train_or_resume(config, run, f"train {run.parent.name}, {run.name}")
    make = agents_of_run(run, config.resolved())
    make()
    return make


def made_for(world: World, make: AgentMaker) -> AgentMaker:
    """Return what makes the agents of a run for a world: in levels, there is more to do.

    Raises:
        ConfigError: by what is returned, if its agents cannot act in levels.
    """
    if world.kind != "level":
        return make
    from langrl.tasks.grid.levels import in_levels  # minigrid takes half a second

    return in_levels(make)


def run_seconds(run: Path) -> float | None:
    """Return how long a run was trained, in all of its parts; None if it does not say."""
    times = read_metrics(run / TIMES)
    return times[-1]["seconds"] if times else None
