"""The task suite of street mazes: instruction types, baselines, published numbers and figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv
from matplotlib.figure import Figure
from numpy.typing import NDArray

from langrl.agents.baselines import RandomAgent
from langrl.envs.maze.grammar import KINDS
from langrl.envs.maze.world import StreetMaze
from langrl.envs.phrasing import TaskPhrasing
from langrl.errors import InstructionError
from langrl.evaluation.rollouts import Episodes, run_episodes
from langrl.grounding.chooser import Posterior
from langrl.grounding.strategies import GROUNDINGS
from langrl.plots.base import mark_outcome
from langrl.plots.maze import cell_mass, film, posterior_figure
from langrl.tasks.loading import AgentMaker
from langrl.tasks.maze.baselines import OracleAgent
from langrl.tasks.maze.config import MazeEvaluationConfig, MazeRunConfig
from langrl.tasks.maze.published import STREET_MAZES
from langrl.tasks.planned import planned_way
from langrl.tasks.suite import (
    Drawings,
    Makers,
    TaskSuite,
    beliefs_of,
    describe_outcome,
    outcomes,
    uncertainty,
    understood,
    unknown_denotation,
)

_WALKS = 5  # of each method in a figure

EXAMPLES = (
    "go to row 3",
    "go to row 3 or column 11",
    "row 10 and column 12",
    "walk to the top left corner",
    "walk over to the bottom half please",
    "navigate to column number 5",
)
"""Instructions of every type for figures; those that a maze cannot satisfy are left out."""


def of(config: MazeRunConfig) -> "MazeSuite":
    """Return the suite of a run."""
    return MazeSuite(config.world.layout, config.evaluation)


@dataclass(frozen=True)
class MazeSuite(TaskSuite):
    """Tasks in one maze.

    Args:
        layout: a published maze, an ASCII map, or a file with one.
        settings: of evaluations.
        groundings: strategies that agents can have.
    """

    layout: str
    settings: MazeEvaluationConfig
    groundings: tuple[str, ...] = tuple(GROUNDINGS)

    type_name = "kind"

    @property
    def instruction_types(self) -> tuple[str, ...]:
        """The kinds of instruction that there are."""
        return KINDS

    @property
    def baselines(self) -> Makers:
        """How to make the agents that are not trained, by method."""
        return {"oracle": lambda: OracleAgent(self.world), "random": RandomAgent}

    @property
    def world(self) -> StreetMaze:
        """The maze."""
        return StreetMaze(self.layout)

    @property
    def name(self) -> str:
        """What to call it in titles."""
        return f"the {self.layout} maze"

    def tasks(
        self,
        settings: MazeEvaluationConfig,
        types: tuple[str, ...] | None = None,
        phrasing: TaskPhrasing = "seen",
    ) -> VectorEnv[Any, Any, Any]:
        """Return the vector environment that agents are evaluated in."""
        return gym.make_vec(
            "langrl/StreetMaze-v0",
            num_envs=settings.episodes,
            layout=self.world.layout,
            kinds=types or ("row", "column"),
            phrasing=phrasing,
            angle_noise=settings.angle_noise,
        )

    def check(self, instruction: str) -> None:
        """Raise InstructionError if a text denotes nothing here."""
        self.world.cell_mask(instruction)

    def published(self, method: str) -> dict[str, float | None]:
        """Return published numbers of a method, None where there are none."""
        values = STREET_MAZES.get((self.layout, method), (None, None))
        return dict(zip(("published_success", "published_spl"), values, strict=True))

    def describe(self, agent: Any, instruction: str) -> list[str]:
        """Return sentences: what an instruction denotes, and what the agent believes."""
        mask = self.world.cell_mask(instruction)
        posterior = self._posterior(agent, instruction)
        if posterior is None:
            return []
        mass, bits = self._mass(posterior)
        if mask is None:
            first = unknown_denotation(instruction)
        else:
            first = (
                f"{instruction!r} denotes {mask.sum()} cells ({np.log2(mask.sum()):.1f} bits of"
                f" ambiguity); the agent puts {mass[mask].sum():.0%} of its belief on them"
            )
        belief = f"its belief over cells has {uncertainty(bits, 'cells')}"
        return [first, belief, *understood(posterior)]

    def draw_posteriors(self, agent: AgentMaker, first: Sequence[str] = ()) -> Figure:
        """Draw the posterior for several instructions, each with a walk."""
        world, panels = self.world, []
        texts = tuple(dict.fromkeys((*first, *EXAMPLES)))[: len(EXAMPLES)]
        single = self.settings.model_copy(update={"episodes": 1})
        for seed, text in enumerate(self._denoting(texts)):
            grounded = agent()
            episodes = run_episodes(self.tasks(single), grounded, seed, {"instruction": text})
            way, note = planned_way(grounded, episodes.paths[0][0], text)
            panels.append(
                {
                    "way": way,
                    "heat": self._posterior_mass(grounded, text)[0],
                    "denoted": world.cell_mask(text),
                    "paths": episodes.paths,
                    "reached": outcomes(episodes),
                    "title": f"“{text}”\n{describe_outcome(episodes)}{note}",
                }
            )
        belief = "" if panels[0]["heat"] is None else "belief about goals (heat), "
        title = f"{belief}what the words denote (green), and a walk"
        return posterior_figure(world.walls, panels, title)

    def draw_instruction(
        self, agent: AgentMaker, instruction: str, results: Mapping[str, Episodes]
    ) -> Drawings:
        """Draw the posterior for one text with walks of each method, and a film of the first."""
        grounded = agent()
        heat, bits = self._posterior_mass(grounded, instruction)
        shared: dict[str, Any] = {"heat": heat, "denoted": self.world.cell_mask(instruction)}
        panels, films = [], {}
        for method, episodes in results.items():
            ends = outcomes(episodes)
            share = "" if None in ends else f": {sum(map(bool, ends))} of {len(ends)} succeed"
            way, note = planned_way(grounded, episodes.paths[0][0], instruction)
            panels.append(
                shared
                | {
                    "way": way,
                    "paths": episodes.paths[:_WALKS],
                    "reached": ends[:_WALKS],
                    "title": f"{method}{share}{note}",
                }
            )
            title = f"{method}: {describe_outcome(episodes)}"
            frames = film(self.world.walls, episodes.paths[0], title=title, **shared)
            films[f"film-{method}"] = mark_outcome(frames, ends[0])
        belief = "" if heat is None else f"\nthe belief has {uncertainty(bits, 'cells')}"
        title = f"“{instruction}”{belief}"
        return Drawings({"instruction": posterior_figure(self.world.walls, panels, title)}, films)

    def _posterior_mass(
        self, agent: Any, instruction: str
    ) -> tuple[NDArray[np.float64] | None, float]:
        """Return the posterior's mass in each cell [R, C], or None, and its entropy in bits.

        Bits are of cells, as those of ambiguity are: a cell holds many of the candidates.
        """
        posterior = self._posterior(agent, instruction)
        return (None, 0.0) if posterior is None else self._mass(posterior)

    def _posterior(self, agent: Any, instruction: str) -> Posterior | None:
        return beliefs_of(agent, self.world.layout.free_cells[0] + 0.5, instruction)

    def _mass(self, posterior: Posterior) -> tuple[NDArray[np.float64], float]:
        mass = cell_mass(posterior.goals, posterior.probabilities, self.world.walls.shape)
        return mass, Posterior(np.argwhere(mass), mass[mass > 0].astype(np.float32)).entropy_bits

    def _denoting(self, instructions: Sequence[str]) -> list[str]:
        """Leave out the instructions that denote no cell of this maze."""
        kept = []
        for text in instructions:
            try:
                self.check(text)
            except InstructionError:
                continue
            kept.append(text)
        return kept
