"""The maze's oracle: an agent that knows the walls and the grammar."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from langrl.agents.observations import read_observations
from langrl.envs.maze.world import StreetMaze
from langrl.protocols import Mask, Observation


class OracleAgent:
    """Knows the maze and the grammar, and walks to the nearest denoted cell.

    An instruction that the grammar cannot read leaves it where it is.

    Args:
        world: the maze.
        choose: which cells will do, bool [N, R, C], of positions [N, 2] and N texts, in the place
            of those that the texts denote.
    """

    def __init__(
        self, world: StreetMaze, choose: Callable[[Any, Sequence[str]], Mask] | None = None
    ) -> None:
        self.world = world
        self._mask = lru_cache(10_000)(world.cell_mask)
        self._choose = self._denoted if choose is None else choose

    def reset(
        self,
        generator: np.random.Generator | None = None,
        mask: NDArray[np.bool_] | None = None,
    ) -> None:
        """Start new episodes; the oracle has nothing to forget."""

    def act(
        self,
        observations: Observation,
        instructions: str | Sequence[str] | None = None,
        starts: NDArray[np.bool_] | None = None,
    ) -> NDArray[np.float32]:
        """Return the direction [2] or [N, 2] of the centre of the next cell."""
        positions, texts, single = read_observations(observations, instructions)
        actions = np.zeros((len(texts), 2), np.float32)
        for n, mask in enumerate(self._choose(positions, texts)):
            if mask.any():
                actions[n] = self._target(positions[n], mask) - positions[n]
        return actions[0] if single else actions

    def _denoted(self, positions: Any, texts: Sequence[str]) -> Mask:
        """Return what each text denotes [N, R, C]; nothing where that is unknown."""
        masks = {text: self._mask(text) for text in dict.fromkeys(texts)}
        nothing = np.zeros(self.world.walls.shape, bool)
        found = {text: nothing if mask is None else mask for text, mask in masks.items()}
        return np.stack([found[text] for text in texts])

    def _target(self, position: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[Any]:
        layout = self.world.layout
        row, column = np.floor(position).astype(int)
        here = layout.cell_index[row, column]
        goals = np.flatnonzero(mask[~layout.walls])
        goal = goals[layout.distances[here, goals].argmin()]
        onward = here if goal == here else layout.next_cells[goal, here]
        return layout.free_cells[onward] + 0.5
