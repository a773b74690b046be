"""What a task is evaluated on."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from gymnasium.vector import VectorEnv

from langrl.agents.grounded import GroundedAgent
from langrl.envs.phrasing import Phrasing
from langrl.errors import lookup
from langrl.evaluation.rollouts import Episodes
from langrl.protocols import Agent

AgentOf = Callable[..., Any]
"""Makes an agent of a run: a ``GroundedAgent``, or a policy of Stable-Baselines3 as an agent."""


class TaskSuite(Protocol):
    """What the commands need to know of a sort of world."""

    @property
    def groundings(self) -> tuple[str, ...]:
        """Strategies that agents can have here."""
        ...

    @property
    def compared(self) -> tuple[str, ...]:
        """Methods that are compared by default, baselines included."""
        ...

    @property
    def sort(self) -> str:
        """What sorts of instruction are called: kind, level."""
        ...

    @property
    def sorts(self) -> tuple[str, ...]:
        """The sorts of instruction that there are."""
        ...

    @property
    def name(self) -> str:
        """What to call the world in titles."""
        ...

    def baseline(self, method: str) -> Callable[[], Agent]:
        """Return how to make an agent that is not trained, by name."""
        ...

    def tasks(
        self, settings: Any, sorts: tuple[str, ...] | None = None, phrasing: Phrasing = "seen"
    ) -> VectorEnv[Any, Any, Any]:
        """Return the vector environment that agents are evaluated in."""
        ...

    def check(self, instruction: str) -> None:
        """Raise InstructionError if a text denotes nothing here."""
        ...

    def published(self, method: str) -> dict[str, float | None]:
        """Return published numbers of a method."""
        ...

    def describe(self, agent: GroundedAgent, instruction: str) -> None:
        """Print what an instruction means, and what the agent makes of it."""
        ...

    def draw_posteriors(self, agent: AgentOf, path: Path, first: Sequence[str] = ()) -> None:
        """Draw the posterior for several instructions, the ``first`` ones among them."""
        ...

    def draw_instruction(
        self, agent: AgentOf, instruction: str, results: dict[str, Episodes], folder: Path
    ) -> None:
        """Draw how the methods followed one instruction."""
        ...


def make_agents(
    agent: AgentOf, scene: TaskSuite, methods: Sequence[str]
) -> dict[str, Callable[[], Agent]]:
    """Return how to make the agent of each method; ``agent(strategy=...)`` makes grounded ones."""
    makers: dict[str, Callable[[], Agent]] = {}
    for method in methods:
        lookup(dict.fromkeys((*scene.groundings, *scene.compared)), method, "method")
        if method in scene.groundings:
            makers[method] = lambda method=method: agent(strategy=method)  # type: ignore[misc]
        else:
            makers[method] = scene.baseline(method)
    return makers
