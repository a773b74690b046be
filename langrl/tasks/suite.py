"""What a task is evaluated on: tasks, baselines, results as rows, and figures; nothing is printed.

The terminal, a report and a web page show what a suite returns. ``of(config)`` of a family's module
``suite`` gives the suite of a run.
"""

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from gymnasium.vector import VectorEnv
from matplotlib.figure import Figure
from numpy.typing import NDArray

from langrl.envs.phrasing import TaskPhrasing
from langrl.errors import NothingToDoError, lookup
from langrl.evaluation.comparison import COLUMNS, compare, summarise
from langrl.evaluation.rollouts import Episodes, run_episodes
from langrl.grounding.chooser import Posterior
from langrl.plots.base import curves_figure, save, types_figure
from langrl.protocols import Agent
from langrl.tasks.config import OFF, RunConfig
from langrl.tasks.loading import AgentMaker
from langrl.tasks.registry import TASKS
from langrl.training.jobs import flushed_subnormals
from langrl.training.logs import read_metrics, write_board, write_results

Row = dict[str, Any]
_NEAR = 0.5  # bits that a belief gains at most where it stays near what it was
Makers = dict[str, Callable[[], Agent]]  # makes the agent of each method


@dataclass(frozen=True)
class Report:
    """What is to be shown of a finished run.

    Args:
        title: of the table.
        rows: of ``results.json``.
        columns: of the rows that the table shows.
        draw: draws the figures, by file name; called when the results are stored.
        shown: the table's rows, where they are not those of ``results.json``.
        results: further entries of ``results.json``.
        notes: sentences to show beside the table.
    """

    title: str
    rows: list[Row]
    columns: Sequence[str]
    draw: Callable[[], Mapping[str, Figure]]
    shown: list[Row] | None = None
    results: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Drawings:
    """Figures by file name, and films: lists of images uint8 [height, width, 3]."""

    figures: Mapping[str, Figure]
    films: Mapping[str, list[NDArray[np.uint8]]] = field(default_factory=dict)


class Suite(Protocol):
    """What every family's suite does."""

    def report(self, run: Any, folder: Path, command: str, seconds: float) -> Report:
        """Evaluate a finished run.

        Args:
            run: of the family.
            folder: of the run.
            command: what the user typed, for what is stored.
            seconds: of training.
        """
        ...


class TaskSuite(ABC):
    """A suite of a world in which agents follow instructions.

    Args:
        settings: the config of evaluations: ``episodes``, ``seed``, and more in some worlds.
    """

    type_name: ClassVar[str]
    """What an instruction type is called in rows: kind, level."""
    settings: Any
    groundings: tuple[str, ...]
    """Strategies that agents can have here."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What to call the world in titles."""

    @property
    @abstractmethod
    def instruction_types(self) -> tuple[str, ...]:
        """The instruction types that there are."""

    @property
    @abstractmethod
    def baselines(self) -> Makers:
        """How to make the agents that are not trained, by method."""

    @property
    def compared(self) -> tuple[str, ...]:
        """Methods that are compared by default, baselines included."""
        return (*self.groundings, *self.baselines)

    @abstractmethod
    def tasks(
        self, settings: Any, types: tuple[str, ...] | None = None, phrasing: TaskPhrasing = "seen"
    ) -> VectorEnv[Any, Any, Any]:
        """Return the vector environment that agents are evaluated in."""

    @abstractmethod
    def check(self, instruction: str) -> None:
        """Raise InstructionError if a text denotes nothing here."""

    @abstractmethod
    def describe(self, agent: Any, instruction: str) -> list[str]:
        """Return sentences: what an instruction denotes, and what the agent believes."""

    @abstractmethod
    def draw_posteriors(self, agent: AgentMaker, first: Sequence[str] = ()) -> Figure:
        """Draw the posterior for several instructions, the ``first`` ones among them."""

    def draw_types(self, rows: Sequence[Row]) -> Figure:
        """Draw the success of each method by instruction type and phrasing."""
        return types_figure(rows, f"following instructions in {self.name}", self.type_name)

    @abstractmethod
    def draw_instruction(
        self, agent: AgentMaker, instruction: str, results: Mapping[str, Episodes]
    ) -> Drawings:
        """Draw how the methods followed one instruction."""

    def published(self, method: str) -> dict[str, float | None]:
        """Return published numbers of a method; nothing where there are none."""
        return {}

    def for_agents(self, agent: AgentMaker) -> Self:
        """Return the suite for a run's agents, of whom it may have to know more than the config."""
        return self

    def agents(self, agent: AgentMaker, methods: Sequence[str] | None = None) -> Makers:
        """Return how to make the agent of each method; ``agent(strategy=...)`` makes grounded ones.

        Raises:
            UnknownNameError: if there is no such method here.
        """
        makers: Makers = {}
        known = dict.fromkeys((*self.groundings, *self.baselines))
        for method in methods or self.compared:
            lookup(known, method, "method")
            own = self.baselines.get(method)
            makers[method] = partial(agent, strategy=method) if own is None else own
        return makers

    def report(self, run: Any, folder: Path, command: str, seconds: float) -> Report:
        """Compare the config's methods on drawn instructions, if any; see ``Suite.report``."""
        title, columns = f"{folder} ({seconds:.0f} s of training)", ("method", *COLUMNS)

        def draw() -> dict[str, Figure]:
            beliefs = {"posterior": self.draw_posteriors(run.agent)} if rows else {}
            return beliefs | {"training": training_figure(folder)}

        rows: list[Row] = []
        if (methods := self.settings.methods) == OFF:
            notes = [
                f"not evaluated: evaluation.methods is none; `langrl evaluate {folder}` does it"
            ]
            return Report(title, rows, columns, draw, results=run.results, notes=notes)
        results, notes = self.compare_drawn(self.agents(run.agent, methods), "evaluate")
        rows += [{"method": name} | summarise(episodes) for name, episodes in results.items()]
        return Report(title, rows, columns, draw, results=run.results, notes=notes)

    def compare_drawn(self, agents: Makers, label: str) -> tuple[dict[str, Episodes], list[str]]:
        """Run each agent of a finished run through drawn tasks; returns sentences to show as well.

        Where every start satisfies what is drawn, there is a sentence, and no episodes: a training
        ends with all else that was found.
        """
        try:
            return self.compare(agents, label), []
        except NothingToDoError as error:
            return {}, [f"following instructions is not evaluated: {error}"]

    def compare(
        self, agents: Makers, label: str, settings: Any = None, **options: Any
    ) -> dict[str, Episodes]:
        """Run each agent through the same drawn tasks; ``options`` are those of ``reset``."""
        settings = self.settings if settings is None else settings
        return compare(agents, lambda: self.tasks(settings), settings.seed, label, options or None)

    def compare_types(
        self,
        agents: Makers,
        settings: Any,
        types: Sequence[str] | None,
        phrasings: Sequence[TaskPhrasing],
        on_set: Callable[[int, int], None] | None = None,
    ) -> list[Row]:
        """Return a row for each phrasing, instruction type and method.

        Where every start satisfies what is drawn of a type, its rows are of no episode.

        Args:
            agents: how to make the agent of each method.
            settings: of evaluations.
            types: instruction types; all if not given.
            phrasings: of the instructions.
            on_set: called with (sets of tasks that are done, sets) after each type and phrasing.

        Raises:
            UnknownNameError: if there is no such instruction type here.
        """
        for name in types or ():
            lookup(dict.fromkeys(self.instruction_types), name, f"{self.type_name} of instruction")
        rows, shared = [], dict[str, Any]()
        sets = list(itertools.product(phrasings, types or self.instruction_types))
        for number, (phrasing, name) in enumerate(sets):
            make_env = partial(self.tasks, settings, (name,), phrasing)
            label = f"{name}, {phrasing}"
            group = {self.type_name: name, "phrasing": phrasing}
            try:
                results = compare(agents, make_env, settings.seed, label, shared=shared)
                found = {method: summarise(episodes) for method, episodes in results.items()}
            except NothingToDoError:  # worlds that always start alike have such types
                found = dict.fromkeys(agents, {"episodes": 0} | dict.fromkeys(COLUMNS))
            rows += [{"method": method} | group | row for method, row in found.items()]
            if on_set is not None:
                on_set(number + 1, len(sets))
        return rows

    def watch(self, agent: Agent) -> dict[str, float]:
        """Return the success and the SPL of an agent in a few drawn tasks, as metrics.

        There are none where every start satisfies what is drawn.
        """
        few = {"episodes": self.settings.episodes_during}
        with closing(self.tasks(self.settings.model_copy(update=few))) as env:
            try:
                row = summarise(run_episodes(env, agent, self.settings.seed))
            except NothingToDoError:  # the training goes on; its end says so
                return {}
        return {f"evaluation/{name}": row[name] for name in ("success", "spl")}

    def follow(self, agents: Makers, settings: Any, instruction: str) -> dict[str, Episodes]:
        """Have each agent follow one text from many starts.

        Raises:
            InstructionError: if the text denotes nothing here.
        """
        self.check(instruction)
        return self.compare(agents, "follow", settings, instruction=instruction)


def suite_of(config: RunConfig) -> Any:
    """Return the suite of a run's config."""
    return TASKS[config.task].module("suite").of(config)


@flushed_subnormals()
def finish(run: Any, folder: Path, command: str, seconds: float) -> Report:
    """Evaluate a finished run; its ``results.json`` and figures are written to its folder.

    Args:
        run: of any family.
        folder: of the run.
        command: what the user typed, for the record.
        seconds: of training.
    """
    report: Report = suite_of(run.config).report(run, folder, command, seconds)
    for row in report.rows:
        row["train_seconds"] = round(seconds, 1)
    config = run.config.model_dump(mode="json")
    write_results(folder, command, config, report.rows, **report.results)
    write_board(folder, run.config.last_step, config, report.rows)
    for name, figure in report.draw().items():
        save(figure, folder / "figures" / f"{name}.png")
    return report


def training_figure(folder: Path) -> Figure:
    """Draw the metrics of a run folder by step."""
    return curves_figure(read_metrics(folder / "metrics.jsonl"), f"training of {folder.name}")


def beliefs_of(agent: Any, observation: Any, instruction: str) -> Posterior | None:
    """Return an agent's posterior; None for a policy that reads instructions itself."""
    if not hasattr(agent, "posterior"):
        return None
    posterior: Posterior = agent.posterior({"observation": observation}, instruction)
    return posterior


def understood(posterior: Posterior) -> list[str]:
    """Say whether an instruction is understood; nothing where that was not learned."""
    p, bits = posterior.p_understood, posterior.information_bits
    if p is None:
        return []
    if p < 0.5:
        said = "the belief stays near what it was before" if bits < _NEAR else "do not trust it"
        return [f"probably not understood: p {p:.2f}; {said} ({bits:.1f} bits)"]
    return [f"understood with p {p:.2f}; it says {bits:.1f} bits about the goal"]


def outcomes(episodes: Episodes) -> list[bool | None]:
    """Return whether each episode succeeded; None where nothing says what success is."""
    return [
        bool(success) if is_known else None
        for success, is_known in zip(episodes.success, episodes.known, strict=True)
    ]


def describe_outcome(episodes: Episodes) -> str:
    """Say how the first of some episodes ended."""
    success, count = outcomes(episodes)[0], episodes.steps[0]
    steps = f"{count} step" if count == 1 else f"{count} steps"
    words = {True: f"success in {steps}", False: f"failure after {steps}", None: f"{steps}"}
    return words[success]


def uncertainty(bits: float, things: str) -> str:
    """Say how uncertain a belief over things is, by its entropy; both figures mean the same."""
    return f"an entropy of {bits:.1f} bits, that of an even choice among {2**bits:.1f} {things}"


def unknown_denotation(instruction: str) -> str:
    """Say that the grammar cannot read an instruction."""
    return f"{instruction!r} is beyond the grammar: it is followed, its denotation is unknown"
