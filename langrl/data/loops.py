"""Loops of recorded trajectories: where each state is left for good, and where it is come back to.

Recorded behaviour wanders. What comes after a return to a place says little about how to get there
from it: the way in between was a detour.

Axes: ``T`` states of all trajectories one after another, ``L`` of one, ``G`` numbers in a goal.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from langrl.protocols import Array, Mask


class Loops(NamedTuple):
    """For each state, indices of later states of its trajectory, int64 [T] each."""

    left: Tensor  # the first one away from it by the radius or more; the last one if there is none
    until: Tensor  # the last one before the trajectory is near it again; the last one of all if not


def find_loops(achieved: Array, last: Mask, radius: float) -> Loops:
    """Return where trajectories leave their states, and where they come back to them.

    Args:
        achieved: what is achieved in each state [T, G].
        last: which states are the last ones of trajectories, bool [T]; the final one is.
        radius: distance below which two states are near, in units of goals.
    """
    ends = np.flatnonzero(last) + 1
    begins = np.concatenate([[0], ends[:-1]])
    goals = torch.from_numpy(np.ascontiguousarray(achieved, np.float32))
    parts = [
        _loops_of(goals[begin:end], radius, begin)
        for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)
    ]
    left, until = (torch.cat(values) for values in zip(*parts, strict=True))
    return Loops(left, until)


def _loops_of(goals: Tensor, radius: float, begin: int) -> tuple[Tensor, Tensor]:
    """Return both of one trajectory [L, G] that begins at an index."""
    end = len(goals) - 1
    away = torch.cdist(goals, goals) >= radius
    later = torch.ones_like(away).triu(1)
    left = _first(away & later, end + 1)
    steps = torch.arange(end + 1)
    back = _first(~away & (steps > left.unsqueeze(1)), end + 1)
    return begin + left.clamp(max=end), begin + back.sub(1).clamp(max=end)


def _first(mask: Tensor, none: int) -> Tensor:
    """Return the first column of each row of a mask that is True, or ``none``."""
    found = mask.to(torch.uint8).max(1)
    return torch.where(found.values > 0, found.indices, none)
