"""Candidate goals: where an instruction may lead.

Axes: ``N`` episodes, ``M`` candidates, ``S`` numbers in a state, ``R`` rows, ``C`` columns.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from langrl.envs.grid.rooms import reachable_poses, read_observation
from langrl.errors import ShapeError
from langrl.protocols import Array, Floats


class Candidates(Protocol):
    """Draws candidate goals for new episodes."""

    def draw(self, observations: Array, generator: Generator) -> tuple[Array, Floats]:
        """Return goals [N, M, S] and log weights log p(g) - log q(g) [N, M], freshly made.

        Args:
            observations: the first ones of N episodes [N, ...].
            generator: source of randomness.

        M does not depend on N; a log weight of -inf marks padding, which is no candidate.
        """


@runtime_checkable
class InstructedCandidates(Protocol):
    """Draws candidate goals for an instruction, near what it may mean."""

    def draw_for(
        self, observations: Array, texts: Sequence[str], generator: Generator
    ) -> tuple[Array, Floats]:
        """Return goals [N, M, S] and log weights log p(g) - log q(g|l) [N, M], freshly made.

        Args:
            observations: the first ones of N episodes [N, ...].
            texts: the instructions, N of them; candidates are drawn anew when a text changes.
            generator: source of randomness.
        """


def draw_candidates(
    candidates: Candidates | InstructedCandidates,
    observations: Array,
    texts: Sequence[str],
    generator: Generator,
) -> tuple[Array, Floats]:
    """Draw candidates of either type; see ``Candidates.draw`` and ``draw_for``."""
    if isinstance(candidates, InstructedCandidates):
        return candidates.draw_for(observations, texts, generator)
    return candidates.draw(observations, generator)


@dataclass(frozen=True)
class SampledCandidates:
    """Candidates drawn anew for each episode.

    Args:
        sample: returns ``count`` states [count, S].
        count: candidates per episode, M.
        log_weight: log p(g) - log q(g) of goals [..., S]; 0 without it.
    """

    sample: Callable[[int, Generator], Floats]
    count: int
    log_weight: Callable[[Floats], Floats] | None = None

    def draw(self, observations: Array, generator: Generator) -> tuple[Floats, Floats]:
        """Return goals [N, M, S] and log weights [N, M]."""
        episodes = len(observations)
        goals = self.sample(episodes * self.count, generator).reshape(episodes, self.count, -1)
        if self.log_weight is None:
            return goals, np.zeros(goals.shape[:2], np.float32)
        return goals, self.log_weight(goals)


class ReplayedCandidates:
    """States that were visited before, drawn anew for each episode: they follow p(g) themselves.

    Args:
        states: of trajectories, or of a replay buffer [T, S].
        count: candidates per episode, M.

    Raises:
        ShapeError: if states are not [T, S] with T >= 1.
    """

    def __init__(self, states: Array, count: int) -> None:
        self.states, self.count = _check_list(states), count

    def draw(self, observations: Array, generator: Generator) -> tuple[Array, Floats]:
        """Return goals [N, M, S] and log weights of 0 [N, M]."""
        shape = (len(observations), self.count)
        pick = generator.integers(len(self.states), size=shape)
        return self.states[pick], np.zeros(shape, np.float32)


class ListedCandidates:
    """The same goals in every episode, such as places that a user has named.

    Args:
        goals: [M, S].
        log_weights: log p(g) - log q(g) [M], up to a constant; 0 if not given.

    Raises:
        ShapeError: if goals are not [M, S] with M >= 1, or log weights not [M].
    """

    def __init__(self, goals: Array, log_weights: Floats | None = None) -> None:
        self.goals = _check_list(goals)
        given = np.zeros(len(self.goals)) if log_weights is None else np.asarray(log_weights)
        if given.shape != self.goals.shape[:1]:
            raise ShapeError(
                f"log_weights must be [{len(self.goals)}], one per goal, got {list(given.shape)}"
            )
        self.log_weights = given.astype(np.float32)

    def draw(self, observations: Array, generator: Generator) -> tuple[Array, Floats]:
        """Return goals [N, M, S] and log weights [N, M]."""
        count = len(observations)
        return (np.tile(self.goals, (count, 1, 1)), np.tile(self.log_weights, (count, 1)))


@dataclass(frozen=True)
class ReachablePoses:
    """Every pose that can be reached in the room that an episode begins in (grid worlds).

    M is four times the number of cells within the outer walls; the padding has weight 0.

    Args:
        said_done: whether candidates are goals of ``PoseGoals`` [4], with ``done`` taken.
    """

    said_done: bool = False

    def draw(self, observations: Array, generator: Generator) -> tuple[Array, Floats]:
        """Return poses [N, M, 3] or [N, M, 4], and log weights [N, M], 0 or -inf."""
        _, poses = read_observation(observations)
        height, width = observations.shape[1:3]
        count = 4 * (height - 2) * (width - 2)
        goals = np.repeat(poses[:, None], count, 1)  # the start itself is the padding
        log_weights = np.full((len(poses), count), -np.inf, np.float32)
        for n, listed in enumerate(reachable_poses(observations)):
            goals[n, : len(listed)], log_weights[n, : len(listed)] = listed, 0
        if self.said_done:
            goals = np.concatenate([goals, np.ones_like(goals[..., :1])], -1)
        return goals, log_weights


def _check_list(goals: Array) -> Array:
    array = np.asarray(goals)
    if array.ndim != 2 or not len(array):
        raise ShapeError(
            f"candidates must be [M, S] with at least one row, got {list(array.shape)}"
        )
    return array


@dataclass(frozen=True, eq=False)
class CellWeights:
    """Log weights of positions by the cell they are in: log of a density over the uniform one.

    Args:
        density: probability of each cell [R, C], summing to 1; above 0 in every free cell and 0
            in walls.
    """

    density: NDArray[np.float64]

    def __call__(self, positions: Floats) -> Floats:
        """Return log p(g) - log q(g), q uniform over free cells, of positions [..., 2]."""
        rows, columns = np.moveaxis(np.floor(positions).astype(int), -1, 0)
        free = np.count_nonzero(self.density)
        return np.log(self.density[rows, columns] * free).astype(np.float32)
