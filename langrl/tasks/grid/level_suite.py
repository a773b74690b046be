"""The task suite of a level of MiniGrid or BabyAI, for agents that were trained elsewhere.

Axes: ``T`` steps, ``M`` goals.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium.vector import SyncVectorEnv, VectorEnv
from numpy.typing import NDArray

from langrl.envs.grid.rendering import render_rooms
from langrl.envs.grid.rooms import read_observation
from langrl.envs.minigrid_levels.env import MiniGridLevelEnv, OneEpisode
from langrl.envs.minigrid_levels.reading import DONE, PICKUP, TOGGLE, as_rooms, make_level
from langrl.envs.minigrid_levels.tasks import without_goal
from langrl.envs.phrasing import TaskPhrasing
from langrl.grounding.chooser import Posterior
from langrl.plots.grid import PIXELS
from langrl.tasks.grid.config import GridEvaluationConfig
from langrl.tasks.grid.drawn_suite import SEPARATE, DrawnSuite, draw_views, likeliest
from langrl.tasks.grid.levels import BASELINES, RANDOM
from langrl.tasks.suite import (
    Makers,
    beliefs_of,
    understood,
    unknown_denotation,
)

_PANELS = 6
_DONE_WITH = {DONE: "go to", PICKUP: "pick up", TOGGLE: "open"}


@dataclass(frozen=True)
class LevelSuite(DrawnSuite):
    """One level of MiniGrid or BabyAI.

    Args:
        level: Gymnasium's id.
        settings: of evaluations.
        groundings: strategies that agents can have.
        view: cells along a side of what agents see; the whole level if not given.
    """

    level: str
    settings: GridEvaluationConfig
    groundings: tuple[str, ...]
    view: int | None = None

    type_name = "level"
    examples = (None,) * _PANELS

    @property
    def instruction_types(self) -> tuple[str, ...]:
        """The level itself: its missions are one type."""
        return (self.level,)

    @property
    def baselines(self) -> Makers:
        """How to make the agents that are not trained, by method."""
        return BASELINES if self.view is None else RANDOM

    @property
    def name(self) -> str:
        """What to call it in titles."""
        seen = "" if self.view is None else f", of which {self.view}x{self.view} cells are seen"
        return f"{self.level}{seen}"

    def tasks(
        self,
        settings: GridEvaluationConfig,
        types: tuple[str, ...] | None = None,
        phrasing: TaskPhrasing = "seen",
    ) -> VectorEnv[Any, Any, Any]:
        """Return the vector environment that agents are evaluated in; seen: the level's words."""

        def make() -> OneEpisode:
            return OneEpisode(MiniGridLevelEnv(self.level, self.view, phrasing))

        return SyncVectorEnv([make] * settings.episodes)

    def check(self, instruction: str) -> None:
        """Raise InstructionError if a text denotes nothing in layouts of this level."""
        MiniGridLevelEnv(self.level).reset(seed=0, options={"instruction": instruction})

    def describe(self, agent: Any, instruction: str) -> list[str]:
        """Return sentences: what an instruction denotes, and what the agent believes."""
        env = MiniGridLevelEnv(self.level, self.view)
        observation, _ = env.reset(seed=0, options={"instruction": instruction})
        agent.reset()
        posterior = beliefs_of(agent, observation["observation"], instruction)
        cells = env.denoted_cells
        if posterior is None:
            return []
        if cells is None:
            return [_unknown(instruction), *understood(posterior)]
        first = f"{instruction!r} denotes {cells.sum()} objects of the layout in the figure"
        if self.view is not None:
            first = f"{first}; the agent would {likeliest(posterior, _DONE_WITH)}"
            return [first, *understood(posterior)]
        right = env.denotation(posterior.goals, instruction)
        assert right is not None
        belief = posterior.probabilities[right].sum()
        first = f"{first}; the agent puts {belief:.0%} of its belief on goals that satisfy it"
        return [first, *understood(posterior)]

    def _panel(self, agent: Any, text: str | None, seed: int) -> dict[str, Any]:
        """Return a layout for a text, or for a mission, with beliefs, what is denoted, a walk."""
        env = MiniGridLevelEnv(self.level, self.view)
        options = {} if text is None else {"instruction": text}
        observation, _ = env.reset(seed=seed, options=options)
        told, layouts, denoted = observation["instruction"], [env.layout], env.denoted_cells
        agent.reset(np.random.default_rng(seed))
        posterior = beliefs_of(agent, observation["observation"], told)
        over, success = False, False
        while not over:
            observation, _, terminated, truncated, info = env.step(agent.act(observation))
            layouts.append(env.layout)
            over, success = terminated or truncated, info["is_success"]
        plain = as_rooms(np.stack(layouts))
        outcome = f"{'success in' if success else 'failure after'} {len(layouts) - 1} steps"
        return {
            "image": render_rooms(plain[:1, ..., :2], pixels=PIXELS)[0],
            **({} if posterior is None or self.view is not None else _beliefs(posterior)),
            "denoted": denoted,
            "path": read_observation(plain)[1],
            "reached": success,
            "title": f"“{told}”\n{outcome}",
        }

    def _frames(self, path: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
        """Return the images of an episode's observations [T, ., ., 3]."""
        if self.view is not None:
            return list(draw_views(path, PIXELS))
        plain = as_rooms(path)
        return list(render_rooms(plain[..., :2], read_observation(plain)[1], PIXELS))


def level_suite(
    level: str, view: int | None = None, settings: GridEvaluationConfig | None = None
) -> LevelSuite:
    """Return the suite of a level by Gymnasium's id, seen whole or by a ``view``.

    ``settings`` are of evaluations; the defaults if not given.

    Raises:
        UnknownNameError: if there is no such level.
        ConfigError: if it has no mission, or cells that langrl's grid worlds do not have.
    """
    make_level(level)
    return LevelSuite(level, settings or GridEvaluationConfig(), SEPARATE, view)


def _unknown(instruction: str) -> str:
    """Say why it is not known what an instruction denotes."""
    what = without_goal(instruction)
    if what is None:
        return unknown_denotation(instruction)
    return (
        f"{instruction!r} asks for {what}, which is no goal here: it is followed, and whether it"
        " succeeded is unknown"
    )


def _beliefs(posterior: Posterior) -> dict[str, Any]:
    """Return poses [M, 3], and how likely they are whatever is done there [M]."""
    goals, place = np.unique(posterior.goals[:, :3], axis=0, return_inverse=True)
    mass = np.bincount(place.ravel(), posterior.probabilities)
    return {"goals": goals, "probabilities": mass.astype(np.float32)}
