"""BabyAI's own expert in its levels, what it does there, and what it shows to a cloned policy.

``BabyAIBot`` sees as much as the agent does, explores, and follows a mission. ``explore`` sends it
to objects of a layout and keeps what it did, and no word; ``demonstrate`` keeps the level's mission
as well, for policies that learn from pairs.

Axes: ``T`` states, ``H`` rows, ``W`` columns, ``V`` cells along a side of a view, ``S`` scenes.
"""

from typing import Any, NamedTuple

import numpy as np
from minigrid.envs.babyai.core.roomgrid_level import RoomGridLevel
from minigrid.envs.babyai.core.verifier import GoToInstr, ObjDesc
from minigrid.minigrid_env import MiniGridEnv
from minigrid.utils.baby_ai_bot import BabyAIBot, DisappearedBoxError
from numpy.random import Generator
from numpy.typing import NDArray

from langrl.envs.grid import rooms as grid
from langrl.envs.grid.grammar import EMPTY, name_of
from langrl.envs.minigrid_levels.layouts import rooms_of, start_at
from langrl.envs.minigrid_levels.reading import (
    DONE,
    DROP,
    OF_MINIGRID,
    PICKUP,
    TOGGLE,
    Cells,
    as_view,
    begin,
    observe,
    pose_of,
    read_cells,
    without_agent,
    write_cells,
)
from langrl.errors import ConfigError

_OURS = {action: n for n, action in enumerate(OF_MINIGRID)}
_LOST = (AssertionError, DisappearedBoxError, IndexError, TypeError, AttributeError)
_STEPS_PER_CELL = 4  # of a level: the bot is not waited for any longer


class Walk(NamedTuple):
    """What was done towards one object; the last action is ``done``.

    Args:
        poses: [T, 3].
        actions: of grid worlds [T]; doors opened by themselves.
        views: what was seen, as views of levels show it [T, V, V, 3]; None where all was seen.
    """

    poses: NDArray[np.int64]
    actions: NDArray[np.int64]
    views: Cells | None


class Demonstration(NamedTuple):
    """A mission with what was done, until it was accomplished.

    Args:
        mission: the level's own.
        scenes: the level without the agent, each time that it changed [S, H, W, 3].
        scene: which of them each state is in [T].
        poses: [T, 3].
        actions: of levels [T].
        views: [T, V, V, 3]; None where all is seen.
    """

    mission: str
    scenes: Cells
    scene: NDArray[np.int64]
    poses: NDArray[np.int64]
    actions: NDArray[np.int64]
    views: Cells | None


class Bot:
    """BabyAI's expert on the present instruction of a level.

    Args:
        level: after its reset.
        sees_all: whether it knows the whole level from the beginning.
    """

    def __init__(self, level: MiniGridEnv, sees_all: bool) -> None:
        self._bot: Any = BabyAIBot(level)
        if sees_all:
            self._bot.vis_mask[:] = True

    def act(self, taken: int | None) -> int | None:
        """Return an action of levels, given the one that was taken before; None if it is lost."""
        try:
            before = None if taken is None else OF_MINIGRID[taken]
            return _OURS[int(self._bot.replan(before))]
        except _LOST:  # it has bugs of its own, and cannot do everything
            return None

    def remember(self, other: "Bot") -> None:
        """Know what another bot has seen in this layout."""
        self._bot.vis_mask |= other._bot.vis_mask


def check_bot(level: MiniGridEnv, name: str) -> RoomGridLevel:
    """Return a level that the bot can act in; raises ConfigError for others."""
    if not isinstance(level, RoomGridLevel):
        raise ConfigError(
            f"BabyAIBot acts in levels of BabyAI, and {name} is none; use data.walkers own"
        )
    return level


def explore(
    level: RoomGridLevel,
    layout: Cells,
    segments: int,
    generator: Generator,
    *,
    view: int | None,
    action_noise: float,
) -> list[Walk] | None:
    """Send the bot to objects of a layout, one after another, from a random pose.

    Args:
        level: that the layout is of.
        layout: [H, W, 3].
        segments: objects that it goes to.
        generator: of the start, the objects and the noise.
        view: cells along a side of what it sees; all if not given.
        action_noise: chance of a random turn or step instead of the bot's action.

    Returns:
        A walk to each; None if the bot was lost, or moved what lies there.
    """
    room = rooms_of(layout[None])[0]
    poses = grid.list_poses(room[..., 0] == EMPTY)
    write_cells(level, start_at(layout, poses[generator.integers(len(poses))]))
    things = np.argwhere(grid.is_object(room))
    walks: list[Walk] = []
    earlier: Bot | None = None
    for _ in range(segments):
        kind, colour = room[tuple(things[generator.integers(len(things))])].tolist()
        colour_name, type_name = name_of(kind, colour).split()
        _ask(level, GoToInstr(ObjDesc(type_name, colour_name)))
        bot = Bot(level, sees_all=view is None)
        if earlier is not None:
            bot.remember(earlier)
        walk, earlier = _walk(level, bot, generator, view is not None, action_noise), bot
        if walk is None:
            return None
        walks.append(walk)
    return walks


def _ask(level: RoomGridLevel, instruction: Any) -> None:
    judge: Any = level  # minigrid does not declare where a level has its instruction
    instruction.reset_verifier(level)
    judge.instrs, level.step_count = instruction, 0


def _walk(
    level: RoomGridLevel, bot: Bot, generator: Generator, keeps_views: bool, action_noise: float
) -> Walk | None:
    """Let the bot go where it was sent; see ``explore``.

    Doors of grid worlds open by themselves: a toggle is left out, and what was seen before it is
    what is known when the agent walks on.
    """
    poses, actions, views = [], [], list[Any]()
    taken, before_toggle = None, None
    for _ in range(_STEPS_PER_CELL * level.width * level.height):
        action = bot.act(taken)
        if action is None or action in (PICKUP, DROP):
            return None
        if action != DONE and generator.random() < action_noise:
            action = int(generator.integers(3))
        seen = as_view(level.gen_obs()) if keeps_views and before_toggle is None else before_toggle
        if action == TOGGLE:
            before_toggle = seen
        else:
            poses.append(pose_of(level))
            actions.append(action)
            views.append(seen)
            before_toggle = None
        if action == DONE:
            return Walk(
                np.stack(poses), np.array(actions), np.stack(views) if keeps_views else None
            )
        level.step(OF_MINIGRID[action])
        taken = action
    return None


def demonstrate(level: RoomGridLevel, seed: int, view: int | None) -> Demonstration | None:
    """Return how the bot follows the mission of a level's episode; None if it does not.

    Args:
        level: of BabyAI, whose ``agent_view_size`` is that of the view.
        seed: of the episode.
        view: cells along a side of what the bot sees; all if not given.
    """
    begin(level, seed)
    bot, mission = Bot(level, sees_all=view is None), str(level.mission)
    scenes, scene, poses, actions, views = [_scene(level)], [], [], [], []
    taken = None
    while True:
        action = taken = bot.act(taken)
        if action is None:
            return None
        scene.append(len(scenes) - 1)
        poses.append(pose_of(level))
        actions.append(action)
        if view is not None:
            views.append(as_view(level.gen_obs()))
        _, reward, terminated, truncated, _ = level.step(OF_MINIGRID[action])
        if action in (PICKUP, DROP, TOGGLE):
            scenes.append(_scene(level))
        if terminated or truncated:
            break
    if not reward:
        return None
    return Demonstration(
        mission, np.stack(scenes), np.array(scene), np.stack(poses), np.array(actions),
        np.stack(views) if views else None,
    )  # fmt: skip


def _scene(level: RoomGridLevel) -> Cells:
    return without_agent(observe(level, read_cells(level))[None])[0]
