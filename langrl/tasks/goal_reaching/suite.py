"""What goal-reaching agents are evaluated on: held-out goals, and instructions about goals."""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Self, cast

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv
from matplotlib.figure import Figure
from numpy.random import Generator

from langrl import GRID_IDS, MAZE_IDS
from langrl.agents.baselines import RandomAgent
from langrl.envs.goal_vector import GoalVector, make_engine
from langrl.envs.goal_words import GoalWords, goes_on
from langrl.envs.goal_worlds import make_goal_env
from langrl.envs.instructed_goals import InstructedGoals
from langrl.envs.maze.cells import CellFrame
from langrl.envs.phrasing import TaskPhrasing
from langrl.envs.regions import RegionFrame
from langrl.errors import GroundingError, NothingToDoError
from langrl.evaluation.comparison import COLUMNS, summarise
from langrl.evaluation.rollouts import Episodes, run_episodes
from langrl.grounding.chooser import Posterior
from langrl.grounding.strategies import GROUNDINGS
from langrl.plots.goals import GoalView, goal_beliefs_figure
from langrl.protocols import Array
from langrl.tasks.config import OFF
from langrl.tasks.goal_reaching.agent import GoalAgents
from langrl.tasks.goal_reaching.config import GoalEvaluationConfig, GoalRunConfig
from langrl.tasks.goal_reaching.held_out import HeldOutGoals
from langrl.tasks.goal_reaching.rooms import RoomSuite, suite_of_rooms
from langrl.tasks.loading import AgentMaker
from langrl.tasks.planned import planned_way
from langrl.tasks.suite import (
    Drawings,
    Makers,
    Report,
    TaskSuite,
    describe_outcome,
    outcomes,
    training_figure,
    uncertainty,
    understood,
    unknown_denotation,
)

_EXAMPLES = 6  # instructions in a figure
_WALKS = 5  # of each method in a figure
_TRIES = 4  # starts, of which one may have something to do


def of(config: GoalRunConfig) -> "GoalSuite | RoomSuite":
    """Return the suite of a run."""
    if config.env in GRID_IDS:
        return suite_of_rooms(config)
    return GoalSuite(config, config.evaluation)


@dataclass(frozen=True)
class GoalSuite(TaskSuite):
    """Goals in one environment, and instructions about them where there are words.

    Args:
        config: of the run.
        settings: of evaluations.
        words: texts about goals; see ``for_agents``.
        groundings: strategies that agents can have.
    """

    config: GoalRunConfig
    settings: GoalEvaluationConfig
    words: GoalWords | None = None
    groundings: tuple[str, ...] = tuple(name for name in GROUNDINGS if name != "direct")

    type_name = "kind"

    @property
    def name(self) -> str:
        """What to call the environment in titles."""
        return self.config.env

    @property
    def instruction_types(self) -> tuple[str, ...]:
        """The kinds of instruction that there are."""
        return self._known_words.kinds

    @property
    def baselines(self) -> Makers:
        """How to make the agents that are not trained, by method."""
        return {"random": self._random}

    def _random(self) -> RandomAgent:
        spaces = self.goals.spaces

        def draw(count: int, generator: Generator) -> Array:
            return spaces.to_action(spaces.sample_unit(count, generator))

        return RandomAgent(draw, len(spaces.observation.shape))

    @property
    def goals(self) -> HeldOutGoals:
        """Goals to reach."""
        return HeldOutGoals(self.config)

    def for_agents(self, agent: AgentMaker) -> Self:
        """Return the suite with the words that a run's agents know."""
        return replace(self, words=cast(GoalAgents, agent).words)

    @property
    def _known_words(self) -> GoalWords:
        if self.words is None:
            raise GroundingError(
                f"there are no words for the goals of {self.config.env}; name the axes of its goals"
                " by --words.axes in training"
            )
        return self.words

    # -- following instructions ----------------------------------------------------------------

    def tasks(
        self,
        settings: GoalEvaluationConfig,
        types: tuple[str, ...] | None = None,
        phrasing: TaskPhrasing = "seen",
    ) -> VectorEnv[Any, Any, Any]:
        """Return the vector environment in which agents follow instructions."""
        config, count = self.config, settings.episodes
        if config.env in MAZE_IDS:
            own: dict[str, Any] = {"kinds": types or ("row", "column"), "phrasing": phrasing}
            if config.max_episode_steps is not None:
                own["max_episode_steps"] = config.max_episode_steps
            return gym.make_vec(config.env, count, **own)
        single = make_goal_env(config.env, config.max_episode_steps)
        kwargs = goes_on(single)
        single.close()
        engine = make_engine(
            config.env, count, max_episode_steps=config.max_episode_steps, **kwargs
        )
        return InstructedGoals(engine, self._known_words, types, phrasing)

    def check(self, instruction: str) -> None:
        """Raise InstructionError if a text denotes nothing here."""
        self._known_words.check(instruction)

    def describe(self, agent: Any, instruction: str) -> list[str]:
        """Return sentences: what an instruction denotes, and what the agent believes."""
        words, posterior = self._known_words, self._posterior(agent, instruction)
        denoted = words.denotation(posterior.goals, instruction)
        belief = uncertainty(posterior.entropy_bits, "goals")
        if denoted is None:
            said = unknown_denotation(instruction), f"its belief over goals has {belief}"
            return [*said, *understood(posterior)]
        mass, bits = posterior.probabilities[denoted].sum(), words.ambiguity_bits(instruction)
        return [
            f"{instruction!r} denotes {denoted.mean():.0%} of the goals that were achieved in"
            f" training ({bits:.1f} bits of ambiguity); the agent puts {mass:.0%} of its belief on"
            " them",
            f"its belief over goals has {belief}",
            *understood(posterior),
        ]

    def _posterior(self, agent: Any, instruction: str) -> Posterior:
        """Return the belief of an agent at the first observation of an episode."""
        posterior: Posterior = agent.posterior({"observation": self._first()}, instruction)
        return posterior

    def _first(self) -> Array:
        """Return the first observation of an episode."""
        limit = self.config.max_episode_steps
        with closing(GoalVector(self.config.env, 1, max_episode_steps=limit, seed=0)) as vector:
            observation: Array = vector.reset().observation[0]
        return observation

    def draw_posteriors(self, agent: AgentMaker, first: Sequence[str] = ()) -> Figure:
        """Draw the posterior for several instructions, each with a walk."""
        words, generator = self._known_words, np.random.default_rng(0)
        drawn = [
            words.draw_instruction(generator, (kind,))
            for kind in words.kinds
            for _ in range(math.ceil(_EXAMPLES / len(words.kinds)))
        ]
        walked: list[dict[str, Any]] = []
        still: list[dict[str, Any]] = []  # satisfied at every start: beliefs alone
        for seed, text in enumerate(dict.fromkeys((*first, *drawn))):
            if len(walked) < _EXAMPLES:
                grounded = agent()
                episodes = self._walks(grounded, text, seed)
                panel = self._example(grounded, text, episodes)
                (still if episodes is None else walked).append(panel)
        panels = [*walked, *still][:_EXAMPLES]
        title = f"belief about goals (heat), what the words denote (green): {self.name}"
        return goal_beliefs_figure(panels, title, view_of(words))

    def _walks(self, agent: Any, text: str, seed: int) -> Episodes | None:
        """Return how an agent follows a text; None if every start satisfies it."""
        with closing(self.tasks(self.settings.model_copy(update={"episodes": _TRIES}))) as env:
            try:
                return run_episodes(env, agent, seed, {"instruction": text})
            except NothingToDoError:
                return None

    def _example(self, agent: Any, text: str, episodes: Episodes | None) -> dict[str, Any]:
        """Return the panel of an instruction, with a walk if there is one."""
        end = "every start satisfies it" if episodes is None else describe_outcome(episodes)
        return self._panel(agent, text, episodes, f"\u201c{text}\u201d\n{end}", 1)

    def draw_instruction(
        self, agent: AgentMaker, instruction: str, results: Mapping[str, Episodes]
    ) -> Drawings:
        """Draw the posterior for one text with walks of each method."""
        grounded, panels = agent(), []
        shares = []
        for method, episodes in results.items():
            ends = outcomes(episodes)
            share = "" if None in ends else f": {sum(map(bool, ends))} of {len(ends)} succeed"
            shares.append(f"{method}{share}")
            panels.append(self._panel(grounded, instruction, episodes, shares[-1], _WALKS))
        if not any(panel["paths"] for panel in panels):  # all show the same belief
            panels = [panels[0] | {"title": "\n".join(shares)}]
        title, view = f"\u201c{instruction}\u201d", view_of(self._known_words)
        return Drawings({"instruction": goal_beliefs_figure(panels, title, view)})

    def _panel(
        self, agent: Any, text: str, episodes: Episodes | None, title: str, walks: int
    ) -> dict[str, Any]:
        posterior = self._posterior(agent, text)
        size = posterior.goals.shape[1]
        paths = [] if episodes is None else episodes.paths[:walks]
        # Where what is achieved is no part of what is seen, walks are not known as goals.
        known = [path for path in paths if path.shape[1] == size]
        first = known[0][0] if known else self._first()
        way, note = planned_way(agent, first, text)
        return {
            "way": way,
            "title": title + note,
            "goals": posterior.goals,
            "probabilities": posterior.probabilities,
            "denoted": self._known_words.denotation(posterior.goals, text),
            "paths": known,
            "reached": [] if episodes is None else outcomes(episodes)[: len(known)],
        }

    # -- a finished run ------------------------------------------------------------------------

    def report(self, run: Any, folder: Path, command: str, seconds: float) -> Report:
        """Reach held-out goals, and follow instructions where there are words."""
        settings = self.settings
        if settings.methods == OFF:
            return super().report(run, folder, command, seconds)
        suite = self.for_agents(run.agent)
        with_random = settings.methods is None or "random" in settings.methods
        rows = self.goals.rows(run.agent.policy(settings.deterministic), with_random)
        drawn: Callable[[], dict[str, Figure]] = dict
        notes: list[str] = []
        if suite.words is not None:
            agents = suite.agents(run.agent, settings.methods)
            results, notes = suite.compare_drawn(agents, "instructions")
            rows += [
                {"method": name, "task": "instructions"} | summarise(episodes)
                for name, episodes in results.items()
            ]
            drawn = partial(_posterior, suite, run.agent)

        def draw() -> dict[str, Figure]:
            return drawn() | {"training": training_figure(folder)}

        title = f"{folder} ({seconds:.0f} s of training)"
        columns = ("task", "method", *COLUMNS)
        return Report(title, rows, columns, draw, results=run.results, notes=notes)


def _posterior(suite: GoalSuite, agent: AgentMaker) -> dict[str, Figure]:
    return {"posterior": suite.draw_posteriors(agent)}


def view_of(words: GoalWords) -> GoalView:
    """Return how goals lie in figures: mazes as their maps, row 0 at the top, column 0 left."""
    frame = words.frame
    if isinstance(frame, CellFrame):
        row, column = frame.columns
        flipped = frame.scale[1] < 0, frame.scale[0] > 0
        return GoalView({row: "rows", column: "columns"}, ((column, row),), flipped)
    if isinstance(frame, RegionFrame):
        named = {n: axis.replace("-", " to ") for n, axis in enumerate(frame.axes) if axis}
        return GoalView(named)
    return GoalView()
