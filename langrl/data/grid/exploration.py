"""Exploration trajectories in grid worlds, for an agent that sees only what is in front of it.

An exploration trajectory (an exploration, for short) visits several poses of one room, one after
another; its part up to each pose is a segment, which ends with the action ``done``. Here an expert
that knows the room visits them. What the agent sees on the way is the history that it has to
remember; there is no language.

Axes: ``R`` rooms, ``T`` states of all explorations one after another, ``B`` explorations in a
batch, ``L`` states of an exploration, ``S`` state-actions of each, ``V`` cells along a side of a
view.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from langrl.data.grid.experts import GridTrajectories, draw_poses, walk
from langrl.data.replay import Tail, futures_until_done
from langrl.envs.grid.rooms import ACTIONS, Rooms, facing, is_free, is_object
from langrl.envs.grid.views import egocentric_views, faced_cells
from langrl.errors import TrajectoryError
from langrl.protocols import Integers, Mask

NO_ACTION = len(ACTIONS)  # what comes before the first action of an exploration
_VIEWS_AT_ONCE = 65_536


@dataclass(frozen=True, eq=False)
class GridExplorations:
    """Exploration trajectories, one after another.

    ``segments`` are their trajectories, each ending with ``done``; ``exploration`` int [T] numbers
    the exploration that each state is in, ascending from 0. ``recorded`` uint8 [T, V, V, 3] is what
    was seen, where rooms and poses do not say it: a door that was opened stays open in a level.

    Raises:
        TrajectoryError: if ``exploration`` does not fit the segments.
    """

    segments: GridTrajectories
    exploration: Integers
    recorded: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        room, terminals = self.segments.room, self.segments.terminals
        starts = np.diff(self.exploration)
        if (
            self.exploration.shape != room.shape
            or self.exploration[0] != 0
            or not np.isin(starts, (0, 1)).all()
            or not terminals[:-1][starts > 0].all()
            or (np.diff(room)[starts == 0] != 0).any()
        ):
            raise TrajectoryError(
                "exploration numbers go from 0 in order, one a state; each is in one room, and"
                " ends where a segment does"
            )

    @cached_property
    def first(self) -> Integers:
        """Index of each exploration's first state, and T at the end."""
        return np.searchsorted(self.exploration, np.arange(self.exploration[-1] + 2))

    def views(self, size: int) -> NDArray[np.uint8]:
        """Return what is seen in each state [T, V, V, 3].

        Raises:
            TrajectoryError: if views of another size were recorded.
        """
        if self.recorded is not None:
            if self.recorded.shape[1:3] != (size, size):
                raise TrajectoryError(
                    f"views of {list(self.recorded.shape[1:3])} were recorded, not of {size}x{size}"
                )
            return self.recorded
        segments = self.segments
        parts = []
        for start in range(0, len(segments.poses), _VIEWS_AT_ONCE):
            some = slice(start, start + _VIEWS_AT_ONCE)
            rooms = segments.rooms[segments.room[some]]
            parts.append(egocentric_views(rooms, segments.poses[some], size))
        return np.concatenate(parts)

    @cached_property
    def faced(self) -> NDArray[np.uint8]:
        """The type and the colour of the cell that is faced in each state [T, 2]."""
        return faced_cells(self.segments.rooms[self.segments.room], self.segments.poses)

    @cached_property
    def actions_before(self) -> Integers:
        """The action before each state [T]; ``NO_ACTION`` at the start of an exploration."""
        before = np.concatenate([[NO_ACTION], self.segments.actions[:-1]])
        before[self.first[:-1]] = NO_ACTION
        return before


def planner_trajectories(
    rooms: Rooms,
    per_room: int,
    segments: int,
    generator: np.random.Generator,
    *,
    action_noise: float = 0.1,
    object_share: float = 0.5,
) -> GridExplorations:
    """Walk from random poses to ``segments`` random poses, one after another.

    Args:
        rooms: [R, H, W, 2].
        per_room: explorations in each room.
        segments: poses that are visited on each.
        generator: source of randomness.
        action_noise: chance of a random turn or step instead of the best action.
        object_share: share of the segments that end in front of an object; the others end anywhere.
    """
    every = rooms.repeat(per_room, 0)  # [E, H, W, 2]
    poses = draw_poses(is_free(every), generator)
    walked = []
    for _ in range(segments):
        targets = _draw_targets(every, object_share, generator)
        walker, states, actions = walk(every, poses, targets, generator, action_noise)
        walked.append((walker, states, actions))
        poses = states[np.append(walker[1:] != walker[:-1], True)]
    number = np.concatenate([np.full(len(part[0]), segment) for segment, part in enumerate(walked)])
    walkers, states, actions = (np.concatenate(part) for part in zip(*walked, strict=True))
    order = np.lexsort((number, walkers))  # stable: within a segment, in the order of time
    walkers, number = walkers[order], number[order]
    ends = np.append((np.diff(walkers) != 0) | (np.diff(number) != 0), True)
    trajectories = GridTrajectories(rooms, walkers // per_room, states[order], actions[order], ends)
    return GridExplorations(trajectories, walkers)


def _draw_targets(rooms: Rooms, object_share: float, generator: np.random.Generator) -> Mask:
    """Return one target pose in each room, bool [E, H, W, 4]."""
    free = is_free(rooms)
    towards = facing(is_object(rooms), free)
    anywhere = np.broadcast_to(free[..., None], towards.shape)
    picks = generator.random(len(rooms)) < object_share
    allowed = np.where(picks[:, None, None, None], towards, anywhere).reshape(len(rooms), -1)
    chosen = (generator.random(allowed.shape) * allowed).argmax(1)
    targets = np.zeros(allowed.shape, bool)
    targets[np.arange(len(rooms)), chosen] = True
    return targets.reshape(towards.shape)


class ExplorationReplay:
    """Draws explorations, cut to a length, and state-actions with what is faced in their future.

    ``done`` ends a segment, so its future is the state in which it is taken; no future is beyond.

    Args:
        explorations: of one or several sizes of room; a batch comes from one of them.
        view: cells along a side of a view.
        length: states of an exploration that are used at most, L.
        discount: of the geometric future.
        tail: see ``geometric_futures``.
        device: where the arrays live.
    """

    def __init__(
        self,
        explorations: list[GridExplorations],
        *,
        view: int,
        length: int,
        discount: float,
        tail: Tail,
        device: torch.device,
    ) -> None:
        self.length, self.discount, self.tail, self._device = length, discount, tail, device
        self._parts = []
        for part in explorations:
            arrays = {
                "view": part.views(view), "before": part.actions_before, "faced": part.faced,
                "action": part.segments.actions, "ends": part.segments.ends, "first": part.first,
            }  # fmt: skip
            self._parts.append({n: torch.from_numpy(a).to(device) for n, a in arrays.items()})

    def sample(self, explorations: int, size: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw a batch of B explorations and S state-actions of each.

        Returns:
            ``view`` uint8 [B, L, V, V, 3], ``before`` [B, L] the action before each, ``mask``
            [B, L] where the exploration goes on; ``state`` [B, S] which of the L, ``action`` [B,
            S], and ``goal`` [B, S, 2], the type and the colour that are faced in the future.
        """
        device = self._device
        number = torch.randint(len(self._parts), (), generator=generator, device=device)
        part = self._parts[int(number)]
        pick = torch.randint(
            len(part["first"]) - 1, (explorations,), generator=generator, device=device
        )
        first, last = part["first"][pick, None], part["first"][pick + 1, None]
        steps = torch.arange(self.length, device=device)
        mask = first + steps < last  # [B, L]
        index = (first + steps).clamp(max=last - 1)
        lengths = (last - first).clamp(max=self.length)
        draw = torch.rand((explorations, size), generator=generator, device=device)
        state = (draw * lengths).long().clamp(max=lengths - 1)  # [B, S]
        now = first + state
        ends = part["ends"][now]
        future = futures_until_done(now, ends, self.discount, self.tail, generator)
        return {
            "view": part["view"][index],
            "before": part["before"][index],
            "mask": mask,
            "state": state,
            "action": part["action"][now],
            "goal": part["faced"][future],
        }
