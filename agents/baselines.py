"""An agent to compare with that acts at random.

Axes: ``N`` episodes.
"""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from langrl.agents.observations import read_observations
from langrl.protocols import Array, Floats, Instructions, Mask, Observation
from langrl.renamed.aliases import names_of


def random_directions(count: int, generator: Generator) -> Floats:
    """Return directions [count, 2] of length 1, uniform over angles."""
    angle = generator.uniform(0, 2 * np.pi, count)
    return np.stack([np.cos(angle), np.sin(angle)], 1).astype(np.float32)


class RandomAgent:
    """Takes a random action at each step.

    Args:
        draw: returns ``count`` actions [count, ...]; directions in a maze by default.
        axes: how many axes an observation has.
    """

    def __init__(
        self, draw: Callable[[int, Generator], Array] = random_directions, axes: int = 1
    ) -> None:
        self._draw, self._axes = draw, axes
        self._generator = np.random.default_rng(0)

    def reset(self, generator: Generator | None = None, mask: Mask | None = None) -> None:
        """Start new episodes, with a new source of randomness if one is given."""
        self._generator = generator or self._generator

    def act(
        self,
        observations: Observation,
        instructions: Instructions = None,
        starts: Mask | None = None,
    ) -> Array:
        """Return an action, or N of them; there is nothing to remember of an episode."""
        states, _, single = read_observations(observations, instructions, self._axes)
        actions = self._draw(len(states), self._generator)
        return actions[0] if single else actions


__getattr__ = names_of(__name__)
