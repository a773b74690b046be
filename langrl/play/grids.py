"""Grid worlds that are played in, of which agents see everything.

Axes: ``M`` candidate goals, ``H`` rows, ``W`` columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.random import Generator

from langrl.envs.grid.episodes import GridEpisodes, check_goals, denoted_cells
from langrl.envs.grid.grammar import COLOURS, EMPTY, TYPES, WALL
from langrl.envs.grid.rooms import DONE, Rooms, ahead, is_free, is_sound, move, observe
from langrl.envs.grid.things import COLOUR_NAMES, NAMES, THINGS, things_in
from langrl.envs.questions import grid_questions
from langrl.errors import InstructionError, LayoutError, lookup
from langrl.grounding.intents import GridIntents
from langrl.play.worlds import BEYOND, MOST_STEPS, Edit, Kind, Moved, Walked, scene_of
from langrl.protocols import Array, Integers, Mask
from langrl.tasks.grid.suite import EXAMPLES


@dataclass(frozen=True, eq=False)
class GridRoom:
    """A room of a grid world.

    Args:
        name: of the grid world, of ``GRID_WORLDS``.
        room: type and colour of each cell, uint8 [H, W, 2].
    """

    name: str
    room: Rooms

    kind: ClassVar[Kind] = "grid"
    examples: ClassVar[Sequence[str]] = EXAMPLES
    thing: ClassVar[str] = "object"
    most_steps: ClassVar[int] = MOST_STEPS
    rate: ClassVar[int] = 10

    def scene(self) -> dict[str, Any]:
        """Return the thing and the colour of each cell that is not free."""
        return scene_of(self, things=things_in(self.room))

    @property
    def map_shape(self) -> tuple[int, int]:
        """Rows and columns."""
        height, width = self.room.shape[:2]
        return height, width

    def begin(self, text: str | None, generator: Generator) -> tuple[Self, Integers]:
        """Return a new room in which a text denotes something, and a pose away from that."""
        episodes = GridEpisodes(self.name, 1, None, "seen", "any", None)
        episodes.seed(generator)
        options = {} if text is None else {"instruction": text}
        episodes.begin(np.array([0]), generator, options)
        return replace(self, room=episodes.rooms[0].copy()), episodes.poses[0].copy()

    def check_place(self, place: Sequence[float]) -> Integers:
        """Return a pose [3]; raises LangRLError in a wall, on an object, or outside."""
        pose: Integers = check_goals(self.room, np.asarray(place, float)[None])[0]
        if not is_free(self.room)[pose[0], pose[1]]:
            raise LayoutError("something is there; place the agent on a free cell")
        return pose

    def edited(self, edits: Sequence[Edit]) -> Self:
        """Return the room with other things in it."""
        room = put(self.room, edits)
        if not is_sound(room[None])[0]:
            raise LayoutError(
                "free cells would no longer hang together, or an object have none beside it; put it"
                " elsewhere"
            )
        return replace(self, room=room)

    def denoted(self, text: str) -> Mask | None:
        """Return the objects that a text denotes [H, W]; see ``World.denoted``."""
        cells = denoted_cells(self.room[None], text)
        if cells is None:
            return None
        if not cells.any():
            raise InstructionError(
                f"{text.strip()!r} denotes nothing in this room; name objects that are there"
            )
        return cells[0]

    def explain(self, text: str) -> str:
        """Say that success is not known."""
        return BEYOND

    def is_satisfied(self, place: Array, denoted: Mask) -> bool:
        """Return False: there is always ``done`` to say."""
        return False

    def episode(self, place: Array, text: str) -> Walked:
        """Return an episode from a pose."""
        return Walked(self, place)

    def observe(self, place: Array) -> Array:
        """Return the room with the agent in it, uint8 [H, W, 3]."""
        return observe(self.room[None], place[None])[0]

    def move(self, place: Array, action: Any, denoted: Mask, meant: Mask) -> Moved:
        """Turn, go forward, or say ``done``, which ends the episode."""
        pose = move(is_free(self.room)[None], place[None], np.asarray(action)[None])[0]
        done = int(action) == DONE
        return Moved(pose, done, done and bool(meant[ahead(pose)]) if denoted.any() else None)

    @property
    def intents(self) -> GridIntents:
        """The objects."""
        return GridIntents(grid_questions(len(self.room)))

    def adapt(self, agent: Any) -> None:
        """Do nothing: an agent sees the room as it is."""

    def cells_of(self, goals: Array) -> Integers:
        """Return the cells that poses [M, 3 or more] face."""
        return np.stack(ahead(goals[:, :3].astype(np.int64)), 1)

    def poses_of(self, goals: Array) -> Integers:
        """Return poses [M, 3]."""
        return goals[:, :3].astype(np.int64)

    def points_of(self, goals: Array) -> None:
        """Return None: goals are poses."""

    def name_of(self, cell: Sequence[int]) -> str:
        """Return "red ball", with its cell."""
        return name_in(self.room, cell)


def room_of(things: Sequence[Sequence[Any]], shape: tuple[int, int]) -> Rooms:
    """Return the room [H, W, 2] that has some things; see ``things_in``."""
    room = np.zeros((*shape, 2), np.uint8)
    room[..., 0] = EMPTY
    for row, column, thing, colour, *_ in things:
        room[row, column] = THINGS[thing], COLOURS[colour]
    return room


def name_in(room: Rooms, cell: Sequence[int]) -> str:
    """Return "red ball at row 1, column 3" for a cell of a room [H, W, 2]."""
    row, column = cell
    kind, colour = room[row, column].tolist()
    what = NAMES[kind]
    thing = f"{COLOUR_NAMES[colour]} {what}" if kind in TYPES.values() else f"{what} cell"
    thing = "wall" if kind == WALL else thing
    return f"{thing} at row {row}, column {column}"


def put(room: Rooms, edits: Sequence[Edit]) -> Rooms:
    """Return a room [H, W, 2] with other things in it.

    Raises:
        LayoutError: if an edit is of the outer walls.
        UnknownNameError: if there is no such thing or colour.
    """
    changed = room.copy()
    height, width = room.shape[:2]
    for edit in edits:
        if not (0 < edit.row < height - 1 and 0 < edit.column < width - 1):
            raise LayoutError("the outer walls stay; edit a cell inside")
        colour = lookup(COLOURS, edit.colour, "colour")
        kind = lookup(THINGS, edit.thing, "thing in a grid world")
        own = {WALL: COLOURS["grey"], EMPTY: 0}
        changed[edit.row, edit.column] = kind, own.get(kind, colour)
    return changed
