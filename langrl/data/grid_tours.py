"""Tours of grid worlds by an agent that sees only what is in front of it.

On a tour an expert, who knows the room, goes to one pose after another and says ``done`` at each.
What the agent sees on the way is the history that it has to remember; nothing is said in words.

Axes: ``R`` rooms, ``T`` states of all tours one after another, ``B`` tours in a batch, ``L`` states
of a tour, ``S`` state-actions of each, ``V`` cells along a side of a view.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from langrl.data.grid_experts import GridTrajectories, draw_poses, walk
from langrl.data.replay import Tail, geometric_futures
from langrl.envs.grid_rooms import ACTIONS, Mask, Rooms, facing, is_free, is_object
from langrl.envs.grid_views import egocentric_views, faced_cells
from langrl.errors import TrajectoryError

NO_ACTION = len(ACTIONS)  # what comes before the first action of a tour
_VIEWS_AT_ONCE = 65_536


@dataclass(frozen=True, eq=False)
class GridTours:
    """Tours end to end.

    ``legs`` are their trajectories, each ending with ``done``; ``tour`` int [T] numbers the tour
    that each state is in, ascending from 0.

    Raises:
        TrajectoryError: if ``tour`` does not fit the legs.
    """

    legs: GridTrajectories
    tour: NDArray[np.int64]

    def __post_init__(self) -> None:
        room, terminals = self.legs.room, self.legs.terminals
        starts = np.diff(self.tour)
        if (
            self.tour.shape != room.shape
            or self.tour[0] != 0
            or not np.isin(starts, (0, 1)).all()
            or not terminals[:-1][starts > 0].all()
            or (np.diff(room)[starts == 0] != 0).any()
        ):
            raise TrajectoryError(
                "tour numbers go from 0 in order, one for each state; a tour is in one room, and"
                " ends where a leg does"
            )

    @cached_property
    def first(self) -> NDArray[np.int64]:
        """Index of each tour's first state, and T at the end."""
        return np.searchsorted(self.tour, np.arange(self.tour[-1] + 2))

    def views(self, size: int) -> NDArray[np.uint8]:
        """Return what is seen in each state [T, V, V, 3]."""
        legs = self.legs
        parts = [slice(n, n + _VIEWS_AT_ONCE) for n in range(0, len(legs.poses), _VIEWS_AT_ONCE)]
        return np.concatenate(
            [egocentric_views(legs.rooms[legs.room[p]], legs.poses[p], size) for p in parts]
        )

    @cached_property
    def faced(self) -> NDArray[np.uint8]:
        """The type and the colour of the cell that is faced in each state [T, 2]."""
        return faced_cells(self.legs.rooms[self.legs.room], self.legs.poses)

    @cached_property
    def actions_before(self) -> NDArray[np.int64]:
        """The action before each state [T]; ``NO_ACTION`` at the start of a tour."""
        before = np.concatenate([[NO_ACTION], self.legs.actions[:-1]])
        before[self.first[:-1]] = NO_ACTION
        return before


def grid_tours(
    rooms: Rooms,
    per_room: int,
    legs: int,
    generator: np.random.Generator,
    *,
    action_noise: float = 0.1,
    object_share: float = 0.5,
) -> GridTours:
    """Walk from random poses to ``legs`` random poses, one after another.

    Args:
        rooms: [R, H, W, 2].
        per_room: tours in each room.
        legs: poses that are gone to on each.
        generator: source of randomness.
        action_noise: chance of a random turn or step instead of the best action.
        object_share: share of the legs that end in front of an object; the others end anywhere.
    """
    every = rooms.repeat(per_room, 0)  # [E, H, W, 2]
    poses = draw_poses(is_free(every), generator)
    walked = []
    for _ in range(legs):
        targets = _draw_targets(every, object_share, generator)
        walker, states, actions = walk(every, poses, targets, generator, action_noise)
        walked.append((walker, states, actions))
        poses = states[np.append(walker[1:] != walker[:-1], True)]
    number = np.concatenate([np.full(len(part[0]), leg) for leg, part in enumerate(walked)])
    walkers, states, actions = (np.concatenate(part) for part in zip(*walked, strict=True))
    order = np.lexsort((number, walkers))  # stable: within a leg, in the order of time
    walkers, number = walkers[order], number[order]
    ends = np.append((np.diff(walkers) != 0) | (np.diff(number) != 0), True)
    found = GridTrajectories(rooms, walkers // per_room, states[order], actions[order], ends)
    return GridTours(found, walkers)


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


class TourReplay:
    """Draws the beginnings of tours, and state-actions on them with what is faced in the future.

    ``done`` ends a leg, so its future is the state it is said in, and no future is beyond it.

    Args:
        tours: of one or several sizes of room; a batch comes from one of them.
        view: cells along a side of a view.
        length: states of a tour that are used, L, at most.
        discount: of the geometric future.
        tail: see ``geometric_futures``.
        device: where the arrays live.
    """

    def __init__(
        self,
        tours: list[GridTours],
        *,
        view: int,
        length: int,
        discount: float,
        tail: Tail,
        device: torch.device,
    ) -> None:
        self.length, self.discount, self.tail, self._device = length, discount, tail, device
        self._parts = []
        for part in tours:
            arrays = {
                "view": part.views(view), "before": part.actions_before, "faced": part.faced,
                "action": part.legs.actions, "ends": part.legs.ends, "first": part.first,
            }  # fmt: skip
            self._parts.append({n: torch.from_numpy(a).to(device) for n, a in arrays.items()})

    def sample(self, tours: int, size: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw a batch of B tours and S state-actions of each.

        Returns:
            ``view`` uint8 [B, L, V, V, 3], ``before`` [B, L] the action before each, ``mask``
            [B, L] where the tour goes on; ``state`` [B, S] which of the L, ``action`` [B, S], and
            ``goal`` [B, S, 2], the type and the colour that are faced in the future.
        """
        device = self._device
        number = torch.randint(len(self._parts), (), generator=generator, device=device)
        part = self._parts[int(number)]
        pick = torch.randint(len(part["first"]) - 1, (tours,), generator=generator, device=device)
        first, last = part["first"][pick, None], part["first"][pick + 1, None]
        steps = torch.arange(self.length, device=device)
        mask = first + steps < last  # [B, L]
        index = (first + steps).clamp(max=last - 1)
        lengths = (last - first).clamp(max=self.length)
        draw = torch.rand((tours, size), generator=generator, device=device)
        state = (draw * lengths).long().clamp(max=lengths - 1)  # [B, S]
        now = first + state
        future, ends = now.clone(), part["ends"][now]
        goes = now < ends  # the last action is done
        future[goes] = geometric_futures(now[goes], ends[goes], self.discount, self.tail, generator)
        return {
            "view": part["view"][index],
            "before": part["before"][index],
            "mask": mask,
            "state": state,
            "action": part["action"][now],
            "goal": part["faced"][future],
        }
