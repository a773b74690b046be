"""The running episodes of N grid worlds, which the single and the vector environment share.

Axes: ``N`` environments, ``H`` rows, ``W`` columns, ``M`` goals.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from gymnasium.error import ResetNeeded
from numpy.typing import NDArray

from langrl.envs.grid import grammar as grid_grammar
from langrl.envs.grid.rooms import (
    ACTIONS,
    DONE,
    GRID_WORLDS,
    UNREACHABLE,
    Mask,
    Poses,
    Rooms,
    RoomSpec,
    ahead,
    draw_rooms,
    facing,
    is_free,
    is_sound,
    move,
    pose_distances,
)
from langrl.envs.phrasing import PHRASINGS, Phrasing
from langrl.errors import InstructionError, LayoutError, ShapeError, lookup
from langrl.protocols import check_instruction

Mode = Literal["disjunctive", "hidden_intent"]
MODES: tuple[Mode, ...] = ("disjunctive", "hidden_intent")
START_DISTANCE = 3  # turns and steps to the nearest denoted object; nearer, a random walk succeeds
TRIES = 100  # rooms drawn for an instruction before it is called impossible


def denoted_cells(rooms: Rooms, instruction: str) -> Mask | None:
    """Return the objects that an instruction denotes, bool [N, H, W] of rooms [N, H, W, 2].

    Returns:
        None if the grammar cannot read the text.

    Raises:
        InstructionError: if the text cannot be an instruction.
    """
    meaning = grid_grammar.parse(check_instruction(instruction))
    return None if meaning is None else grid_grammar.denoted(meaning, rooms)


def check_goals(room: Rooms, goals: Any) -> Poses:
    """Return goals as poses [M, 3].

    Raises:
        ShapeError: if they are not [M, 3] integers inside the room [H, W, 2].
    """
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


class Episodes:
    """The state of N episodes: rooms, poses, instructions, what they denote, and the clock."""

    def __init__(
        self, world: str, count: int, levels: Sequence[str] | None, phrasing: Phrasing, mode: Mode
    ) -> None:
        self.spec: RoomSpec = lookup(GRID_WORLDS, world, "grid world")
        self.levels = check_levels(self.spec.levels if levels is None else levels)
        lookup(dict.fromkeys(PHRASINGS), str(phrasing), "phrasing")
        lookup(dict.fromkeys(MODES), str(mode), "mode")
        self.count, self.phrasing, self.mode = count, phrasing, mode
        shape = (count, self.spec.size, self.spec.size)
        self.rooms = np.zeros((*shape, 2), np.uint8)
        self.poses = np.zeros((count, 3), np.int64)
        self.instructions = [""] * count
        self.denoted = np.zeros(shape, bool)
        self.intended = np.zeros(shape, bool)  # one of the denoted objects
        self.ambiguity_bits = np.full(count, np.nan)
        self.shortest_steps = np.full(count, np.nan)
        self._layouts: np.random.Generator | None = None

    @property
    def seeded(self) -> bool:
        """Whether ``seed`` has been called."""
        return self._layouts is not None

    def seed(self, generator: np.random.Generator) -> None:
        """Take a seed for the layouts."""
        # A stream of their own: layouts are the same whatever level or phrasing is asked for.
        self._layouts = np.random.default_rng(generator.integers(2**63))

    def begin(
        self, rows: NDArray[np.int64], generator: np.random.Generator, options: dict[str, Any]
    ) -> None:
        """Start new episodes in the given rows."""
        texts, room, poses = self._options(options)
        assert self._layouts is not None
        before = self.rooms.copy(), list(self.instructions), self.denoted.copy()
        try:
            self._choose(rows, generator, texts, room)
        except InstructionError:  # refused: the episodes that ran go on
            self.rooms, self.instructions, self.denoted = before
            raise
        self._place(rows, generator, poses)

    def _choose(
        self,
        rows: NDArray[np.int64],
        generator: np.random.Generator,
        texts: list[str] | None,
        room: Rooms | None,
    ) -> None:
        """Set rooms, instructions and what they denote."""
        assert self._layouts is not None
        if room is None:
            self.rooms[rows] = draw_rooms(self.spec, len(rows), self._layouts)
        else:
            self.rooms[rows] = room
        for n in rows:
            if texts is None:
                self._draw(n, generator, free=room is None)
            else:
                self._say(n, generator, texts[n], free=room is None)

    def _say(self, n: int, generator: np.random.Generator, text: str, free: bool) -> None:
        """Take up a given instruction; another room too, where it denotes nothing in this one."""
        self.instructions[n] = text
        for _ in range(TRIES if free else 1):
            cells = denoted_cells(self.rooms[n : n + 1], text)
            self.denoted[n] = False if cells is None else cells[0]
            if cells is None or cells.any():
                return
            if free:
                self._replace(n, generator)
        raise InstructionError(
            f"{text.strip()!r} denotes nothing {'in such rooms' if free else 'in this room'};"
            " name objects that are there"
        )

    def _replace(self, n: int, generator: np.random.Generator) -> None:
        """Draw another room, from a stream of its own, so that other rows keep theirs."""
        spare = np.random.default_rng(generator.integers(2**63))
        self.rooms[n] = draw_rooms(self.spec, 1, spare)[0]

    def _draw(self, n: int, generator: np.random.Generator, free: bool) -> None:
        """Draw an instruction for a room; another room too, where none fits and it is free."""
        for _ in range(TRIES):
            try:
                meaning = grid_grammar.draw_meaning(self.rooms[n], generator, self.levels)
            except InstructionError:
                if not free:
                    raise
                self._replace(n, generator)
                continue
            self.denoted[n] = grid_grammar.denoted(meaning, self.rooms[n])
            self.instructions[n] = self._write(n, meaning, generator)
            return
        raise InstructionError(
            f"no instruction of level {' or '.join(self.levels)} fits here; allow more levels"
        )

    def _write(self, n: int, meaning: grid_grammar.Meaning, generator: np.random.Generator) -> str:
        """Return a text that can be read back: a typo may leave it open which word was meant."""
        while True:
            text = grid_grammar.write(meaning, generator, self.phrasing)
            read = grid_grammar.parse(text)
            if read is not None and np.array_equal(
                grid_grammar.denoted(read, self.rooms[n]), self.denoted[n]
            ):
                return text

    def _place(
        self, rows: NDArray[np.int64], generator: np.random.Generator, poses: Poses | None
    ) -> None:
        """Choose starts away from what is denoted, the intended objects, and what is reported."""
        free, denoted = is_free(self.rooms[rows]), self.denoted[rows]
        distances = pose_distances(free, facing(denoted, free))
        for k, n in enumerate(rows):
            if poses is not None:
                self.poses[n] = poses[n]
            else:
                far = self._starts(distances[k], free[k])
                self.poses[n] = far[int(generator.integers(len(far)))]
            self.intended[n] = False
            if denoted[k].any():
                cells = np.argwhere(denoted[k])
                self.intended[n][tuple(cells[int(generator.integers(len(cells)))])] = True
        objects = denoted.sum((1, 2))
        self.ambiguity_bits[rows] = np.where(objects > 0, np.log2(np.maximum(objects, 1)), np.nan)
        steps = distances[np.arange(len(rows)), *self.poses[rows].T].astype(float)
        self.shortest_steps[rows] = np.where(steps < UNREACHABLE, steps + 1, np.nan)  # and done

    @staticmethod
    def _starts(distances: NDArray[np.int16], free: Mask) -> Poses:
        """Return the poses of a room that are far enough; the farthest, if none is."""
        reachable = distances[distances < UNREACHABLE]
        if not len(reachable):  # nothing is denoted
            return np.argwhere(np.repeat(free[..., None], 4, -1))
        least = min(START_DISTANCE, int(reachable.max()))
        return np.argwhere((distances >= least) & (distances < UNREACHABLE))

    def _options(
        self, options: dict[str, Any]
    ) -> tuple[list[str] | None, Rooms | None, Poses | None]:
        if unknown := sorted(set(options) - {"instruction", "room", "pose"}):
            raise InstructionError(
                f"no reset option {unknown[0]!r}; use 'instruction', 'room' or 'pose'"
            )
        texts, room, poses = (options.get(name) for name in ("instruction", "room", "pose"))
        if texts is not None:
            if isinstance(texts, str | bytes) or not isinstance(texts, Sequence | np.ndarray):
                texts = [check_instruction(texts)] * self.count
            if len(texts) != self.count:
                raise ShapeError(f"reset needs {self.count} instructions, got {len(texts)}")
            texts = [check_instruction(text) for text in texts]
        if room is not None:
            room = check_room(room, self.spec.size)
        if poses is not None:
            if room is None:
                raise LayoutError("the option 'pose' needs the option 'room': rooms are random")
            given = np.asarray(poses)
            if given.shape not in ((3,), (self.count, 3)) or given.dtype.kind not in "iuf":
                raise ShapeError(
                    f"the option 'pose' is numbers [3] or [{self.count}, 3] (row, column,"
                    f" direction), got {list(given.shape)} of {given.dtype}"
                )
            poses = check_goals(room, np.broadcast_to(given, (self.count, 3)))
            if not is_free(room)[poses[:, 0], poses[:, 1]].all():
                raise LayoutError("a start pose is in a wall or on an object; use a free cell")
        return texts, room, poses

    def advance(self, actions: NDArray[Any]) -> tuple[Mask, Mask, Mask]:
        """Act once; returns who said done, who faced a denoted object then, and the intended."""
        actions = np.asarray(actions)
        if actions.shape != (self.count,) or actions.dtype.kind not in "iu":
            raise ShapeError(
                f"step needs {self.count} whole numbers below {len(ACTIONS)}, got"
                f" {list(actions.shape)} of {actions.dtype}; actions are {', '.join(ACTIONS)}"
            )
        if ((actions < 0) | (actions >= len(ACTIONS))).any():
            raise ShapeError(f"an action is 0 to {len(ACTIONS) - 1}: {', '.join(ACTIONS)}")
        if not self.seeded:
            raise ResetNeeded("Cannot call env.step() before calling env.reset()")
        self.poses = move(is_free(self.rooms), self.poses, actions.astype(np.int64))
        said = actions == DONE
        row, column = ahead(self.poses)
        each = np.arange(self.count)
        return said, said & self.denoted[each, row, column], said & self.intended[each, row, column]

    def report(self, success: Mask, intended: Mask) -> dict[str, NDArray[Any]]:
        """Return what ``info`` holds [N] each."""
        info = {
            "is_success": success,
            "ambiguity_bits": self.ambiguity_bits.copy(),
            "shortest_steps": self.shortest_steps.copy(),
        }
        return info | ({"intended_success": intended} if self.mode == "hidden_intent" else {})


def check_levels(levels: Sequence[str]) -> tuple[str, ...]:
    """Return levels of instruction as a tuple; raises UnknownNameError or InstructionError."""
    if isinstance(levels, str) or not isinstance(levels, Sequence) or not len(levels):
        raise InstructionError(f"levels is a tuple; choose of {', '.join(grid_grammar.LEVELS)}")
    for level in levels:
        lookup(dict.fromkeys(grid_grammar.LEVELS), str(level), "level of instruction")
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
    if not is_sound(array[None])[0]:
        raise LayoutError(
            "the option 'room' needs free cells that hang together, and one beside each object"
        )
    return array
