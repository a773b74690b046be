"""Detours: some steps in one direction, for episodes that make no progress.

A critic knows little of states that no trajectory came through. Who stands in one of them is led
back to where it stands, by draws of single actions as well; several steps in one direction lead
out.

Axes: ``N`` episodes, ``A`` actions compared.
"""

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from langrl.protocols import Array, Integers, Mask


class Detours:
    """Which of N episodes are on a detour, for how long, and in which direction.

    Args:
        steps: how long a detour is; 0: there are none.
        generator: draws the directions.
    """

    def __init__(self, steps: int, generator: Generator) -> None:
        self._steps, self._generator = steps, generator
        self.make_room(0)

    def make_room(self, count: int) -> None:
        """Make room for as many episodes, none of which is on a detour."""
        self._left = np.zeros(count, np.int64)  # steps until the end
        self._direction = np.zeros(count)  # number of the action, as a share of A

    def keep(self, mask: Mask) -> None:
        """Go on with the episodes where ``mask`` [N] is True, and drop the others."""
        self._left, self._direction = self._left[mask], self._direction[mask]

    def update(self, stuck: Mask) -> Mask:
        """Begin a step, and detours of the episodes that are stuck [N].

        Returns:
            Where a path is to be planned [N]: a detour has ended, or would have none.
        """
        ended = self._left == 1
        self._left[self._left > 0] -= 1
        if not self._steps:
            return ended | stuck
        rows: Integers = np.flatnonzero(stuck & (self._left == 0) & ~ended)
        self._left[rows], self._direction[rows] = self._steps, self._generator.random(len(rows))
        return ended

    def stop(self, rows: Integers) -> None:
        """End the detours of some episodes."""
        self._left[rows] = 0

    @property
    def active(self) -> Mask:
        """Which episodes are on a detour [N]."""
        return self._left > 0

    def steer(self, actions: Array, compared: Array) -> Array:
        """Return actions [N, ...], those of detours being some of the compared [A, ...]."""
        rows = np.flatnonzero(self.active)
        if not len(rows):
            return actions
        taken = actions.copy()
        taken[rows] = compared[self._chosen(rows, len(compared))]
        return taken

    def prefer(self, scores: Tensor) -> Tensor:
        """Return scores of actions [N, A] that leave no choice on a detour."""
        rows = np.flatnonzero(self.active)
        if not len(rows):
            return scores
        only = scores.clone()
        only[rows] = -torch.inf
        only[rows, self._chosen(rows, scores.shape[1])] = 0.0
        return only

    def _chosen(self, rows: Integers, count: int) -> Integers:
        found: Integers = (self._direction[rows] * count).astype(np.int64)
        return found
