"""Baselines of grid worlds and levels: planners that see everything, and random actions.

Axes: ``N`` episodes, ``H`` rows, ``W`` columns.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langrl.agents.observations import read_observations
from langrl.envs.grid.episodes import denoted_cells
from langrl.envs.grid.rooms import (
    ACTIONS,
    DONE,
    UNREACHABLE,
    Mask,
    Rooms,
    best_actions,
    facing,
    is_free,
    is_object,
    pose_distances,
    read_observation,
)
from langrl.protocols import Observation

AXES = 3  # of an observation


class Planner:
    """Plans anew from each observation, by itself.

    Args:
        plan: returns the next actions [N] of observations [N, H, W, 3] and N texts.
    """

    def __init__(self, plan: Callable[[NDArray[np.uint8], Sequence[str]], NDArray[Any]]) -> None:
        self.plan = plan

    def reset(
        self,
        generator: np.random.Generator | None = None,
        mask: NDArray[np.bool_] | None = None,
    ) -> None:
        """Start new episodes; a planner has nothing to forget."""

    def keep(self, mask: NDArray[np.bool_]) -> None:
        """Go on with some of the episodes; a planner looks at each observation by itself."""

    def act(
        self,
        observations: Observation,
        instructions: str | Sequence[str] | None = None,
        starts: NDArray[np.bool_] | None = None,
    ) -> NDArray[Any]:
        """Return the next action, or N of them."""
        states, texts, single = read_observations(observations, instructions, AXES)
        actions = self.plan(states, texts)
        return actions[0] if single else actions


class GridPlanner(Planner):
    """Walks a shortest path to an object and takes ``done`` there.

    Args:
        choose: which objects will do, bool [N, H, W], of rooms [N, H, W, 2] and N texts.
    """

    def __init__(self, choose: Callable[[Rooms, Sequence[str]], Mask]) -> None:
        super().__init__(self._towards)
        self.choose = choose

    def _towards(self, states: NDArray[np.uint8], texts: Sequence[str]) -> NDArray[Any]:
        """Return the next actions [N]; ``done`` where there is nothing to go to."""
        rooms, poses = read_observation(states)
        free = is_free(rooms)
        distances = pose_distances(free, facing(self.choose(rooms, texts), free))
        actions, left = best_actions(free, distances, poses)
        return np.where(left < UNREACHABLE, actions, DONE)


def denoted_objects(rooms: Rooms, texts: Sequence[str]) -> Mask:
    """Return what each text denotes in its room: the oracle's choice; nothing if unknown."""
    cells = [denoted_cells(room[None], text) for room, text in zip(rooms, texts, strict=True)]
    nothing = np.zeros((1, *rooms.shape[1:3]), bool)
    return np.concatenate([nothing if mask is None else mask for mask in cells])


def any_object(rooms: Rooms, texts: Sequence[str]) -> Mask:
    """Return every object, whatever the texts say."""
    return is_object(rooms)


def random_of(actions: int) -> Callable[[int, np.random.Generator], NDArray[np.int64]]:
    """Return what draws actions [count], each of so many with the same chance."""
    return lambda count, generator: generator.integers(actions, size=count)


random_actions = random_of(len(ACTIONS))
