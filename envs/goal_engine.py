"""What passes between goal worlds, batches of them and replay: spaces, and what a step led to.

Axes: ``N`` environments, ``n`` some of them, ``G`` numbers in a goal.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from gymnasium import spaces
from numpy.random import Generator
from numpy.typing import NDArray

from langrl.protocols import Array, Floats, Integers, Mask


@dataclass(frozen=True)
class GoalSpaces:
    """What a goal world observes, what its goals are, and what can be done in it.

    ``observation`` is a Box of float32 numbers [S], or of images uint8 [H, W, C]. ``goal`` is
    a Box of float32 numbers [G], or of images too. ``action`` is the world's own: a Box [A] with
    finite bounds, or a Discrete from 0. ``max_episode_steps`` is None where a world sets no limit.
    """

    observation: "spaces.Box[Any]"
    goal: "spaces.Box[Any]"
    action: "spaces.Box[Any] | spaces.Discrete"
    max_episode_steps: int | None = None

    @property
    def number_of_actions(self) -> int:
        """How many numbers an action has; of discrete actions, how many there are."""
        if isinstance(self.action, spaces.Discrete):
            return int(self.action.n)
        return int(np.prod(self.action.shape))

    def to_action(self, unit: Array) -> Array:
        """Return the world's actions [..., A] for numbers from -1 to 1; discrete ones as they are.

        Numbers beyond -1 and 1 become the bounds.
        """
        if isinstance(self.action, spaces.Discrete):
            return np.asarray(unit, np.int64)
        low, high = self._bounds()
        share = (np.clip(np.asarray(unit, np.float64), -1, 1) + 1) / 2
        return np.clip(low + share * (high - low), low, high).astype(self.action.dtype)

    def sample_unit(self, count: int, generator: Generator) -> Array:
        """Draw actions uniformly, as ``to_action`` takes them: [count, A], or int64 [count]."""
        if isinstance(self.action, spaces.Discrete):
            return generator.integers(self.action.n, size=count)
        return generator.uniform(-1, 1, (count, *self.action.shape)).astype(np.float32)

    def to_unit(self, actions: Array) -> Array:
        """Return numbers from -1 to 1, float32 [..., A], for actions; discrete ones as they are."""
        if isinstance(self.action, spaces.Discrete):
            return np.asarray(actions, np.int64)
        low, high = self._bounds()
        span = np.where(high > low, high - low, 1)
        return np.clip(2 * (np.asarray(actions, np.float64) - low) / span - 1, -1, 1).astype(
            np.float32
        )

    def _bounds(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        assert isinstance(self.action, spaces.Box)
        return self.action.low.astype(np.float64), self.action.high.astype(np.float64)


@dataclass(frozen=True, slots=True)
class Seen:
    """What agents act on: ``observation`` [N, ...], goals ``achieved`` and ``desired`` [N, G]."""

    observation: Array
    achieved: Array
    desired: Array


@dataclass(frozen=True, slots=True)
class Stepped:
    """What one step of an engine led to; no row has started anew."""

    seen: Seen  # after the step, also in rows that ended
    reward: Floats  # [N]
    terminated: Mask  # [N], the world ended the episode
    truncated: Mask  # [N], the time limit did; False where terminated
    success: Mask  # [N], the desired goal is achieved


@runtime_checkable
class GoalEngine(Protocol):
    """N goal worlds of one kind side by side, which start anew only when they are told to.

    ``GoalVector`` numbers the episodes, draws their seeds and resets rows that ended. An engine
    counts the steps of its episodes and cuts them off at ``spaces.max_episode_steps``. An engine of
    arrays is made as ``Engine(num_envs, max_episode_steps=limit, **kwargs)``, with the ``kwargs``
    that the environment is registered with (``layout`` of mazes, ``world`` of grid worlds) and
    those of the user; it refuses those that it does not know by a ConfigError. It is named in
    ``ENGINES`` of ``langrl.envs.goal_vector``.

    Arrays that are returned belong to the caller: an engine writes into none of them later.
    """

    spaces: GoalSpaces
    num_envs: int

    def reset(self, rows: Integers, seeds: Integers) -> Seen:
        """Start new episodes in some rows and return what all N rows show now.

        Args:
            rows: int64 [n], in ascending order, none twice; at first all of them.
            seeds: int64 [n], 0 to 2**31 - 1, a new one for every episode. Starts, goals, rooms and
                all noise until the next reset of a row are a function of rows and seeds, and of
                nothing that was drawn before.
        """

    def step(self, actions: Array) -> Stepped:
        """Act once in all N rows, with actions [N, ...] of ``spaces.action``.

        Every row is in an episode: rows that ended were reset. ``GoalVector`` has checked the
        shape, and that numbers are finite and discrete actions are actions.
        """

    def state(self) -> dict[str, Array]:
        """Return copies of everything that decides what follows, under any names.

        Arrays of numbers or bool, no objects: they are written by safetensors.
        """

    def load_state(self, state: Mapping[str, Array]) -> Seen:
        """Restore what ``state()`` returned, in an engine made alike; returns what rows show.

        Raises:
            CheckpointError: if it is of another number of environments or another world.
        """

    def close(self) -> None:
        """Free processes and windows; nothing for arrays."""


@runtime_checkable
class KnowsShortest(Protocol):
    """An engine of a world in which shortest ways are known."""

    def shortest_steps(self) -> Floats:
        """Return the steps from where each row is to its goal, at best [N]."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What one step of a ``GoalVector`` led to, whatever the way in which episodes start anew."""

    seen: Seen  # what to act on next: the first of a new episode in rows that started one
    acted: Mask  # [N]; False where the action was ignored, as an episode started instead
    reward: Floats  # [N], 0 where not acted
    terminated: Mask  # [N]
    truncated: Mask  # [N]
    success: Mask  # [N]
    final_observation: Array  # [N, ...], what the action led to: ``seen`` where none ended
    final_achieved: Array  # [N, G]
    started: Mask  # [N], rows whose ``seen`` is the first of an episode
