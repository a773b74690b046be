"""Levels of MiniGrid and BabyAI as arrays, in the numbers of langrl's grid worlds.

A *level* is an environment that minigrid registers. Its cells are uint8 [H, W, 3]: type and colour
in minigrid's numbers, and the state of doors.

Axes: ``N`` observations, ``H`` rows, ``W`` columns, ``V`` cells along a side of a view.
"""

import contextlib
import difflib
import io
from typing import Any

import gymnasium as gym
import numpy as np
from minigrid.core.constants import COLOR_TO_IDX, IDX_TO_COLOR, IDX_TO_OBJECT
from minigrid.core.grid import Grid
from minigrid.core.world_object import Ball, Box, Door, Key, Wall
from minigrid.minigrid_env import MiniGridEnv
from numpy.typing import NDArray

from langrl.envs.grid import rooms as grid
from langrl.envs.grid.grammar import EMPTY, TYPES, WALL
from langrl.envs.grid.views import UNSEEN, visible
from langrl.envs.registered import make_registered
from langrl.errors import ConfigError, LayoutError, UnknownNameError, one_line, quoted
from langrl.protocols import Mask

Cells = NDArray[np.uint8]
Level = MiniGridEnv
"""An environment that minigrid registers."""

ACTIONS = (*grid.ACTIONS, "pickup", "drop", "toggle")
"""The actions of grid worlds, and what else can be done in a level."""
DONE = grid.DONE
PICKUP, DROP, TOGGLE = range(len(grid.ACTIONS), len(ACTIONS))
OF_MINIGRID = (0, 1, 2, 6, 3, 4, 5)  # minigrid's number of each action

SHUT, LOCKED = 5, 6
"""The third number of a door's cell; 1 to 4 are the direction + 1 of the agent."""
STATE_SHUT = 1
"""Minigrid's own number of a shut door's state, in views."""
_KNOWN = (EMPTY, WALL, *TYPES.values())
_MAKERS = {WALL: Wall, TYPES["key"]: Key, TYPES["ball"]: Ball, TYPES["box"]: Box}
_INSTEAD = (
    "langrl.envs.wrappers.missions.MissionInstruction gives it to a policy of your own all the same"
)


def make_level(name: str) -> MiniGridEnv:
    """Return a level by Gymnasium's id, reset once.

    Raises:
        UnknownNameError: if minigrid registers no such level.
        ConfigError: if it has no mission, cells that langrl's grid worlds do not have, or does not
            start.
    """
    import minigrid  # noqa: F401  registers its levels

    known = [each for each in gym.registry if each.startswith(("MiniGrid-", "BabyAI-"))]
    if name not in known:
        close = difflib.get_close_matches(name[:100], known, n=1)
        repair = f"did you mean {close[0]!r}?" if close else "give one, such as BabyAI-GoToLocal-v0"
        raise UnknownNameError(f"minigrid has no level named {quoted(name)}; {repair}")
    level = make_registered(gym.spec(name)).unwrapped
    if not isinstance(level, MiniGridEnv):
        raise ConfigError(f"{name} is no level of minigrid; {_INSTEAD}")
    try:
        begin(level, 0)
    except (OSError, ImportError) as error:  # of files that some of its levels are drawn from
        raise ConfigError(
            f"{name} does not start, as the installed minigrid lacks a part of it"
            f" ({one_line(str(error))}); choose another level"
        ) from error
    if not str(level.mission).strip():
        raise ConfigError(
            f"{name} has no mission, so that there is nothing to follow; choose a level with one,"
            " or give it texts: langrl.envs.wrappers.instructions.AddInstruction"
        )
    read_cells(level, name)
    return level


def begin(level: MiniGridEnv, seed: int | None) -> None:
    """Start an episode of a level; what it prints while it draws is not shown."""
    with contextlib.redirect_stdout(io.StringIO()):
        level.reset(seed=seed)


def all_cells(level: MiniGridEnv) -> Cells:
    """Return the cells of a level [H, W, 3], of whatever type."""
    cells: Cells = level.grid.encode().transpose(1, 0, 2)
    return cells


def read_cells(level: MiniGridEnv, name: str = "the level") -> Cells:
    """Return the cells of a level [H, W, 3]; raises ConfigError if one is of another type."""
    cells = all_cells(level)
    if not np.isin(cells[..., 0], _KNOWN).all():
        other = int(cells[..., 0][~np.isin(cells[..., 0], _KNOWN)][0])
        raise ConfigError(
            f"{name} has {IDX_TO_OBJECT[other]} cells; langrl's grid worlds have keys, balls, boxes"
            f" and doors. Choose such a level; {_INSTEAD}"
        )
    return cells


def pose_of(level: MiniGridEnv) -> NDArray[np.int64]:
    """Return where the agent of a level is [3]: row, column, direction."""
    column, row = level.agent_pos
    return np.array([row, column, level.agent_dir], np.int64)


def observe(level: MiniGridEnv, cells: Cells) -> Cells:
    """Return the observation [H, W, 3] of a whole level with these cells [H, W, 3].

    Type, colour and state: ``SHUT`` or ``LOCKED`` doors, and the direction + 1 of the agent in its
    cell, which shows what the agent carries.
    """
    seen = cells.copy()
    door = seen[..., 0] == grid.DOOR
    seen[..., 2] = np.where(door & (cells[..., 2] > 0), cells[..., 2] + SHUT - 1, 0)
    row, column, turn = pose_of(level)
    seen[row, column, 2] = turn + 1
    if level.carrying is not None:
        seen[row, column, :2] = level.carrying.encode()[:2]
    return seen


def view_of(level: MiniGridEnv) -> Cells:
    """Return what the agent sees [V, V, 3]: MiniGrid's view, rows before columns.

    As in ``langrl.envs.grid.views``: the third number of the agent's cell is its direction + 1.
    """
    return as_view(level.gen_obs())


def as_view(seen: Any) -> Cells:
    """Return MiniGrid's own observation as ``view_of`` does."""
    view: Cells = seen["image"].transpose(1, 0, 2).copy()
    view[-1, view.shape[1] // 2, 2] = seen["direction"] + 1
    return view


def as_rooms(observations: Cells, locked: int = grid.DOOR) -> Cells:
    """Return observations of whole levels [N, H, W, 3] as those of grid worlds.

    There, every door is open to whoever walks, and nothing is carried.

    Args:
        observations: of whole levels.
        locked: what a locked door becomes: a door, or a wall.
    """
    plain = observations.copy()
    plain[plain[..., 2] == LOCKED, 0] = locked
    plain[plain[..., 2] > grid.AHEAD.shape[0], 2] = 0
    at_agent = plain[..., 2] > 0
    carried = at_agent & grid.is_object(plain) & (plain[..., 0] != grid.DOOR)
    plain[carried, :2] = (EMPTY, 0)
    return plain


def without_agent(observations: Cells) -> Cells:
    """Return observations of whole levels [N, H, W, 3] without agents; doors are still shut."""
    plain = as_rooms(observations)
    at_agent = plain[..., 2] > 0
    scenes = observations.copy()
    scenes[at_agent] = plain[at_agent]
    scenes[at_agent, 2] = 0
    return scenes


def as_partial_views(observations: Cells) -> Cells:
    """Return views of levels [N, V, V, 3] as those of ``langrl.envs.grid.views``.

    There, a door is shut unless the agent stands in it, and nothing is carried. What is seen
    through an open door is hidden.
    """
    plain = observations.copy()
    shut = plain[..., 0] == grid.DOOR
    plain[shut, 2] = STATE_SHUT
    plain[~visible(shut | (plain[..., 0] == WALL))] = UNSEEN
    middle = plain.shape[2] // 2
    plain[:, -1, middle, :2] = (EMPTY, 0)
    plain[:, -1, middle, 2] = observations[:, -1, middle, 2]
    return plain


def shut_ahead(observations: Cells) -> Mask:
    """Return which agents of observations of whole levels [N, H, W, 3] face a shut door."""
    _, poses = grid.read_observation(as_rooms(observations))
    faced: Mask = observations[np.arange(len(poses)), *grid.ahead(poses), 2] == SHUT
    return faced


def write_cells(level: MiniGridEnv, layout: Cells) -> None:
    """Put the cells and the agent of an observation [H, W, 3] into a level.

    Raises:
        LayoutError: if it is no observation of a whole level of this size.
    """
    given = check_layout(layout, (level.height, level.width))
    cells = Grid(level.width, level.height)
    for row, column in np.argwhere(as_rooms(given[None])[0, ..., 0] != EMPTY).tolist():
        kind, colour, state = given[row, column].tolist()
        if kind == grid.DOOR:
            door = Door(IDX_TO_COLOR[colour], state not in (SHUT, LOCKED), state == LOCKED)
            thing: Any = door
        else:
            thing = _MAKERS[kind](IDX_TO_COLOR[colour])
        cells.set(column, row, thing)
        thing.init_pos = thing.cur_pos = (column, row)
    level.grid = cells
    (row, column), turn = _agent_of(given)
    level.agent_pos, level.agent_dir, level.carrying = (column, row), turn, None


def check_layout(layout: Any, size: tuple[int, int]) -> Cells:
    """Return the option ``layout`` as uint8 [H, W, 3]; raises LayoutError, naming the repair."""
    array = np.asarray(layout)
    if array.shape != (*size, 3) or array.dtype.kind not in "iu":
        raise LayoutError(
            f"the option 'layout' is an observation of the whole level, whole numbers"
            f" [{size[0]}, {size[1]}, 3], got {list(array.shape)} of {array.dtype}"
        )
    colours = list(COLOR_TO_IDX.values())
    known = np.isin(array[..., 0], _KNOWN) & np.isin(array[..., 1], colours)
    edge = np.ones(size, bool)
    edge[1:-1, 1:-1] = False
    if not known.all() or (array[edge][:, 0] != WALL).any():
        raise LayoutError(
            "the option 'layout' has walls all around, and types and colours of minigrid inside;"
            " take an observation of the level and change its cells"
        )
    given = array.astype(np.uint8)
    agents = (given[..., 2] >= 1) & (given[..., 2] <= grid.AHEAD.shape[0])
    if np.count_nonzero(agents) != 1 or given[agents][0, 0] not in (EMPTY, grid.DOOR):
        raise LayoutError(
            "the option 'layout' has one agent, as direction + 1 in the third number of an empty"
            " cell"
        )
    return given


def _agent_of(layout: Cells) -> tuple[tuple[int, int], int]:
    _, poses = grid.read_observation(as_rooms(layout[None]))
    row, column, turn = poses[0].tolist()
    return (row, column), turn
