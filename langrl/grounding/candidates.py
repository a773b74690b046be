"""Candidate goals: where an instruction may lead.

Axes: ``N`` episodes, ``M`` candidates, ``S`` numbers in a state, ``R`` rows, ``C`` columns.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


class Candidates(Protocol):
    """Draws candidate goals for new episodes."""

    def draw(self, episodes: int, generator: np.random.Generator) -> tuple[Floats, Floats]:
        """Return goals [N, M, S] and log weights log p(g) - log q(g) [N, M], freshly made."""
        ...


@dataclass(frozen=True)
class SampledCandidates:
    """Candidates drawn anew for each episode.

    Args:
        sample: returns ``count`` states [count, S].
        count: candidates per episode, M.
        log_weight: log p(g) - log q(g) of goals [..., S]; 0 without it.
    """

    sample: Callable[[int, np.random.Generator], Floats]
    count: int
    log_weight: Callable[[Floats], Floats] | None = None

    def draw(self, episodes: int, generator: np.random.Generator) -> tuple[Floats, Floats]:
        """Return goals [N, M, S] and log weights [N, M]."""
        goals = self.sample(episodes * self.count, generator).reshape(episodes, self.count, -1)
        if self.log_weight is None:
            return goals, np.zeros(goals.shape[:2], np.float32)
        return goals, self.log_weight(goals)


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
