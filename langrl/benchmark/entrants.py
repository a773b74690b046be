"""Who takes part in the benchmark, by name; a run folder and an agent of one's own can, too.

An entrant makes an agent for one world. The references are no methods: they are what methods are
compared with. ``oracle`` and ``posterior-*`` know what a text denotes, by the grammar that wrote
it.
"""

import importlib
import inspect
import math
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from langrl.agents.asking import AskingAgent
from langrl.agents.baselines import RandomAgent
from langrl.agents.pursuing import Follower, GroundedFollower, PlannedFollower
from langrl.benchmark.beliefs import UNFITTED, Fit, intents_of
from langrl.benchmark.families import FAMILIES, Kind, World, made_for
from langrl.benchmark.profiles import STRATEGIES
from langrl.checkpoint import find_checkpoint
from langrl.envs.maze.world import StreetMaze
from langrl.errors import ConfigError, lookup
from langrl.grounding.asking import ASK_RULES, Asking, AskRule
from langrl.grounding.beliefs import Beliefs, ExactBeliefs, LanguageBeliefs
from langrl.protocols import Agent, check_agent
from langrl.tasks.grid.baselines import (
    AXES,
    GridPlanner,
    any_object,
    denoted_objects,
    random_actions,
)
from langrl.tasks.loading import AgentMaker, agents_of_run
from langrl.tasks.maze.baselines import OracleAgent
from langrl.tasks.registry import config_beside

EXACT = "posterior"
_RULES: dict[AskRule, str] = {
    "never": "never asks",
    "always": "asks as long as an answer can tell anything",
    "pays": "asks where the expected success rises by more than the price",
    "conformal": "asks until one intent of its conformal set is left",
}
_GOES_TO: dict[Kind, str] = {"street": "max_goal", "grid": "nearest_goal"}
"""Which of the goals that answers leave an agent that asks goes to, by type of world. By
``langrl.benchmark.calibration.measure_asking``, the regret of online agents that ask where it pays
at prices of 0.05, 0.2 and 0.8 is 0.07, 0.09, 0.05 with ``max_goal`` and 0.09, 0.07, 0.06 with
``nearest_goal`` in street-fork (240 tasks), and 0.15, 0.17, 0.11 and 0.08, 0.12, 0.10 in grid-goto
(300 tasks)."""
BOTH: tuple[Kind, ...] = ("street", "grid")
EVERYWHERE: tuple[Kind, ...] = (*BOTH, "level")


@dataclass(frozen=True, eq=False)
class Setting:
    """What an agent is made for.

    Args:
        world: where it acts.
        price: of a question; None where none may be asked.
        trained: makes the agents of its family's run; None for entrants that are not trained.
        fit: of the posterior over intents, on tasks apart.
        shared: what its agents keep for those that meet the same tasks after them; see
            ``langrl.evaluation.comparison.compare_agents``.
    """

    world: World
    price: float | None = None
    trained: AgentMaker | None = None
    fit: Fit = UNFITTED
    shared: dict[str, Any] = field(default_factory=dict)

    @property
    def maze(self) -> StreetMaze:
        """The maze, in a world that is one."""
        return StreetMaze(self.world.own_name)

    def make(self, **grounding: object) -> Any:
        """Return an agent of the family's run, with changes to its grounding."""
        assert self.trained is not None
        agent: Any = made_for(self.world, self.trained)(**grounding)
        if hasattr(agent, "shared"):
            agent.shared = self.shared
        return agent


@dataclass(frozen=True, eq=False)
class Entrant:
    """Who takes part.

    Args:
        name: in results, and of its folder there.
        about: what it is, in a few words.
        make: makes its agent for a setting; one with a method ``ask`` is evaluated at each price
            of a question as well.
        family: what has to be trained for it, of ``FAMILIES``.
        kinds: types of world that it can act in.
        calibrated: as what: entrants with one posterior share its temperature and threshold;
            None for those that do not say what they believe.
        role: "reference" for what methods are compared with.
    """

    name: str
    about: str
    make: Callable[[Setting], Agent]
    family: str | None = None
    kinds: tuple[Kind, ...] = EVERYWHERE
    calibrated: str | None = None
    role: Literal["method", "reference"] = "method"


def _oracle(setting: Setting) -> Agent:
    if setting.world.kind == "street":
        return OracleAgent(setting.maze)
    if setting.world.kind == "level":
        from langrl.tasks.grid.levels import LevelPlanner  # minigrid takes half a second

        return LevelPlanner()
    return GridPlanner(denoted_objects)


def _nearest_object(setting: Setting) -> Agent:
    if setting.world.kind == "level":
        from langrl.tasks.grid.levels import LevelPlanner, every_object

        return LevelPlanner(every_object)
    return GridPlanner(any_object)


def _random(setting: Setting) -> Agent:
    if setting.world.kind == "street":
        return RandomAgent()
    if setting.world.kind == "level":
        from langrl.tasks.grid.levels import RANDOM

        return RANDOM["random"]()
    return RandomAgent(random_actions, AXES)


def _references() -> list[Entrant]:
    reference = partial(Entrant, role="reference")
    return [
        reference("oracle", "walks to the nearest of what the text denotes", _oracle),
        reference(
            "nearest_object",
            "walks to the nearest object, whatever the text says",
            _nearest_object,
            kinds=("grid", "level"),
        ),
        reference("random", "acts at random", _random),
    ]


def _grounded(family: str, strategy: str) -> Entrant:
    def make(setting: Setting) -> Agent:
        agent: Agent = setting.make(strategy=strategy)
        return agent

    own = FAMILIES[family]
    kinds = EVERYWHERE if family == "offline" else BOTH
    if strategy == "direct":
        kinds = ("street",)  # where one encoder is for both
    about = f"{strategy}: {own.about}"
    return Entrant(f"{family}-{strategy}", about, make, family, kinds, family)


def _as_trained(family: str) -> Entrant:
    own = FAMILIES[family]
    kinds = tuple(kind for kind in BOTH if kind in own.presets)
    return Entrant(family, own.about, lambda setting: setting.make(), family, kinds)


def _planned(setting: Setting) -> tuple[Follower, Beliefs]:
    """Return a planner that knows the world, and what is denoted as it is."""
    intents = intents_of(setting.world.name)
    planner: Any = GridPlanner
    if setting.world.kind == "street":
        planner = partial(OracleAgent, setting.maze)
    return PlannedFollower(planner, intents.shape), ExactBeliefs(intents)


def _learned(setting: Setting, rule: AskRule) -> tuple[Follower, Beliefs]:
    """Return the agent of a family's run, and what its language side believes, calibrated."""
    intents, fit = intents_of(setting.world.name), setting.fit
    agent = setting.make(strategy=_GOES_TO[setting.world.kind])
    beliefs = LanguageBeliefs(
        agent.language,
        intents,
        language_weight=agent.language_weight,
        temperature=fit.set_temperature if rule == "conformal" else fit.temperature,
    )
    return GroundedFollower(agent, intents), beliefs


def _asking(base: str, rule: AskRule) -> Entrant:
    """Return the entrant that asks by a rule: on the exact posterior, or on that of a family."""

    def make(setting: Setting) -> Agent:
        price = 0.0 if setting.price is None else setting.price
        threshold = math.inf if setting.fit.threshold is None else setting.fit.threshold
        acting = _planned(setting) if base == EXACT else _learned(setting, rule)
        return AskingAgent(*acting, Asking(rule, price, threshold))

    about = _RULES[rule]
    if base == EXACT:
        about = f"{about}; knows what the text denotes, and plans"
        return Entrant(f"{base}-{rule}", about, make, None, BOTH, base, role="reference")
    about = f"{about}; {FAMILIES[base].about}"
    return Entrant(f"{base}-{rule}", about, make, base, BOTH, base)


def _all() -> list[Entrant]:
    contrastive = ("offline", "online")
    return [
        *_references(),
        *(_grounded(family, how) for family in contrastive for how in STRATEGIES),
        _grounded("offline", "direct"),
        *(_grounded("sb3_goals", how) for how in ("max_goal", "sampled_goal")),
        _as_trained("sb3_reads"),
        _as_trained("cloning"),
        *(_asking(base, rule) for base in (EXACT, *contrastive) for rule in ASK_RULES),
    ]


ENTRANTS: dict[str, Entrant] = {entrant.name: entrant for entrant in _all()}


# -- one's own ---------------------------------------------------------------------------------


def entrant_of_agent(name: str, agent: Any) -> Entrant:
    """Return the entrant of an agent, or of a function that makes one.

    Args:
        name: in results.
        agent: see ``langrl.protocols.Agent``; it may have ``posterior`` and ``ask``, too. A
            function is called for each world, with its name as ``world`` if it has such an
            argument.

    Raises:
        ConfigError: if the name is taken or is no name of a folder, or it is no agent.
    """
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise ConfigError(f"an entrant's name is letters, digits, '-', '_' and '.', got {name!r}")
    if name in ENTRANTS:
        raise ConfigError(f"{name!r} is an entrant of the benchmark; give yours another name")
    is_agent = hasattr(agent, "act") and not isinstance(agent, type)
    if not is_agent and not callable(agent):
        check_agent(agent)  # says what is missing
    for method in ("reset", "act") if isinstance(agent, type) else ():
        if not callable(getattr(agent, method, None)):
            raise ConfigError(f"the class {agent.__name__} has no method {method}; write one")

    def make(setting: Setting) -> Agent:
        made: Any = agent if is_agent else _call(agent, setting.world.name)
        check_agent(made)
        checked: Agent = made
        return checked

    return Entrant(name, f"{type(agent).__name__}", make)


def _call(maker: Callable[..., Any], world: str) -> Any:
    """Call what makes an agent, with the world if it asks for it."""
    try:
        takes_world = "world" in inspect.signature(maker).parameters
    except (TypeError, ValueError):  # some built-in callables have no signature
        takes_world = False
    return maker(world=world) if takes_world else maker()


def entrant_of_import(path: str) -> Entrant:
    """Return the entrant that an import path names: "mypackage:MyAgent".

    The working directory is looked in, too.

    Raises:
        ConfigError: if there is no such module or name, which says why.
    """
    return entrant_of_agent(path.rpartition(":")[2].rpartition(".")[2], imported(path))


def imported(path: str) -> Any:
    """Return what an import path "package.module:Name" names.

    Raises:
        ConfigError, UnknownNameError: if there is no such module or name, which says why.
    """
    module, colon, name = path.partition(":")
    if not (module and colon and name) or "/" in module or module.endswith(".py"):
        raise ConfigError(f"--agent takes an import path as in mypackage:MyAgent, got {path!r}")
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))  # as `python -m` does
    try:
        found: Any = importlib.import_module(module)
    except (Exception, SystemExit) as error:  # whatever the module's own code raises
        repair = f"python -c 'import {module}' shows where"
        if isinstance(error, ModuleNotFoundError) and error.name == module.partition(".")[0]:
            repair = "install it, or start the command in its folder"
        said = str(error) if isinstance(error, ImportError) else f"{type(error).__name__}: {error}"
        raise ConfigError(f"--agent: cannot import {module!r} ({said}); {repair}") from error
    for part in name.split("."):
        public = {known: value for known, value in vars(found).items() if known[0] != "_"}
        found = lookup(public, part, f"agent in {module}")
    return found


def entrant_of_run(folder: Path) -> Entrant:
    """Return the entrant of a run folder, an agent as it was trained.

    Raises:
        CheckpointError, ConfigError: if there is no such run, or its agent cannot be loaded.
    """
    config_beside(folder)
    find_checkpoint(folder)  # says what is wrong, if there is none
    return entrant_of_agent(folder.resolve().name, partial(_loaded, folder))


def _loaded(folder: Path, world: str) -> Agent:
    agent: Agent = made_for(World(world), agents_of_run(folder, config_beside(folder)))()
    return agent


def find_entrant(name: str, source: str) -> Entrant:
    """Return an entrant by its name, and by where it comes from if it is none of the benchmark's.

    Args:
        name: of the entrant.
        source: an import path or a run folder; "" for entrants of the benchmark.
    """
    if not source:
        return lookup(ENTRANTS, name, "entrant")
    if Path(source).is_dir():
        return entrant_of_run(Path(source))
    return entrant_of_import(source)
