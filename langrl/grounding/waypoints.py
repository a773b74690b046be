"""Waypoints: states of the replay that a plan goes through, and the shortest paths between them.

Axes: ``T`` states of the replay, ``W`` waypoints, ``N`` episodes, ``G`` numbers in a goal.
"""

import copy
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import torch
from numpy.random import Generator
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components
from torch import Tensor, nn

from langrl.errors import DomainError, lookup
from langrl.grounding.config import WaypointConfig
from langrl.grounding.shortest_paths import Costs, ShortestPaths, Ways
from langrl.grounding.successor import Places, SuccessorDistance, check_states
from langrl.protocols import Array, Floats, Integers

_NEIGHBOURS = 1 / 40  # of the waypoints, where nothing says how far a critic is believed
_KEPT = 1000  # goals whose paths are kept
_JOINED = 0.95  # share of pairs with a path, below which a graph is said to be in pieces


@dataclass(frozen=True, eq=False)
class Waypoints:
    """Some states of the replay, with the goals that are achieved in them.

    Args:
        states: [W, ...].
        goals: [W, G].
        log_weights: log p(w) - log q(w), p the law of the replay's states, q that of the draw [W].
    """

    states: Array
    goals: Array
    log_weights: Floats

    def __len__(self) -> int:
        """Return how many there are, W."""
        return len(self.goals)


def draw_waypoints(
    states: Array,
    goals: Array,
    count: int,
    how: Literal["farthest", "density"] = "farthest",
    *,
    generator: Generator,
) -> Waypoints:
    """Draw waypoints from states of the replay.

    Args:
        states: [T, ...].
        goals: what is achieved in them [T, G].
        count: how many, W.
        how: ``farthest`` takes the state farthest from those taken before, again and again, so
            that seldom visited places have waypoints, too; ``density`` draws each state equally.
        generator: the only source of randomness.

    Raises:
        ShapeError: if there is not one goal for each state.
        DomainError: if there are fewer states than waypoints.
        UnknownNameError: if there is no such way to draw.
    """
    check_states(states, goals)
    different = len({row.tobytes() for row in np.ascontiguousarray(states)})
    if not 1 <= count <= different:
        raise DomainError(
            f"{count} waypoints cannot be drawn from {different} different states of the replay;"
            f" set grounding.waypoints to {different} or less"
        )
    draw = lookup({"farthest": _farthest, "density": _density}, how, "way to draw waypoints")
    chosen, log_weights = draw(goals, count, generator)
    return Waypoints(states[chosen], goals[chosen], log_weights)


def _density(goals: Array, count: int, generator: Generator) -> tuple[Integers, Floats]:
    chosen = generator.choice(len(goals), count, replace=False)
    return chosen, np.zeros(count, np.float32)


def _farthest(goals: Array, count: int, generator: Generator) -> tuple[Integers, Floats]:
    """Return the places of waypoints, and log weights by the states that each is nearest to."""
    flat = goals.reshape(len(goals), -1).astype(np.float64)
    flat = (flat - flat.mean(0)) / np.maximum(flat.std(0), 1e-9)
    chosen = np.empty(count, np.int64)
    chosen[0] = generator.integers(len(flat))
    nearest, distance = np.zeros(len(flat), np.int64), np.full(len(flat), np.inf)
    for number in range(count):
        if number:
            chosen[number] = distance.argmax()
        there = np.square(flat - flat[chosen[number]]).sum(1)
        closer = there < distance
        nearest[closer], distance[closer] = number, there[closer]
        distance[chosen[number]] = -1.0  # taken once, also where states are equal
        nearest[chosen[number]] = number
    share = np.bincount(nearest, minlength=count) * (count / len(flat))
    return chosen, np.log(share).astype(np.float32)


class WaypointGraph:
    """Waypoints, joined where a critic says that one is near another.

    An edge costs its distance, and ``hop_cost`` more. It is there if its distance is at most the
    cut-off, by every critic and in both directions: a shortest path finds each false edge.

    Args:
        distance: measures distances.
        waypoints: see ``draw_waypoints``.
        config: the cut-off, the cost of a hop, and how far a waypoint is seen.
        trusted: the cut-off where the config has none; without both, one at which each waypoint
            has a fortieth of the others as neighbours.

    Attributes:
        cutoff: the cut-off in nats, as the next two.
        hop_cost: what each waypoint of a path costs.
        visible: how far ahead on a path one heads.
        between: distances [W, W] in nats, the larger one of both directions.
        share_reachable: share of pairs of waypoints that a path joins, from 0 to 1.
        paths: the shortest ones.
    """

    def __init__(
        self,
        distance: SuccessorDistance,
        waypoints: Waypoints,
        config: WaypointConfig,
        trusted: float | None = None,
    ) -> None:
        self.distance, self.waypoints, self._trusted = distance, waypoints, trusted
        self.embedded = distance.embed(waypoints.states)
        self.places: Places = distance.places(waypoints.states, waypoints.goals)
        there = distance.measure(self.embedded, self.places)  # [W, W]
        self.between: Costs = there.maximum(there.T).fill_diagonal_(0.0).float().cpu().numpy()
        self._join(config)

    def with_config(self, config: WaypointConfig) -> Self:
        """Return a graph of the same waypoints with other settings; nothing is measured again."""
        other = copy.copy(self)
        other._join(config)
        return other

    def _join(self, config: WaypointConfig) -> None:
        self.config = config
        given = self._trusted if config.cutoff is None else config.cutoff
        self.cutoff = float(np.quantile(self.between, _NEIGHBOURS)) if given is None else given
        self.hop_cost, self.visible = (
            factor * self.cutoff for factor in (config.hop_cost, config.visible)
        )
        near = self.between <= self.cutoff
        np.fill_diagonal(near, False)
        rows, columns = near.nonzero()
        weights = self.between[rows, columns].astype(np.float64) + self.hop_cost
        # What weighs 0 is no edge to scipy.
        edges = csr_matrix((np.maximum(weights, 1e-9), (rows, columns)), shape=near.shape)
        self.share_reachable = self._count_reachable(edges)
        self.paths = ShortestPaths(edges)
        self._known: dict[bytes, tuple[Places, Costs, Integers]] = {}  # of goals

    def _count_reachable(self, edges: csr_matrix) -> float:
        count, piece = connected_components(edges, connection="strong")
        share = float(np.square(np.bincount(piece) / len(piece)).sum())
        if share < _JOINED:
            warnings.warn(
                f"the waypoints are in {count} pieces: a path joins {share:.0%} of their pairs;"
                f" raise grounding.cutoff (now {self.cutoff:g} nats) or"
                f" grounding.waypoints (now {len(piece)})",
                stacklevel=5,
            )
        return share

    def near(self, distances: Costs) -> Costs:
        """Return distances [..., W] of places that are no waypoints, inf where there is no edge.

        The nearest waypoint always has one: a place lies at some waypoint.
        """
        there = distances <= np.maximum(self.cutoff, distances.min(-1, keepdims=True))
        return np.where(there, distances, np.float32(np.inf))

    def costs_from(self, starts: Costs) -> Costs:
        """Return the costs of paths to all waypoints [N, W] from distances to them [N, W]."""
        return self.paths.from_states(self.near(starts)) + np.float32(self.hop_cost)

    def ways_to(self, goals: Array) -> tuple[Places, Ways]:
        """Return N goals [N, G] as places, and the paths to them.

        They are searched for once for each goal, and known from then on.
        """
        keys = [goal.tobytes() for goal in np.ascontiguousarray(goals)]
        new = {key: n for n, key in enumerate(keys) if key not in self._known}
        if new:
            rows = list(new.values())
            places, ends = self.distance.goals(goals[rows], self.waypoints.states, self.embedded)
            ways = self.paths.to_goals(self.near(ends.T.float().cpu().numpy()))
            for n, key in enumerate(new):
                self._known[key] = places.at(torch.tensor(n)), ways.costs[n], ways.onward[n]
        each, costs, onward = zip(*(self._known[key] for key in keys), strict=True)
        for key in list(self._known)[:-_KEPT]:
            del self._known[key]
        return Places.stack(each), Ways(np.stack(costs), np.stack(onward))

    def plan(self, starts: Costs, ways: Ways, direct: Floats) -> tuple[list[Integers], Floats]:
        """Return the waypoints on the best path of each episode, none where there is no path.

        Args:
            starts: distances from N states to the waypoints [N, W].
            ways: to a goal of each, N of them.
            direct: distances from the states to the goals [N]: one within the cut-off is a path
                without waypoints.

        Returns:
            N arrays of waypoints, and the costs of their paths [N], inf where there is none.
        """
        total = self.near(starts) + ways.costs
        first = total.argmin(1)
        through = total.min(1) + 2 * self.hop_cost
        costs = np.where(direct <= self.cutoff, direct + self.hop_cost, np.inf)
        paths = [
            ways.path(number, int(first[number])) if better else np.zeros(0, np.int64)
            for number, better in enumerate(through < costs)
        ]
        return paths, np.minimum(through, costs)


class KnownGraphs:
    """Graphs by their settings; made anew where the critic's weights have changed since."""

    def __init__(self) -> None:
        self._graphs: dict[tuple[object, ...], WaypointGraph] = {}
        self._measured: dict[tuple[object, ...], WaypointGraph] = {}
        self._weights: list[Tensor] = []

    def get(
        self,
        config: WaypointConfig,
        critic: nn.Module,
        make: Callable[..., WaypointGraph],
        *others: object,
    ) -> WaypointGraph:
        """Return the graph of some settings, from ``make`` unless it is known.

        Args:
            config: the settings, of which only those of waypoints count.
            critic: whose graphs these are.
            make: makes one, of these settings and ``others``.
            *others: settings that are others' as well.
        """
        own = WaypointConfig(
            **{name: getattr(config, name) for name in WaypointConfig.model_fields}
        )
        weights = [weight.detach() for weight in critic.parameters()]
        as_many = len(weights) == len(self._weights)
        if not (as_many and all(map(torch.equal, weights, self._weights))):
            self._graphs.clear()
            self._measured.clear()
            self._weights = [weight.clone() for weight in weights]
        key = own, *others
        if key not in self._graphs:
            # Those that tell which waypoints there are, and whether a cut-off is to be measured.
            same = own.waypoints, own.waypoint_draw, own.cutoff is None, *others
            if same in self._measured:
                self._graphs[key] = self._measured[same].with_config(own)
            else:
                self._graphs[key] = self._measured[same] = make(*key)
        return self._graphs[key]
