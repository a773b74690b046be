"""Going to far goals along one path of waypoints that is kept.

Axes: ``N`` episodes, ``A`` actions compared, ``W`` waypoints, ``L`` waypoints of the longest path,
``G`` numbers in a goal, ``D`` embedding size.
"""

import math
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from langrl.agents.detours import Detours
from langrl.grounding.successor import Places
from langrl.grounding.waypoints import WaypointGraph
from langrl.models.protocols import as_input
from langrl.protocols import Array, Floats, Integers, Mask

_NOWHERE = -1
_THERE = 0.25  # cut-offs from the goal, within which no progress is needed


@dataclass(frozen=True, eq=False)
class Plan:
    """How an agent means to reach a goal.

    Args:
        places: goals of the waypoints on its path, and last the goal itself [any, G].
        cost: of the path in nats, with its hops; inf where there is none, and the critic alone
            decides.
    """

    places: Array
    cost: float

    @property
    def found(self) -> bool:
        """Whether there is a path."""
        return math.isfinite(self.cost)


class Committed:
    """Says where to go next on the way to a goal each; follows one path for as long as it works.

    A path is planned when an episode begins or its goal changes, and again after ``patience``
    steps without progress and a detour: whoever plans at every step goes back and forth between two
    paths. The next place is the farthest on the path that is visible, as are all between it and the
    nearest.

    Args:
        graph: of waypoints.
        generator: draws the directions of detours; seeded with 0 if not given.
    """

    def __init__(self, graph: WaypointGraph, generator: np.random.Generator | None = None) -> None:
        self.graph = graph
        self._warned = False
        self._detours = Detours(graph.config.detour, generator or np.random.default_rng(0))
        self.reset()

    def reset(self, mask: Mask | None = None) -> None:
        """Forget the paths of the episodes where ``mask`` [N] is True; of all if not given."""
        if mask is None:
            self._make_room(np.zeros((0, 0)))
        elif len(self._goals) == len(mask):
            self._forgotten |= mask
        else:
            self.reset()

    def _make_room(self, goals: Array) -> None:
        """Make room for episodes with these goals [N, G], without paths."""
        count = len(goals)
        self._goals = goals.copy()
        self._paths = np.zeros((count, 1), np.int64)  # waypoints [N, L]
        self._lengths = np.zeros(count, np.int64)  # of the paths
        self._costs = np.full(count, np.inf)  # of the paths
        self._reached = np.zeros(count, np.int64)  # the farthest place that was headed for
        self._waited = np.zeros(count, np.int64)  # steps since then
        self._forgotten = np.ones(count, bool)  # whose paths are to be planned
        self._detours.make_room(count)
        self._places = Places([], [])  # of the goals

    def keep(self, mask: Mask) -> None:
        """Go on with the episodes where ``mask`` [N] is True, and drop the others."""
        if len(self._goals):
            self._goals, self._paths = self._goals[mask], self._paths[mask]
            self._lengths, self._reached = self._lengths[mask], self._reached[mask]
            self._waited, self._costs = self._waited[mask], self._costs[mask]
            self._forgotten = self._forgotten[mask]
            self._detours.keep(mask)
            self._places = self._places.at(torch.from_numpy(np.flatnonzero(mask)))

    def targets(self, observations: Array, goals: Array) -> Array:
        """Return where to go next [N, G], seeing observations [N, ...] with a goal each [N, G]."""
        distance = self.graph.distance
        embedded = distance.embed(observations)
        rows = np.flatnonzero(self._outdated(goals))
        if len(rows):
            self._plan(rows, goals[rows], [part[rows] for part in embedded])
        distances = self._path_distances(embedded)
        number = self._next(distances)
        self._waited += 1
        farther = number > self._reached
        self._reached[farther] = number[farther]
        to_goal = distances[np.arange(len(goals)), self._lengths]
        self._waited[farther | (to_goal <= _THERE * self.graph.cutoff)] = 0
        onward = np.flatnonzero(number < self._lengths)  # the others go to the goal itself
        found = goals.copy()
        found[onward] = self.graph.waypoints.goals[self._paths[onward, number[onward]]]
        return found

    def steer(self, actions: Array) -> Array:
        """Return actions [N, ...] towards the targets, others where a detour is made."""
        return self._detours.steer(actions, self.graph.distance.actions)

    def plan(self, row: int) -> Plan:
        """Return the present plan of an episode."""
        waypoints = self._paths[row, : self._lengths[row]]
        goals = self.graph.waypoints.goals[waypoints], self._goals[row : row + 1]
        return Plan(np.concatenate(goals), float(self._costs[row]))

    @property
    def info(self) -> dict[str, Array]:
        """What is planned in N episodes; see ``Composition``."""
        return {
            "path_found": np.isfinite(self._costs),
            "path_cost": self._costs.copy(),
            "path_waypoints": self._lengths.copy(),
        }

    def _outdated(self, goals: Array) -> Mask:
        """Return which episodes need a path [N]."""
        if self._goals.shape != goals.shape:
            self._make_room(goals)
        changed = (self._goals != goals).reshape(len(goals), -1).any(1)
        self._forgotten |= changed
        waited = self._waited >= self.graph.config.patience
        return self._forgotten | self._detours.update(waited & ~self._forgotten)

    def _plan(self, rows: Integers, goals: Array, embedded: list[Tensor]) -> None:
        """Plan paths of some episodes, from embeddings [n, A, D] of what is seen in them."""
        graph, distance = self.graph, self.graph.distance
        places, ways = graph.ways_to(goals)
        starts = distance.measure(embedded, graph.places)  # [n, W]
        direct = distance.measure(embedded, places.at(torch.arange(len(rows)).unsqueeze(1)))
        known = [x.float().cpu().numpy() for x in (starts, direct.squeeze(1))]
        paths, costs = graph.plan(known[0], ways, known[1])
        self._say_where_no_path_is(costs)
        self._goals[rows], self._costs[rows] = goals, costs
        self._put(places, rows)
        self._lengths[rows] = [len(path) for path in paths]
        longest = int(self._lengths.max(initial=1))
        wider = np.full((len(self._goals), max(longest, 1)), 0, np.int64)
        width = min(self._paths.shape[1], wider.shape[1])
        wider[:, :width] = self._paths[:, :width]
        for row, path in zip(rows, paths, strict=True):
            wider[row, : len(path)] = path
        self._paths = wider
        self._reached[rows], self._waited[rows], self._forgotten[rows] = _NOWHERE, 0, False
        self._detours.stop(rows)

    def _put(self, places: Places, rows: Integers) -> None:
        if len(rows) == len(self._goals):
            self._places = places
        else:
            self._places.put(rows, places)

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

        Of a way within sight that is what the critic says. Costs of long paths are more nats than
        a language side has for a wrong goal: beyond sight they count by their logarithm. Where no
        path leads it is -inf; where none leads anywhere, the critic alone decides.
        """
        graph = self.graph
        starts = graph.distance.measure(graph.distance.embed(observations), graph.places)
        distances = starts.float().cpu().numpy()
        costs = graph.costs_from(distances) - graph.hop_cost  # [N, W]
        self._say_where_no_path_is(costs.min(1))
        lost = np.isinf(costs).all(1)
        costs[lost] = distances[lost]
        beyond = np.maximum(costs / graph.visible, 1.0)
        costs = np.minimum(costs, graph.visible * (1.0 + np.log(beyond)))
        return (graph.places.own[0] - torch.from_numpy(costs).to(starts)).unsqueeze(1)

    def action_scores(self, observations: Array, embedded: Tensor, goals: Array) -> Tensor:
        """Return scores of actions towards the next place on the path; see ``Composition``."""
        critic, device = self.graph.distance.critics[0], self.graph.distance.device
        states, targets = (
            as_input(x, critic, device)
            for x in (observations, self.targets(observations, goals)[:, None])
        )
        places = critic.embed_goals(critic.initial_context(states), targets)  # [N, 1, D]
        return self._detours.prefer(critic.score(embedded, places).squeeze(-1))
