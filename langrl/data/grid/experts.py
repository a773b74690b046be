"""Trajectories in grid worlds without language, and batches from within each room.

Axes: ``R`` rooms, ``E`` trajectories, ``T`` states of all trajectories one after another, ``B``
rooms in a batch, ``S`` state-actions of each.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from langrl.data.replay import Tail, futures_until_done
from langrl.data.trajectories import by_walker
from langrl.envs.grid import rooms as grid
from langrl.envs.grid.rooms import Poses, Rooms
from langrl.errors import TrajectoryError
from langrl.protocols import Integers, Mask

_WALKERS_AT_ONCE = 8192


@dataclass(frozen=True, eq=False)
class GridTrajectories:
    """Trajectories one after another, each ending with the action ``done``.

    ``rooms`` uint8 [R, H, W, 2]; ``room`` int [T], which of them each state is in, ascending;
    ``poses`` int [T, 3]; ``actions`` int [T]; ``terminals`` bool [T].

    Raises:
        TrajectoryError: if lengths differ, rooms are not in order, or one has no state.
    """

    rooms: Rooms
    room: Integers
    poses: Poses
    actions: Integers
    terminals: Mask

    def __post_init__(self) -> None:
        lengths = {len(self.room), len(self.poses), len(self.actions), len(self.terminals)}
        marks = self.terminals
        if len(lengths) != 1 or marks.dtype != np.bool_ or not len(marks) or not marks[-1]:
            raise TrajectoryError(
                "room, poses, actions and terminals need one entry per state, terminals bool and"
                " True at the end"
            )
        changes = np.diff(self.room)
        if not np.array_equal(np.unique(self.room), np.arange(len(self.rooms))) or (
            (changes < 0).any() or not self.terminals[:-1][changes > 0].all()
        ):
            raise TrajectoryError(
                "room numbers go from 0 to R - 1 in order, and a trajectory ends before the next"
                " room; sort the trajectories by room"
            )

    @cached_property
    def ends(self) -> Integers:
        """Index of the last state of the trajectory that each state is in, int [T]."""
        last = np.flatnonzero(self.terminals)
        return last[np.searchsorted(last, np.arange(len(self.terminals)))]

    @cached_property
    def first(self) -> Integers:
        """Index of each room's first state, and T at the end, int [R + 1]."""
        return np.searchsorted(self.room, np.arange(len(self.rooms) + 1))


def grid_experts(
    rooms: Rooms,
    per_room: int,
    generator: np.random.Generator,
    *,
    targets: Mask | None = None,
    action_noise: float = 0.1,
) -> GridTrajectories:
    """Walk from random poses along shortest paths, then take ``done``.

    Args:
        rooms: [R, H, W, 2].
        per_room: trajectories in each room.
        generator: source of randomness.
        targets: poses to end at, any of them, for each trajectory, bool [R * per_room, H, W, 4];
            one random pose each if not given.
        action_noise: chance of a random turn or step instead of the best action.
    """
    parts = []
    step = max(1, _WALKERS_AT_ONCE // per_room)
    for start in range(0, len(rooms), step):
        some = rooms[start : start + step].repeat(per_room, 0)  # [E, H, W, 2]
        poses = draw_poses(grid.is_free(some), generator)
        if targets is None:
            aims = np.zeros((*some.shape[:3], 4), bool)
            aims[np.arange(len(some)), *draw_poses(grid.is_free(some), generator).T] = True
        else:
            aims = targets[start * per_room :][: len(some)]
        parts.append((start * per_room, walk(some, poses, aims, generator, action_noise)))
    walker = np.concatenate([offset + part[0] for offset, part in parts])
    poses, actions = (np.concatenate([part[n] for _, part in parts]) for n in (1, 2))
    terminals = np.append(walker[1:] != walker[:-1], True)
    return GridTrajectories(rooms, walker // per_room, poses, actions, terminals)


def walk(
    rooms: Rooms, poses: Poses, targets: Mask, generator: np.random.Generator, action_noise: float
) -> tuple[Integers, Poses, Integers]:
    """Walk to a target in each room once, along a shortest path, and take ``done`` there.

    Args:
        rooms: [E, H, W, 2].
        poses: of the starts [E, 3].
        targets: poses to end at, any of them [E, H, W, 4].
        generator: source of randomness.
        action_noise: chance of a random turn or step instead of the best action.

    Returns:
        Which walker each state is of [T], its pose [T, 3] and action [T], walker after walker.

    Raises:
        TrajectoryError: if no target of a walker can be reached.
    """
    free, poses = grid.is_free(rooms), poses.copy()
    distances = grid.pose_distances(free, targets)
    lost = distances[np.arange(len(free)), *poses.T] == grid.UNREACHABLE
    if lost.any():
        raise TrajectoryError(
            f"the targets of trajectory {int(lost.argmax())} cannot be reached; give poses on free"
            " cells of its room"
        )
    walker = np.arange(len(rooms))
    record = []
    while len(walker):
        here = poses[walker]
        actions, left = grid.best_actions(free[walker], distances[walker], here)
        random = (generator.random(len(walker)) < action_noise) & (left > 0)
        actions = np.where(random, generator.integers(3, size=len(walker)), actions)
        record.append((walker, here, actions))
        poses[walker] = grid.move(free[walker], here, actions)
        walker = walker[actions != grid.DONE]
    walkers, states, acted = by_walker(record)
    return walkers, states, acted


def draw_poses(free: Mask, generator: np.random.Generator) -> Poses:
    """Return a pose [N, 3] in each room, uniform over its free cells [N, H, W] and directions."""
    cells = draw_cells(free, generator)
    return np.column_stack([cells, generator.integers(4, size=len(free))])


def draw_cells(cells: Mask, generator: np.random.Generator) -> Integers:
    """Return one of the marked cells of each mask [N, H, W], as row and column [N, 2]."""
    height, width = cells.shape[1:]
    chance = (generator.random(cells.shape) * cells).reshape(len(cells), height * width)
    return np.stack(np.divmod(chance.argmax(1), width), 1)


class GridReplay:
    """Draws state-actions and futures so that negatives come from the same room.

    Goals of other rooms can be distinguished by their walls alone, which teaches nothing about
    paths. ``done`` ends an episode, so its future is the state in which it is taken.

    Args:
        trajectories: of one or several sizes of room; a batch comes from one of them.
        discount: of the geometric future.
        tail: see ``geometric_futures``.
        device: where the arrays live.
    """

    def __init__(
        self,
        trajectories: list[GridTrajectories],
        *,
        discount: float,
        tail: Tail,
        device: torch.device,
    ) -> None:
        self.discount, self.tail = discount, tail
        names = ("rooms", "poses", "actions", "ends", "first")
        self._parts = [
            {name: torch.from_numpy(getattr(part, name)).to(device) for name in names}
            for part in trajectories
        ]
        self._device = device

    def sample(self, rooms: int, size: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Draw a batch.

        Returns:
            ``room`` uint8 [B, H, W, 2], ``pose`` [B, S, 3], ``action`` [B, S], ``goal`` [B, S, 3].
        """
        device = self._device
        number = torch.randint(len(self._parts), (), generator=generator, device=device)
        part = self._parts[int(number)]
        room = torch.randint(len(part["rooms"]), (rooms,), generator=generator, device=device)
        first, last = part["first"][room, None], part["first"][room + 1, None]
        draw = torch.rand((rooms, size), generator=generator, device=device)
        index = (first + (draw * (last - first)).long()).clamp(max=last - 1)  # [B, S]
        ends = part["ends"][index]
        future = futures_until_done(index, ends, self.discount, self.tail, generator)
        return {
            "room": part["rooms"][room],
            "pose": part["poses"][index],
            "action": part["actions"][index],
            "goal": part["poses"][future],
        }
