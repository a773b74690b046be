"""Agents of grid worlds in levels of MiniGrid and BabyAI, and the suite of a level.

Axes: ``N`` episodes, ``T`` steps, ``H`` rows, ``W`` columns.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from gymnasium.vector import SyncVectorEnv, VectorEnv
from matplotlib.figure import Figure
from numpy.typing import NDArray

from langrl.agents.baselines import RandomAgent
from langrl.agents.grounded import GroundedAgent
from langrl.agents.observations import read_observations
from langrl.envs.grid.grammar import denoted
from langrl.envs.grid.rendering import render_rooms
from langrl.envs.grid.rooms import facing, read_observation
from langrl.envs.minigrid_levels.env import MiniGridLevelEnv, OneEpisode
from langrl.envs.minigrid_levels.planning import action_towards, steps_to
from langrl.envs.minigrid_levels.reading import ACTIONS, DONE, as_rooms, make_level
from langrl.envs.minigrid_levels.tasks import read_task
from langrl.envs.phrasing import TaskPhrasing
from langrl.errors import ConfigError
from langrl.evaluation.rollouts import Episodes, run_episodes
from langrl.grounding.level_candidates import LevelPoses
from langrl.models.critics.grid import GridCritic
from langrl.models.critics.level import LevelCritic
from langrl.models.language_image.acts import ActLanguage
from langrl.models.language_image.language import ImageLanguage
from langrl.models.language_image.model import LanguageImageModel
from langrl.plots.base import mark_outcome
from langrl.plots.grid import PIXELS, film_strip, rooms_figure
from langrl.protocols import Observation
from langrl.tasks.grid.baselines import AXES
from langrl.tasks.grid.config import GridEvaluationConfig
from langrl.tasks.grid.suite import SEPARATE
from langrl.tasks.grid_partial.agent import padding_for, render_kinds
from langrl.tasks.loading import AgentMaker
from langrl.tasks.suite import (
    Drawings,
    Makers,
    TaskSuite,
    beliefs_of,
    describe_outcome,
    outcomes,
    unknown_denotation,
)

_PANELS = 6


def in_levels(make: AgentMaker) -> AgentMaker:
    """Return what makes the same agents for levels: shut doors, and more that can be done.

    Args:
        make: makes agents of grid worlds that are seen whole.

    Raises:
        ConfigError: if its agents are others.
    """

    def make_for_levels(**changes: object) -> GroundedAgent:
        agent = make(**changes)
        known = isinstance(agent, GroundedAgent) and isinstance(agent.critic, GridCritic)
        if not known or not isinstance(agent.language, ImageLanguage):
            raise ConfigError(
                "levels of MiniGrid are for agents of grid worlds that are seen whole; give a run"
                " of `langrl train --config grid-all`"
            )
        return GroundedAgent(
            LevelCritic(agent.critic),
            ActLanguage(agent.language, kinds_of(agent.language.model)),
            agent.grounding,
            LevelPoses(),
            actions=np.arange(len(ACTIONS)),
            device=agent.device,
            language_weight=agent.language_weight,
            temperature=agent.temperature,
        )

    return make_for_levels


@lru_cache(maxsize=4)  # agents share what they have embedded
def kinds_of(model: LanguageImageModel) -> ImageLanguage:
    """Return the language side of types and colours, on the model of poses."""
    return ImageLanguage(model, render_kinds, padding_for)


def random_actions(count: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Return actions [count], each with the same chance."""
    return generator.integers(len(ACTIONS), size=count)


class LevelPlanner:
    """Walks a shortest way to an object that the text denotes, and does there what it asks for.

    It reads texts by the grammar, and has no key: where nothing can be reached, it takes ``done``.
    """

    def reset(
        self, generator: np.random.Generator | None = None, mask: NDArray[np.bool_] | None = None
    ) -> None:
        """Start new episodes; a planner has nothing to forget."""

    def keep(self, mask: NDArray[np.bool_]) -> None:
        """Go on with some of the episodes; a planner looks at each observation by itself."""

    def act(
        self,
        observations: Observation,
        instructions: str | Sequence[str] | None = None,
        starts: NDArray[np.bool_] | None = None,
    ) -> NDArray[Any]:
        """Return the next action, or N of them."""
        states, texts, single = read_observations(observations, instructions, AXES)
        actions = np.array([_plan(*each) for each in zip(states, texts, strict=True)], np.int64)
        return actions[0] if single else actions


def _plan(observation: NDArray[np.uint8], text: str) -> int:
    """Return an action for a whole level [H, W, 3] and a text."""
    task = read_task(text)
    if task is None:
        return DONE
    plain = as_rooms(observation[None])
    _, poses = read_observation(plain)
    cells = denoted(task.meaning, plain[0, ..., :2])
    targets = facing(cells[None], np.ones((1, *cells.shape), bool))[0]
    distance = steps_to(observation, targets)
    action = action_towards(observation, distance, poses[0])
    return task.acts[-1] if action is None else action


LEVEL_BASELINES: Makers = {
    "oracle": LevelPlanner,
    "random": lambda: RandomAgent(random_actions, AXES),
}


@dataclass(frozen=True)
class LevelSuite(TaskSuite):
    """One level, seen whole.

    Args:
        level: Gymnasium's id.
        settings: of evaluations.
        groundings: strategies that agents can have.
    """

    level: str
    settings: GridEvaluationConfig
    groundings: tuple[str, ...]

    type_name = "level"

    @property
    def instruction_types(self) -> tuple[str, ...]:
        """The level itself: its missions are one type."""
        return (self.level,)

    @property
    def baselines(self) -> Makers:
        """How to make the agents that are not trained, by method."""
        return LEVEL_BASELINES

    @property
    def name(self) -> str:
        """What to call it in titles."""
        return self.level

    def tasks(
        self,
        settings: GridEvaluationConfig,
        types: tuple[str, ...] | None = None,
        phrasing: TaskPhrasing = "seen",
    ) -> VectorEnv[Any, Any, Any]:
        """Return the vector environment that agents are evaluated in; seen: the level's words."""

        def make() -> OneEpisode:
            return OneEpisode(MiniGridLevelEnv(self.level, phrasing=phrasing))

        return SyncVectorEnv([make] * settings.episodes)

    def check(self, instruction: str) -> None:
        """Raise InstructionError if a text denotes nothing in layouts of this level."""
        MiniGridLevelEnv(self.level).reset(seed=0, options={"instruction": instruction})

    def describe(self, agent: Any, instruction: str) -> list[str]:
        """Return sentences: what an instruction denotes, and what the agent believes."""
        env = MiniGridLevelEnv(self.level)
        observation, _ = env.reset(seed=0, options={"instruction": instruction})
        agent.reset()
        posterior = beliefs_of(agent, observation["observation"], instruction)
        cells = env.denoted_cells
        if posterior is None:
            return []
        if cells is None:
            return [unknown_denotation(instruction)]
        right = env.denotation(posterior.goals, instruction)
        assert right is not None
        return [
            f"{instruction!r} denotes {cells.sum()} objects of the layout in the figure; the agent"
            f" puts {posterior.probabilities[right].sum():.0%} of its belief on goals that satisfy"
            " it"
        ]

    def draw_posteriors(self, agent: AgentMaker, first: Sequence[str] = ()) -> Figure:
        """Draw the posterior for some texts, and for missions of the level, each with a walk."""
        texts = [*first, *[None] * _PANELS][:_PANELS]
        panels = [self._panel(agent(), text, seed) for seed, text in enumerate(texts)]
        return rooms_figure(panels, self._title())

    def _title(self) -> str:
        return (
            "belief about goals (arrow heads, larger where likelier), what the words denote"
            " (green), and a walk"
        )

    def _panel(self, agent: Any, text: str | None, seed: int) -> dict[str, Any]:
        """Return a layout for a text, or for a mission, with beliefs, what is denoted, a walk."""
        options = {} if text is None else {"instruction": text}
        env = MiniGridLevelEnv(self.level)
        observation, _ = env.reset(seed=seed, options=options)
        told, first = observation["instruction"], observation["observation"]
        agent.reset(np.random.default_rng(seed))
        posterior = beliefs_of(agent, first, told)
        beliefs = {}
        if posterior is not None:
            goals, place = np.unique(posterior.goals[:, :3], axis=0, return_inverse=True)
            mass = np.bincount(place.ravel(), posterior.probabilities)
            beliefs = {"goals": goals, "probabilities": mass.astype(np.float32)}
        episodes = run_episodes(self._single(), agent, seed, options)
        _, path = read_observation(as_rooms(episodes.paths[0]))
        return {
            "image": render_rooms(as_rooms(first[None])[..., :2], pixels=PIXELS)[0],
            **beliefs,
            "denoted": env.denoted_cells,
            "path": path,
            "reached": outcomes(episodes)[0],
            "title": f"“{told}”\n{describe_outcome(episodes)}",
        }

    def _single(self) -> VectorEnv[Any, Any, Any]:
        return self.tasks(self.settings.model_copy(update={"episodes": 1}))

    def draw_instruction(
        self, agent: AgentMaker, instruction: str, results: Mapping[str, Episodes]
    ) -> Drawings:
        """Draw the first episode of each method as a film strip, and as a film."""
        films = {
            method: mark_outcome(draw_levels(episodes.paths[0]), outcomes(episodes)[0])
            for method, episodes in results.items()
        }
        strips = {
            f"{method}\n{describe_outcome(results[method])}": frames
            for method, frames in films.items()
        }
        figures = {
            "instruction": film_strip(strips, f"“{instruction}”"),
            "belief": rooms_figure([self._panel(agent(), instruction, 0)], self._title()),
        }
        return Drawings(figures, {f"film-{method}": frames for method, frames in films.items()})


def level_suite(level: str) -> LevelSuite:
    """Return the suite of a level by Gymnasium's id.

    Raises:
        UnknownNameError: if there is no such level.
        ConfigError: if it has no mission, or cells that langrl's grid worlds do not have.
    """
    make_level(level)
    return LevelSuite(level, GridEvaluationConfig(), SEPARATE)


def draw_levels(observations: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Return images of observations of whole levels [T, H, W, 3]."""
    plain = as_rooms(observations)
    _, poses = read_observation(plain)
    return list(render_rooms(plain[..., :2], poses, PIXELS))
