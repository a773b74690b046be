"""Goal worlds side by side: every episode is seeded apart, and rows that end start anew.

Axes: ``N`` environments, ``n`` some of them, ``S`` numbers in an observation, ``A`` in an action,
``G`` in a goal.
"""

import importlib
from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec

from langrl import GRID_IDS, MAZE_IDS
from langrl.envs.draws import keys_of
from langrl.envs.given_vector import GivenEpisodes
from langrl.envs.goal_engine import GoalEngine, GoalSpaces, KnowsShortest, Moved, Seen
from langrl.envs.goal_parts import check_limit
from langrl.envs.gym_engine import GymEngine
from langrl.envs.registered import spec_of
from langrl.errors import CheckpointError, ConfigError, NonFiniteError, ShapeError, lookup
from langrl.protocols import Array, Floats, Integers

Engine = Literal["auto", "sync", "async", "array"]

# The engines of arrays, by environment: "module:class", imported when one is used.
ENGINES: dict[str, str] = {
    **dict.fromkeys(MAZE_IDS, "langrl.envs.maze.goal_engine:MazeGoalEngine"),
    **dict.fromkeys(GRID_IDS, "langrl.envs.grid.goal_engine:GridGoalEngine"),
}


class _Episodes(Protocol):
    """Episodes that start anew: of an engine, or of a user's vector environment."""

    spaces: GoalSpaces
    num_envs: int
    restorable: bool

    def reset(self) -> Seen: ...
    def move(self, actions: Array) -> Moved: ...
    def state(self) -> dict[str, Array]: ...
    def load_state(self, state: Mapping[str, Array]) -> Seen: ...
    def shortest_steps(self) -> Floats: ...
    def close(self) -> None: ...


class GoalVector:
    """N goal worlds of one kind, whose episodes start anew by themselves.

    Whatever runs below it, a step leads to the same: ``Moved`` says what the action led to, and
    what to act on next. With engines (worlds by their ids), every action counts, and rows that
    ended show the first observation of a new episode. A user's vector environment in Gymnasium's
    NEXT_STEP mode starts it one step later, which ignores the action: there ``acted`` is False
    and ``started`` is True. No transition from a row's last observation to a first one is ever
    one: use ``final_observation`` where a row was terminated or truncated.

    Episodes of an engine are a function of the seed, the row and the episode's number in the row,
    so that two vectors with one seed meet the same starts and goals.

    Args:
        world: Gymnasium's id, as ``make_goal_env`` takes it; or a vector environment.
        num_envs: how many, N; a vector environment has its own number.
        engine: ``sync`` steps the environments one after another, ``async`` in a process each;
            ``array`` is the world's own: langrl's for its mazes and grid worlds, else the vector
            environment that the id is registered with. ``auto``: langrl's where there is one and
            no options are given, else ``sync``.
        max_episode_steps: time limit of an episode; the environment's own if not given. A vector
            environment keeps its limit itself.
        seed: of all episodes, at least 0.
        options: of every ``reset``, such as OGBench's ``{"task_id": 1}``; not for arrays.
        kwargs: arguments of the environment.

    Raises:
        LangRLError: as ``make_goal_env``, and ``GivenEpisodes`` for a vector environment;
            ConfigError for another engine, or one that the world does not have.
    """

    def __init__(
        self,
        world: str | gym.vector.VectorEnv[Any, Any, Any],
        num_envs: int = 1,
        engine: Engine = "auto",
        max_episode_steps: int | None = None,
        seed: int = 0,
        options: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if isinstance(world, str):
            if num_envs < 1:
                raise ConfigError(f"envs is a whole number from 1, got {num_envs}")
            spec = spec_of(world)
            kind = _kind(spec, engine, bool(options))
            self._episodes = _make(spec, kind, num_envs, max_episode_steps, seed, options, kwargs)
        else:
            if options or kwargs:
                raise ConfigError(
                    "options and arguments are of worlds by their ids; make the vector environment"
                    " with them"
                )
            self._episodes = GivenEpisodes(world, max_episode_steps, seed)
        self.spaces, self.num_envs = self._episodes.spaces, self._episodes.num_envs
        self._started = False

    def shortest_steps(self) -> Floats:
        """Return the steps from where each row is to its goal, at best [N]; nan if unknown."""
        return self._episodes.shortest_steps()

    @property
    def restorable(self) -> bool:
        """Whether ``state`` can be stored; False for a user's vector environment."""
        return self._episodes.restorable

    def reset(self) -> Seen:
        """Start a new episode in every row; returns what they show."""
        self._started = True
        return self._episodes.reset()

    def step(self, actions: Array) -> Moved:
        """Act once in every row.

        Args:
            actions: of ``spaces.action``, [N, A], or whole numbers [N] where it is Discrete;
                ``spaces.to_action`` makes them from numbers between -1 and 1.

        Raises:
            ShapeError: if they are of another shape, or no actions.
            NonFiniteError: if one is NaN or infinite.
            ConfigError: before the first ``reset``.
        """
        if not self._started:
            raise ConfigError("a GoalVector is reset before its first step; call reset()")
        return self._episodes.move(self._check_actions(actions))

    def state(self) -> dict[str, Array]:
        """Return copies of everything that decides what follows, arrays under names.

        Raises:
            CheckpointError: if the world is a user's vector environment, or was never reset.
        """
        if not self._started:
            raise CheckpointError("a GoalVector has no state before its first reset; call reset()")
        return self._episodes.state()

    def load_state(self, state: Mapping[str, Array]) -> Seen:
        """Restore what ``state()`` returned, in a vector made alike; returns what rows show.

        Raises:
            CheckpointError: if it is of other worlds, or an episode does not repeat itself.
        """
        seen = self._episodes.load_state(state)
        self._started = True
        return seen

    def close(self) -> None:
        """Close the worlds, and end their processes."""
        self._episodes.close()

    def _check_actions(self, actions: Array) -> Array:
        action = self.spaces.action
        array = np.asarray(actions)
        shape = (self.num_envs, *(action.shape or ()))
        if array.shape != shape:
            raise ShapeError(f"step needs actions {list(shape)}, got {list(array.shape)}")
        if isinstance(action, spaces.Discrete):
            whole = array.dtype.kind in "iu"
            if not whole or ((array < 0) | (array >= action.n)).any():
                raise ShapeError(
                    f"actions here are whole numbers from 0 to {action.n - 1}, got {array.dtype}"
                    + (f" from {array.min()} to {array.max()}" if whole else "")
                )
            return array.astype(np.int64)
        if not np.isfinite(array).all():
            raise NonFiniteError("an action is not finite; the policy is broken, lower its rate")
        return array.astype(np.float32)


class _SeededEpisodes:
    """Episodes of an engine, numbered in each row and seeded by their numbers."""

    restorable = True

    def __init__(self, engine: GoalEngine, seed: int) -> None:
        self._engine, self.spaces, self.num_envs = engine, engine.spaces, engine.num_envs
        self._seed = seed
        self._numbers = np.zeros(self.num_envs, np.int64)  # episodes that each row has started

    def _start(self, rows: Integers) -> Seen:
        seeds = episode_seeds(self._seed, rows, self._numbers[rows])
        self._numbers[rows] += 1
        return self._engine.reset(rows, seeds)

    def reset(self) -> Seen:
        return self._start(np.arange(self.num_envs))

    def move(self, actions: Array) -> Moved:
        stepped = self._engine.step(actions)
        ended = stepped.terminated | stepped.truncated
        seen = self._start(np.flatnonzero(ended)) if ended.any() else stepped.seen
        return Moved(
            seen=seen,
            acted=np.ones(self.num_envs, bool),
            reward=stepped.reward,
            terminated=stepped.terminated,
            truncated=stepped.truncated,
            success=stepped.success,
            final_observation=stepped.seen.observation,
            final_achieved=stepped.seen.achieved,
            started=ended,
        )

    def state(self) -> dict[str, Array]:
        inner = {f"engine.{name}": values for name, values in self._engine.state().items()}
        return {"seed": np.array([self._seed]), "episodes": self._numbers.copy(), **inner}

    def load_state(self, state: Mapping[str, Array]) -> Seen:
        numbers = np.asarray(state.get("episodes", ()))
        if numbers.shape != (self.num_envs,):
            raise CheckpointError(
                f"the state is of {numbers.size} environments, and here are {self.num_envs}; resume"
                " with the number of before"
            )
        start = "engine."
        inner = {k.removeprefix(start): v for k, v in state.items() if k.startswith(start)}
        seen = self._engine.load_state(inner)
        self._seed, self._numbers = int(state["seed"][0]), numbers.astype(np.int64)
        return seen

    def shortest_steps(self) -> Floats:
        if isinstance(self._engine, KnowsShortest):
            return self._engine.shortest_steps()
        return np.full(self.num_envs, np.nan)

    def close(self) -> None:
        self._engine.close()


def is_batched(world: str) -> bool:
    """Whether an environment has an engine of arrays here, by its id."""
    return spec_of(world).id in ENGINES


def episode_seeds(seed: int, rows: Integers, numbers: Integers) -> Integers:
    """Return the seeds [n], below 2**31, of episodes by their numbers [n] in rows [n]."""
    return (keys_of(seed, rows, numbers) >> np.uint64(33)).astype(np.int64)


def _kind(spec: EnvSpec, engine: str, options: bool) -> str:
    """Return what runs a world: sync, async, array or vector (the one it is registered with)."""
    lookup(dict.fromkeys(("auto", "sync", "async", "array")), engine, "engine")
    registered = "vector" if spec.vector_entry_point is not None else None
    own = "array" if spec.id in ENGINES else registered
    if engine == "auto":
        batched = spec.entry_point is None or (own == "array" and not options)
        engine = "array" if batched else "sync"
    if engine != "array":
        return engine
    if own is None:
        raise ConfigError(f"engine: {spec.id} has no batched engine of its own; use sync or async")
    if options:
        raise ConfigError(f"engine: batched {spec.id} takes no reset options; use sync or async")
    return own


def _make(
    spec: EnvSpec,
    kind: str,
    num_envs: int,
    limit: int | None,
    seed: int,
    options: Mapping[str, Any] | None,
    kwargs: dict[str, Any],
) -> _Episodes:
    if kind == "vector":
        given: dict[str, Any] = {} if limit is None else {"max_episode_steps": limit}
        vector = gym.make_vec(spec, num_envs, "vector_entry_point", **given, **kwargs)
        return GivenEpisodes(vector, limit, seed)
    return _SeededEpisodes(_engine(spec, kind, num_envs, limit, options, kwargs), seed)


def make_engine(
    world: str,
    num_envs: int = 1,
    engine: Engine = "auto",
    max_episode_steps: int | None = None,
    **kwargs: Any,
) -> GoalEngine:
    """Return what steps goal worlds of one kind, whose rows start anew only when they are told to.

    Args:
        world: Gymnasium's id, as ``make_goal_env`` takes it.
        num_envs: how many, N.
        engine: see ``GoalVector``.
        max_episode_steps: time limit of an episode; the environment's own if not given.
        kwargs: arguments of the environment.

    Raises:
        LangRLError: as ``GoalVector``; ConfigError also where a world is registered as a vector
            environment only, whose rows start anew by themselves.
    """
    spec = spec_of(world)
    kind = _kind(spec, engine, options=False)
    if kind == "vector":
        raise ConfigError(
            f"env: {spec.id} is a vector environment, and its rows start anew by themselves;"
            " register a single environment"
        )
    return _engine(spec, kind, num_envs, max_episode_steps, None, kwargs)


def _engine(
    spec: EnvSpec,
    kind: str,
    num_envs: int,
    limit: int | None,
    options: Mapping[str, Any] | None,
    kwargs: dict[str, Any],
) -> GoalEngine:
    if kind == "array":
        module, _, name = ENGINES[spec.id].partition(":")
        make: Callable[..., GoalEngine] = getattr(importlib.import_module(module), name)
        limit = check_limit(spec.max_episode_steps if limit is None else limit, spec.id)
        return make(num_envs, max_episode_steps=limit, **{**spec.kwargs, **kwargs})
    return GymEngine(spec, num_envs, limit, processes=kind == "async", options=options, **kwargs)
