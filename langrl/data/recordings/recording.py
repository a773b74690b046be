"""Recorded trajectories, whatever file they come from, and whether they fit an environment.

Axes: ``T`` states of all trajectories one after another, ``S`` numbers in an observation, ``A``
numbers in an action, ``G`` numbers in a goal.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from langrl.errors import NonFiniteError, ShapeError, TrajectoryError
from langrl.protocols import Array, Integers, Mask

if TYPE_CHECKING:
    from langrl.envs.goal_engine import GoalSpaces

_ROUNDING = 1e-4  # share of the range of actions by which recorded ones may be outside it


@dataclass(frozen=True, eq=False)
class Recording:
    """Trajectories end to end. The action at a last state leads nowhere and is not used.

    Args:
        layout: what the file was, a name of ``langrl.data.recordings.reading.LAYOUTS``.
        observations: float32 [T, S], or images uint8 [T, height, width, channels].
        actions: float32 [T, A], or int64 [T] where they are discrete.
        last: whether a state is the last one of its trajectory, bool [T].
        terminated: whether the trajectory ended there for good, and not by time, bool [T].
        achieved: goals that the states reach, float32 [T, G], if they were recorded.
        desired: goals that were to be reached, float32 [T, G], if they were recorded.
        rewards: float32 [T], if they were recorded.
        left_out: trajectories of one state in the file, which are in none of the arrays.

    Raises:
        TrajectoryError: if axes or lengths do not fit, no trajectory ends, the last one does not
            end, or one has a single state.
        NonFiniteError: if a number is NaN or infinite.
    """

    layout: str
    observations: Array
    actions: Array
    last: Mask
    terminated: Mask
    achieved: Array | None = None
    desired: Array | None = None
    rewards: Array | None = None
    left_out: int = 0

    def __post_init__(self) -> None:
        self._check_shapes()
        if not self.last.any():
            raise TrajectoryError(
                f"no end is marked: all {len(self.last)} states would be one trajectory, and goals"
                " would be taken across episodes; set 'terminals' to 1 at the last state of each"
                " trajectory, also of those that the clock ended"
            )
        if not self.last[-1]:
            raise TrajectoryError(
                f"the last trajectory, from states {int(self.ends[-1]) + 1} to {len(self.last)},"
                " does not end; the file may have been cut off: mark its last state, or leave it"
                " out"
            )
        if (self.lengths == 1).any():
            first = int(self.ends[(self.lengths == 1).argmax()])
            raise TrajectoryError(
                f"state {first} is a trajectory of its own; mark only the last state of each"
                " trajectory, and leave out those without a step"
            )
        self._check_finite()

    def _check_shapes(self) -> None:
        shape = list(self.observations.shape)
        if self.observations.ndim != 2 and not (self.observations.dtype == np.uint8 and shape[3:]):
            raise TrajectoryError(
                f"observations have shape {shape}; give [states, numbers], or images as uint8"
                " [states, height, width, channels]"
            )
        if self.actions.ndim != 2 and not (
            self.actions.ndim == 1 and self.actions.dtype == np.int64
        ):
            raise TrajectoryError(
                f"actions have shape {list(self.actions.shape)}; give [states, numbers], or whole"
                " numbers [states]"
            )
        lengths = {name: len(values) for name, values in self._arrays().items()}
        lengths |= {"last": len(self.last), "terminated": len(self.terminated)}
        if len(set(lengths.values())) != 1:
            listed = ", ".join(f"{name} {length}" for name, length in lengths.items())
            raise TrajectoryError(f"arrays have mixed lengths: {listed}; make them equal")
        if not len(self.last):
            raise TrajectoryError("there are no states; record at least one trajectory")

    def _check_finite(self) -> None:
        for name, values in self._arrays().items():
            if values.dtype.kind != "f":
                continue
            bad = ~np.isfinite(values.reshape(len(values), -1)).all(1)
            if name == "actions":
                bad &= ~self.last
            if bad.any():
                raise NonFiniteError(
                    f"{name}[{int(bad.argmax())}] is not finite ({int(bad.sum())} such rows);"
                    " remove these trajectories"
                )

    def _arrays(self) -> dict[str, Array]:
        names = ("observations", "actions", "achieved", "desired", "rewards")
        found = {name: getattr(self, name) for name in names}
        return {name: values for name, values in found.items() if values is not None}

    @property
    def states(self) -> int:
        """How many states there are, T."""
        return len(self.last)

    @cached_property
    def ends(self) -> Integers:
        """Index of the last state of each trajectory, int [trajectories]."""
        return np.flatnonzero(self.last)

    @cached_property
    def lengths(self) -> Integers:
        """States of each trajectory, int [trajectories]."""
        return np.diff(self.ends, prepend=-1)

    @property
    def discrete(self) -> bool:
        """Whether actions are numbers of choices."""
        return self.actions.ndim == 1


def check_recording(
    recording: Recording, spaces: "GoalSpaces", goal_columns: Sequence[int] | None = None
) -> Recording:
    """Return recorded trajectories as an agent learns from them in an environment.

    They have ``achieved`` goals; their actions are numbers from -1 to 1 between the environment's
    bounds, or choices, and 0 at last states.

    Args:
        recording: what ``read_recording`` returns.
        spaces: of the environment.
        goal_columns: see ``achieved_goals``.

    Raises:
        ShapeError: naming both sizes, if those of observations, actions or goals differ.
        TrajectoryError: if an action is none of the environment's.
    """
    found, wanted = recording.observations.shape[1:], tuple(spaces.observation.shape)
    if found != wanted:
        raise ShapeError(
            f"recorded observations have {size(found)}, and those of the environment have"
            f" {size(wanted)}; name the environment that was recorded, or record in this one"
        )
    _check_actions(recording, spaces.action)
    achieved = achieved_goals(recording, spaces, goal_columns)
    actions = spaces.to_unit(recording.actions).copy()
    actions[recording.last] = 0
    return replace(recording, achieved=achieved, actions=actions)


def _check_actions(recording: Recording, space: Any) -> None:
    choices = getattr(space, "n", None)
    of_env = f"{choices} choices" if choices is not None else size(space.shape)
    of_file = "choices" if recording.discrete else size(recording.actions.shape[1:])
    if recording.discrete != (choices is not None) or (choices is None and of_file != of_env):
        raise ShapeError(
            f"recorded actions have {of_file}, and those of the environment have {of_env}; name the"
            " environment that was recorded, or record in this one"
        )
    if choices is not None:
        low, high = int(space.start), int(space.start) + int(choices) - 1
        outside = (recording.actions < low) | (recording.actions > high)  # [T]
        bounds = f"{low} to {high}"
    else:
        room = np.where(np.isfinite(span := space.high - space.low), span, 0) * _ROUNDING
        beyond = (recording.actions < space.low - room) | (recording.actions > space.high + room)
        outside = beyond.any(1)
        bounds = f"{space.low.min():g} to {space.high.max():g}"
    outside &= ~recording.last
    if outside.any():
        first = int(outside.argmax())
        value = np.array2string(recording.actions[first], precision=4)
        raise TrajectoryError(
            f"recorded actions[{first}] is {value}, and the environment takes {bounds}"
            f" ({int(outside.sum())} such actions); scale or clip them before they are saved"
        )


def achieved_goals(
    recording: Recording, spaces: "GoalSpaces", goal_columns: Sequence[int] | None = None
) -> Array:
    """Return the goal that each state reaches, [T, G] or images as in the observations.

    Recorded goals (``achieved_goal``) are used where there are any. Else a goal is the numbers of
    the observation in ``goal_columns``, or the whole observation if goals have its size, as in
    OGBench. Nothing is guessed: which numbers are the goal is up to the environment.

    Raises:
        ShapeError: naming both sizes, if these goals have not the environment's size, or if they
            can be had in none of these ways.
    """
    observations, wanted = recording.observations, tuple(spaces.goal.shape)
    if goal_columns is not None:
        _check_columns(observations, goal_columns)
        goals = observations[:, list(goal_columns)]
    elif recording.achieved is not None:
        goals = recording.achieved
    elif observations.shape[1:] == wanted:
        goals = observations
    else:
        raise ShapeError(
            "the file has no achieved goals, and those of the environment have"
            f" {size(wanted)}, the observations {size(observations.shape[1:])}; say with"
            " goal_columns which numbers of an observation are the goal (0 1: its first two)"
        )
    if goals.shape[1:] != wanted:
        raise ShapeError(
            f"recorded goals have {size(goals.shape[1:])}, and those of the environment have"
            f" {size(wanted)}; name the environment that was recorded, or other goal_columns"
        )
    return goals


def _check_columns(observations: Array, columns: Sequence[int]) -> None:
    if observations.ndim != 2:
        raise ShapeError("goal_columns are for observations of numbers, and these are images")
    width = observations.shape[1]
    wrong = [column for column in columns if not 0 <= column < width]
    if wrong or not len(columns):
        raise ShapeError(
            f"goal_columns {list(columns)}: observations have {width} numbers; name some of 0 to"
            f" {width - 1}"
        )


def size(shape: Sequence[int]) -> str:
    """Say the size of an observation, an action or a goal."""
    if len(shape) == 1:
        return f"{shape[0]} number{'s' * (shape[0] != 1)}"
    return f"{' x '.join(map(str, shape))} pixels"
