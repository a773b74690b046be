"""Grid worlds as Gymnasium environments: an instruction in words says which object to face.

Built on minigrid's numbers and drawings. The agent turns, goes forward and says ``done``. Saying it
while facing an object that the instruction denotes is success, and saying it anywhere else is
failure; either ends the episode.

Axes: ``N`` environments, ``H`` rows, ``W`` columns, ``M`` goals.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from numpy.random import Generator
from numpy.typing import NDArray

from langrl.envs.autoreset import Autoreset
from langrl.envs.grid import rooms as grid
from langrl.envs.grid.episodes import TRIES, GridEpisodes, check_goals, denoted_cells
from langrl.envs.grid.goals import PoseGoals
from langrl.envs.grid.grammar import write
from langrl.envs.grid.meanings import draw_meaning
from langrl.envs.grid.rendering import render_rooms
from langrl.envs.grid.rooms import Poses, Rooms
from langrl.envs.instructed import InstructedEnv, InstructedVectorEnv
from langrl.envs.instruction_space import InstructionSpace
from langrl.envs.intents import Mode
from langrl.envs.phrasing import TaskPhrasing
from langrl.errors import InstructionError
from langrl.protocols import Mask

MAX_STEPS = 100


def _draw_instruction(
    spec: grid.RoomSpec, levels: Sequence[str], phrasing: TaskPhrasing, generator: Generator
) -> str:
    for _ in range(TRIES):
        room = grid.draw_rooms(spec, 1, generator)[0]
        try:
            meaning = draw_meaning(room, generator, levels)
        except InstructionError:
            continue
        return write(meaning, generator, phrasing)
    raise InstructionError(f"no instruction of level {' or '.join(levels)} fits this world")


def _spaces(episodes: GridEpisodes) -> tuple[spaces.Dict, spaces.Discrete]:
    size = episodes.view or episodes.spec.size
    draw = partial(_draw_instruction, episodes.spec, episodes.levels, episodes.phrasing)
    seen = spaces.Box(0, 255, (size, size, 3), np.uint8)
    space = spaces.Dict({"observation": seen, "instruction": InstructionSpace(draw)})
    return space, spaces.Discrete(len(grid.ACTIONS))


class GridGoToEnv(InstructedEnv):
    """One agent in rooms with objects; the goal is to say ``done`` while facing what is denoted.

    The observation is {"observation": uint8 [H, W, 3], "instruction": text}; its channels are
    minigrid's numbers of the type and the colour of each cell, and the agent's direction + 1 where
    it stands. Actions: 0 left, 1 right, 2 forward, 3 done. Doors are open to whoever walks.

    ``info`` reports ``is_success``, ``ambiguity_bits`` (log2 of the number of denoted objects) and
    ``shortest_steps`` from the start; the last two are nan where the denotation is unknown. The
    reward is 1 at success. In mode ``hidden`` one denoted object, uniformly drawn, is meant and the
    words do not say which: the reward is 1 only for that one, which ``info`` reports as
    ``intended_success``.

    ``reset(options={"instruction": text, "room": [H, W, 2], "pose": (row, column, direction),
    "intended": (row, column)})`` sets any of them; a pose needs a room.

    Args:
        world: one of ``langrl.envs.grid.rooms.GRID_WORLDS``.
        levels: instruction types, of ``langrl.envs.grid.grammar.LEVELS``; the world's own if not
            given.
        phrasing: ``seen``, ``held_out`` or ``noisy`` phrasings.
        mode: ``any``, any denoted object will do, or ``hidden``.
        render_mode: None or ``rgb_array``.
        view: cells along a side of the egocentric view that the agent sees; the whole room if not
            given. The observation is then uint8 [view, view, 3], see ``langrl.envs.grid.views``,
            and there are no ``goals`` to wrap, as an observation does not tell the pose.

    Raises:
        UnknownNameError, InstructionError, LayoutError: naming the argument and the repair.
    """

    _episodes: GridEpisodes
    metadata = {"render_modes": ["rgb_array"], "render_fps": 8}

    def __init__(
        self,
        world: str = "goto",
        levels: Sequence[str] | None = None,
        phrasing: TaskPhrasing = "seen",
        mode: Mode = "any",
        render_mode: str | None = None,
        view: int | None = None,
    ) -> None:
        self.render_mode = render_mode
        self._episodes = GridEpisodes(world, 1, levels, phrasing, mode, view)
        self.observation_space, self.action_space = _spaces(self._episodes)
        self.questions = self._episodes.questions
        if view is None:
            self.goals = PoseGoals(self._episodes.spec.size)

    @property
    def room(self) -> Rooms:
        """The present room, uint8 [H, W, 2]."""
        return self._episodes.rooms[0].copy()

    def denotation(self, goals: Any, instruction: str) -> Mask | None:
        """Return which goals [M, 3] satisfy an instruction in the present room, bool [M].

        It is None if the grammar cannot read the text. Raises InstructionError if the text is
        unusable, and ShapeError if goals are not poses [M, 3] inside the room.
        """
        poses = check_goals(self.room, goals)
        cells = denoted_cells(self.room[None], instruction)
        if cells is None:
            return None
        return cells[0][grid.ahead(poses)] & grid.is_free(self.room)[poses[:, 0], poses[:, 1]]

    def sample_goals(self, count: int, generator: Generator) -> Poses:
        """Return poses [count, 3] of the present room, about half of which face an object."""
        free = grid.is_free(self.room)
        faces = grid.facing(grid.is_object(self.room)[None], free[None])[0]
        towards = np.argwhere(faces)
        others = np.argwhere(free[..., None] & ~faces)
        half = count // 2
        chosen = towards[generator.integers(len(towards), size=count - half)]
        return np.concatenate([chosen, others[generator.integers(len(others), size=half)]])

    def render_goal(self, goal: Any, pixels: int = 8) -> NDArray[np.uint8]:
        """Return the image uint8 [H, W, 3] of the present room with the agent at a pose [3]."""
        poses = check_goals(self.room, np.asarray(goal)[None])
        return render_rooms(self.room[None], poses, pixels)[0]

    def render(self) -> NDArray[np.uint8] | None:
        """Return an image [H, W, 3] of the room, minigrid's drawing at 32 pixels a cell."""
        if self.render_mode != "rgb_array":
            gym.logger.warn("render() needs gym.make(..., render_mode='rgb_array')")
            return None
        return render_rooms(self._episodes.rooms, self._episodes.poses, 32)[0]


class GridGoToVectorEnv(InstructedVectorEnv):
    """N grid worlds stepped as one array; ``gym.make_vec`` builds it. Arguments: ``GridGoToEnv``'s.

    An episode that ends is reset by the next step, which ignores its action (NEXT_STEP), or by
    ``reset(options={"reset_mask": [N]})`` where ``autoreset_mode`` is DISABLED. Rooms
    depend on the seed alone until an episode ends, whatever levels and phrasing are asked for,
    unless no instruction of the levels fits a room, which is then replaced. The rooms of a batch
    are drawn together: a vector of one equals ``GridGoToEnv`` with the same seed, and row n of a
    larger one depends on how many rows there are.
    """

    _episodes: GridEpisodes

    def __init__(
        self,
        num_envs: int = 1,
        world: str = "goto",
        levels: Sequence[str] | None = None,
        phrasing: TaskPhrasing = "seen",
        mode: Mode = "any",
        max_episode_steps: int = MAX_STEPS,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        view: int | None = None,
    ) -> None:
        autoreset = Autoreset(num_envs, max_episode_steps, autoreset_mode)
        episodes = GridEpisodes(world, num_envs, levels, phrasing, mode, view)
        super().__init__(autoreset, episodes, *_spaces(episodes))
        self.questions = episodes.questions

    @property
    def rooms(self) -> Rooms:
        """The present rooms, uint8 [N, H, W, 2]."""
        return self._episodes.rooms.copy()

    @property
    def poses(self) -> Poses:
        """Where the agents are, int [N, 3]."""
        return self._episodes.poses.copy()
