"""Training batches from trajectories: geometric futures and action negatives.

Axes: ``T`` states, ``B`` batch, ``J`` action negatives, ``S`` state, ``A`` action.
"""

import math
from typing import Literal

import torch
from torch import Generator, Tensor

from langrl.data.trajectories import Trajectories
from langrl.errors import ConfigError

Tail = Literal["clip", "renormalise"]
ActionNegatives = Literal["uniform", "behaviour", "none"]


def geometric_futures(
    index: Tensor, ends: Tensor, discount: float, tail: Tail, generator: Generator
) -> Tensor:
    """Draw the index of a future state for each state, at a geometric distance of at least 1.

    Args:
        index: states [B], none of them the last of its trajectory.
        ends: last state of each one's trajectory [B].
        discount: chance that the future is one step further, in [0, 1).
        tail: what happens to distances beyond the end: ``clip`` puts them all at the last state
            (as published), ``renormalise`` draws from the distances that exist.
        generator: source of randomness.

    Returns:
        Indices [B], index < future <= end.

    Source: Eysenbach et al. 2022, arXiv:2206.07568, eq. 1 (the discounted future state).
    """
    uniform = torch.rand(index.shape, generator=generator, device=index.device, dtype=torch.float64)
    return futures_at(uniform, index, ends, discount, tail == "clip")


def futures_at(
    uniform: Tensor, index: Tensor, ends: Tensor, discount: float | Tensor, clip: bool | Tensor
) -> Tensor:
    """Return the futures that numbers drawn from [0, 1) stand for; see ``geometric_futures``.

    Args:
        uniform: float64 [B], one number for each state.
        index, ends: as there.
        discount: as there, for all, or for each state, float64 [B].
        clip: tail ``clip``, else ``renormalise``; for all, or for each state, bool [B].

    Returns:
        Indices [B], index < future <= end.
    """
    rate: float | Tensor
    if isinstance(discount, Tensor):
        rate = discount.log()  # -inf where it is 0, by which every distance becomes 1
    elif discount == 0:
        return index + 1
    else:
        rate = math.log(discount)
    longest = (ends - index).double()
    if clip is not True:  # inverse CDF of the geometric law, cut off after `longest`
        mass = 1 - discount**longest
        uniform = uniform * (mass if clip is False else mass.where(~clip, 1.0))
    distance = 1 + torch.floor(torch.log1p(-uniform) / rate)
    return index + torch.minimum(distance, longest).long()


def futures_until_done(
    index: Tensor, ends: Tensor, discount: float, tail: Tail, generator: Generator
) -> Tensor:
    """As ``geometric_futures``; a last state, where ``done`` was taken, is its own future."""
    future, goes = index.clone(), index < ends
    future[goes] = geometric_futures(index[goes], ends[goes], discount, tail, generator)
    return future


class TrajectoryReplay:
    """Draws (state, action, future state, other actions) from stored trajectories.

    Args:
        trajectories: the data.
        discount: of the geometric future.
        tail: see ``geometric_futures``.
        action_negatives: where other actions at the same state come from. ``uniform`` over
            directions adds log p(a|s,g) to the critic, which imitates the data's choice for a
            goal; ``behaviour``, the data's own p(a|s), keeps the critic a density ratio: one step
            of improvement over the average behaviour; ``none``.
        count: number J of action negatives per state.
        cells: for ``behaviour``, the number of the cell that each state lies in, int [T];
            actions of the same cell stand for p(a|s).
        device: where the arrays live.
    """

    def __init__(
        self,
        trajectories: Trajectories,
        *,
        discount: float,
        tail: Tail,
        action_negatives: ActionNegatives,
        count: int,
        cells: Tensor,
        device: torch.device,
    ) -> None:
        if trajectories.actions.shape[1] != 2 and action_negatives == "uniform":
            raise ConfigError(
                "action_negatives: uniform draws directions in the plane; these actions have"
                f" {trajectories.actions.shape[1]} numbers, use 'behaviour'"
            )
        self.discount, self.tail = discount, tail
        self.action_negatives, self.count = action_negatives, count
        self.states = torch.from_numpy(trajectories.observations).to(device)
        self.actions = torch.from_numpy(trajectories.actions).to(device)
        self.ends = torch.from_numpy(trajectories.ends).to(device)
        self.transitions = torch.from_numpy(trajectories.transitions).to(device)
        order = torch.argsort(cells[trajectories.transitions], stable=True).to(device)
        self._cells = cells.to(device)
        self._by_cell = self.transitions[order]  # transitions sorted by cell
        numbers = torch.bincount(self._cells[self.transitions], minlength=int(cells.max()) + 1)
        self._cell_size = numbers
        self._cell_start = numbers.cumsum(0) - numbers

    def sample(self, size: int, generator: Generator) -> dict[str, Tensor]:
        """Draw a batch.

        Returns:
            ``state`` [B, S], ``action`` [B, A], ``goal`` [B, S], and unless there are none
            ``other_actions`` [B, J, A].
        """
        device = self.states.device
        pick = torch.randint(len(self.transitions), (size,), generator=generator, device=device)
        index = self.transitions[pick]
        future = geometric_futures(index, self.ends[index], self.discount, self.tail, generator)
        batch = {
            "state": self.states[index],
            "action": self.actions[index],
            "goal": self.states[future],
        }
        if self.action_negatives != "none":
            batch["other_actions"] = self._other_actions(index, generator)
        return batch

    def _other_actions(self, index: Tensor, generator: Generator) -> Tensor:
        if self.action_negatives == "uniform":
            # Evenly spaced from a random start: uniform as a set, and no gap is left.
            turn = torch.rand((len(index), 1), generator=generator, device=index.device)
            spokes = torch.arange(self.count, device=index.device)
            angle = 2 * math.pi * (spokes + turn) / self.count
            return torch.stack([angle.cos(), angle.sin()], -1)  # [B, J, 2]
        draw = torch.rand((len(index), self.count), generator=generator, device=index.device)
        cell = self._cells[index].unsqueeze(1)  # [B, 1]
        offset = (draw * self._cell_size[cell]).long().clamp(max=self._cell_size[cell] - 1)
        return self.actions[self._by_cell[self._cell_start[cell] + offset]]
