"""What the commands need to know of street mazes: tasks, agents to compare, words and images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv
from matplotlib.figure import Figure
from numpy.typing import NDArray

from langrl.agents.baselines import RandomAgent
from langrl.agents.grounded import GroundedAgent
from langrl.envs.maze.grammar import KINDS
from langrl.envs.maze.world import StreetMaze
from langrl.envs.phrasing import Phrasing
from langrl.errors import InstructionError
from langrl.evaluation.rollouts import Episodes, run_episodes
from langrl.grounding.strategies import GROUNDINGS
from langrl.plots.base import save
from langrl.plots.maze import cell_mass, posterior_figure
from langrl.protocols import Agent
from langrl.tasks.maze.baselines import OracleAgent
from langrl.tasks.maze.config import MazeEvaluationConfig, MazeRunConfig
from langrl.tasks.maze.published import STREET_MAZES
from langrl.tasks.suite import AgentOf
from langrl.training.logs import console

SHOWN = (
    "go to row 3",
    "go to row 3 or column 11",
    "row 10 and column 12",
    "walk to the top left corner",
    "walk over to the bottom half please",
    "navigate to column number 5",
)
"""Instructions of every kind for images; those that a maze cannot satisfy are left out."""


@dataclass(frozen=True)
class MazeSuite:
    """A maze as the commands see it; see ``TaskSuite``."""

    config: MazeRunConfig
    groundings: tuple[str, ...] = tuple(GROUNDINGS)

    sort = "kind"
    sorts = KINDS

    @property
    def compared(self) -> tuple[str, ...]:
        """Methods that are compared by default, baselines included."""
        return (*self.groundings, "oracle", "random")

    @property
    def world(self) -> StreetMaze:
        """The maze."""
        return StreetMaze(self.config.world.layout)

    @property
    def name(self) -> str:
        """What to call it in titles."""
        return f"the {self.config.world.layout} maze"

    def baseline(self, method: str) -> Callable[[], Agent]:
        """Return how to make an agent that is not trained, by name."""
        return (lambda: OracleAgent(self.world)) if method == "oracle" else RandomAgent

    def tasks(
        self,
        settings: MazeEvaluationConfig,
        kinds: tuple[str, ...] | None = None,
        phrasing: Phrasing = "seen",
    ) -> VectorEnv[Any, Any, Any]:
        """Return the vector environment that agents are evaluated in."""
        return make_tasks(self.world, settings, kinds or ("row", "column"), phrasing)

    def check(self, instruction: str) -> None:
        """Raise InstructionError if a text denotes nothing here."""
        self.world.cell_mask(instruction)

    def published(self, method: str) -> dict[str, float | None]:
        """Return published numbers of a method, None where there are none."""
        values = STREET_MAZES.get((self.config.world.layout, method), (None, None))
        return dict(zip(("published_success", "published_spl"), values, strict=True))

    def describe(self, agent: GroundedAgent, instruction: str) -> None:
        """Print what an instruction means in a maze, and what the agent makes of it."""
        mask = self.world.cell_mask(instruction)
        mass, bits = posterior_mass(agent, self.world, instruction)
        if mass is None:
            return
        if mask is None:
            console.print(
                f"{instruction!r} is beyond the grammar: it is followed, its denotation is unknown"
            )
        else:
            console.print(
                f"{instruction!r} denotes {mask.sum()} cells ({np.log2(mask.sum()):.1f} bits of"
                f" ambiguity); the agent puts {mass[mask].sum():.0%} of its belief on them"
            )
        console.print(f"posterior over candidate goals: entropy {bits:.1f} bits")

    def draw_posteriors(self, agent: AgentOf, path: Path, first: Sequence[str] = ()) -> None:
        """Draw the posterior for several instructions, each with a walk."""
        world, panels = self.world, []
        texts = tuple(dict.fromkeys((*first, *SHOWN)))[: len(SHOWN)]
        for seed, text in enumerate(_denoting(world, texts)):
            grounded = agent()
            settings = self.config.evaluation.model_copy(update={"episodes": 1})
            env = self.tasks(settings)
            episodes = run_episodes(env, grounded, seed, {"instruction": text})
            panels.append(
                {
                    "heat": posterior_mass(grounded, world, text)[0],
                    "denoted": world.cell_mask(text),
                    "paths": episodes.paths,
                    "title": f"“{text}”",
                }
            )
        belief = "" if panels[0]["heat"] is None else "posterior over goals (heat), "
        title = f"{belief}what the words denote (green), and a walk (blue)"
        save(posterior_figure(world.walls, panels, title), path)

    def draw_instruction(
        self, agent: AgentOf, instruction: str, results: dict[str, Episodes], folder: Path
    ) -> None:
        """Draw the posterior for one text with the first walks of each method."""
        figure = instruction_figure(agent, self.world, instruction, results)
        save(figure, folder / "instruction.png")


def make_tasks(
    world: StreetMaze,
    config: MazeEvaluationConfig,
    kinds: tuple[str, ...] = ("row", "column"),
    phrasing: Phrasing = "seen",
) -> VectorEnv[Any, Any, Any]:
    """Return the vector environment that agents are evaluated in."""
    return gym.make_vec(
        "langrl/StreetMaze-v0",
        num_envs=config.episodes,
        layout=world.layout,
        kinds=kinds,
        phrasing=phrasing,
        angle_noise=config.angle_noise,
    )


def posterior_mass(
    agent: Any, world: StreetMaze, instruction: str
) -> tuple[NDArray[np.float64] | None, float]:
    """Return the posterior's mass in each cell [R, C], or None, and its entropy in bits."""
    if not hasattr(agent, "posterior"):  # a policy that reads instructions has no beliefs
        return None, 0.0
    start = world.layout.free_cells[0] + 0.5
    posterior = agent.posterior({"observation": start}, instruction)
    mass = cell_mass(posterior.goals, posterior.probabilities, world.walls.shape)
    return mass, posterior.entropy_bits


def _denoting(world: StreetMaze, instructions: Sequence[str]) -> list[str]:
    """Leave out the instructions that denote no cell of this maze."""
    kept = []
    for text in instructions:
        try:
            world.cell_mask(text)
        except InstructionError:
            continue
        kept.append(text)
    return kept


def instruction_figure(
    agent: AgentOf, world: StreetMaze, instruction: str, results: dict[str, Episodes]
) -> Figure:
    """Draw the posterior for one text with the first walks of each method."""
    heat, bits = posterior_mass(agent(), world, instruction)
    mask = world.cell_mask(instruction)
    panels = []
    for method, episodes in results.items():
        score = "" if mask is None else f", success {episodes.success.mean():.2f}"
        panels.append(
            {
                "heat": heat,
                "denoted": mask,
                "paths": episodes.paths[:5],
                "title": f"{method}{score}",
            }
        )
    belief = "" if heat is None else f": posterior entropy {bits:.1f} bits"
    title = f"“{instruction[:80]}”{belief}"
    return posterior_figure(world.walls, panels, title)
