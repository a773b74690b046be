"""Goal environments of others that are played in, such as mazes of OGBench.

Axes: ``M`` candidate goals, ``G`` numbers in a goal.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Self

import gymnasium as gym
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from langrl.envs.goal_words import GoalWords, goes_on
from langrl.envs.goal_worlds import make_goal_env
from langrl.errors import ConfigError, LayoutError
from langrl.play.goal_maps import CellMap, GoalMap, map_of
from langrl.play.lending import Lending, in_one_thread
from langrl.play.worlds import BEYOND, Edit, Kind, Moved, scene_of
from langrl.protocols import Array, Integers, Mask

Env = gym.Env[Any, Any]
_TRIES = 8  # starts that are drawn until a text does not denote one
_EXAMPLES = 6
_NOWHERE = np.zeros(0, np.float32)
Placing = Literal["task_info", "reset_cell"] | None


@dataclass(frozen=True, eq=False)
class GoalWorld:
    """An episode's beginning in a goal environment.

    Args:
        name: Gymnasium's id.
        envs: where the environments come from.
        words: what texts mean.
        map: how goals are drawn.
        most_steps: of an episode.
        placing: the option of ``reset`` that says in which cell an episode starts, if there is one.
        no_picture: why there are no pictures, where there should be some; else nothing.
        seed: of the episode.
        home: where it starts, if nobody has placed the agent.
    """

    name: str
    envs: Lending[Env]
    words: GoalWords
    map: GoalMap
    most_steps: int
    placing: Placing = None
    no_picture: str = ""
    seed: int = 0
    home: Array = field(default_factory=lambda: _NOWHERE)
    _first: dict[bytes, tuple[Array, Array]] = field(default_factory=dict)

    rate: ClassVar[int] = 30
    intents: ClassVar[None] = None

    @classmethod
    def of(cls, env_id: str, words: GoalWords, max_episode_steps: int | None) -> Self:
        """Return the world of an environment, in its first episode.

        Raises:
            LangRLError: as ``make_goal_env``; ConfigError if goals cannot be drawn.
        """
        drawn = map_of(words)
        given, placing = in_one_thread(lambda: _arguments(env_id, drawn.kind))

        def make() -> Env:
            return make_goal_env(env_id, max_episode_steps, **given)

        envs = Lending(make)
        with envs.borrowed() as env:
            limit = env.spec.max_episode_steps if env.spec is not None else None
            problem = in_one_thread(lambda: _picture_problem(env)) if drawn.kind == "frames" else ""
        assert limit is not None  # ``make_goal_env`` sees to it
        placing = placing if isinstance(drawn, CellMap) else None
        return cls(env_id, envs, words, drawn, limit, placing, problem)._drawn(0)

    @property
    def kind(self) -> Kind:
        """As its map is."""
        return self.map.kind

    @property
    def thing(self) -> str:
        """A cell, or a region."""
        return self.map.thing

    @property
    def examples(self) -> Sequence[str]:
        """Instructions that denote something."""
        generator = np.random.default_rng(0)
        kinds = self.words.kinds
        drawn = [
            self.words.draw_instruction(generator, (kinds[number % len(kinds)],))
            for number in range(_EXAMPLES)
        ]
        return tuple(dict.fromkeys(drawn))

    @property
    def map_shape(self) -> tuple[int, ...]:
        """Cells along each axis of the map."""
        return self.map.shape

    def scene(self) -> dict[str, Any]:
        """Return what is there to draw: the walls of a maze, or a picture of its own."""
        what = {"can_place": self.placing is not None, "can_edit": False, **self.map.scene}
        return scene_of(self, no_picture=self.no_picture, **what)

    def begin(self, text: str | None, generator: Generator) -> tuple[Self, Array]:
        """Return another episode, of which a text does not denote the start if possible."""
        denoted = None if text is None else self.denoted(text)
        for _ in range(_TRIES):
            world = self._drawn(int(generator.integers(2**31)))
            if denoted is None or not world.is_satisfied(world.home, denoted):
                break
        return world, world.home

    def _drawn(self, seed: int) -> Self:
        world = replace(self, seed=seed, home=_NOWHERE, _first={})
        seen = world._seen(_NOWHERE)
        home = world._place(seen[1])
        return replace(world, home=home, _first={home.tobytes(): seen})

    def _place(self, achieved: Array) -> Array:
        """Return where an agent is that has achieved a goal [G]."""
        places = self.map.places(achieved[None])
        return _NOWHERE if places is None else places[0]

    def _seen(self, place: Array) -> tuple[Array, Array]:
        """Return what is observed, and achieved [G], at the start; kept, as many texts ask."""
        key = np.asarray(place).tobytes()
        if key not in self._first:
            with self.envs.borrowed() as env:
                seen = self._reset(env, place)
            self._first.clear()
            self._first[key] = seen["observation"], seen["achieved_goal"]
            return seen["observation"], seen["achieved_goal"]
        return self._first[key]

    def _reset(self, env: Env, place: Array) -> dict[str, Array]:
        """Begin an episode, in the cell of a place where that is not the episode's own."""
        moved = self.placing is not None and not np.array_equal(place, self.home)
        options = self._cell_options(np.floor(place).astype(int).tolist()) if moved else None
        seen: dict[str, Array] = in_one_thread(
            lambda: env.reset(seed=self.seed, options=options)[0]
        )
        return seen

    def _cell_options(self, cell: Sequence[int]) -> dict[str, Any]:
        """Return the options of ``reset`` that start in a cell."""
        goal = self._farthest(cell)
        if self.placing == "task_info":  # of OGBench
            task = {"task_name": "played", "init_ij": tuple(cell), "goal_ij": goal}
            return {"task_info": task}
        return {"reset_cell": np.array(cell), "goal_cell": np.array(goal)}  # gymnasium-robotics

    def _farthest(self, cell: Sequence[int]) -> tuple[int, int]:
        """Return a free cell far from another: a goal of the environment's own, which is unused."""
        free = np.argwhere(np.array([list(row) for row in self.map.scene["walls"]]) == ".")
        row, column = free[np.abs(free - np.asarray(cell)).sum(1).argmax()].tolist()
        return row, column

    def check_place(self, place: Sequence[float]) -> Array:
        """Return where the agent starts in the cell of a place [2]; the environment adds noise."""
        if self.placing is None:
            raise ConfigError(f"{self.name} chooses its starts itself; draw a new one")
        row, column = (*map(int, place), -1, -1)[:2]
        rows, columns = self.map_shape
        inside = 0 <= row < rows and 0 <= column < columns
        if not inside or self.map.scene["walls"][row][column] == "#":
            raise LayoutError("a wall is there; place the agent on a free cell")
        return self._place(self._seen(np.array([row + 0.5, column + 0.5], np.float32))[1])

    def edited(self, edits: Sequence[Edit]) -> Self:
        """Raise LayoutError: the walls are those of the environment."""
        raise LayoutError(f"the walls of {self.name} stay as they are")

    def denoted(self, text: str) -> Mask | None:
        """Return the cells of the map that a text denotes; see ``World.denoted``."""
        mask = self.words.mask(text)
        return None if mask is None else self.map.mask(mask)

    def explain(self, text: str) -> str:
        """Say that success is not known."""
        return BEYOND

    def is_satisfied(self, place: Array, denoted: Mask) -> bool:
        """Whether what is achieved at the start is denoted."""
        return self._inside(self._seen(place)[1], denoted)

    def _inside(self, achieved: Array, mask: Mask) -> bool:
        return bool(mask[tuple(self.map.cells(achieved[None])[0])])

    def observe(self, place: Array) -> Array:
        """Return what is observed at the start."""
        return self._seen(place)[0]

    def episode(self, place: Array, text: str) -> "GoalEpisode":
        """Return an episode from a place."""
        return GoalEpisode(self, place)

    def adapt(self, agent: Any) -> None:
        """Do nothing: this is where the agent was trained."""

    def cells_of(self, goals: Array) -> Integers:
        """Return the cells of goals [M, G] on the map."""
        return self.map.cells(goals)

    def poses_of(self, goals: Array) -> None:
        """Return None: there are no directions."""

    def points_of(self, goals: Array) -> Array | None:
        """Return goals as rows and columns [M, 2], where they are drawn."""
        return self.map.places(goals)

    def name_of(self, cell: Sequence[int]) -> str:
        """Return what to call a cell of the map."""
        return self.map.name_of(cell)


class GoalEpisode:
    """An episode in a goal environment; see ``Episode``.

    Args:
        world: where it is.
        place: where it starts.
    """

    things = None

    def __init__(self, world: GoalWorld, place: Array) -> None:
        self._world, self._env = world, world.envs.lend(self)
        self._seen = world._reset(self._env, place)["observation"]

    def observe(self) -> Array:
        """Return what is observed."""
        return self._seen

    def act(self, action: Any, denoted: Mask, meant: Mask) -> Moved:
        """Act once; achieving what is denoted ends the episode."""
        seen, _, terminated, truncated, _ = in_one_thread(lambda: self._env.step(action))
        self._seen, achieved = seen["observation"], seen["achieved_goal"]
        success = self._world._inside(achieved, denoted)
        is_over = success or terminated or truncated
        return Moved(self._world._place(achieved), is_over, success if denoted.any() else None)

    def frame(self) -> NDArray[np.uint8] | None:
        """Return a picture uint8 [height, width, 3], where goals are not drawn on a map."""
        if self._world.kind != "frames" or self._world.no_picture:
            return None
        frame: NDArray[np.uint8] = in_one_thread(self._env.render)  # type: ignore[arg-type]
        return frame


def _arguments(env_id: str, kind: Kind) -> tuple[dict[str, Any], Placing]:
    """Return the arguments of an environment that is played in, and how starts are chosen."""
    single = make_goal_env(env_id, 1)
    try:
        given, base = goes_on(single), single.unwrapped
        if kind == "frames" and "rgb_array" in (single.metadata.get("render_modes") or ()):
            given["render_mode"] = "rgb_array"
        if hasattr(base, "ij_to_xy"):
            return given, "task_info"
        return given, "reset_cell" if hasattr(base, "maze") else None
    finally:
        single.close()


def _picture_problem(env: Env) -> str:
    """Return why an environment draws no picture; nothing if it draws one."""
    if env.render_mode != "rgb_array":
        return "this environment draws no pictures (rgb_array)"
    try:
        env.reset(seed=0)
        picture = np.asarray(env.render())
    except Exception as error:  # of OpenGL, mostly; which ones depends on the machine
        told = (str(error).splitlines() or [""])[0][:120]
        return (
            f"no picture can be drawn on this machine ({type(error).__name__}: {told}); without a"
            " screen, try MUJOCO_GL=egl or MUJOCO_GL=osmesa"
        )
    is_picture = picture.ndim == 3 and picture.shape[2] == 3 and picture.dtype == np.uint8
    return "" if is_picture else "this environment draws no pictures of red, green and blue"
