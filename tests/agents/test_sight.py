"""Waypoints within sight: as if every action was compared with every waypoint."""

import math

import numpy as np
import pytest
import torch
from goal_plane import PlaneCritic
from walled_plane import WAYS, NearCritic, best_way, places

from langrl.agents.all_paths import Marginalised
from langrl.agents.following import following_agent
from langrl.agents.sight import Sight
from langrl.agents.waypoints import candidates_of
from langrl.grounding.config import WaypointConfig
from langrl.grounding.successor import SuccessorDistance, over_actions
from langrl.grounding.waypoints import WaypointGraph, draw_waypoints


def graph_of(critic, count=200, **config):
    drawn = draw_waypoints(places(), places(), count, generator=np.random.default_rng(0))
    config = {"cutoff": 3.0, "visible": 1.0} | config
    return WaypointGraph(SuccessorDistance([critic], WAYS), drawn, WaypointConfig(**config))


def all_scores(graph, embedded):
    """Return the scores of all waypoints [N, A, W], -inf for those beyond sight."""
    scores = graph.distance.critics[0].score(embedded, graph.places.embedded[0])
    far = (graph.places.own[0] - over_actions(scores)).unsqueeze(1)
    limit = far.amin(-1, keepdim=True).clamp(min=graph.visible)
    return scores.masked_fill(far > limit, -torch.inf)


def spread(scores, index, count):
    """Return scores [N, A, K] of some waypoints [N, K] at their places [N, A, W]."""
    every = torch.full((*scores.shape[:2], count), -torch.inf)
    return every.scatter(2, index.unsqueeze(1).expand_as(scores), scores)


@pytest.mark.parametrize("critic", [PlaneCritic, NearCritic])
@pytest.mark.parametrize("visible", [0.3, 1.0, 1.6])
def test_scores_are_those_of_comparing_all(critic, visible):
    graph = graph_of(critic(), visible=visible)
    # also from outside of where waypoints are, where the nearest alone is seen
    states = np.concatenate([places(60, seed=7), places(5, seed=8) + np.float32(0.9)])
    embedded = graph.distance.embed(states)[0]
    scores, index = Sight(graph).scores(embedded)
    assert index.shape[1] < 200 or critic is NearCritic  # a mean does not know its wall
    exact = all_scores(graph, embedded)
    found = spread(scores, index, 200)
    assert torch.equal(found.isfinite(), exact.isfinite())
    torch.testing.assert_close(found, exact, rtol=0, atol=1e-5)


def test_few_waypoints_are_all_compared():
    graph = graph_of(PlaneCritic(), count=3, cutoff=900.0)
    scores, index = Sight(graph).scores(graph.distance.embed(places(4))[0])
    assert scores.shape == (4, len(WAYS), 3)
    assert index.sort(1).values.tolist() == [[0, 1, 2]] * 4


def test_actions_are_scored_by_the_sum_over_all_waypoints_within_sight():
    """By the whole product over states, actions and waypoints."""
    graph = graph_of(NearCritic())
    paths, goals = Marginalised(graph), 0.5 + 0.5 * places(6, seed=3)
    states = places(6, seed=9)
    embedded = graph.distance.embed(states)[0]
    found = paths.action_scores(states, embedded, goals)
    to, ends = graph.distance.goals(goals, graph.waypoints.states, graph.embedded)
    last = (to.own[0] - ends).masked_fill(ends > graph.cutoff, -torch.inf).double()
    log_shares = torch.from_numpy(graph.waypoints.log_weights).double() - math.log(200)
    far = (paths.laws[:, :, None] + log_shares[:, None] + last).logsumexp(1)
    c = graph.config.stage_discount
    onward = torch.logaddexp(math.log(1 - c) + last, math.log(c) + far).T  # [N, W]
    through = (all_scores(graph, embedded) + (onward + log_shares).unsqueeze(1)).logsumexp(-1)
    scores = graph.distance.critics[0].score(embedded, to.embedded[0].unsqueeze(1))
    beyond = to.own[0].unsqueeze(1) - over_actions(scores) > graph.visible
    direct = scores.squeeze(-1).masked_fill(beyond & through.isfinite(), -torch.inf)
    exact = torch.logaddexp(math.log(1 - c) + direct, math.log(c) + through)
    torch.testing.assert_close(found.double(), exact, rtol=0, atol=1e-4)


def test_goals_that_change_are_solved_for_and_the_others_stay():
    graph = graph_of(NearCritic())
    paths, goals = Marginalised(graph), places(6, seed=3)
    states = places(6, seed=9)
    embedded = graph.distance.embed(states)[0]
    paths.action_scores(states, embedded, goals)
    asked, ask = [], graph.distance.goals
    graph.distance.goals = lambda new, *others: asked.append(len(new)) or ask(new, *others)
    changed = goals.copy()
    changed[[1, 4]] = places(2, seed=4)
    found = paths.action_scores(states, embedded, changed)
    assert asked == [2]
    exact = Marginalised(graph).action_scores(states, embedded, changed)
    torch.testing.assert_close(found, exact, rtol=0, atol=1e-4)
    asked.clear()
    kept = np.array([True, False, True, False, True, False])
    paths.keep(kept)
    left = paths.action_scores(states[kept], embedded[kept], changed[kept])
    assert asked == []
    torch.testing.assert_close(left, exact[kept], rtol=0, atol=1e-4)


class Sides:
    """A language side that knows the left and the right."""

    def embed_goals(self, observations, goals):
        return goals

    def encode_text(self, texts):
        return torch.tensor([[[1.0 if "right" in text else -1.0]] for text in texts])

    def score(self, goals, texts):
        return 12 * (goals[..., :1] - 0.5) @ texts.flatten(-3, -2).mT


def test_agents_that_marginalise_over_goals_act_as_if_all_were_compared():
    graph, states = graph_of(PlaneCritic()), places(9, seed=9)
    agent = following_agent(
        PlaneCritic(), Sides(), best_way, "log_sum_exp", candidates_of(graph), compared=WAYS,
        waypoints=Marginalised(graph),
    )  # fmt: skip
    seen, texts = {"observation": states}, ["right", "left", "right"] * 3
    actions = agent.act(seen, texts)
    lifted = agent.prepare(seen, texts).lifted
    embedded = graph.distance.embed(states)[0]
    exact = (all_scores(graph, embedded) + lifted.unsqueeze(1)).logsumexp(-1)
    assert np.array_equal(actions, WAYS[exact.argmax(1).numpy()])
    assert len(np.unique(actions, axis=0)) > 1
