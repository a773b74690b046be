"""Street mazes that are played in.

Axes: ``N`` episodes, ``M`` candidate goals, ``R`` rows, ``C`` columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.random import Generator

from langrl.envs.maze.layouts import parse_layout
from langrl.envs.maze.world import StreetMaze, move, unit
from langrl.envs.questions import maze_questions
from langrl.errors import ConfigError, LayoutError, lookup
from langrl.grounding.candidates import Candidates
from langrl.grounding.intents import MazeIntents
from langrl.play.worlds import BEYOND, MOST_STEPS, Edit, Kind, Moved, Walked, scene_of
from langrl.protocols import Array, Floats, Integers, Mask
from langrl.tasks.maze.suite import EXAMPLES

_TRIES, _FEW = 200, 4  # starts that are drawn; of those, how many are compared
THINGS = {"wall": "#", "free": "."}


@dataclass(frozen=True, eq=False)
class MazeWorld:
    """A street maze.

    Args:
        name: what to call it.
        maze: as it is now.
        home: as it was when the agent was trained in it.
    """

    name: str
    maze: StreetMaze
    home: StreetMaze

    kind: ClassVar[Kind] = "maze"
    examples: ClassVar[Sequence[str]] = EXAMPLES
    thing: ClassVar[str] = "cell"
    most_steps: ClassVar[int] = MOST_STEPS
    rate: ClassVar[int] = 10

    def scene(self) -> dict[str, Any]:
        """Return the walls, a text for each row, and whether they are those of the training."""
        walls = self.maze.layout.text.split("\n")
        return scene_of(self, edited=self.maze.layout != self.home.layout, walls=walls)

    @property
    def map_shape(self) -> tuple[int, int]:
        """Rows and columns."""
        rows, columns = self.maze.walls.shape
        return rows, columns

    def begin(self, text: str | None, generator: Generator) -> tuple[Self, Floats]:
        """Return this world, and a place that a text does not denote, if there is one."""
        denoted = None if text is None else self.maze.cell_mask(text)
        starts = self.maze.sample_states(_TRIES, generator)
        if denoted is None:
            return self, starts[0]
        free = starts[~self.maze.inside(starts, denoted)][:_FEW]
        if not len(free):
            return self, starts[0]
        steps = self.maze.shortest_steps(free, denoted[None].repeat(len(free), 0))
        return self, free[int(steps.argmax())]  # not next to it: there would be little to see

    def check_place(self, place: Sequence[float]) -> Floats:
        """Return a position [2]; raises LayoutError in a wall or outside."""
        position = np.asarray(place[:2], np.float32)
        if position.shape != (2,) or not self.maze.inside(position[None], ~self.maze.walls)[0]:
            raise LayoutError("a wall is there; place the agent on a free cell")
        return position

    def edited(self, edits: Sequence[Edit]) -> Self:
        """Return the maze with other walls."""
        rows = [list(row) for row in self.maze.layout.text.split("\n")]
        for edit in edits:
            if not (0 <= edit.row < len(rows) and 0 <= edit.column < len(rows[0])):
                raise LayoutError("a cell is outside the maze; edit one inside")
            rows[edit.row][edit.column] = lookup(THINGS, edit.thing, "thing in a maze")
        layout = parse_layout("\n".join(map("".join, rows)), "the maze")
        return replace(self, maze=StreetMaze(layout))

    def denoted(self, text: str) -> Mask | None:
        """Return the cells that a text denotes [R, C]; see ``World.denoted``."""
        return self.maze.cell_mask(text)

    def explain(self, text: str) -> str:
        """Say that success is not known."""
        return BEYOND

    def is_satisfied(self, place: Array, denoted: Mask) -> bool:
        """Whether a position is in a cell that is denoted."""
        return bool(self.maze.inside(place[None], denoted)[0])

    def episode(self, place: Array, text: str) -> Walked:
        """Return an episode from a position."""
        return Walked(self, place)

    def observe(self, place: Array) -> Floats:
        """Return the position [2]."""
        return np.asarray(place, np.float32)

    def move(self, place: Array, action: Any, denoted: Mask, meant: Mask) -> Moved:
        """Go half a cell in a direction [2]; arriving where the text leads ends the episode."""
        moved = move(self.maze.walls, place[None], unit(np.asarray(action)[None]))
        arrived, right = (bool(self.maze.inside(moved, mask)[0]) for mask in (denoted, meant))
        return Moved(moved[0], arrived, right if denoted.any() else None)

    @property
    def intents(self) -> MazeIntents:
        """The free cells."""
        return MazeIntents(self.maze, maze_questions(self.maze.walls.shape))

    def adapt(self, agent: Any) -> None:
        """Let candidate goals be on the cells that are free now."""
        own = getattr(agent.candidates, "own", agent.candidates)
        if self.maze.layout == self.home.layout:
            agent.candidates = own
            return
        if getattr(agent, "waypoints", None) is not None:
            raise ConfigError("this agent goes by waypoints of its own maze; leave the walls")
        agent.candidates = EditedCandidates(own, self.home, self.maze)

    def cells_of(self, goals: Array) -> Integers:
        """Return the cells of positions [M, 2]."""
        cells: Integers = np.floor(goals[:, :2]).astype(np.int64)
        return cells

    def poses_of(self, goals: Array) -> None:
        """Return None: there are no directions."""

    def points_of(self, goals: Array) -> None:
        """Return None: cells are drawn."""

    def name_of(self, cell: Sequence[int]) -> str:
        """Return "row 3, column 4"."""
        return "row {}, column {}".format(*cell)


@dataclass(frozen=True, eq=False)
class EditedCandidates:
    """Candidates of an agent in its maze, where walls have changed since.

    Those in walls are ruled out, and cells that were walls get as many as a free one has.

    Args:
        own: of the agent.
        home: the maze that it was trained in.
        maze: as it is now.
    """

    own: Candidates
    home: StreetMaze
    maze: StreetMaze

    def draw(self, observations: Array, generator: Generator) -> tuple[Array, Floats]:
        """Return goals [N, M, 2] and log weights [N, M]; see ``Candidates.draw``."""
        goals, log_weights = self.own.draw(observations, generator)
        rows, columns = np.floor(goals).astype(np.int64).transpose(2, 0, 1)
        log_weights = np.where(self.maze.walls[rows, columns], -np.inf, log_weights)
        opened = np.argwhere(self.home.walls & ~self.maze.walls)
        left = np.isfinite(log_weights).any(1).all()
        cells = opened if left else self.maze.layout.free_cells  # some episode has nowhere to go
        each = max(1, round(goals.shape[1] / len(self.home.layout.free_cells)))
        corners = np.tile(cells.repeat(each, 0), (len(goals), 1, 1))
        offsets = generator.random(corners.shape, dtype=np.float32) * np.float32(0.9999)
        goals = np.concatenate([goals, (corners + offsets).astype(goals.dtype)], 1)
        added = np.zeros(corners.shape[:2])
        return goals, np.concatenate([log_weights, added], 1).astype(np.float32)
