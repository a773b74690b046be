"""What wrappers require of the environments that they are put around, and their error messages.

Axes: ``G`` numbers in a goal.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs
from gymnasium.vector.utils import CloudpickleWrapper
from numpy.random import Generator

from langrl.envs.goals import NO_TASK, BoxGoals, Goals
from langrl.errors import ConfigError, GroundingError, InstructionError, LangRLError, ShapeError
from langrl.protocols import Array, Floats, Mask, check_instruction

_BELOW = (
    "gymnasium.wrappers.FlattenObservation (around a FilterObservation, where parts are no numbers)"
    " or TransformObservation"
)
_ARRAYS = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)

_PARTS = {"language": "chooser", "candidates": "candidates", "grounding": "strategies"}

Writer = Callable[[Any, Generator], str]


class Choice:
    """Writes one of some texts; raises InstructionError if there is none, or one is unusable."""

    def __init__(self, texts: Sequence[str]) -> None:
        if isinstance(texts, str | bytes) or not isinstance(texts, Sequence | np.ndarray):
            texts = ()
        if not len(texts):
            raise InstructionError("instructions is a list of texts, at least one; or a function")
        self._texts = tuple(check_instruction(text) for text in texts)

    def __call__(self, observation: Any, generator: Generator) -> str:
        """Return one of the texts."""
        return self._texts[int(generator.integers(len(self._texts)))]


class Samples:
    """Writes instructions for samples of a space: what a space of instructions draws from."""

    def __init__(self, write: Writer, space: spaces.Space[Any]) -> None:
        # Spaces are sent to the processes of vector environments: also with functions in them.
        self._held: Any = CloudpickleWrapper((write, space))  # type: ignore[arg-type]

    def __call__(self, generator: Generator) -> str:
        """Return an instruction."""
        write, space = self._held.fn
        text: str = write(space.sample(), generator)
        return text


def begin(wrapper: RecordConstructorArgs, env: Any, **arguments: Any) -> None:
    """Note what a wrapper is made with, so that ``env.spec.make()`` makes another one.

    Raises:
        ConfigError: if ``env`` is no single environment of Gymnasium.
    """
    # Not copies, which Gymnasium would note by default: models are among them.
    RecordConstructorArgs.__init__(wrapper, _disable_deepcopy=True, **arguments)
    if isinstance(env, gym.Env):
        return
    message = f"got {env if isinstance(env, str | type) else type(env).__name__}"
    if isinstance(env, gym.vector.VectorEnv):
        message = (
            "this is a vector environment: put the wrapper around each of its environments, or"
            " use those of langrl.envs.wrappers.vector"
        )
    name = type(wrapper).__name__
    raise ConfigError(f"{name} wraps an environment that gymnasium.make made; {message}")


def check_offers(part: Any, name: str, *attributes: str) -> None:
    """Raise GroundingError unless an argument of ``InstructionToGoal`` has what is asked of it."""
    lacking = [attribute for attribute in attributes if not hasattr(part, attribute)]
    if isinstance(part, type) or lacking:
        message = f"the class {part.__name__}" if isinstance(part, type) else type(part).__name__
        raise GroundingError(
            f"{name} of InstructionToGoal has {', '.join(attributes)}, got {message}; see"
            f" langrl.grounding.{_PARTS[name]}"
        )


def is_instructed(space: spaces.Space[Any]) -> bool:
    """Return whether a space is {"observation": ..., "instruction": ...}."""
    return isinstance(space, spaces.Dict) and {"observation", "instruction"} <= set(space)


def plain_space(space: spaces.Space[Any], wrapper: str) -> spaces.Space[Any]:
    """Return the space beside the instruction's; raises ShapeError for a Dict or a Tuple."""
    instructed = isinstance(space, spaces.Dict) and is_instructed(space)
    seen: spaces.Space[Any] = space["observation"] if instructed else space  # type: ignore[index]
    if isinstance(seen, spaces.Dict) and "desired_goal" in seen.spaces:
        raise ShapeError(
            f"{wrapper} makes no sense here, as the observations have a desired_goal already; put"
            " it around the environment below, or, if that has goals itself, around"
            ' gymnasium.wrappers.FlattenObservation(FilterObservation(env, ["observation"]))'
        )
    if isinstance(seen, spaces.Dict) and {"image", "mission"} <= set(seen.spaces):
        raise ShapeError(
            f"{wrapper} is put around observations that are arrays, and a level of MiniGrid has"
            " images and missions; put langrl.envs.wrappers.missions.MissionInstruction around the"
            " level first, or minigrid.wrappers.ImgObsWrapper to give it other texts"
        )
    if not isinstance(seen, _ARRAYS):
        raise ShapeError(
            f"{wrapper} puts the observation into a Dict, and Stable-Baselines3 takes no"
            f" {type(seen).__name__} inside a Dict; put a {_BELOW} around the environment first"
        )
    return seen


def with_feature(space: spaces.Space[Any], feature: spaces.Box, wrapper: str) -> spaces.Dict:
    """Return the space with another in place of the text's; errors as ``plain_space``."""
    assert isinstance(space, spaces.Dict)
    for name, part in space.spaces.items():
        if name != "instruction":
            plain_space(part, wrapper)
    return spaces.Dict({**space.spaces, "instruction": feature})


def check_instructed(env: Any, wrapper: str) -> None:
    """Raise InstructionError unless an environment's observations have an instruction in words."""
    vectors = isinstance(env, gym.vector.VectorEnv)
    space = env.single_observation_space if vectors else env.observation_space
    if is_instructed(space) and isinstance(space["instruction"], spaces.Text):
        return
    if is_instructed(space):
        message = "its instructions are numbers already: leave one of the wrappers out"
    elif isinstance(space, spaces.Dict) and "desired_goal" in space.spaces:
        message = "its observations have goals in their place: put the wrapper around the"
        message += " environment below, or leave one of the two out"
    elif isinstance(space, spaces.Dict) and "mission" in space.spaces:
        message = "its observations have a mission: put MissionInstruction of"
        message += " langrl.envs.wrappers.missions around "
        message += "each environment first" if vectors else "it first"
    else:
        message = "its observations have no 'instruction': put AddInstruction of"
        message += " langrl.envs.wrappers.instructions around "
        message += "each environment first" if vectors else "it first"
    raise InstructionError(f"{wrapper} reads instructions in words, and of {env} {message}")


# -- goals ------------------------------------------------------------------------------------


def goals_of(env: gym.Env[Any, Any], goals: Goals | None, wrapper: str) -> Goals:
    """Return the given goals or the environment's.

    Raises:
        GroundingError: if there are none, or they belong to other observations than those here.
        ShapeError: if these are ``BoxGoals`` of numbers that the observations do not have.
    """
    message = "pass goals=, such as langrl.envs.goals.BoxGoals, or use"
    message += " langrl.envs.wrappers.goals.RenderedGoals"
    if goals is None and not env.has_wrapper_attr("goals"):
        raise GroundingError(
            f"{wrapper} needs to know what a goal is, and {env} does not say; {message}"
        )
    found = env.get_wrapper_attr("goals") if goals is None else goals
    if not isinstance(found, Goals) or not isinstance(found.space, spaces.Box):
        raise GroundingError(
            f"{wrapper} needs to know what a goal is, and {type(found).__name__} does not say: it"
            f" needs space (a Box), options, achieved, draw and reached; {message}"
        )
    _check_observations(env, found, given=goals is not None, wrapper=wrapper)
    dtype = _observed(env.observation_space).dtype
    if isinstance(found, BoxGoals) and np.issubdtype(dtype, np.floating):
        # As environments have it whose goals are a part of their observations, in their spaces.
        return found.as_dtype(dtype)
    return found


def _check_observations(env: gym.Env[Any, Any], goals: Goals, given: bool, wrapper: str) -> None:
    """Raise an error where goals are not those of what is observed: they would never be reached."""
    here, owner, changed = _observed(env.observation_space), env, ""
    while not given and not hasattr(owner, "goals") and isinstance(owner, gym.Wrapper):
        if _rewrites(owner):
            changed = f", which {type(owner).__name__} may have changed"
        owner = owner.env
    # Goals of worlds say to which observations they belong, also where they are given.
    there = here if given else _observed(owner.observation_space)
    there = getattr(goals, "observation_space", there)
    if there != here or changed:
        raise GroundingError(
            f"the goals for {wrapper} belong to observations {there}, and those of {env} are"
            f" {here}{changed}; put {wrapper} around the environment that the goals are of, and"
            " wrappers that change its observations outside, or pass goals= that are made for the"
            " observations here"
        )
    if isinstance(goals, BoxGoals) and type(goals).achieved is BoxGoals.achieved:
        goals.check_space(here)


def _observed(space: spaces.Space[Any]) -> spaces.Space[Any]:
    """Return the space of an observation without what else is told or desired."""
    beside = isinstance(space, spaces.Dict) and "observation" in space.spaces
    return space["observation"] if beside else space  # type: ignore[index]


def _rewrites(wrapper: gym.Wrapper[Any, Any, Any, Any]) -> bool:
    """Return whether a wrapper may change what is observed within the same space.

    Of Gymnasium's, which change the space or nothing, only those are meant that take any function
    or learn a scale; langrl's own leave the observation as it is.
    """
    known = type(wrapper).__module__.startswith(("gymnasium.", "langrl."))
    anything = (gym.wrappers.TransformObservation, gym.wrappers.NormalizeObservation)
    return type(wrapper) in anything or (isinstance(wrapper, gym.ObservationWrapper) and not known)


class GoalCandidates:
    """Draws candidates that are checked to be of the space of goals."""

    def __init__(self, candidates: Any, space: spaces.Box) -> None:
        self._candidates, self._space = candidates, space

    def draw(self, observations: Array, generator: Generator) -> tuple[Array, Floats]:
        """Return goals [N, M, G] and log weights [N, M]; raises ShapeError if they are no goals."""
        goals, log_weights = self._candidates.draw(observations, generator)
        if goals.shape[2:] != self._space.shape:
            raise ShapeError(
                f"candidates are [N, M, ...] {list(goals.shape)} and goals"
                f" {list(self._space.shape)}; draw candidates that are goals, in grid worlds with"
                " ReachablePoses(said_done=True)"
            )
        return goals, log_weights


def goal_space(seen: spaces.Space[Any], goals: Goals) -> spaces.Dict:
    """Return the space of observations with goals."""
    return spaces.Dict(
        {"observation": seen, "achieved_goal": goals.space, "desired_goal": goals.space}
    )


class GoalReader:
    """Reads what is achieved off one observation, and checks it; done at every step."""

    def __init__(self, goals: Goals) -> None:
        self._goals, self._dtype = goals, goals.space.dtype
        self._shape = goals.space.shape if len(goals.space.shape) == 1 else None

    def __call__(self, seen: Any, action: Any = None) -> Array:
        """Return what is achieved [G], after an action or at a start; errors as ``check_goal``."""
        done = None if action is None else np.asarray(action)[None]
        achieved = self._goals.achieved(np.asarray(seen)[None], done)[0]
        if (
            achieved.shape == self._shape
            and achieved.dtype is self._dtype
            and math.isfinite(sum(achieved.tolist()))
        ):
            return achieved
        # In full only if it is not the usual case.
        return check_goal(achieved, self._goals.space, "achieved_goal", bounded=False)


def goal_reader(goals: Goals) -> Callable[..., Array]:
    """Return a function from an observation, and the action before, to what is achieved [G].

    Goals of langrl's worlds have a quick one that needs no checks, ``achieved_one``; a subclass
    need not have changed it with ``achieved``.
    """
    if type(goals).__module__.startswith("langrl.") and hasattr(goals, "achieved_one"):
        quick: Callable[..., Array] = goals.achieved_one
        return quick
    return GoalReader(goals)


def is_satisfied(
    denotation: Callable[[Array, str], Mask | None], achieved: Array, text: str
) -> bool:
    """Return whether a goal [1, G] satisfies a text, False if unknown.

    Raises:
        InstructionError: if the denotation raises another error, as for a text it does not know.
        ShapeError: if it does not return bool [1].
    """
    if text == NO_TASK["instruction"]:
        return False
    try:
        denoted = denotation(achieved, text)
    except LangRLError:
        raise
    except Exception as error:
        raise InstructionError(
            f"denotation raises {type(error).__name__}({error}) for the instruction {text!r}; let"
            " it return None for a text that it does not know"
        ) from error
    if denoted is None:
        return False
    fits = np.asarray(denoted)
    if fits.shape != (1,) or fits.dtype != bool:  # scores other than 0 would all count as true
        raise ShapeError(
            f"denotation gives {list(fits.shape)} for goals {list(achieved.shape)}, as"
            f" {fits.dtype}; let it return bool [M], one for each"
        )
    return bool(fits[0])


def check_goal(goal: Any, space: spaces.Box, name: str, bounded: bool = True) -> Array:
    """Return a goal [G] as its space has it; raises ShapeError if it is not of the space."""
    try:
        array = np.array(goal, space.dtype)
    except (TypeError, ValueError):
        raise ShapeError(
            f"{name} is {type(goal).__name__}, not numbers {list(space.shape)}; give a goal"
        ) from None
    if array.shape != space.shape:
        raise ShapeError(
            f"{name} is {list(array.shape)} and goals are {list(space.shape)}; fix Goals.achieved,"
            " Goals.draw or the candidates, or use langrl.envs.wrappers.goals.RenderedGoals, whose"
            " goals are embeddings of one size"
        )
    if not np.isfinite(array).all():
        raise ShapeError(f"{name} is not finite; fix the environment or its Goals")
    if bounded and not space.contains(array):
        raise ShapeError(f"{name} is {array.tolist()}, out of the bounds of goals, {space}")
    return array


def check_reached(goals: Goals, achieved: Any, desired: Any) -> Mask:
    """Return whether goals [..., G] are what is desired [..., G]; bool [...].

    Raises:
        ShapeError: if these are no goals, or there is not one answer for each.
    """
    one, two = np.asarray(achieved), np.asarray(desired)
    shape = goals.space.shape
    for array in (one, two):
        if array.shape[array.ndim - len(shape) :] != shape:
            raise ShapeError(f"goals are [..., {shape}], got {list(array.shape)}")
    both = one.shape if one.shape == two.shape else np.broadcast_shapes(one.shape, two.shape)
    rows = both[: -len(shape)]
    reached = np.asarray(goals.reached(one, two), bool)
    if reached.shape != rows:
        raise ShapeError(
            f"{type(goals).__name__}.reached gives {list(reached.shape)} for goals"
            f" {list(one.shape)}; let it answer for each, over the last axis only"
        )
    return reached


def unknown(info: dict[str, Any]) -> list[str]:
    """Return what an environment reports as nan at a start: of a task that it was not given."""
    return [name for name, x in info.items() if isinstance(x, float) and math.isnan(x)]
