"""What the commands need to know of grid worlds: tasks, agents to compare, words and images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from langrl.agents.baselines import RandomAgent
from langrl.agents.grounded import GroundedAgent
from langrl.envs.grid.episodes import denoted_cells
from langrl.envs.grid.rendering import render_rooms
from langrl.envs.grid.rooms import GRID_WORLDS, ahead, read_observation
from langrl.envs.phrasing import Phrasing
from langrl.evaluation.rollouts import Episodes, run_episodes
from langrl.grounding.strategies import GROUNDINGS
from langrl.plots import grid as grid_plots
from langrl.plots.base import save
from langrl.protocols import Agent
from langrl.tasks.grid.baselines import (
    AXES,
    GridPlanner,
    any_object,
    denoted_objects,
    random_actions,
)
from langrl.tasks.grid.config import GridEvaluationConfig, GridRunConfig
from langrl.tasks.grid.run import make_grid_tasks
from langrl.tasks.suite import AgentOf
from langrl.training.logs import console

SHOWN = (
    "go to the red ball",
    "find something blue",
    "reach a key or a green thing",
    "anything but a ball",
    "walk to any object",
    "make your way over to a crimson orb",
)
BASELINES: dict[str, Callable[[], Agent]] = {
    "nearest_object": lambda: GridPlanner(any_object),
    "oracle": lambda: GridPlanner(denoted_objects),
    "random": lambda: RandomAgent(random_actions, AXES),
}


@dataclass(frozen=True)
class GridSuite:
    """Grid worlds as the commands see them: those of the run's first world; see ``TaskSuite``."""

    config: GridRunConfig
    groundings: tuple[str, ...] = tuple(name for name in GROUNDINGS if name != "direct")

    sort = "level"

    @property
    def compared(self) -> tuple[str, ...]:
        """Methods that are compared by default, baselines included."""
        return (*self.groundings, *BASELINES)

    @property
    def world(self) -> str:
        """The world that agents are evaluated in."""
        return self.config.world.worlds[0]

    @property
    def sorts(self) -> tuple[str, ...]:
        """The levels of instruction that are drawn in this world."""
        return GRID_WORLDS[self.world].levels

    @property
    def name(self) -> str:
        """What to call it in titles."""
        return f"the grid world {self.world!r}"

    def baseline(self, method: str) -> Callable[[], Agent]:
        """Return how to make an agent that is not trained, by name."""
        return BASELINES[method]

    def tasks(
        self,
        settings: GridEvaluationConfig,
        levels: tuple[str, ...] | None = None,
        phrasing: Phrasing = "seen",
    ) -> VectorEnv[Any, Any, Any]:
        """Return the vector environment that agents are evaluated in."""
        return make_grid_tasks(self.world, settings.episodes, levels, phrasing)

    def check(self, instruction: str) -> None:
        """Raise InstructionError if a text denotes nothing in any room of this world."""
        self._start(instruction, seed=0)

    def published(self, method: str) -> dict[str, float | None]:
        """Return nothing: there are no published numbers."""
        return {}

    def _start(self, instruction: str, seed: int) -> tuple[NDArray[np.uint8], NDArray[Any] | None]:
        """Return an observation [H, W, 3] in a room for the text, and what it denotes there."""
        env = make_grid_tasks(self.world, 1)
        observation, _ = env.reset(seed=seed, options={"instruction": instruction})
        first = observation["observation"]
        cells = denoted_cells(first[..., :2], instruction)
        return first[0], None if cells is None else cells[0]

    def describe(self, agent: GroundedAgent, instruction: str) -> None:
        """Print what an instruction means in a room, and what the agent makes of it."""
        observation, denoted = self._start(instruction, seed=0)
        if not hasattr(agent, "posterior"):  # a policy that reads instructions has no beliefs
            return
        agent.reset()
        posterior = agent.posterior({"observation": observation}, instruction)
        if denoted is None:
            console.print(
                f"{instruction!r} is beyond the grammar: it is followed, its denotation is unknown"
            )
        else:
            faced = denoted[ahead(posterior.goals)]
            console.print(
                f"{instruction!r} denotes {denoted.sum()} objects of the room in the image"
                f" ({np.log2(denoted.sum()):.1f} bits of ambiguity); the agent puts"
                f" {posterior.probabilities[faced].sum():.0%} of its belief on facing them"
            )
        console.print(f"posterior over candidate goals: entropy {posterior.entropy_bits:.1f} bits")

    def draw_posteriors(self, agent: AgentOf, path: Path, first: Sequence[str] = ()) -> None:
        """Draw the posterior for several instructions, each with a walk."""
        panels = []
        for seed, text in enumerate(tuple(dict.fromkeys((*first, *SHOWN)))[: len(SHOWN)]):
            panels.append(self._panel(agent(), text, seed))
        belief = "posterior over goals (arrow heads), " if "goals" in panels[0] else ""
        title = f"{belief}what the words denote (green), a walk (blue)"
        save(grid_plots.rooms_figure(panels, title), path)

    def _panel(self, agent: GroundedAgent, text: str, seed: int) -> dict[str, Any]:
        observation, denoted = self._start(text, seed)
        agent.reset(np.random.default_rng(seed))
        beliefs = {}
        if hasattr(agent, "posterior"):
            posterior = agent.posterior({"observation": observation}, text)
            beliefs = {"goals": posterior.goals, "probabilities": posterior.probabilities}
        episodes = self._walk(agent, text, seed)
        rooms, _ = read_observation(observation[None])
        _, path = read_observation(episodes.paths[0])
        return {
            "image": render_rooms(rooms, pixels=grid_plots.PIXELS)[0],
            **beliefs,
            "denoted": denoted,
            "path": path,
            "title": f"“{text}”",
        }

    def _walk(self, agent: Agent, text: str, seed: int) -> Episodes:
        env = make_grid_tasks(self.world, 1)
        return run_episodes(env, agent, seed, {"instruction": text})

    def draw_instruction(
        self, agent: AgentOf, instruction: str, results: dict[str, Episodes], folder: Path
    ) -> None:
        """Draw the first episode of each method as a film strip, and as a film."""
        films = {}
        for method, episodes in results.items():
            rooms, poses = read_observation(episodes.paths[0])
            frames = list(render_rooms(rooms, poses, grid_plots.PIXELS))
            end = "success" if episodes.success[0] else "failure"
            films[f"{method}\n{end}"] = frames
            grid_plots.save_film(frames, folder / f"film-{method}")
        title = f"“{instruction[:80]}”"
        save(grid_plots.film_strip(films, title), folder / "instruction.png")
        panel = self._panel(agent(), instruction, 0)
        belief = "posterior over goals" if "goals" in panel else "a walk"
        save(grid_plots.rooms_figure([panel], belief), folder / "belief.png")
