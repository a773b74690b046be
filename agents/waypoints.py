"""Going to far goals by waypoints: one path that is kept, or all paths at once.

Axes: ``N`` episodes, ``A`` actions compared, ``W`` waypoints, which are the candidate goals, too,
``L`` waypoints of the longest path, ``G`` numbers in a goal, ``D`` embedding size.
"""

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from langrl.errors import lookup
from langrl.evaluation.goal_reaching import GoalPolicy
from langrl.functional.log_products import log_matmul_exp
from langrl.functional.waypoints import closure
from langrl.grounding.candidates import ListedCandidates
from langrl.grounding.strategies import Grounding
from langrl.grounding.successor import Places, over_actions
from langrl.grounding.waypoints import WaypointGraph
from langrl.models.actors import choose
from langrl.models.protocols import as_input
from langrl.protocols import Array, Floats, Integers, Mask

_NOWHERE = -1
_SCORES_AT_ONCE = 1 << 22


class Composition(Protocol):
    """How a critic is joined with itself at waypoints, for the episodes of one agent.

    The candidate goals are the waypoints: see ``candidates_of``.
    """

    graph: WaypointGraph

    def reset(self, mask: Mask | None = None) -> None:
        """Forget the episodes where ``mask`` [N] is True; all of them if not given."""

    def keep(self, mask: Mask) -> None:
        """Go on with the episodes where ``mask`` [N] is True, and drop the others."""

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


@runtime_checkable
class Lift(Protocol):
    """A composition for strategies that decide on all candidates at every step."""

    def lift(self, scores: Tensor) -> Tensor:
        """Return scores of waypoints as places on the way, of weighted ones as goals [N, W]."""

    def believed(self, scores: Tensor) -> Tensor:
        """Return a critic's scores [N, A, W], -inf where it is not believed."""


def candidates_of(graph: WaypointGraph) -> ListedCandidates:
    """Return the waypoints as candidate goals, which agents that go by waypoints need."""
    return ListedCandidates(graph.waypoints.goals, graph.waypoints.log_weights)


class Committed:
    """Says where to go next on the way to a goal each; follows one path for as long as it works.

    A path is planned when an episode begins or its goal changes, and again after ``patience``
    steps without progress: whoever plans at every step goes back and forth between two paths. The
    next place is the farthest on the path that is visible, as are all between it and the nearest.

    Args:
        graph: of waypoints.
    """

    def __init__(self, graph: WaypointGraph) -> None:
        self.graph = graph
        self._warned = False
        self.reset()

    def reset(self, mask: Mask | None = None) -> None:
        """Forget the paths of the episodes where ``mask`` [N] is True; of all if not given."""
        if mask is None:
            self._goals: Array = np.zeros((0, 0))
        elif len(self._goals) == len(mask):
            self._waited[mask] = self.graph.config.patience
        else:
            self.reset()

    def keep(self, mask: Mask) -> None:
        """Go on with the episodes where ``mask`` [N] is True, and drop the others."""
        if len(self._goals):
            self._goals, self._paths = self._goals[mask], self._paths[mask]
            self._lengths, self._reached = self._lengths[mask], self._reached[mask]
            self._waited = self._waited[mask]
            self._places = self._places.at(torch.from_numpy(np.flatnonzero(mask)))

    def targets(self, observations: Array, goals: Array) -> Array:
        """Return where to go next [N, G], seeing observations [N, ...] with a goal each [N, G]."""
        distance = self.graph.distance
        embedded = distance.embed(observations)
        rows = np.flatnonzero(self._outdated(goals))
        if len(rows):
            self._plan(rows, goals[rows], [part[rows] for part in embedded])
        number = self._next(self._path_distances(embedded))
        self._waited += 1
        farther = number > self._reached
        self._waited[farther], self._reached[farther] = 0, number[farther]
        onward = np.flatnonzero(number < self._lengths)  # the others go to the goal itself
        found = goals.copy()
        found[onward] = self.graph.waypoints.goals[self._paths[onward, number[onward]]]
        return found

    def path(self, row: int) -> Array:
        """Return the goals of the waypoints on an episode's path, and its own goal [any, G]."""
        waypoints = self._paths[row, : self._lengths[row]]
        return np.concatenate([self.graph.waypoints.goals[waypoints], self._goals[row : row + 1]])

    def _outdated(self, goals: Array) -> Mask:
        """Return which episodes need a path [N]."""
        if self._goals.shape != goals.shape:
            count = len(goals)
            self._goals = goals.copy()
            self._paths = np.zeros((count, 1), np.int64)
            self._lengths, self._reached = np.zeros(count, int), np.zeros(count, int)
            self._waited = np.zeros(count, int)
            self._places = Places([], [])
            return np.ones(count, bool)
        changed = (self._goals != goals).reshape(len(goals), -1).any(1)
        return changed | (self._waited >= self.graph.config.patience)

    def _plan(self, rows: Integers, goals: Array, embedded: list[Tensor]) -> None:
        """Plan paths of some episodes, from embeddings [n, A, D] of what is seen in them."""
        graph, distance = self.graph, self.graph.distance
        places = distance.goals(goals, graph.waypoints.states, graph.embedded)
        starts = distance.measure(embedded, graph.places)  # [n, W]
        ends = distance.measure(graph.embedded, places).T
        direct = distance.measure(embedded, places.at(torch.arange(len(rows)).unsqueeze(1)))
        found = (x.float().cpu().numpy() for x in (starts, ends, direct.squeeze(1)))
        paths, costs = graph.plan(*found)
        self._say_where_no_path_is(costs)
        self._goals[rows] = goals
        self._put(places, rows)
        self._lengths[rows] = [len(path) for path in paths]
        longest = int(self._lengths.max(initial=1))
        wider = np.full((len(self._goals), max(longest, 1)), 0, np.int64)
        width = min(self._paths.shape[1], wider.shape[1])
        wider[:, :width] = self._paths[:, :width]
        for row, path in zip(rows, paths, strict=True):
            wider[row, : len(path)] = path
        self._paths = wider
        self._reached[rows], self._waited[rows] = _NOWHERE, 0

    def _put(self, places: Places, rows: Integers) -> None:
        if len(rows) == len(self._goals):
            self._places = places
            return
        index = torch.from_numpy(rows)
        for mine, new in (
            *zip(self._places.embedded, places.embedded, strict=True),
            *zip(self._places.own, places.own, strict=True),
        ):
            mine[index.to(mine.device)] = new

    def _path_distances(self, embedded: list[torch.Tensor]) -> Floats:
        """Return distances to the places of each path and then its goal [N, L + 1], inf beyond."""
        graph, count = self.graph, len(self._goals)
        index = torch.from_numpy(self._paths)
        on_path = graph.distance.measure(embedded, graph.places.at(index))  # [N, L]
        each = self._places.at(torch.arange(count).unsqueeze(1))
        to_goal = graph.distance.measure(embedded, each)  # [N, 1]
        found = np.full((count, self._paths.shape[1] + 1), np.inf, np.float32)
        found[:, :-1] = on_path.float().cpu().numpy()
        found[np.arange(found.shape[1]) >= self._lengths[:, None]] = np.inf
        found[np.arange(count), self._lengths] = to_goal.squeeze(1).float().cpu().numpy()
        return found

    def _next(self, distances: Floats) -> Integers:
        """Return the number of the next place on each path [N]."""
        nearest = distances.argmin(1)
        hidden = distances > self.graph.visible
        hidden &= np.arange(distances.shape[1]) > nearest[:, None]
        end = np.where(hidden.any(1), hidden.argmax(1), distances.shape[1])
        found: Integers = np.minimum(end - 1, self._lengths)
        return found

    def _say_where_no_path_is(self, costs: Floats) -> None:
        without = int(np.isinf(costs).sum())
        if without and not self._warned:
            self._warned = True
            warnings.warn(
                f"no path of waypoints leads to the goal in {without} of {len(costs)} episodes,"
                " where the agent goes by the critic alone; raise grounding.cutoff (now"
                f" {self.graph.cutoff:g} nats) or grounding.waypoints",
                stacklevel=4,
            )

    def goal_scores(self, observations: Array) -> Tensor:
        """Return f(w, *, w) less the cost of the path to each waypoint; see ``Composition``.

        Of a direct way that is what the critic says. Where no path leads it is -inf; where none
        leads anywhere, the critic alone decides.
        """
        graph = self.graph
        starts = graph.distance.measure(graph.distance.embed(observations), graph.places)
        distances = starts.float().cpu().numpy()
        costs = graph.costs_from(distances) - graph.hop_cost  # [N, W]
        self._say_where_no_path_is(costs.min(1))
        lost = np.isinf(costs).all(1)
        costs[lost] = distances[lost]
        return (graph.places.own[0] - torch.from_numpy(costs).to(starts)).unsqueeze(1)

    def action_scores(self, observations: Array, embedded: Tensor, goals: Array) -> Tensor:
        """Return scores of actions towards the next place on the path; see ``Composition``."""
        critic, device = self.graph.distance.critics[0], self.graph.distance.device
        states, targets = (
            as_input(x, critic, device)
            for x in (observations, self.targets(observations, goals)[:, None])
        )
        places = critic.embed_goals(critic.initial_context(states), targets)  # [N, 1, D]
        return critic.score(embedded, places).squeeze(-1)


class Marginalised:
    """Sums over all paths of a geometric number of stages, by one linear system.

    Edges beyond the cut-off are left out, and each waypoint's edges are scaled to a mean of 1, as
    density ratios have it. The chance of one more stage is ``stage_discount``.

    Args:
        graph: of waypoints.
    """

    def __init__(self, graph: WaypointGraph) -> None:
        self.graph = graph
        config, device = graph.config, graph.distance.device
        self._weights = torch.from_numpy(graph.waypoints.log_weights).double().to(device)
        self._goals: Array = np.zeros((0, 0))
        self._stage = math.log1p(-config.stage_discount)  # that this is the last one
        self._onward = math.log(max(config.stage_discount, 1e-300))
        between = torch.from_numpy(graph.between).double().to(device)
        edges = graph.places.own[0].double() - between
        edges = edges.masked_fill(between > graph.cutoff, -torch.inf)
        size = len(edges)
        edges = edges - (edges + self._weights).logsumexp(1, keepdim=True) + math.log(size)
        self._shares = self._weights - math.log(size)
        self.laws = closure(edges, config.stage_discount, self._weights).value  # [W, W]

    def reset(self, mask: Mask | None = None) -> None:
        """Forget nothing: every step is decided anew."""

    def keep(self, mask: Mask) -> None:
        """Drop nothing; see ``Composition``."""

    def lift(self, scores: Tensor) -> Tensor:
        """Return scores of waypoints as places on the way, of scores of them as goals.

        Args:
            scores: of the waypoints as goals [N, W], with their weights, such as the language
                score and log p(w) - log q(w).

        Returns:
            log[(1 - c) exp(scores) + c p(w)/q(w) E_m exp(C(w, m) + scores(m))] [N, W], C the law
            after a geometric number of stages.
        """
        wide = scores.double()
        far, _ = log_matmul_exp(wide - math.log(wide.shape[1]), self.laws.T)  # [N, W]
        onward = self._onward + far + self._weights
        return torch.logaddexp(self._stage + wide, onward).to(scores.dtype)

    def goal_scores(self, observations: Array) -> Tensor:
        """Return the log ratio over stages; see ``Composition``."""
        distance = self.graph.distance
        starts = distance.measure(distance.embed(observations), self.graph.places)
        near = (self.graph.places.own[0] - starts).double()  # f(s, *, w) [N, W]
        far, _ = log_matmul_exp(near + self._shares, self.laws)
        return torch.logaddexp(self._stage + near, self._onward + far).to(starts).unsqueeze(1)

    def action_scores(self, observations: Array, embedded: Tensor, goals: Array) -> Tensor:
        """Return log ratios over stages; see ``Composition``."""
        if self._goals.shape != goals.shape or not np.array_equal(self._goals, goals):
            self._goals, (self._onward_to, self._places) = goals.copy(), self._solve(goals)
        paths = self._score_paths(embedded, self._onward_to.to(embedded.dtype))
        critic = self.graph.distance.critics[0]
        scores = critic.score(embedded, self._places.embedded[0].unsqueeze(1))  # [N, A, 1]
        far = self._places.own[0].unsqueeze(1) - over_actions(scores) > self.graph.visible
        joined = paths.isfinite()  # without a path the critic alone decides
        direct = scores.squeeze(-1).masked_fill(far & joined, -torch.inf)
        return torch.logaddexp(self._stage + direct, self._onward + paths)

    def _solve(self, goals: Array) -> tuple[Tensor, Places]:
        """Return log ratios of goals [n, G] over stages from the waypoints [n, W], and places."""
        graph = self.graph
        places = graph.distance.goals(goals, graph.waypoints.states, graph.embedded)
        ends = graph.distance.measure(graph.embedded, places)  # [W, n]
        last = (places.own[0] - ends).masked_fill(ends > graph.cutoff, -torch.inf).double()
        far, _ = log_matmul_exp(self.laws + self._shares, last)
        return torch.logaddexp(self._stage + last, self._onward + far).T, places

    def believed(self, scores: Tensor) -> Tensor:
        """Return scores [N, A, W] of actions, -inf for waypoints that are too far to be seen.

        The nearest one always counts.
        """
        far = self.graph.places.own[0] - over_actions(scores).unsqueeze(1)  # [N, 1, W]
        limit = far.amin(-1, keepdim=True).clamp(min=self.graph.visible)
        return scores.masked_fill(far > limit, -torch.inf)

    def _score_paths(self, embedded: Tensor, onward: Tensor) -> Tensor:
        """Return log E_w exp(f(s, a, w) + onward) [N, A] of actions [N, A, D]; onward [N, W]."""
        critic, goals = self.graph.distance.critics[0], self.graph.places.embedded[0]
        size = max(1, _SCORES_AT_ONCE // (embedded.shape[1] * len(goals)))
        terms = (onward + self._shares.to(onward)).unsqueeze(1)
        chunks = zip(embedded.split(size), terms.split(size), strict=True)
        scored = ((self.believed(critic.score(part, goals)), term) for part, term in chunks)
        return torch.cat([(scores + term).logsumexp(-1) for scores, term in scored])


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

    @torch.no_grad()
    def __call__(self, seen: Mapping[str, Array]) -> Array:
        """Return actions [N, ...] for ``observation`` and ``desired_goal`` [N, ...]."""
        observations, goals = seen["observation"], seen["desired_goal"]
        if isinstance(self.composition, Targets):
            targets = self.composition.targets(observations, goals)
            return self._policy({**seen, "desired_goal": targets})
        distance = self.composition.graph.distance
        embedded = distance.embed(observations)[0]
        scores = self.composition.action_scores(observations, embedded, goals)
        chosen = choose(scores / self._drawing.temperature, self._drawing.generator)
        found: Array = distance.actions[chosen.cpu().numpy()]
        return found
