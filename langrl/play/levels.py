"""Levels of MiniGrid and BabyAI that are played in, of which agents see everything.

Axes: ``M`` candidate goals, ``H`` rows, ``W`` columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from langrl.envs.grid.grammar import EMPTY
from langrl.envs.grid.rooms import ahead, read_observation
from langrl.envs.grid.things import things_in
from langrl.envs.instructed import Start
from langrl.envs.minigrid_levels.env import MiniGridLevelEnv
from langrl.envs.minigrid_levels.reading import LOCKED, SHUT, as_rooms
from langrl.errors import InstructionError, LayoutError
from langrl.play.grids import name_in, put
from langrl.play.lending import Lending, in_one_thread
from langrl.play.worlds import BEYOND, Edit, Kind, Moved, scene_of
from langrl.protocols import Array, Integers, Mask
from langrl.tasks.grid.suite import EXAMPLES

_TRIES = 100  # layouts that are drawn until a text denotes something in one
_MISSIONS = 4  # that are given as examples
_STATES = {SHUT: "shut", LOCKED: "locked"}


@dataclass(frozen=True, eq=False)
class LevelWorld:
    """An episode's beginning in a level.

    Args:
        level: Gymnasium's id.
        envs: where environments of the level come from.
        seed: of the level's own episode.
        layout: uint8 [H, W, 3], as ``MiniGridLevelEnv.layout``.
        mission: of the level's own episode.
        examples: instructions to try.
        is_edited: whether the layout is another one than the level's own.
    """

    level: str
    envs: Lending[MiniGridLevelEnv]
    seed: int
    layout: NDArray[np.uint8]
    mission: str
    examples: Sequence[str]
    is_edited: bool = False

    kind: ClassVar[Kind] = "grid"
    thing: ClassVar[str] = "object"
    rate: ClassVar[int] = 10
    most_steps: ClassVar[int] = 300  # large levels have thousands
    intents: ClassVar[None] = None

    @classmethod
    def of(cls, level: str) -> Self:
        """Return the world of a level, in its first episode.

        Raises:
            UnknownNameError, ConfigError: as ``MiniGridLevelEnv``.
        """
        envs = Lending(lambda: MiniGridLevelEnv(level))
        with envs.borrowed() as env:
            missions: dict[str, None] = {}
            for seed in reversed(range(_MISSIONS)):
                observation, _ = _reset(env, seed)
                missions = {observation["instruction"]: None, **missions}
            mission, layout = observation["instruction"], env.layout
        own = EXAMPLES if _takes_any_text(level) else ()
        examples = tuple(dict.fromkeys((*missions, *own)))
        return cls(level, envs, 0, layout, mission, examples)

    @property
    def name(self) -> str:
        """The level's id."""
        return self.level

    def scene(self) -> dict[str, Any]:
        """Return what lies where; only levels of BabyAI judge other layouts than they drew."""
        fixed = _takes_any_text(self.level)
        things = level_things(self.layout)
        return scene_of(self, edited=self.is_edited, things=things, can_edit=fixed, can_place=fixed)

    @property
    def map_shape(self) -> tuple[int, int]:
        """Rows and columns."""
        height, width = self.layout.shape[:2]
        return height, width

    @property
    def _room(self) -> NDArray[np.uint8]:
        """Type and colour of the cells [H, W, 2]."""
        return as_rooms(self.layout[None])[0, ..., :2]

    def begin(self, text: str | None, generator: Generator) -> tuple[Self, Integers]:
        """Return another episode of the level, in which a text denotes something, and its start."""
        problem: InstructionError | None = None
        for _ in range(_TRIES):
            world = self._drawn(int(generator.integers(2**31)))
            try:
                if text is not None:
                    world.denoted(text)
                return world, _pose(world.layout)
            except InstructionError as error:
                problem = error
        assert problem is not None
        raise problem

    def _drawn(self, seed: int) -> Self:
        with self.envs.borrowed() as env:
            observation, _ = _reset(env, seed)
            own = env.layout, observation["instruction"]
        return replace(self, seed=seed, layout=own[0], mission=own[1], is_edited=False)

    def check_place(self, place: Sequence[float]) -> Integers:
        """Return a pose [3]; raises LayoutError where nobody can stand."""
        pose = np.asarray(place, np.int64)
        inside = pose.shape == (3,) and (pose >= 0).all() and (pose < (*self.map_shape, 4)).all()
        if not inside or self._standing(pose)[tuple(pose[:2])][0] != EMPTY:
            raise LayoutError("something is there; place the agent on a free cell")
        return pose

    def edited(self, edits: Sequence[Edit]) -> Self:
        """Return the level with other things in it; new doors are open."""
        room = put(self.layout[..., :2], edits)
        layout = np.concatenate([room, self.layout[..., 2:]], 2)
        for edit in edits:
            if layout[edit.row, edit.column, 2] in _STATES:
                layout[edit.row, edit.column, 2] = 0
        return replace(self, layout=layout, is_edited=True)

    def denoted(self, text: str) -> Mask | None:
        """Return the objects that a text denotes [H, W]; see ``World.denoted``."""
        with self.envs.borrowed() as env:
            self._start(env, _pose(self.layout), text)
            return env.denoted_cells

    def explain(self, text: str) -> str:
        """Say who judges a mission of the level that the grammar cannot read."""
        if text == self.mission:
            return "The level's own mission: it judges success, and what is denoted is not shown."
        return BEYOND

    def is_satisfied(self, place: Array, denoted: Mask) -> bool:
        """Return False: there is always something to do."""
        return False

    def observe(self, place: Array) -> NDArray[np.uint8]:
        """Return the level with the agent in it, uint8 [H, W, 3]."""
        return self._standing(place)

    def _standing(self, place: Array) -> NDArray[np.uint8]:
        layout = self.layout.copy()
        before = _pose(layout)
        layout[before[0], before[1], 2] = 0
        row, column, direction = np.asarray(place, np.int64).tolist()
        layout[row, column, 2] = direction + 1
        return layout

    def episode(self, place: Array, text: str) -> "LevelEpisode":
        """Return an episode from a pose, which the level judges."""
        return LevelEpisode(self, place, text)

    def _start(self, env: MiniGridLevelEnv, place: Array, text: str) -> dict[str, Any]:
        """Begin an episode; returns its info."""
        if not _takes_any_text(self.level):
            return self._start_mission(env, text)
        moved = self.is_edited or not np.array_equal(place, _pose(self.layout))
        options: dict[str, Any] = {}
        if moved:
            options = {"layout": self._standing(place), "instruction": text or self.mission}
        elif text and text != self.mission:
            # With the layout: else, the level draws another one in which there is such a thing.
            options = {"layout": self.layout, "instruction": text}
        return _reset(env, self.seed, options)[1]

    def _start_mission(self, env: MiniGridLevelEnv, text: str) -> dict[str, Any]:
        """Begin an episode in a level that judges by a mission of its own."""
        own = text in ("", self.mission)
        try:
            _, info = _reset(env, self.seed, {} if own else {"instruction": text})
            if own or np.array_equal(env.layout, self.layout):
                return info
        except InstructionError:
            pass
        raise InstructionError(
            f"{self.level} judges by its own mission, which is {self.mission!r} here; give that, or"
            " draw a new room"
        )

    def adapt(self, agent: Any) -> None:
        """Do nothing: an agent sees the level as it is."""

    def cells_of(self, goals: Array) -> Integers:
        """Return the cells that poses [M, 3 or more] face; who looks out of a door, faces it."""
        cells = np.stack(ahead(goals[:, :3].astype(np.int64)), 1)
        return np.clip(cells, 0, np.array(self.map_shape) - 1)

    def poses_of(self, goals: Array) -> Integers:
        """Return poses [M, 3]."""
        return goals[:, :3].astype(np.int64)

    def points_of(self, goals: Array) -> None:
        """Return None: goals are poses."""

    def name_of(self, cell: Sequence[int]) -> str:
        """Return "red ball", with its cell."""
        return name_in(self._room, cell)


class LevelEpisode:
    """An episode in a level; see ``Episode``.

    Args:
        world: where it is.
        place: where it starts.
        text: what the agent is told.
    """

    def __init__(self, world: LevelWorld, place: Array, text: str) -> None:
        self._env = world.envs.lend(self)
        self._judged = bool(world._start(self._env, place, text)["is_judged"])
        self._seen = self._env.layout

    @property
    def things(self) -> list[list[Any]]:
        """What lies where by now."""
        return level_things(self._seen)

    def observe(self) -> NDArray[np.uint8]:
        """Return the level as it is, uint8 [H, W, 3]."""
        return self._seen

    def act(self, action: Any, denoted: Mask, meant: Mask) -> Moved:
        """Act once; the level says when it is over, and whether with success."""
        _, _, terminated, truncated, info = self._env.step(action)
        self._seen = self._env.layout
        success = bool(info["is_success"]) if self._judged else None
        return Moved(_pose(self._seen), terminated or truncated, success)

    def frame(self) -> None:
        """Return None: levels are drawn as maps."""


def _reset(env: MiniGridLevelEnv, seed: int, options: dict[str, Any] | None = None) -> Start:
    return in_one_thread(lambda: env.reset(seed=seed, options=options))


def level_things(layout: NDArray[np.uint8]) -> list[list[Any]]:
    """Return row, column, thing, colour, and of doors ``open``, ``shut`` or ``locked``."""
    return [
        [*thing, _STATES.get(int(layout[thing[0], thing[1], 2]), "open")]
        if thing[2] == "door"
        else thing
        for thing in things_in(layout[..., :2])
    ]


def _pose(layout: NDArray[np.uint8]) -> Integers:
    pose: Integers = read_observation(as_rooms(layout[None]))[1][0]
    return pose


def _takes_any_text(level: str) -> bool:
    return level.startswith("BabyAI-")
