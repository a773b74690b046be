"""Intents: the cells of a world that an instruction can mean, and which of them a goal reaches.

The cells of a map are numbered row by row, so that what is believed of intents has one axis in
every world: ``I`` cells, of which those that are no intents have no probability.

Axes: ``N`` episodes, ``I`` cells of the map, ``M`` goals, ``G`` numbers in a goal, ``Q`` questions.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from langrl.envs.grid.episodes import denoted_cells
from langrl.envs.grid.rooms import ahead, facing, is_free, is_object, list_poses, read_observation
from langrl.envs.maze.world import StreetMaze
from langrl.envs.questions import Questions
from langrl.functional.checks import takes_tensors
from langrl.protocols import Array, Floats, Integers, Mask


class Intents(Protocol):
    """What instructions can mean in a world, and what can be asked about it."""

    observation_axes: int
    """How many axes a single observation has."""
    shape: tuple[int, int]
    """Rows and columns of the map, I cells."""
    questions: Questions

    def possible(self, observations: Array) -> Mask:
        """Return which cells are intents [N, I], given observations [N, ...]."""

    def denoted(self, observations: Array, texts: Sequence[str]) -> Mask:
        """Return the intents that each text denotes [N, I]; all where that is unknown."""

    def labels(self, observations: Array) -> Integers:
        """Return what each cell answers to each question [N, Q, I]; -1 where it is no intent."""

    def reached(self, goals: Array) -> Integers:
        """Return the number of the cell that each goal [..., G] reaches [...]."""

    def goals(self, observation: Array) -> Array:
        """Return goals [M, G] that reach intents, at least one for each, in an observation."""


class MazeIntents:
    """The free cells of a maze.

    Args:
        world: the maze.
        questions: what can be asked, such as ``maze_questions(world.walls.shape)``.
    """

    observation_axes = 1

    def __init__(self, world: StreetMaze, questions: Questions) -> None:
        rows, columns = world.walls.shape
        self.world, self.questions, self.shape = world, questions, (rows, columns)
        self._free = ~world.walls.reshape(-1)
        labels = questions.labels(world.layout.free_cells)  # [Q, M]
        self._labels = np.full((len(labels), rows * columns), -1)
        self._labels[:, self._free] = labels

    def possible(self, observations: Array) -> Mask:
        """Return the free cells [N, I]."""
        return self._free[None].repeat(len(observations), 0)

    def denoted(self, observations: Array, texts: Sequence[str]) -> Mask:
        """Return the cells that satisfy each text [N, I]; see ``Intents.denoted``."""
        masks = {text: self.world.cell_mask(text) for text in dict.fromkeys(texts)}
        found = {text: self._free if mask is None else mask for text, mask in masks.items()}
        return np.stack([found[text].reshape(-1) for text in texts])

    def labels(self, observations: Array) -> Integers:
        """Return answers [N, Q, I], the same in every episode."""
        return self._labels[None].repeat(len(observations), 0)

    def reached(self, goals: Array) -> Integers:
        """Return the cells of positions [..., 2]."""
        limit = np.array(self.shape) - 1
        cells = np.clip(np.floor(goals[..., :2]).astype(np.int64), 0, limit)
        numbers: Integers = cells[..., 0] * self.shape[1] + cells[..., 1]
        return numbers

    def goals(self, observation: Array) -> Floats:
        """Return the centres of the free cells [M, 2]."""
        return (self.world.layout.free_cells + 0.5).astype(np.float32)


class GridIntents:
    """The objects of a grid world's rooms, doors included, of which agents see everything.

    Args:
        questions: what can be asked, such as ``grid_questions(size)``, ``size`` being the cells
            along a side.
        said_done: whether goals are those of ``PoseGoals`` [4], with ``done`` taken.
    """

    observation_axes = 3

    def __init__(self, questions: Questions, said_done: bool = False) -> None:
        self.questions, self.shape, self._said_done = questions, questions.shape, said_done

    def possible(self, observations: Array) -> Mask:
        """Return the objects [N, I] of observations [N, H, W, 3]."""
        return is_object(observations).reshape(len(observations), -1)

    def denoted(self, observations: Array, texts: Sequence[str]) -> Mask:
        """Return the objects that each text denotes [N, I]; see ``Intents.denoted``."""
        found = self.possible(observations)
        for n, text in enumerate(texts):
            cells = denoted_cells(observations[n : n + 1, ..., :2], text)
            if cells is not None:
                found[n] = cells.reshape(-1)
        return found

    def labels(self, observations: Array) -> Integers:
        """Return answers [N, Q, I] of objects."""
        possible = self.possible(observations)
        labels = np.full((len(possible), len(self.questions.names), possible.shape[1]), -1)
        for n, objects in enumerate(possible):
            numbers = np.flatnonzero(objects)
            cells = np.stack(np.divmod(numbers, self.shape[1]), 1)
            labels[n][:, numbers] = self.questions.labels(cells, observations[n, ..., :2])
        return labels

    def reached(self, goals: Array) -> Integers:
        """Return the cells that poses [..., 3 or more] face."""
        rows, columns = ahead(goals[..., :3].astype(np.int64))
        numbers: Integers = rows * self.shape[1] + columns
        return numbers

    def goals(self, observation: Array) -> Integers:
        """Return the poses [M, 3] or [M, 4] that face objects."""
        rooms, _ = read_observation(observation[None])
        poses = list_poses(is_free(rooms)[0])
        poses = poses[facing(is_object(rooms), is_free(rooms))[0][tuple(poses.T)]]
        return np.column_stack([poses, np.ones_like(poses[:, 0])]) if self._said_done else poses


@takes_tensors(log_posterior="N M", log_prior="N M")
def intent_log_posterior(
    log_posterior: Tensor, log_prior: Tensor, reached: Tensor, possible: Tensor
) -> Tensor:
    """Return the log posterior of intents [N, I] from that of candidate goals.

    An intent that more candidates reach is not meant more often: each is meant with the same
    probability before anything is said, and p(i|l) is proportional to p(l|i), the mean of p(l|g)
    over the candidates g that reach intent i, weighted by their prior probabilities.

    Args:
        log_posterior: of candidates, up to a constant [N, M].
        log_prior: of candidates, up to a constant [N, M]; -inf for padding.
        reached: number of the cell that each candidate reaches, int64 [N, M].
        possible: which cells are intents, bool [N, I].

    Returns:
        Logarithms, -inf for cells that are no intents or that no candidate reaches; where no
        candidate reaches any intent, uniform over the intents.
    """
    both = [
        log_sums(each.double(), reached, possible.shape[1]) for each in (log_posterior, log_prior)
    ]
    ratio = torch.where(possible & (both[0] > -torch.inf), both[0] - both[1], -torch.inf)
    lost = (ratio == -torch.inf).all(1, keepdim=True)
    return torch.where(lost & possible, 0.0, ratio).log_softmax(-1)


def log_sums(values: Tensor, groups: Tensor, count: int) -> Tensor:
    """Return the log of the summed exponentials of values [N, M] in each of some groups [N, I].

    Args:
        values: to be summed [N, M]; -inf for padding.
        groups: number of the group of each, int64 [N, M].
        count: how many groups, I; those without values have -inf.
    """
    nothing = values.new_full((len(values), count), -torch.inf)
    top = nothing.scatter_reduce(1, groups, values, "amax")
    shift = torch.where(top > -torch.inf, top, 0)
    sums = torch.zeros_like(nothing).scatter_add(
        1, groups, (values - shift.gather(1, groups)).exp()
    )
    return sums.log() + shift
