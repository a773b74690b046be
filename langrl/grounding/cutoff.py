"""How far a critic's distances are believed: a cut-off in nats, from held-out trajectories.

A graph of waypoints takes every small distance of a critic for an edge, and a shortest path goes
through the edges that are wrong. Trajectories say how many steps lead from one state to another,
also where several have to be joined. Distances at which too many edges join states that are farther
apart are not to be believed.

Axes: ``T`` states of all trajectories one after another, ``G`` numbers in a goal, ``P`` places,
``W`` states that are looked at, ``B`` state-actions with futures, ``E`` edges.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import minimum_spanning_tree, shortest_path
from torch import Generator, Tensor

from langrl.data.goal_replay import GoalReplay
from langrl.errors import ShapeError, TrajectoryError
from langrl.grounding.successor import SuccessorDistance
from langrl.grounding.waypoints import Waypoints, draw_waypoints
from langrl.protocols import Array, Mask

Steps = Callable[[Array, Array], Tensor]
"""From goals [N, G] and goals [M, G] to the steps between them [N, M]; inf where no way is."""
SEEN = 0.95  # of the futures, that lie within a critic's horizon
SHARE = 0.01  # of the edges, that may be false
JOINED = 0.98, 0.995  # shares of pairs of states that paths are to join: at least, and enough
_NOTHING = 1e-9  # nats
_STATES = 1000  # that edges are looked at between, and state-actions with futures
_SPREAD = 20_000  # states of which some are chosen that are far from each other
_READ = 100_000  # states of a replay whose steps are counted
_PLACES = 1000  # where trajectories are joined
_MOST = 0.5  # of the states
_COVERED = 0.95  # of the states: how far most are from their places
_LAGS = 40  # numbers of steps between two states of a trajectory that are looked at, at most
_AT_ONCE = 4096  # states that are compared with all others at once


@dataclass(frozen=True, eq=False)
class Futures:
    """State-actions with futures, drawn as in training.

    Args:
        states: [B, ...].
        actions: taken in them [B, ...].
        achieved: goals that are achieved in the states [B, G].
        goals: what is achieved in the futures [B, G].
    """

    states: Array
    actions: Array
    achieved: Array
    goals: Array


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Trajectories that a critic did not learn from, one after another.

    Args:
        observations: [T, ...].
        achieved: goals that are achieved in the states [T, G].
        last: which states are the last ones of trajectories, bool [T]; the final one is.
        futures: drawn from these trajectories.
    """

    observations: Array
    achieved: Array
    last: Mask
    futures: Futures

    @classmethod
    def of(cls, replay: GoalReplay, generator: Generator) -> Self:
        """Return the newest trajectories of a replay, and futures as it draws them.

        Args:
            replay: of trajectories that the critic did not learn from.
            generator: draws the futures.
        """
        observations, achieved, last = replay.trajectories(_READ)
        batch = replay.sample(_STATES, generator, "cpu")
        drawn = (batch[name].numpy() for name in ("state", "action", "achieved", "goal"))
        return cls(observations, achieved, last, Futures(*drawn))

    def spread(self, count: int, generator: Generator) -> tuple[Array, Array]:
        """Return states far from each other, as waypoints are, and what is achieved in them.

        Args:
            count: how many, W, at most.
            generator: draws them.
        """
        drawn = _spread(self.observations, self.achieved, count, generator)
        return drawn.states, drawn.goals


def _spread(states: Array, goals: Array, count: int, generator: Generator) -> Waypoints:
    """Return states [W, ...] that are far from each other, at most ``count``."""
    some = torch.randperm(len(goals), generator=generator)[:_SPREAD].numpy()
    flat = goals[some].reshape(len(some), -1)
    some = some[np.unique(flat, axis=0, return_index=True)[1]]
    seed = int(torch.randint(2**62, (), generator=generator))
    return draw_waypoints(
        states[some], goals[some], min(count, len(some)), generator=np.random.default_rng(seed)
    )


def horizon_of(futures: Futures, steps: Steps) -> float:
    """Return within how many steps most futures lie, 95 %: farther than a critic has looked.

    Args:
        futures: as they are drawn in training.
        steps: the true number of steps between goals.
    """
    ahead = steps(futures.achieved, futures.goals).diagonal()
    return float(np.quantile(ahead[ahead.isfinite()].numpy(), SEEN)) if len(ahead) else 0.0


def trusted_cutoff(distances: Tensor, steps: Tensor, horizon: float, share: float = SHARE) -> float:
    """Return the largest distance up to which less than a share of the edges are false.

    An edge is false if its states are farther apart than the horizon. The closest edges count
    together, so that one of them that is false does not decide alone where edges are many.

    Args:
        distances: of edges in nats [...]; NaN where there is none, as from a state to itself.
        steps: how many steps there are between the same states [...]; infinite where no way is
            known. Too many, as of ways that wander, lower the cut-off.
        horizon: how many steps ahead the critic has learned to look; see ``horizon_of``.
        share: of the edges, above 0 and below 1.

    Returns:
        A distance in nats, that of the last edge that is believed; 0 if there is none.

    Raises:
        ShapeError: if there is not one number of steps for each distance.
    """
    shares = false_shares(distances, steps, horizon)
    believed = np.flatnonzero(shares.false < share)
    return float(shares.distances[believed[-1]]) if believed.size else 0.0


def joining_cutoff(edges: Tensor, share: float) -> float:
    """Return the least distance at which paths join a share of all pairs of states, in nats.

    Args:
        edges: distances, the same in both directions [W, W]; NaN from a state to itself.
        share: of the pairs, above 0 and at most 1.
    """
    # What is 0 is no edge to scipy.
    weights = edges.double().nan_to_num(0.0).clamp(min=_NOTHING).fill_diagonal_(0.0).numpy()
    tree = minimum_spanning_tree(csr_matrix(weights)).tocoo()
    piece = np.arange(len(weights))  # the piece that each state is in
    pairs, found = float(len(weights)), 0.0
    for number in tree.data.argsort(kind="stable"):
        if pairs / len(weights) ** 2 >= share:
            break
        one, other = piece[tree.row[number]], piece[tree.col[number]]
        pairs += 2.0 * (piece == one).sum() * (piece == other).sum()
        piece[piece == other] = one
        found = float(tree.data[number])
    return 0.0 if found <= _NOTHING else found


def choose_cutoff(
    edges: Tensor, steps: Tensor, horizon: float, *, needed_only: bool = True
) -> float:
    """Return the cut-off of a graph of waypoints: where edges are trusted, and join the states.

    Edges that are not needed to join states add chances of a false one, and without a path there
    is no plan. It is therefore ``trusted_cutoff``, but no less than what joins most pairs of
    states (98 %), and no more than what joins nearly all (99.5 %).

    Args:
        edges: distances, the same in both directions [W, W]; NaN from a state to itself.
        steps: between the same states [W, W].
        horizon: see ``trusted_cutoff``.
        needed_only: leave it at what joins nearly all. Without, paths have longer edges, and go
            straighter where the critic sees most of the world.
    """
    least, most = (joining_cutoff(edges, share) for share in JOINED)
    trusted = max(trusted_cutoff(edges, steps, horizon), least)
    return min(trusted, most) if needed_only else trusted


class FalseShares:
    """How many of the edges up to each distance are false.

    Args:
        distances: in ascending order, float64 [E].
        false: share of the edges up to this distance that are false, float64 [E].
    """

    def __init__(self, distances: Array, false: Array) -> None:
        self.distances, self.false = distances, false

    def at(self, cutoff: float) -> tuple[int, float]:
        """Return how many edges are within a cut-off in nats, and the share that is false."""
        count = int(np.searchsorted(self.distances, cutoff, side="right"))
        return count, float(self.false[count - 1]) if count else 0.0


def false_shares(distances: Tensor, steps: Tensor, horizon: float) -> FalseShares:
    """Return how many edges are false up to each distance; arguments as ``trusted_cutoff`` has.

    Raises:
        ShapeError: if there is not one number of steps for each distance.
    """
    if distances.shape != steps.shape:
        raise ShapeError(
            f"each distance needs a number of steps; got distances {list(distances.shape)} and"
            f" steps {list(steps.shape)}"
        )
    known = ~distances.isnan()
    ordered, order = distances[known].double().sort(stable=True)
    far = (steps[known][order] > horizon).cumsum(0).double()
    false = (far / torch.arange(1, len(far) + 1, device=far.device)).cpu().numpy()
    values = ordered.cpu().numpy()
    # Edges of one distance are believed together or not at all.
    until = np.searchsorted(values, values, side="right") - 1
    return FalseShares(values, false[until])


def held_out_cutoff(
    distance: SuccessorDistance,
    held_out: HeldOut,
    generator: Generator,
    *,
    needed_only: bool = True,
) -> float:
    """Return the cut-off of a critic's distances in nats; see ``choose_cutoff``.

    Args:
        distance: by the critic, or by several.
        held_out: trajectories that it did not learn from, whose steps are counted.
        generator: draws the states that edges are looked at between.
        needed_only: see ``choose_cutoff``.

    Raises:
        TrajectoryError: if nothing moves in the trajectories.
    """
    states, goals = held_out.spread(_STATES, generator)
    steps = KnownSteps(held_out.achieved, held_out.last, generator)
    horizon = horizon_of(held_out.futures, steps)
    edges = edges_between(distance, states, goals)
    known = either_way(steps(goals, goals))
    return choose_cutoff(edges, known, horizon, needed_only=needed_only)


def edges_between(distance: SuccessorDistance, states: Array, goals: Array) -> Tensor:
    """Return distances between states [W, ...] in which goals [W, G] are achieved [W, W].

    They are those of a graph of waypoints: the larger one of both directions. NaN from a state to
    itself.
    """
    there = distance.measure(distance.embed(states), distance.places(states, goals))
    return either_way(there.float().cpu()).fill_diagonal_(torch.nan)


def either_way(steps: Tensor) -> Tensor:
    """Return the larger one of both directions [W, W]."""
    return steps.maximum(steps.T)


class KnownSteps:
    """In how many steps trajectories come from places to others.

    A way may join parts of several trajectories that pass near each other: the steps between them,
    at the trajectories' mean speed, are part of the number. It is an upper bound where straight
    moves between near states are free: between those with the same or neighbouring places.

    Args:
        achieved: what is achieved in each state [T, G].
        last: which states are the last ones of trajectories, bool [T]; the final one is.
        generator: draws them from the states.
        places: how many there are at most, P.

    Raises:
        TrajectoryError: if nothing moves, so that there is no speed.
    """

    def __init__(
        self, achieved: Array, last: Mask, generator: Generator, places: int = _PLACES
    ) -> None:
        goals = _flat(achieved)
        moves = (goals[1:] - goals[:-1]).norm(dim=1)[torch.from_numpy(~last[:-1])]
        if not len(moves) or not float(moves.mean()) > 0:
            raise TrajectoryError("what is achieved never changes in the trajectories; give others")
        self._speed = float(moves.mean())
        # Far from each other: where behaviour stays, and most states are, one place is enough.
        self._places = _flat(_spread(achieved, achieved, places, generator).goals).unique(dim=0)
        place, detour = self._place_of(goals)
        fewest = _fewest(place, detour, last, len(self._places))
        steps = _joined(fewest.minimum(self._straight(2 * float(detour.quantile(_COVERED)))))
        kept = _both_ways(steps, place)
        self._places, self._steps = self._places[kept], steps[kept][:, kept]

    def __call__(self, starts: Array, ends: Array) -> Tensor:
        """Return the steps from goals [N, G] to goals [M, G], [N, M]; inf where no way is known."""
        (here, first), (there, then) = (self._place_of(_flat(goals)) for goals in (starts, ends))
        return self._steps[here][:, there] + first.unsqueeze(1) + then

    def _straight(self, most: float) -> Tensor:
        """Return the steps of straight moves between places [P, P]; inf where more than so many."""
        steps = torch.cdist(self._places, self._places) / self._speed
        return steps.masked_fill(steps > most, torch.inf)

    def _place_of(self, goals: Tensor) -> tuple[Tensor, Tensor]:
        """Return the place nearest to each goal, int64 [N], and the steps to it [N]."""
        found = [torch.cdist(part, self._places).min(1) for part in goals.split(_AT_ONCE)]
        gap = torch.cat([part.values for part in found])
        return torch.cat([part.indices for part in found]), gap / self._speed


def _flat(goals: Array) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(goals, np.float32)).flatten(1)


def _fewest(place: Tensor, detour: Tensor, last: Mask, count: int) -> Tensor:
    """Return the fewest steps between two places within one trajectory [P, P]; inf if in none.

    Args:
        place: the place nearest to each state, int64 [T].
        detour: steps from each state to its place [T].
        last: which states are the last ones of trajectories, bool [T].
        count: of places, P.
    """
    ends = np.flatnonzero(last)
    end = torch.from_numpy(ends[np.searchsorted(ends, np.arange(len(last)))])
    fewest = torch.full((count * count,), torch.inf)
    for lag in _lags(int(np.diff(ends, prepend=-1).max()) - 1):
        here = torch.arange(len(last) - lag)
        here = here[here + lag <= end[: len(here)]]
        then = here + lag
        pair = place[here] * count + place[then]
        fewest.scatter_reduce_(0, pair, lag + detour[here] + detour[then], "amin")
    return fewest.view(count, count)


def _both_ways(steps: Tensor, place: Tensor) -> Tensor:
    """Return the places between which ways lead both ways, bool [P], if most states are there.

    Else all: a place that few trajectories begin or end at has only one way, as if by a current.
    """
    there = steps.isfinite()
    number = (there & there.T).sum(1).argmax()
    kept = there[number] & there[:, number]
    return kept if kept[place].float().mean() > _MOST else torch.ones_like(kept)


def _lags(longest: int) -> list[int]:
    """Return numbers of steps from 1 to the longest, the wider apart the larger they are."""
    lags = np.geomspace(1, max(longest, 1), _LAGS).round().astype(int)
    return list(dict.fromkeys(lags.tolist()))


def _joined(steps: Tensor) -> Tensor:
    """Return the fewest steps between any two places, over those between some [P, P]."""
    rows, columns = steps.isfinite().nonzero(as_tuple=True)
    graph = coo_matrix(
        (steps[rows, columns].double().numpy(), (rows.numpy(), columns.numpy())), steps.shape
    )
    joined = torch.from_numpy(shortest_path(graph.tocsr(), method="FW")).float()
    return joined.fill_diagonal_(0)
