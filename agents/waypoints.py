"""Going to far goals by waypoints: what agents need of them, and policies that go by them.

Axes: ``N`` episodes, ``A`` actions compared, ``W`` waypoints, which are the candidate goals, too,
``G`` numbers in a goal, ``D`` embedding size.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from langrl.agents.all_paths import Marginalised
from langrl.agents.committed_paths import Committed, Plan
from langrl.errors import lookup
from langrl.evaluation.goal_reaching import GoalPolicy
from langrl.grounding.candidates import ListedCandidates
from langrl.grounding.strategies import Grounding
from langrl.grounding.waypoints import WaypointGraph
from langrl.models.actors import choose
from langrl.protocols import Array, Mask


class Composition(Protocol):
    """How a critic is joined with itself at waypoints, for the episodes of one agent.

    The candidate goals are the waypoints: see ``candidates_of``.
    """

    graph: WaypointGraph

    def reset(self, mask: Mask | None = None) -> None:
        """Forget the episodes where ``mask`` [N] is True; all of them if not given."""

    def keep(self, mask: Mask) -> None:
        """Go on with the episodes where ``mask`` [N] is True, and drop the others."""

    @property
    def info(self) -> dict[str, Array]:
        """What the last decision of N episodes was made by, nothing before the first.

        ``path_found`` [N]: whether a path of waypoints leads to the goal; where none does, the
        critic alone decides. Of one path also ``path_cost`` [N] in nats, and ``path_waypoints``
        [N], how many it has: 0 where the goal is near.
        """

    def goal_scores(self, observations: Array) -> Tensor:
        """Return how well each waypoint is reached from observations [N, ...], [N, 1, W].

        In nats, as the critic's f(s, a, g) of the best action.
        """

    def action_scores(self, observations: Array, embedded: Tensor, goals: Array) -> Tensor:
        """Return scores [N, A] of actions [N, A, D] in observations, towards goals [N, G]."""


@runtime_checkable
class Targets(Protocol):
    """A composition that names the next place on the way to a goal."""

    def targets(self, observations: Array, goals: Array) -> Array:
        """Return where to go next [N, G], seeing observations [N, ...] with a goal each [N, G]."""

    def steer(self, actions: Array) -> Array:
        """Return actions [N, ...] towards the targets, others where there is no progress."""

    def plan(self, row: int) -> Plan:
        """Return the present plan of an episode."""


@runtime_checkable
class Lift(Protocol):
    """A composition for strategies that decide on all candidates at every step."""

    def lift(self, scores: Tensor) -> Tensor:
        """Return scores of waypoints as places on the way, of weighted ones as goals [N, W]."""

    def believed(self, embedded: Tensor) -> tuple[Tensor, Tensor]:
        """Return a critic's scores where it is believed, of actions [N, A, D].

        Returns:
            Scores of some waypoints [N, A, K], -inf where it is not believed after all; and which
            waypoints they are, int64 [N, K]. It is not believed for any others.
        """


def candidates_of(graph: WaypointGraph) -> ListedCandidates:
    """Return the waypoints as candidate goals, which agents that go by waypoints need."""
    return ListedCandidates(graph.waypoints.goals, graph.waypoints.log_weights)


COMPOSITIONS: dict[str, Callable[[WaypointGraph], Composition]] = {
    "committed": Committed,
    "marginalised": Marginalised,
}


def composed(graph: WaypointGraph, composition: str, grounding: Grounding) -> Composition:
    """Return the composition of a name; strategies that keep no goal marginalise over paths."""
    keeps = getattr(grounding, "keeps_goals", False)
    return lookup(COMPOSITIONS, composition if keeps else "marginalised", "composition")(graph)


@dataclass(frozen=True)
class Drawing:
    """How compared actions are chosen.

    Args:
        temperature: of the softmax of their scores, in nats, from which they are drawn.
        generator: draws them; without one the best are taken.
    """

    temperature: float
    generator: torch.Generator | None = None


class WaypointPolicy:
    """A policy of goals that goes to each goal by waypoints.

    Args:
        policy: acts towards a place near by.
        composition: of the waypoints. One that names no next place compares actions instead.
        drawing: how these are chosen.
    """

    def __init__(self, policy: GoalPolicy, composition: Composition, drawing: Drawing) -> None:
        self._policy, self.composition, self._drawing = policy, composition, drawing

    @property
    def info(self) -> dict[str, Array]:
        """What the last actions were chosen by; see ``Composition``."""
        return self.composition.info

    @torch.no_grad()
    def __call__(self, seen: Mapping[str, Array]) -> Array:
        """Return actions [N, ...] for ``observation`` and ``desired_goal`` [N, ...]."""
        observations, goals = seen["observation"], seen["desired_goal"]
        if isinstance(self.composition, Targets):
            targets = self.composition.targets(observations, goals)
            return self.composition.steer(self._policy({**seen, "desired_goal": targets}))
        distance = self.composition.graph.distance
        embedded = distance.embed(observations)[0]
        scores = self.composition.action_scores(observations, embedded, goals)
        chosen = choose(scores / self._drawing.temperature, self._drawing.generator)
        found: Array = distance.actions[chosen.cpu().numpy()]
        return found
