import warnings
from itertools import pairwise

import numpy as np
import pytest
import torch
from goal_plane import PlaneCritic
from walled_plane import WAYS, NearCritic, crosses, places
from waypoint_paths import path_between, ways_between

from langrl.errors import DomainError, GroundingError, ShapeError, UnknownNameError
from langrl.grounding.config import WaypointConfig
from langrl.grounding.successor import SuccessorDistance
from langrl.grounding.waypoints import KnownGraphs, WaypointGraph, draw_waypoints

STARTS = np.random.default_rng(0).uniform(0, 12, (3, 40)).astype(np.float32)
CUTOFF = 3.0  # nats: 0.15 of the square


def drawn(count=150, how="farthest", states=None, seed=0):
    states = places() if states is None else states
    return draw_waypoints(states, states, count, how, generator=np.random.default_rng(seed))


def graph_of(waypoints=None, critics=(), **config):
    config = {"cutoff": CUTOFF} | config
    distance = SuccessorDistance(critics or [NearCritic()], WAYS)
    return WaypointGraph(distance, waypoints or drawn(), WaypointConfig(**config))


def floats(*rows):
    return np.array(rows, np.float32)


# -- the draw -------------------------------------------------------------------------------------


def test_the_farthest_states_cover_what_is_seldom_visited():
    crowd = 0.1 * places(990)
    states = np.concatenate([crowd, 0.9 + 0.1 * places(10, seed=1)])
    waypoints = drawn(20, states=states)
    there = (waypoints.goals > 0.5).all(1)
    assert 4 <= there.sum() <= 10
    assert drawn(20, "density", states).goals.max(1).max() < 0.95
    shares = np.exp(waypoints.log_weights) / 20  # of the states that are nearest to each
    assert shares.sum() == pytest.approx(1)
    assert shares[there].sum() == pytest.approx(0.01)


def test_each_state_is_drawn_once_and_the_same_seed_draws_the_same():
    for how in ("farthest", "density"):
        waypoints = drawn(400, how)
        assert len(np.unique(waypoints.states, axis=0)) == len(waypoints) == 400
        assert np.array_equal(waypoints.states, drawn(400, how).states)
    assert not np.array_equal(drawn(20).states, drawn(20, seed=1).states)
    assert (drawn(20, "density").log_weights == 0).all()


@pytest.mark.parametrize(
    ("count", "how", "states", "error", "message"),
    [
        (401, "farthest", places(), DomainError, "401 .*from 400 different .*to 400 or less"),
        (3, "density", np.zeros((9, 2)), DomainError, "from 1 different states of the replay"),
        (3, "nearest", places(), UnknownNameError, "no way to draw waypoints named 'nearest'"),
        (1, "farthest", places()[:0], ShapeError, "and at least one"),
    ],
)
def test_what_cannot_be_drawn_is_said_in_one_line(count, how, states, error, message):
    with pytest.raises(error, match=message):
        drawn(count, how, states)


def test_each_state_needs_a_goal():
    with pytest.raises(ShapeError, match="got 4 and 3; give one goal for each state"):
        draw_waypoints(places(4), places(3), 2, generator=np.random.default_rng(0))


# -- distances ------------------------------------------------------------------------------------


def test_distances_by_hand():
    """The mean over two opposite steps of exp(-20 |gap|)."""
    distance = SuccessorDistance([NearCritic()], floats([1, 0], [-1, 0]))
    spots = floats([0.2, 0.2], [0.35, 0.2])
    there = distance.measure(distance.embed(spots), distance.places(spots, spots))
    here = -20 * 0.05
    far = np.log((np.exp(-20 * 0.1) + np.exp(-20 * 0.2)) / 2)
    np.testing.assert_allclose(there, [[0, here - far], [here - far, 0]], rtol=1e-4, atol=1e-5)


def test_the_largest_distance_of_several_critics_counts():
    one, other = PlaneCritic(), NearCritic()
    spots = places(30)
    found = []
    for critics in ([one], [other], [one, other]):
        distance = SuccessorDistance(critics, WAYS)
        found.append(distance.measure(distance.embed(spots), distance.places(spots, spots)))
    torch.testing.assert_close(found[2], found[0].maximum(found[1]))
    assert (found[0] > found[1]).any()
    assert (found[0] < found[1]).any()


def test_a_goal_alone_is_as_near_as_the_state_that_leads_to_it_best():
    graph = graph_of()
    distance = graph.distance
    goals = graph.waypoints.goals[:9]
    found, ends = distance.goals(goals, graph.waypoints.states, graph.embedded)
    assert torch.equal(ends, distance.measure(graph.embedded, found))
    assert (ends.amin(0) == 0).all()
    assert (ends.argmin(0) == torch.arange(9)).float().mean() > 0.7


class Described(PlaneCritic):
    def __init__(self, size):
        super().__init__()
        self.description = type("Of", (), {"goal": type("Input", (), {"shape": (size,)})})


def test_critics_of_different_worlds_are_refused():
    with pytest.raises(GroundingError, match=r"critic 1 .*goal is \(3,\) and not \(2,\); join"):
        SuccessorDistance([Described(2), Described(3)], WAYS)
    with pytest.raises(GroundingError, match="distances need a critic"):
        SuccessorDistance([], WAYS)


# -- the graph ------------------------------------------------------------------------------------


def test_no_edge_goes_through_the_wall_and_paths_go_through_the_door():
    graph = graph_of()
    start, end = (
        int(np.square(graph.waypoints.goals - spot).sum(1).argmin())
        for spot in ([0.3, 0.1], [0.7, 0.1])
    )
    waypoints = path_between(graph, start, end)
    path = torch.from_numpy(graph.waypoints.goals[waypoints])
    assert not crosses(path[:-1], path[1:]).any()
    assert path[:, 1].max() > 0.75, path
    assert graph.share_reachable == 1
    length = (path[1:] - path[:-1]).norm(dim=1).sum()
    assert 1.3 < length < 2.2  # 1.4 along the wall
    assert ways_between(graph, [end]).costs[0, start] == pytest.approx(
        sum(graph.between[a, b] + graph.hop_cost for a, b in pairwise(waypoints)),
        rel=1e-4,
    )


def test_hops_that_cost_make_paths_of_few_waypoints():
    lengths = [len(path_between(graph_of(hop_cost=cost), 3, 77)) for cost in (0.0, 2.0)]
    assert lengths[1] < lengths[0]


def test_a_plan_is_the_cheapest_of_all_ways():
    """By brute force over first and last waypoints."""
    graph = graph_of(drawn(40), cutoff=6.0)
    starts, ends = np.random.default_rng(0).uniform(0, 12, (2, 5, 40)).astype(np.float32)
    direct = np.full(5, 99, np.float32)
    paths, costs = graph.plan(starts, graph.paths.to_goals(graph.near(ends)), direct)
    between = ways_between(graph, range(40)).costs.T
    for row in range(5):
        first = np.where(starts[row] <= 6, starts[row], np.inf)
        last = np.where(ends[row] <= 6, ends[row], np.inf)
        every = first[:, None] + between + last + 2 * graph.hop_cost
        assert costs[row] == pytest.approx(every.min(), rel=1e-5)
        assert (paths[row][0], paths[row][-1]) == np.unravel_index(every.argmin(), every.shape)


def test_paths_to_a_goal_are_searched_for_once():
    graph, searched = graph_of(), []
    search = graph.paths.to_goals
    graph.paths.to_goals = lambda ends: searched.append(len(ends)) or search(ends)
    goals = places(3, seed=5)
    found, ways = graph.ways_to(goals[[0, 1, 0]])
    again, known = graph.ways_to(goals[[2, 0]])
    assert searched == [2, 1]
    assert np.array_equal(ways.costs[0], ways.costs[2])
    assert np.array_equal(known.costs[1], ways.costs[0])
    assert np.array_equal(known.onward[1], ways.onward[0])
    assert torch.equal(again.embedded[0][1], found.embedded[0][0])
    assert torch.equal(again.own[0][1], found.own[0][0])


def test_a_goal_within_the_cutoff_needs_no_waypoint():
    graph = graph_of()
    far = np.ones((2, 150), np.float32)
    ways = graph.paths.to_goals(graph.near(far))
    paths, costs = graph.plan(far, ways, np.float32([2.0, 9.0]))
    assert [len(path) > 0 for path in paths] == [False, True]
    assert costs[0] == pytest.approx(2.0 + graph.hop_cost)


def test_costs_from_a_state_are_those_of_its_cheapest_first_waypoint():
    graph = graph_of(drawn(40), cutoff=6.0)
    starts = STARTS
    between = ways_between(graph, range(40)).costs.T
    every = np.where(starts <= 6, starts, np.inf)[:, :, None] + between
    exact = every.min(1) + graph.hop_cost
    for _ in range(20):  # searched from each state at first, and between all pairs at last
        np.testing.assert_allclose(graph.costs_from(starts), exact, rtol=1e-5)


def test_a_graph_in_pieces_is_said_with_the_share_that_is_joined():
    states = np.concatenate([0.3 * places(100), 0.7 + 0.3 * places(100)])
    with pytest.warns(UserWarning, match=r"2 pieces: .* 50% of .*grounding.cutoff \(now 3 nats\)"):
        graph = graph_of(drawn(60, states=states))
    assert graph.share_reachable == pytest.approx(0.5, abs=0.02)
    ends = np.where(graph.waypoints.goals[:, 0] > 0.5, 0, 9)[None].astype(np.float32)
    starts = 9 - ends
    paths, costs = graph.plan(starts, graph.paths.to_goals(graph.near(ends)), np.float32([50.0]))
    assert np.isinf(costs).all()
    assert len(paths[0]) == 0


def test_the_cutoff_is_the_given_one_or_the_trusted_one_or_of_few_neighbours():
    distance, waypoints = SuccessorDistance([NearCritic()], WAYS), drawn()
    for config, trusted, cutoff in (({"cutoff": 2.5}, 5.0, 2.5), ({}, 4.0, 4.0)):
        graph = WaypointGraph(distance, waypoints, WaypointConfig(**config), trusted)
        assert graph.cutoff == cutoff
        assert (graph.hop_cost, graph.visible) == (0.4 * cutoff, 1.6 * cutoff)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few neighbours leave it in pieces
        graph = WaypointGraph(distance, waypoints, WaypointConfig())
    assert (graph.between <= graph.cutoff).sum() / 150 == pytest.approx(150 / 40, rel=0.05)


def test_a_known_graph_is_made_anew_for_other_settings_or_weights():
    critic, made = NearCritic(), []
    known = KnownGraphs()

    def make(config, *others):
        made.append((config.cutoff, *others))
        return graph_of(drawn(40), [critic], cutoff=config.cutoff)

    def get(cutoff=6.0, *others):
        return known.get(WaypointConfig(cutoff=cutoff), critic, make, *others)

    assert get() is get()
    get(5.0)
    get(6.0, 16)
    assert made == [(6.0,), (6.0, 16)]  # another cut-off is of the same waypoints
    assert get(5.0).cutoff == 5.0
    assert get(5.0).between is get().between
    assert np.array_equal(
        get(5.0).costs_from(STARTS), graph_of(drawn(40), cutoff=5.0).costs_from(STARTS)
    )
    first = get()
    with torch.no_grad():
        critic.scale += 1
    assert get() is not first
    assert len(made) == 3
