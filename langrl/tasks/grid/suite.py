"""The task suite of grid worlds: instruction types, baselines and figures."""

from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from langrl.agents.baselines import RandomAgent
from langrl.envs.grid.episodes import denoted_cells
from langrl.envs.grid.rendering import render_rooms
from langrl.envs.grid.rooms import GRID_WORLDS, ahead, read_observation
from langrl.envs.phrasing import TaskPhrasing
from langrl.evaluation.rollouts import Episodes, run_episodes
from langrl.grounding.chooser import Posterior
from langrl.grounding.strategies import GROUNDINGS
from langrl.plots.grid import PIXELS
from langrl.protocols import Agent
from langrl.tasks.grid.baselines import (
    AXES,
    GridPlanner,
    any_object,
    denoted_objects,
    random_actions,
)
from langrl.tasks.grid.config import GridEvaluationConfig, GridRunConfig
from langrl.tasks.grid.drawn_suite import SEPARATE, DrawnSuite
from langrl.tasks.suite import (
    Makers,
    beliefs_of,
    describe_outcome,
    outcomes,
    uncertainty,
    understood,
    unknown_denotation,
)

EXAMPLES = (
    "go to the red ball",
    "find something blue",
    "reach a key or a green thing",
    "anything but a ball",
    "walk to any object",
    "make your way over to a crimson orb",
)
RANDOM: Makers = {"random": lambda: RandomAgent(random_actions, AXES)}
BASELINES: Makers = {
    "nearest_object": lambda: GridPlanner(any_object),
    "oracle": lambda: GridPlanner(denoted_objects),
} | RANDOM


def of(config: GridRunConfig) -> DrawnSuite:
    """Return the suite of a run: tasks in its first world, or in its level."""
    if config.env is not None:
        from langrl.tasks.grid.level_suite import level_suite  # minigrid takes half a second

        return level_suite(config.env, settings=config.evaluation)
    groundings = tuple(GROUNDINGS) if config.grounding.compare_separate else SEPARATE
    return GridSuite(config.world.worlds[0], config.evaluation, groundings)


def make_grid_tasks(
    world: str,
    episodes: int,
    levels: tuple[str, ...] | None = None,
    phrasing: TaskPhrasing = "seen",
    view: int | None = None,
) -> VectorEnv[Any, Any, Any]:
    """Return the vector environment of a grid world, of which agents see all or a ``view``."""
    return gym.make_vec(
        "langrl/GridGoTo-v0",
        num_envs=episodes,
        world=world,
        view=view,
        levels=levels,
        phrasing=phrasing,
    )


@dataclass(frozen=True)
class GridSuite(DrawnSuite):
    """Tasks in one grid world, of which agents see everything.

    Args:
        world: by name.
        settings: of evaluations.
        groundings: strategies that agents can have.
    """

    world: str
    settings: GridEvaluationConfig
    groundings: tuple[str, ...]

    type_name = "level"
    examples = EXAMPLES

    @property
    def instruction_types(self) -> tuple[str, ...]:
        """The levels of instruction that are drawn in this world."""
        return GRID_WORLDS[self.world].levels

    @property
    def baselines(self) -> Makers:
        """How to make the agents that are not trained, by method."""
        return BASELINES

    @property
    def name(self) -> str:
        """What to call it in titles."""
        return f"the grid world {self.world!r}"

    def tasks(
        self,
        settings: GridEvaluationConfig,
        types: tuple[str, ...] | None = None,
        phrasing: TaskPhrasing = "seen",
    ) -> VectorEnv[Any, Any, Any]:
        """Return the vector environment that agents are evaluated in."""
        return make_grid_tasks(self.world, settings.episodes, types, phrasing)

    def check(self, instruction: str) -> None:
        """Raise InstructionError if a text denotes nothing in any room of this world."""
        self._single().reset(seed=0, options={"instruction": instruction})

    def _single(self) -> VectorEnv[Any, Any, Any]:
        """Return one environment."""
        return self.tasks(self.settings.model_copy(update={"episodes": 1}))

    def _start(self, instruction: str, seed: int) -> tuple[NDArray[np.uint8], NDArray[Any] | None]:
        """Return an observation [H, W, 3] in a room for the text, and what it denotes there."""
        observation, _ = self._single().reset(seed=seed, options={"instruction": instruction})
        first = observation["observation"]
        cells = denoted_cells(first[..., :2], instruction)
        return first[0], None if cells is None else cells[0]

    def describe(self, agent: Any, instruction: str) -> list[str]:
        """Return sentences: what an instruction denotes, and what the agent believes."""
        observation, denoted = self._start(instruction, seed=0)
        agent.reset()
        posterior = beliefs_of(agent, observation, instruction)
        if posterior is None:
            return []
        if denoted is None:
            first = unknown_denotation(instruction)
        else:
            faced = denoted[ahead(posterior.goals)]
            first = (
                f"{instruction!r} denotes {denoted.sum()} objects of the room in the figure"
                f" ({np.log2(denoted.sum()):.1f} bits of ambiguity); the agent puts"
                f" {posterior.probabilities[faced].sum():.0%} of its belief on facing them"
            )
        # Bits are of cells, as those of ambiguity are: several poses face one.
        cells, which = np.unique(np.stack(ahead(posterior.goals), 1), axis=0, return_inverse=True)
        mass = np.bincount(which.ravel(), posterior.probabilities)
        bits = Posterior(cells, mass.astype(np.float32)).entropy_bits
        belief = f"its belief over cells to face has {uncertainty(bits, 'cells')}"
        return [first, belief, *understood(posterior)]

    def _panel(self, agent: Any, text: str | None, seed: int) -> dict[str, Any]:
        """Return a room for a text, with beliefs, what is denoted, and a walk."""
        assert text is not None  # as in ``examples``
        observation, denoted = self._start(text, seed)
        agent.reset(np.random.default_rng(seed))
        posterior = beliefs_of(agent, observation, text)
        beliefs = {}
        if posterior is not None:
            beliefs = {"goals": posterior.goals, "probabilities": posterior.probabilities}
        episodes = self._walk(agent, text, seed)
        rooms, _ = read_observation(observation[None])
        _, path = read_observation(episodes.paths[0])
        return {
            "image": render_rooms(rooms, pixels=PIXELS)[0],
            **beliefs,
            "denoted": denoted,
            "path": path,
            "reached": outcomes(episodes)[0],
            "title": f"“{text}”\n{describe_outcome(episodes)}",
        }

    def _walk(self, agent: Agent, text: str, seed: int) -> Episodes:
        return run_episodes(self._single(), agent, seed, {"instruction": text})

    def _frames(self, path: NDArray[Any]) -> list[NDArray[np.uint8]]:
        """Return the images of an episode's observations [T, H, W, 3]."""
        rooms, poses = read_observation(path)
        return list(render_rooms(rooms, poses, PIXELS))
