"""Going to far goals by waypoints, in a square with a wall that the critic alone does not pass."""

import math
import warnings

import numpy as np
import pytest
import torch
from walled_plane import WAYS, NearCritic, Walled, best_way, places, walk

from langrl.agents.all_paths import Marginalised
from langrl.agents.committed_paths import Committed
from langrl.agents.following import following_agent
from langrl.agents.waypoints import Drawing, WaypointPolicy, candidates_of, composed
from langrl.envs.goal_words import GoalWords
from langrl.envs.instructed_goals import InstructedGoals
from langrl.envs.regions import RegionFrame
from langrl.errors import GroundingError, UnknownNameError
from langrl.evaluation.rollouts import run_episodes
from langrl.grounding.candidates import ReplayedCandidates
from langrl.grounding.config import WaypointConfig
from langrl.grounding.strategies import GROUNDINGS
from langrl.grounding.successor import SuccessorDistance
from langrl.grounding.waypoints import WaypointGraph, Waypoints, draw_waypoints

STARTS = np.tile(np.float32([0.35, 0.1]), (6, 1))
GOALS = np.float32([0.65, 0.1]) + 0.1 * places(6, seed=3)  # behind the wall
WORDS = GoalWords(RegionFrame(("left-right", "bottom-top"), (0.0, 0.0), (1.0, 1.0)))


def graph_of(states=None, count=200, **config):
    states = places() if states is None else states
    drawn = draw_waypoints(states, states, count, generator=np.random.default_rng(0))
    config = {"cutoff": 3.0, "patience": 20, "stage_discount": 0.5} | config
    distance = SuccessorDistance([NearCritic()], WAYS)
    return WaypointGraph(distance, drawn, WaypointConfig(**config))


@pytest.fixture(scope="module")
def graph():
    return graph_of()


def error(reached, goals):
    return np.abs(reached - goals).max(1)


class Sides:
    """A language side that knows the left and the right."""

    def embed_goals(self, observations, goals):
        return goals

    def encode_text(self, texts):
        return torch.tensor([[[1.0 if "right" in text else -1.0]] for text in texts])

    def score(self, goals, texts):
        return 4 * ((goals[..., :1] - 0.7) * texts.flatten(-3, -2).mT).clamp(max=0).sign() * 3


def agent(graph, strategy, composition="committed", **options):
    grounding = GROUNDINGS[strategy]
    return following_agent(
        NearCritic(), Sides(), best_way, grounding, candidates_of(graph), compared=WAYS,
        waypoints=composed(graph, composition, grounding), to_action=lambda unit: 2 * unit,
        **options,
    )  # fmt: skip


# -- one path -------------------------------------------------------------------------------------


def test_a_path_leads_where_the_critic_alone_does_not(graph):
    assert error(walk(best_way, STARTS, GOALS), GOALS).min() > 0.15
    policy = WaypointPolicy(best_way, Committed(graph), Drawing(1.0))
    assert error(walk(policy, STARTS, GOALS), GOALS).max() < 0.06


def test_a_near_goal_is_gone_to_directly(graph):
    near = STARTS + np.float32([0.05, 0.05])
    assert np.array_equal(Committed(graph).targets(STARTS, near), near)


def test_targets_are_on_the_path_and_within_sight(graph):
    follower = Committed(graph)
    targets = follower.targets(STARTS, GOALS)
    for row, target in enumerate(targets):
        path = follower.plan(row).places
        assert (path == target).all(1).any()
        assert np.array_equal(path[-1], GOALS[row])
        assert np.abs(target - STARTS[row]).max() < 0.3


def test_a_path_is_kept_as_long_as_it_works(graph):
    follower = Committed(graph)
    follower.targets(STARTS, GOALS)
    before = [follower.plan(row).places for row in range(6)]
    follower.targets(STARTS + np.float32([0.0, 0.04]), GOALS)
    for row, path in enumerate(before):
        assert np.array_equal(path, follower.plan(row).places)


def test_another_path_is_planned_after_steps_without_progress_or_for_another_goal(graph):
    graph = graph.with_config(graph.config.model_copy(update={"detour": 0}))
    follower = Committed(graph)
    follower.targets(STARTS, GOALS)
    elsewhere = np.tile(np.float32([0.9, 0.9]), (6, 1))
    follower.targets(elsewhere, GOALS)
    planned = follower.plan(0).places
    for _ in range(graph.config.patience - 1):
        follower.targets(elsewhere, GOALS)
    assert np.array_equal(planned, follower.plan(0).places)
    for _ in range(2):
        follower.targets(elsewhere, GOALS)
    assert not np.array_equal(planned, follower.plan(0).places)
    assert np.abs(follower.plan(0).places[0] - 0.9).max() < 0.2
    goals = GOALS.copy()
    goals[0] = [0.1, 0.5]
    kept = follower.plan(1).places
    follower.targets(elsewhere, goals)
    assert np.array_equal(follower.plan(0).places[-1], goals[0])
    assert np.array_equal(kept, follower.plan(1).places)


def on_a_detour(follower, states, goals, patience):
    """Let a follower see no progress; return what becomes of actions of 0, after each step."""
    still = np.zeros_like(states)
    for _ in range(1 + patience):  # the first step is progress
        follower.targets(states, goals)
        assert np.array_equal(follower.steer(still), still)
    while True:
        follower.targets(states, goals)
        yield follower.steer(still)


@pytest.mark.parametrize("detour", [1, 5])
def test_without_progress_one_drawn_action_is_kept_and_then_a_path_planned(graph, detour):
    graph = graph.with_config(graph.config.model_copy(update={"detour": detour}))
    follower = Committed(graph, np.random.default_rng(3))
    elsewhere = np.tile(np.float32([0.9, 0.9]), (6, 1))
    steps = on_a_detour(follower, STARTS, GOALS, graph.config.patience)
    first, *others = [next(steps) for _ in range(detour)]
    assert len(np.unique(first, axis=0)) > 1
    assert all((way == WAYS).all(1).any() for way in first)
    assert all(np.array_equal(taken, first) for taken in others)
    before = follower.plan(0).places
    follower.targets(elsewhere, GOALS)  # the detour is over
    assert not follower.steer(np.zeros_like(STARTS)).any()
    assert not np.array_equal(follower.plan(0).places, before)


def test_a_detour_ends_with_its_episode_and_goes_on_beside_others(graph):
    follower = Committed(graph, np.random.default_rng(3))
    first = next(on_a_detour(follower, STARTS, GOALS, graph.config.patience))
    kept = np.array([True, False, True, True, False, False])
    still = np.zeros((3, 2), np.float32)
    follower.keep(kept)
    assert np.array_equal(follower.steer(still), first[kept])
    follower.reset(np.array([True, False, False]))
    follower.targets(STARTS[kept], GOALS[kept])
    assert np.array_equal(follower.steer(still), [[0, 0], *first[kept][1:]])
    scores = torch.zeros(3, 8)
    preferred = follower.action_scores(STARTS[kept], torch.zeros(3, 8, 2), GOALS[kept])
    assert np.array_equal(WAYS[preferred[1:].argmax(1)], first[kept][1:])
    assert preferred[0].isfinite().all()
    assert preferred[1:].isfinite().sum() == len(scores) - 1


def test_whoever_is_there_makes_no_detour(graph):
    follower = Committed(graph)
    for _ in range(3 * graph.config.patience):
        assert np.array_equal(follower.targets(GOALS, GOALS), GOALS)
        assert not follower.steer(np.zeros_like(GOALS)).any()


def test_a_detour_leads_out_of_where_the_critic_leads_back(graph):
    def misled(seen):
        """Go the best way, but to (0.85, 0.35) from near there."""
        here, trap = seen["observation"], np.float32([0.85, 0.35])
        trapped = np.linalg.norm(here - trap, axis=1) < 0.12
        goals = np.where(trapped[:, None], trap, seen["desired_goal"])
        return best_way({**seen, "desired_goal": goals.astype(np.float32)})

    goals = np.tile(np.float32([0.6, 0.1]), (6, 1))
    starts = np.tile(np.float32([0.85, 0.4]), (6, 1))
    missed = []
    for detour in (0, 6):
        changed = graph.with_config(graph.config.model_copy(update={"detour": detour}))
        policy = WaypointPolicy(misled, Committed(changed), Drawing(1.0))
        missed.append(error(walk(policy, starts, goals, 400), goals) > 0.06)
    assert missed[0].all()
    assert missed[1].sum() <= 1


def test_episodes_that_are_dropped_or_begin_anew_leave_the_others_their_paths(graph):
    follower = Committed(graph)
    starts = STARTS + 0.1 * places(6, seed=5)
    follower.targets(starts, GOALS)
    paths = [follower.plan(row).places for row in range(6)]
    kept = np.array([True, False, True, True, False, False])
    follower.keep(kept)
    follower.targets(starts[kept], GOALS[kept])
    for row, old in enumerate(np.flatnonzero(kept)):
        assert np.array_equal(follower.plan(row).places, paths[old])
    follower.reset(np.array([True, False, False]))
    follower.targets(np.tile(np.float32([0.9, 0.9]), (3, 1)), GOALS[kept])
    assert not np.array_equal(follower.plan(0).places, paths[0])
    assert np.array_equal(follower.plan(1).places, paths[2])


def test_goals_without_a_path_are_said_once_and_gone_to_by_the_critic_alone():
    states = np.concatenate([0.3 * places(100), 0.7 + 0.3 * places(100)])
    with pytest.warns(UserWarning, match="pieces"):
        graph = graph_of(states, 60)
    follower = Committed(graph)
    starts, goals = 0.3 * places(2), np.float32([[0.9, 0.9], [0.2, 0.2]])
    with pytest.warns(UserWarning, match="to the goal in 1 of 2 episodes.*by the critic alone"):
        targets = follower.targets(starts, goals)
    assert np.array_equal(targets[0], goals[0])
    assert len(follower.plan(0).places) == 1
    assert [follower.plan(row).found for row in range(2)] == [False, True]
    assert follower.info["path_found"].tolist() == [False, True]
    assert np.isinf(follower.info["path_cost"]).tolist() == [True, False]
    follower.keep(np.array([False, True]))
    assert follower.info["path_found"].tolist() == [True]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        follower.targets(starts, goals[::-1].copy())


# -- all paths ------------------------------------------------------------------------------------


def brute_force_laws(graph):
    """Return the law after a geometric number of stages, by a long sum [W, W]."""
    weights = graph.waypoints.log_weights.astype(np.float64)
    edges = graph.places.own[0].detach().double().numpy() - graph.between.astype(np.float64)
    edges[graph.between > graph.cutoff] = -np.inf
    steps = np.exp(edges + weights)
    steps /= steps.sum(1, keepdims=True)
    discount = graph.config.stage_discount
    law = sum((1 - discount) * discount ** (k - 1) * np.linalg.matrix_power(steps, k)
              for k in range(1, 80))  # fmt: skip
    return np.log(law * len(weights)) - weights


def test_laws_and_lifted_scores_are_the_brute_force_sums():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = graph_of(count=30, cutoff=5.0)
    found, exact = Marginalised(graph), brute_force_laws(graph)
    np.testing.assert_allclose(found.laws, exact, atol=1e-5)
    scores = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 30)))
    weights = graph.waypoints.log_weights
    far = np.log(np.exp(exact[None] + scores.numpy()[:, None]).mean(-1)) + weights
    both = np.logaddexp(math.log(0.5) + scores, math.log(0.5) + far)
    np.testing.assert_allclose(found.lift(scores), both, atol=1e-5)


def test_all_paths_together_lead_where_the_critic_alone_does_not(graph):
    drawing = Drawing(0.3, torch.Generator().manual_seed(0))
    policy = WaypointPolicy(best_way, Marginalised(graph), drawing)
    reached = walk(policy, STARTS, GOALS)
    assert (reached[:, 0] > 0.5).all()
    assert np.median(error(reached, GOALS)) < 0.12


def test_drawn_actions_come_from_the_generator(graph):
    def act(seed):
        generator = torch.Generator().manual_seed(seed)
        policy = WaypointPolicy(best_way, Marginalised(graph), Drawing(5.0, generator))
        return policy({"observation": STARTS, "desired_goal": GOALS})

    assert np.array_equal(act(0), act(0))
    assert not np.array_equal(act(0), act(1))


# -- instructions ---------------------------------------------------------------------------------


@pytest.mark.parametrize("composition", ["committed", "marginalised"])
@pytest.mark.parametrize("strategy", ["nearest_goal", "sampled_goal", "max_goal", "log_sum_exp"])
def test_every_strategy_reaches_a_far_side(graph, strategy, composition):
    env = InstructedGoals(Walled(8, limit=150), WORDS)
    told = {"instruction": "go to the right half"}
    episodes = run_episodes(env, agent(graph, strategy, composition), 3, told)
    assert episodes.success.mean() >= 0.9


def test_plain_strategies_stay_behind_the_wall():
    env = InstructedGoals(Walled(8, limit=150), WORDS)
    plain = following_agent(
        NearCritic(), Sides(), best_way, "max_goal", ReplayedCandidates(places(), 200),
        compared=WAYS, to_action=lambda unit: 2 * unit,
    )  # fmt: skip
    episodes = run_episodes(env, plain, 3, {"instruction": "go to the right half"})
    assert episodes.success.mean() <= 0.6


def test_the_nearest_goal_is_near_along_a_path(graph):
    """Across the wall is near in the air, and far on foot."""
    near = agent(graph, "nearest_goal")
    assert near.waypoints is not None
    scores = near.waypoints.goal_scores(STARTS[:1])[0, 0]
    goals = graph.waypoints.goals
    behind = np.square(goals - [0.62, 0.1]).sum(1).argmin()
    same_side = np.square(goals - [0.1, 0.5]).sum(1).argmin()
    assert scores[same_side] > scores[behind]


def test_scores_of_all_goals_are_computed_anew_for_new_texts_only(graph):
    follower = agent(graph, "log_sum_exp")
    texts = ["left", "right", "left"]
    follower.act({"observation": STARTS[:3]}, texts)
    before = follower.prepare({"observation": STARTS[:3]}, texts).lifted.clone()
    follower.act({"observation": STARTS[:3]}, ["left", "right", "right"])
    lifted = follower.prepare({"observation": STARTS[:3]}, ["left", "right", "right"]).lifted
    torch.testing.assert_close(lifted[:2], before[:2])
    torch.testing.assert_close(lifted[2], before[1])
    follower.keep(np.array([False, True, True]))
    follower.act({"observation": STARTS[:2]}, ["right", "right"])


def test_a_strategy_that_decides_at_every_step_needs_all_paths(graph):
    with pytest.raises(GroundingError, match=r"LogSumExp decides anew .*that are Marginalised"):
        following_agent(
            NearCritic(), Sides(), best_way, "log_sum_exp", candidates_of(graph),
            waypoints=Committed(graph),
        )  # fmt: skip
    with pytest.raises(UnknownNameError, match="no composition named 'some'"):
        composed(graph, "some", GROUNDINGS["max_goal"])


def test_candidates_are_the_waypoints_with_their_weights(graph):
    goals, weights = candidates_of(graph).draw(STARTS, np.random.default_rng(0))
    drawn = graph.waypoints
    assert isinstance(drawn, Waypoints)
    assert np.array_equal(goals[3], drawn.goals)
    assert np.array_equal(weights[3], drawn.log_weights)


def test_the_path_to_what_a_text_means_is_shown_without_changing_an_episode(graph):
    follower = agent(graph, "max_goal")
    seen, told = {"observation": STARTS[:3]}, ["go to the right"] * 3
    follower.act(seen, told)
    before = follower.waypoints.plan(0).places
    plan = follower.plan({"observation": STARTS[0]}, "go to the right")
    path = plan.places
    assert plan.found
    assert path.shape[1] == 2
    assert len(path) > 3
    assert path[-1, 0] > 0.7
    assert np.array_equal(follower.waypoints.plan(0).places, before)
    again = follower.act(seen, told)
    assert again.shape == (3, 2)
    assert agent(graph, "log_sum_exp").plan({"observation": STARTS[0]}, "right") is None


def test_agents_say_whether_a_path_leads_to_their_goals(graph):
    seen, told = {"observation": STARTS}, ["go to the right"] * 6
    one = agent(graph, "max_goal")
    assert one.info["path_found"].tolist() == []
    one.act(seen, told)
    info = one.info
    assert info["path_found"].all()
    assert info["path_found"].shape == (6,)
    assert (info["path_waypoints"] > 2).all()
    assert (info["path_cost"] > graph.cutoff).all()
    info["path_found"][:] = False
    assert one.info["path_found"].all()
    every = agent(graph, "max_goal", "marginalised")
    assert every.info == {}
    every.act(seen, told)
    assert every.info["path_found"].tolist() == [True] * 6
    every.keep(np.arange(6) < 2)
    assert every.info["path_found"].tolist() == [True] * 2
    assert following_agent(
        NearCritic(), Sides(), best_way, "max_goal", ReplayedCandidates(places(), 9)
    ).info == {}  # fmt: skip


def test_all_paths_say_where_none_leads():
    states = np.concatenate([0.3 * places(100), 0.7 + 0.3 * places(100)])
    with pytest.warns(UserWarning, match="pieces"):
        graph = graph_of(states, 60)
    policy = WaypointPolicy(best_way, Marginalised(graph), Drawing(1.0))
    starts, goals = 0.3 * places(2), np.float32([[0.9, 0.9], [0.2, 0.2]])
    policy({"observation": starts, "desired_goal": goals})
    assert policy.info["path_found"].tolist() == [False, True]
