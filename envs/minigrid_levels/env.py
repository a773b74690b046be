"""Any level of MiniGrid or BabyAI with langrl's observation, goals and denotation.

Axes: ``H`` rows, ``W`` columns, ``M`` goals.
"""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from minigrid.envs.babyai.core.roomgrid_level import RoomGridLevel
from numpy.random import Generator
from numpy.typing import NDArray

from langrl.envs.grid import grammar as grid_grammar
from langrl.envs.grid import rooms as grid
from langrl.envs.grid.episodes import TRIES, check_goals
from langrl.envs.grid.rendering import render_rooms
from langrl.envs.grid.views import check_view
from langrl.envs.instructed import Observation, Options, Start, Step
from langrl.envs.instruction_space import InstructionSpace
from langrl.envs.minigrid_levels.given import GivenInstruction
from langrl.envs.minigrid_levels.goals import LevelGoals
from langrl.envs.minigrid_levels.planning import steps_to
from langrl.envs.minigrid_levels.reading import (
    ACTIONS,
    DONE,
    DROP,
    LOCKED,
    OF_MINIGRID,
    PICKUP,
    TOGGLE,
    as_rooms,
    begin,
    make_level,
    observe,
    pose_of,
    read_cells,
    view_of,
    write_cells,
)
from langrl.envs.minigrid_levels.tasks import (
    Denoted,
    Task,
    check_possible,
    denoted_by,
    denoted_in,
    read_task,
    task_of,
    write_task,
)
from langrl.envs.phrasing import TASK_PHRASINGS, TaskPhrasing
from langrl.errors import InstructionError, ShapeError, lookup
from langrl.protocols import Mask, check_instruction

_OPTIONS = ("instruction", "layout")
_SMALLEST = 3  # cells along a side of a view


def _draw_text(generator: Generator) -> str:
    """Return a text for samples of the space of instructions."""
    name, colour = (
        list(names)[generator.integers(len(names))]
        for names in (grid_grammar.TYPES, grid_grammar.COLOURS)
    )
    return write_task(Task((DONE,), ("thing", colour, name)), generator, "seen")


class MiniGridLevelEnv(gym.Env[Observation, Any]):
    """A level as minigrid registers it: its layouts, its missions, its reward, its time limit.

    The observation is {"observation": uint8 [H, W, 3], "instruction": the mission}. Numbers of the
    observation are type and colour of each cell in minigrid's numbers, and a third one: the agent's
    direction + 1 in the cell where it stands, and 5 or 6 for a door that is shut or locked. The
    agent's cell shows what it carries. Actions: 0 left, 1 right, 2 forward, 3 done, 4 pickup,
    5 drop, 6 toggle; the first four are those of ``langrl/GridGoTo-v0``. The seed n gives the
    level's own episode of seed n.

    ``info`` of ``reset`` reports ``is_success``, which is a reward of the level,
    ``ambiguity_bits``, log2 of the number of objects that the instruction denotes, and
    ``shortest_steps``, through shut doors. The last is nan where a key is needed or something is in
    the way, and both are nan where the denotation is unknown; steps report the same, without what
    is unknown. Where something other than an object of ours is asked for, as in "put next to", the
    mission is followed and judged, and its denotation unknown. ``is_judged`` says whether success
    is known, as it is of missions, and not of a given text that the grammar cannot read.

    ``reset(options={"instruction": text})`` draws a layout in which the text denotes something.
    ``reset(options={"layout": [H, W, 3]})`` sets cells and agent: an observation of a whole level;
    without a text, an object of it is asked for. Levels of BabyAI take any text of the grammar;
    other levels judge by themselves, so they take texts that mean a mission of theirs.

    Args:
        level: Gymnasium's id, such as ``BabyAI-GoToLocal-v0``.
        view: cells along a side of the egocentric view that the agent sees, 7 in MiniGrid; the
            whole level if not given. There are no ``goals`` to wrap then.
        phrasing: ``seen``, the level's own words; or the same asked for in ``held_out`` or
            ``noisy`` ones, where the grammar can say it.
        render_mode: None or ``rgb_array``.

    Raises:
        UnknownNameError: if there is no such level or phrasing.
        ConfigError: if the level has no mission, or cells that langrl's grid worlds do not have.
        LayoutError: if the view is even, or below 3.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 8}

    def __init__(
        self,
        level: str,
        view: int | None = None,
        phrasing: TaskPhrasing = "seen",
        render_mode: str | None = None,
    ) -> None:
        lookup(dict.fromkeys(TASK_PHRASINGS), str(phrasing), "phrasing")
        self.render_mode, self.view, self.phrasing = render_mode, view, phrasing
        self.name, self._level = level, make_level(level)
        # Minigrid draws a view at each step; where nobody looks at it, a small one is quicker.
        self._level.agent_view_size = _SMALLEST if view is None else check_view(view)
        height, width = (view, view) if view else (self._level.height, self._level.width)
        seen = spaces.Box(0, 255, (height, width, 3), np.uint8)
        self.observation_space = spaces.Dict(
            {"observation": seen, "instruction": InstructionSpace(_draw_text)}
        )
        self.action_space = spaces.Discrete(len(ACTIONS))
        if view is None:
            self.goals = LevelGoals(height, width)
        self._text, self._cells, self._started = "", read_cells(self._level, level), False
        self._start = self.layout  # of the episode; places are seen from there
        self._denoted: Denoted | None = None
        self._judged = False  # whether success is known
        self._known: dict[str, float] = {}

    # -- episodes --------------------------------------------------------------------------

    def reset(self, *, seed: int | None = None, options: Options = None) -> Start:
        """Start an episode; see the class for the options."""
        given, layout = self._read_options(options or {})
        super().reset(seed=seed)
        if not self._started and seed is None:  # a level's own generator is fresh: not seed 0 again
            seed = int(self.np_random.integers(2**31))
        task = None if given is None else read_task(given)
        if task is not None:
            check_possible(task, str(given))
        for _ in range(TRIES):
            begin(self._level, seed)
            seed = None
            self._begin(given, task, layout)
            if task is None or (self._denoted is not None and self._denoted.cells.any()):
                break
            if layout is not None:
                raise InstructionError(
                    f"{given!r} denotes nothing in this layout; name objects that are there"
                )
        else:
            self._started = False
            raise self._impossible(str(given))
        self._started = True
        self._known = self._measure()
        told = {"is_success": False, "is_judged": self._judged}
        return self._observe(), told | self._known

    def _begin(self, given: str | None, task: Task | None, layout: Any) -> None:
        """Set the text and what it denotes, in a layout that was just drawn, or in a given one."""
        level = self._level
        if layout is not None:
            write_cells(level, layout)
        self._cells = read_cells(level, self.name)
        self._start = self.layout
        room = self._cells[..., :2]
        if given is None and layout is not None:
            task = self._draw_task(room)
            given = write_task(task, self.np_random, self.phrasing)
        self._judged = given is None or task is not None
        if given is None:
            self._text, self._denoted = self._write_mission(), denoted_in(level, room)
            return
        self._text, self._denoted = given, None
        if task is not None and self._judges(task):
            self._denoted = denoted_by(task, room, self._start)
        if isinstance(level, RoomGridLevel):
            # Of a text that nobody can read, nothing is success.
            asked = self._denoted or Denoted((), np.zeros(room.shape[:2], bool))
            judge: Any = level  # minigrid does not declare where a level has its instruction
            judge.mission, judge.instrs = given, GivenInstruction(level, asked, given)

    def _draw_task(self, room: NDArray[np.uint8]) -> Task:
        """Return a task about an object of a room [H, W, 2], with what the level wants done."""
        own = task_of(self._level)
        acts = (DONE,) if own is None else own.acts
        things = np.argwhere(grid_grammar.denoted(grid_grammar.ANYTHING, room))
        if not isinstance(self._level, RoomGridLevel) or not len(things):
            raise InstructionError(
                f"the option 'layout' of {self.name} needs objects, and a level of BabyAI: others"
                " judge by the layout that they drew"
            )
        doors = room[things[:, 0], things[:, 1], 0] == grid.DOOR
        fit = things[doors] if TOGGLE in acts else things[~doors]
        row, column = self.np_random.choice(fit if len(fit) else things)
        kind, colour = room[row, column].tolist()
        names = {number: name for name, number in grid_grammar.TYPES.items()}
        colours = {number: name for name, number in grid_grammar.COLOURS.items()}
        return Task(acts if len(fit) else (DONE,), ("thing", colours[colour], names[kind]))

    def _write_mission(self) -> str:
        """Return the level's mission, or the same in other words."""
        mission = str(self._level.mission)
        task = task_of(self._level) if self.phrasing != "seen" else None
        return mission if task is None else write_task(task, self.np_random, self.phrasing)

    def _impossible(self, text: str) -> InstructionError:
        where = f"{text.strip()!r} denotes nothing in {TRIES} layouts of {self.name}"
        if isinstance(self._level, RoomGridLevel):
            return InstructionError(f"{where}; name objects that are there")
        return InstructionError(
            f"{where}, which judges by its own missions, such as {self._level.mission!r}; give one"
        )

    def step(self, action: Any) -> Step:
        """Act once; reward and end are the level's own."""
        given = np.asarray(action)
        if given.shape != () or given.dtype.kind not in "iu" or not 0 <= given < len(ACTIONS):
            raise ShapeError(f"an action is 0 to {len(ACTIONS) - 1}: {', '.join(ACTIONS)}")
        if not self._started:
            raise ResetNeeded("Cannot call env.step() before calling env.reset()")
        _, earned, terminated, truncated, _ = self._level.step(OF_MINIGRID[int(given)])
        if given in (PICKUP, DROP, TOGGLE):  # nothing else changes cells
            self._cells = read_cells(self._level, self.name)
        reward = float(earned) if self._judged else 0.0
        success = reward > 0
        # Without what is unknown: Gymnasium's checker compares two steps, and nan is not nan.
        known = {name: value for name, value in self._known.items() if np.isfinite(value)}
        info = {"is_success": success, **known}
        return self._observe(), reward, bool(terminated), bool(truncated), info

    def _read_options(self, options: dict[str, Any]) -> tuple[str | None, Any]:
        if unknown := sorted(set(options) - set(_OPTIONS)):
            known = " or ".join(map(repr, _OPTIONS))
            raise InstructionError(f"no reset option {unknown[0]!r}; use {known}")
        text, layout = (options.get(name) for name in _OPTIONS)
        return None if text is None else check_instruction(text), layout

    def _observe(self) -> Observation:
        whole = self.view is None
        seen = observe(self._level, self._cells) if whole else view_of(self._level)
        return {"observation": seen, "instruction": self._text}

    def _measure(self) -> dict[str, float]:
        """Return what is known of an episode that has just begun."""
        if self._denoted is None or not (count := np.count_nonzero(self._denoted.cells)):
            return {"ambiguity_bits": np.nan, "shortest_steps": np.nan}
        layout = self.layout
        free = np.ones((1, *layout.shape[:2]), bool)
        within = self._denoted.cells
        if self._denoted.acts == (TOGGLE,):
            within = within & (layout[..., 2] != LOCKED)
        targets = grid.facing(within[None], free)[0]
        steps = steps_to(layout, targets)[tuple(pose_of(self._level))]
        steps = max(steps, 1) if DONE in self._denoted.acts else steps + 1  # facing is enough
        return {
            "ambiguity_bits": float(np.log2(count)),
            "shortest_steps": float(steps) if np.isfinite(steps) else np.nan,
        }

    # -- what is known of it ---------------------------------------------------------------

    @property
    def layout(self) -> NDArray[np.uint8]:
        """The whole level as it is now, uint8 [H, W, 3]; an option of ``reset``."""
        return observe(self._level, self._cells)

    @property
    def room(self) -> NDArray[np.uint8]:
        """Type and colour of the cells, uint8 [H, W, 2]."""
        return self._cells[..., :2].copy()

    @property
    def denoted_cells(self) -> Mask | None:
        """Where what the instruction denoted at the start lay [H, W]; None if it is unknown."""
        return None if self._denoted is None else self._denoted.cells.copy()

    def denotation(self, goals: Any, instruction: str) -> Mask | None:
        """Return which goals satisfy an instruction in the present layout, bool [M].

        Args:
            goals: poses [M, 3], or with what is done there [M, 4].
            instruction: the episode's own, of which the level says what it means, or any other.

        Raises:
            InstructionError: if the text is unusable.
            ShapeError: if goals are none of this level.
        """
        rows = np.asarray(goals)
        poses = check_goals(self.room, rows[:, :3] if rows.ndim == 2 else rows)
        denoted = self._denoted if instruction == self._text else None
        if denoted is None:
            task = read_task(instruction)
            if task is None or (instruction == self._text and not self._judges(task)):
                return None
            denoted = denoted_by(task, self.room, self._start)
        stands = grid.is_free(as_rooms(self.layout[None])[0, ..., :2])
        found: Mask = denoted.cells[grid.ahead(poses)] & stands[poses[:, 0], poses[:, 1]]
        if rows.shape[1] == 4 and DONE not in denoted.acts:
            found &= np.isin(rows[:, 3], denoted.acts)
        return found

    def _judges(self, task: Task) -> bool:
        return isinstance(self._level, RoomGridLevel) or task_of(self._level) == task

    def render_goal(self, goal: Any, pixels: int = 8) -> NDArray[np.uint8]:
        """Return the image uint8 [H, W, 3] of the present level with the agent at a goal's pose."""
        poses = check_goals(self.room, np.asarray(goal)[None, :3])
        plain = as_rooms(self.layout[None])
        return render_rooms(plain[..., :2], poses, pixels)[0]

    def render(self) -> NDArray[np.uint8] | None:
        """Return an image [H, W, 3] of the level, minigrid's drawing at 32 pixels a cell."""
        if self.render_mode != "rgb_array":
            gym.logger.warn("render() needs gym.make(..., render_mode='rgb_array')")
            return None
        frame: NDArray[np.uint8] = self._level.get_frame(highlight=False, tile_size=32)
        return frame


class OneEpisode(gym.Wrapper[Observation, Any, Observation, Any]):
    """An environment of one episode: until it is seeded again, it stays where it ended.

    Vector environments reset whatever has ended. To draw a large level takes as long as a hundred
    steps in it, and where one episode each is run, nobody looks at the next.
    """

    def __init__(self, env: gym.Env[Observation, Any]) -> None:
        super().__init__(env)
        self._last: tuple[Observation, dict[str, Any]] | None = None
        self._over = False

    def reset(self, *, seed: int | None = None, options: Options = None) -> Start:
        """Start the episode of a seed; without one, the last episode stays over."""
        if seed is not None or self._last is None:
            self._last, self._over = self.env.reset(seed=seed, options=options), False
        return self._last

    def step(self, action: Any) -> Step:
        """Act; nothing happens when the episode is over."""
        if self._over and self._last is not None:
            observation, info = self._last
            return observation, 0.0, True, False, info
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._last, self._over = (observation, info), terminated or truncated
        return observation, float(reward), terminated, truncated, info
