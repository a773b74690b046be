"""The episodes of N grid worlds, which the single and the vector environment share.

Axes: ``N`` environments, ``H`` rows, ``W`` columns, ``M`` goals.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from langrl.envs.draws import pick_each
from langrl.envs.grid import grammar as grid_grammar
from langrl.envs.grid import rooms as grid
from langrl.envs.grid.meanings import check_drawn, draw_meanings
from langrl.envs.grid.rooms import ACTIONS, Poses, Rooms
from langrl.envs.grid.views import check_view, egocentric_views
from langrl.envs.intents import IntentEpisodes, Mode
from langrl.envs.phrasing import TASK_PHRASINGS, Meaning, TaskPhrasing
from langrl.envs.questions import grid_questions
from langrl.errors import InstructionError, LayoutError, ShapeError, lookup
from langrl.protocols import Array, Integers, Mask, check_instruction

WAIT = len(ACTIONS)  # what nobody can choose: neither moves nor ends an episode
START_DISTANCE = 3  # turns and steps to the nearest denoted object; nearer, a random walk succeeds
TRIES = 100  # rooms drawn for an instruction before it is called impossible


def denoted_cells(rooms: Rooms, instruction: str) -> Mask | None:
    """Return the objects that a text denotes, bool [N, H, W], in rooms [N, H, W, 2].

    It is None if the grammar cannot read the text; raises InstructionError for an unusable one.
    """
    meaning = grid_grammar.parse(check_instruction(instruction))
    return None if meaning is None else grid_grammar.denoted(meaning, rooms)


def check_goals(room: Rooms, goals: Any) -> Poses:
    """Return goals as poses [M, 3]; raises ShapeError unless they are inside the room."""
    poses = np.asarray(goals)
    whole = poses.dtype.kind in "iu" or (
        poses.dtype.kind == "f" and bool(np.equal(poses, np.floor(poses)).all())
    )
    if poses.ndim != 2 or poses.shape[1] != 3 or not whole or not np.isfinite(poses).all():
        raise ShapeError(
            "poses must be [M, 3] whole numbers (row, column, direction), got"
            f" {list(poses.shape)} of {poses.dtype}"
        )
    poses = poses.astype(np.int64)
    limits = (room.shape[0] - 1, room.shape[1] - 1, 4)
    inside = (poses >= (1, 1, 0)).all(1) & (poses < limits).all(1)
    if not inside.all():
        outside = poses[~inside][0].tolist()
        raise ShapeError(f"the pose {outside} is outside the walls of this room; name one inside")
    return poses


class GridEpisodes(IntentEpisodes):
    """The state of N episodes in grid worlds; their stream is that of the rooms.

    Rooms are the same whatever instruction types or phrasing are asked for, where they allow it.

    Args:
        world: a name in ``GRID_WORLDS``.
        count: how many episodes, N.
        levels: instruction types that are drawn; the world's own if not given.
        phrasing: ``seen``, ``held_out`` or ``noisy``.
        mode: one of ``langrl.envs.intents.MODES``.
        view: cells along a side of what an agent sees; the whole room if not given.
    """

    def __init__(
        self,
        world: str,
        count: int,
        levels: Sequence[str] | None,
        phrasing: TaskPhrasing,
        mode: Mode,
        view: int | None,
    ) -> None:
        self.spec: grid.RoomSpec = lookup(grid.GRID_WORLDS, world, "grid world")
        options = ("instruction", "room", "pose", "intended")
        super().__init__(count, options, mode, grid_questions(self.spec.size))
        self.levels = check_levels(self.spec.levels if levels is None else levels)
        lookup(dict.fromkeys(TASK_PHRASINGS), str(phrasing), "phrasing")
        self.phrasing = phrasing
        self.view = None if view is None else check_view(view)
        self.rooms = np.zeros((*self.denoted.shape, 2), np.uint8)
        self.poses = np.zeros((count, 3), np.int64)

    def begin(self, rows: Integers, generator: Generator, options: dict[str, Any]) -> None:
        """Start new episodes in some rows; where that is refused, every row stays as it was."""
        texts, (given, poses, intended) = self.read_options(options)
        cells = self.read_intended(intended, rows)
        free = given is None
        # Only the rooms that are begun: a check takes as long as several steps of an episode.
        chosen = None if given is None else self._check_rooms(given, rows)
        poses = None if poses is None else self._check_poses(poses, chosen, rows)
        assert self.stream is not None
        rooms = grid.draw_rooms(self.spec, len(rows), self.stream) if chosen is None else chosen
        if texts is None:
            texts, denoted = self._draw_texts(rooms, generator, free)
        else:
            texts = [texts[n] for n in rows]
            denoted = self._denote(texts, rooms, generator, free)
        poses, steps = self._place(rooms, denoted, generator, poses)
        self.intended[rows] = self.mean(denoted, cells, generator)
        self.rooms[rows], self.denoted[rows], self.poses[rows] = rooms, denoted, poses
        for n, text in zip(rows.tolist(), texts, strict=True):
            self.instructions[n] = text
        self.note(rows, np.count_nonzero(denoted, (1, 2)), steps)

    def _draw_texts(self, rooms: Rooms, generator: Generator, free: bool) -> tuple[list[str], Mask]:
        """Draw instructions for rooms [n, H, W, 2], and what they denote [n, H, W].

        Where none fits a room and another is allowed, draws another in its place.
        """
        meanings, denoted = draw_meanings(rooms, generator, self.levels)
        for _ in range(TRIES if free else 0):
            missing = [n for n, meaning in enumerate(meanings) if meaning is None]
            if not missing:
                break
            self._replace(rooms, missing, generator)
            others, denoted[missing] = draw_meanings(rooms[missing], generator, self.levels)
            for n, meaning in zip(missing, others, strict=True):
                meanings[n] = meaning
        found = check_drawn(meanings, rooms, self.levels)
        texts = [self._write(*each, generator) for each in zip(found, denoted, rooms, strict=True)]
        return texts, denoted

    def _denote(self, texts: list[str], rooms: Rooms, generator: Generator, free: bool) -> Mask:
        """Return what given instructions denote [n, H, W], in other rooms where it is nothing."""
        denoted = np.zeros(rooms.shape[:3], bool)
        for text in dict.fromkeys(texts):
            rows = [n for n, other in enumerate(texts) if other == text]
            tries = TRIES if free else 1
            while (cells := denoted_cells(rooms[rows], text)) is not None:
                denoted[rows] = cells
                rows = [n for n in rows if not denoted[n].any()]
                tries -= 1
                if not rows:
                    break
                if not tries:
                    where = "such rooms" if free else "this room"
                    raise InstructionError(
                        f"{text.strip()!r} denotes nothing in {where}; name objects that are there"
                    )
                self._replace(rooms, rows, generator)
        return denoted

    def _replace(self, rooms: Rooms, rows: list[int], generator: Generator) -> None:
        """Draw other rooms, from a stream of their own, so that later ones stay the same."""
        spare = np.random.default_rng(generator.integers(2**63))
        rooms[rows] = grid.draw_rooms(self.spec, len(rows), spare)

    def _write(self, meaning: Meaning, denoted: Mask, room: Rooms, generator: Generator) -> str:
        """Return a text that can be read back: a typo may leave it open which word was meant."""
        while True:
            text = grid_grammar.write(meaning, generator, self.phrasing)
            if self.phrasing == "seen" or grid_grammar.has_known_words(text):
                return text
            read = grid_grammar.parse(text)
            if read is not None and np.array_equal(grid_grammar.denoted(read, room), denoted):
                return text

    def _place(
        self, rooms: Rooms, denoted: Mask, generator: Generator, poses: Poses | None
    ) -> tuple[Poses, NDArray[np.float64]]:
        """Return starts [n, 3] away from what is denoted, and the fewest steps from there [n]."""
        free = grid.is_free(rooms)
        distances = grid.pose_distances(free, grid.facing(denoted, free))
        if poses is None:
            starts = pick_each(far_starts(distances, free).reshape(len(rooms), -1), generator)
            poses = np.stack(np.unravel_index(starts, distances.shape[1:]), 1)
        steps = distances[np.arange(len(rooms)), *poses.T].astype(float)
        return poses, np.where(steps < grid.UNREACHABLE, steps + 1, np.nan)  # with saying done

    def _check_rooms(self, given: Any, rows: Integers) -> Rooms:
        """Return some rows [n, H, W, 2] of the option ``room``, one for all or one for each."""
        size = self.spec.size
        try:
            several = np.ndim(given) == 4
        except ValueError:  # ragged, which ``check_room`` explains
            several = False
        if not several:
            return np.broadcast_to(check_room(given, size), (len(rows), size, size, 2))
        if len(given) != self.count:
            raise LayoutError(f"the option 'room' has {len(given)} rooms; give {self.count} or one")
        return np.stack([check_room(given[n], size) for n in rows.tolist()])

    def _check_poses(self, given: Any, rooms: Rooms | None, rows: Integers) -> Poses:
        """Return some rows [n, 3] of the option ``pose``, which are in ``rooms`` [n, H, W, 2]."""
        if rooms is None:
            raise LayoutError("the option 'pose' needs the option 'room': rooms are random")
        given = np.asarray(given)
        if given.shape not in ((3,), (self.count, 3)) or given.dtype.kind not in "iuf":
            raise ShapeError(
                f"the option 'pose' is numbers [3] or [{self.count}, 3] (row, column,"
                f" direction), got {list(given.shape)} of {given.dtype}"
            )
        poses = check_goals(rooms[0], np.broadcast_to(given, (self.count, 3))[rows])
        if not grid.is_free(rooms)[np.arange(len(rows)), poses[:, 0], poses[:, 1]].all():
            raise LayoutError("a start pose is in a wall or on an object; use a free cell")
        return poses

    def room_of(self, row: int) -> Rooms:
        """Return the room [H, W, 2] of an episode."""
        return self.rooms[row]

    def check_actions(self, actions: Array, ignored: Integers) -> Array:
        """Return actions int64 [N], ``WAIT`` where ignored; raises ShapeError if they are wrong."""
        actions = np.asarray(actions)
        if actions.shape != (self.count,) or actions.dtype.kind not in "iu":
            raise ShapeError(
                f"step needs {self.count} whole numbers below {len(ACTIONS)}, got"
                f" {list(actions.shape)} of {actions.dtype}; actions are {', '.join(ACTIONS)}"
            )
        counts = np.ones(self.count, bool)
        counts[ignored] = False
        if (((actions < 0) | (actions >= len(ACTIONS))) & counts).any():
            raise ShapeError(f"an action is 0 to {len(ACTIONS) - 1}: {', '.join(ACTIONS)}")
        self.check_started()
        return np.where(counts, actions, WAIT).astype(np.int64)

    def advance(self, actions: Array) -> tuple[Mask, list[Mask]]:
        """Act once; ``done`` ends an episode, with success in front of a denoted object."""
        self.poses = grid.move(grid.is_free(self.rooms), self.poses, actions)
        done = actions == grid.DONE
        faced = (np.arange(self.count), *grid.ahead(self.poses))
        outcomes = [done & cells[faced] for cells in (self.denoted, self.intended)]
        return done, outcomes[: len(self.outcomes)]

    def observe(self) -> NDArray[np.uint8]:
        """Return the whole rooms with the agents in them, or what the agents see [N, ., ., 3]."""
        if self.view is None:
            return grid.observe(self.rooms, self.poses)
        return egocentric_views(self.rooms, self.poses, self.view)


def far_starts(distances: NDArray[np.int16], free: Mask) -> Mask:
    """Return the poses [N, H, W, 4] that are far enough; the farthest of a room, if none is."""
    far = (distances >= START_DISTANCE) & (distances < grid.UNREACHABLE)
    for n in np.flatnonzero(~far.reshape(len(far), -1).any(1)):
        reachable = distances[n] < grid.UNREACHABLE
        if reachable.any():
            far[n] = reachable & (distances[n] == distances[n][reachable].max())
        else:  # nothing is denoted
            far[n] = free[n, ..., None]
    return far


def check_levels(levels: Sequence[str]) -> tuple[str, ...]:
    """Return instruction types as a tuple; raises UnknownNameError or InstructionError."""
    if isinstance(levels, str) or not isinstance(levels, Sequence) or not len(levels):
        raise InstructionError(f"levels is a tuple; choose of {', '.join(grid_grammar.LEVELS)}")
    for level in levels:
        lookup(dict.fromkeys(grid_grammar.LEVELS), str(level), "instruction type")
    return tuple(levels)


def check_room(room: Any, size: int) -> Rooms:
    """Return a room as uint8 [H, W, 2] if an agent can live in it.

    Raises:
        LayoutError: if it is of another size, has no wall around it, an unknown number in it, or
            no free cell, or cells or objects that cannot be reached.
    """
    try:
        array = np.asarray(room)
    except ValueError as error:
        raise LayoutError(f"the option 'room' is no array ({error}); give [H, W, 2]") from error
    if array.shape != (size, size, 2):
        raise LayoutError(
            f"the option 'room' is [{size}, {size}, 2] (type, colour), got {list(array.shape)}"
        )
    kinds = (grid_grammar.EMPTY, grid_grammar.WALL, *grid_grammar.TYPES.values())
    colours = list(grid_grammar.COLOURS.values())
    if not (np.isin(array[..., 0], kinds).all() and np.isin(array[..., 1], colours).all()):
        raise LayoutError("the option 'room' holds a number that is no type or colour of minigrid")
    edge = np.ones((size, size), bool)
    edge[1:-1, 1:-1] = False
    if not (array[edge][:, 0] == grid_grammar.WALL).all():
        raise LayoutError("the option 'room' needs walls all around")
    array = array.astype(np.uint8)
    if not grid.is_sound(array[None])[0]:
        raise LayoutError(
            "the option 'room' needs free cells that hang together, and one beside each object"
        )
    return array
