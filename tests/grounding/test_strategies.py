import math

import pytest
import torch
from scipy.stats import chisquare

from langrl.errors import GroundingError
from langrl.grounding.strategies import GROUNDINGS, Direct, Scores, check_needs

COMMITTING = ("sampled_goal", "nearest_goal", "max_goal")
N, A, M = 5, 4, 30


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def random_scores(seed=0, scale=2.0):
    generator = seeded(seed)
    language_score, log_weights = scale * torch.randn(2, N, M, generator=generator)
    critic = scale * torch.randn(N, A, M, generator=generator)
    direct = torch.randn(N, A, generator=generator)
    return Scores(language_score, log_weights, lambda: critic, direct)


def one_episode(language_score, critic, log_weights=None):
    language_score = torch.tensor([language_score])
    weights = (
        torch.zeros_like(language_score) if log_weights is None else torch.tensor([log_weights])
    )
    return Scores(language_score, weights, lambda: torch.tensor([critic]))


def no_critic():
    raise AssertionError("the critic was computed")


@pytest.mark.parametrize("name", GROUNDINGS)
@pytest.mark.parametrize("remember", [False, True])
def test_every_strategy_keeps_the_contract(name, remember):
    grounding = GROUNDINGS[name]
    memory = torch.tensor([3, -1, 0, -1, M - 1]) if remember else None
    scores = random_scores()
    inputs = (scores.language_score, scores.log_weights, scores.critic, scores.direct)
    copies = [tensor.clone() for tensor in inputs]
    decision, later = grounding.ground(scores, memory, seeded())
    again, later_again = grounding.ground(random_scores(), memory, seeded())
    assert decision.posterior.shape == (N, M)
    expected = (scores.language_score + scores.log_weights).softmax(-1)
    assert torch.allclose(decision.posterior, expected, atol=1e-6)
    assert torch.allclose(decision.posterior.sum(-1), torch.ones(N), atol=1e-5)
    assert decision.ask.dtype == torch.bool
    assert decision.ask.tolist() == [False] * N
    if name in COMMITTING:
        assert decision.action_scores is None
        assert decision.goal.shape == (N,)
        assert ((decision.goal >= 0) & (decision.goal < M)).all()
        assert torch.equal(decision.goal, again.goal)
        assert torch.equal(later, later_again)
    else:
        assert decision.goal is None
        assert decision.action_scores.shape == (N, A)
        assert torch.equal(decision.action_scores, again.action_scores)
        assert later is memory
    for tensor, copy in zip(inputs, copies, strict=True):
        assert torch.equal(tensor, copy)
    if remember:
        assert memory.tolist() == [3, -1, 0, -1, M - 1]


# -- marginalising -------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1.0, 50.0, 500.0])
def test_log_sum_exp_is_the_brute_force_marginal(scale):
    scores = random_scores(scale=scale)
    decision, _ = GROUNDINGS["log_sum_exp"].ground(scores, None, seeded())
    terms = scores.critic + (scores.language_score + scores.log_weights).unsqueeze(1)
    expected = terms.double().logsumexp(-1) - math.log(M)
    assert torch.allclose(decision.action_scores.double(), expected, rtol=1e-5, atol=1e-4)


def test_log_sum_exp_worked_by_hand():
    # action 0 leads to the better of two goals, action 1 to both of them
    scores = one_episode([0.0, 0.0], [[math.log(3), -math.inf], [math.log(2), math.log(2)]])
    decision, _ = GROUNDINGS["log_sum_exp"].ground(scores, None, seeded())
    assert decision.action_scores[0].tolist() == pytest.approx([math.log(1.5), math.log(2)])


def test_log_sum_exp_weighs_the_candidates():
    scores = one_episode([0.0, 0.0], [[0.0, -9.0], [-9.0, 0.0]], [-4.0, 0.0])
    decision, _ = GROUNDINGS["log_sum_exp"].ground(scores, None, seeded())
    assert decision.action_scores[0].argmax() == 1


def test_direct_answers_with_the_direct_scores():
    scores = random_scores()
    decision, _ = GROUNDINGS["direct"].ground(scores, None, seeded())
    assert torch.equal(decision.action_scores, scores.direct)


# -- committing ----------------------------------------------------------------------------


def test_max_goal_takes_the_mode_of_the_weighted_posterior():
    critic = [[9.0, 0.0, 0.0]]
    goal = GROUNDINGS["max_goal"].ground(one_episode([0, 1.0, 0.5], critic), None, seeded())[0].goal
    assert goal.tolist() == [1]
    weighted = one_episode([0, 1.0, 0.5], critic, [0.0, 0.0, 2.0])
    assert GROUNDINGS["max_goal"].ground(weighted, None, seeded())[0].goal.tolist() == [2]


@pytest.mark.parametrize(
    ("language_score", "goal"),
    [
        ([0.0, 0.0, 0.0], 1),  # all language scores alike: the closest
        ([0.0, -2.1, 0.0], 2),  # -4, -3.1 and -3: closeness and language score add up
        ([0.0, -9.0, -9.0], 0),  # the only one that fits, though the furthest
    ],
)
def test_nearest_goal_trades_closeness_against_the_language_score(language_score, goal):
    critic = [[-5.0, -1.0, -3.0], [-4.0, -2.0, -9.0]]  # at best -4, -1 and -3
    decision, _ = GROUNDINGS["nearest_goal"].ground(
        one_episode(language_score, critic), None, seeded()
    )
    assert decision.goal.tolist() == [goal]


def test_nearest_goal_looks_at_the_best_action_for_each_goal():
    # goal 0 is better on average over the actions, goal 1 for the best of them
    scores = one_episode([0.0, 0.0], [[-1.0, 0.0], [-1.0, -50.0]])
    assert GROUNDINGS["nearest_goal"].ground(scores, None, seeded())[0].goal.tolist() == [1]


def test_sampled_goals_are_as_frequent_as_the_posterior():
    draws = 20_000
    probabilities = torch.tensor([0.5, 0.25, 0.1875, 0.0625])
    log_weights = torch.tensor([0.0, 1.0, -1.0, 0.5]).repeat(draws, 1)
    language_score = probabilities.log() - log_weights + 3.0
    decision, _ = GROUNDINGS["sampled_goal"].ground(
        Scores(language_score, log_weights), None, seeded()
    )
    counts = decision.goal.bincount(minlength=4).numpy()
    assert chisquare(counts, probabilities.numpy() * draws).pvalue > 1e-3


def test_sampled_goals_differ_between_generators():
    scores = random_scores(scale=0.0)
    goals = {
        tuple(GROUNDINGS["sampled_goal"].ground(scores, None, seeded(s))[0].goal.tolist())
        for s in range(5)
    }
    assert len(goals) > 1


@pytest.mark.parametrize("name", COMMITTING)
def test_a_commitment_outlasts_a_change_of_scores(name):
    decision, memory = GROUNDINGS[name].ground(random_scores(0), None, seeded())
    for step in range(1, 4):
        later, memory = GROUNDINGS[name].ground(random_scores(step), memory, seeded(step))
        assert torch.equal(later.goal, decision.goal)
    fresh, _ = GROUNDINGS[name].ground(random_scores(3), None, seeded(3))
    assert not torch.equal(fresh.goal, decision.goal)


@pytest.mark.parametrize("name", COMMITTING)
def test_only_the_undecided_choose(name):
    scores = random_scores()
    everybody, _ = GROUNDINGS[name].ground(scores, None, seeded())
    memory = torch.tensor([3, -1, 0, -1, 7])
    decision, later = GROUNDINGS[name].ground(scores, memory, seeded())
    assert decision.goal[[0, 2, 4]].tolist() == [3, 0, 7]
    assert torch.equal(decision.goal[[1, 3]], everybody.goal[[1, 3]])
    assert torch.equal(later, decision.goal)


@pytest.mark.parametrize("name", COMMITTING)
def test_the_committed_need_no_critic(name):
    scores = random_scores()
    memory = torch.arange(N)
    decision, _ = GROUNDINGS[name].ground(
        Scores(scores.language_score, scores.log_weights, no_critic), memory, seeded()
    )
    assert torch.equal(decision.goal, memory)


@pytest.mark.parametrize("name", ["sampled_goal", "max_goal", "direct"])
def test_strategies_that_do_not_need_a_critic_do_not_compute_it(name):
    scores = random_scores()
    blind = Scores(scores.language_score, scores.log_weights, no_critic, scores.direct)
    decision, _ = GROUNDINGS[name].ground(blind, None, seeded())  # computing it would raise
    assert (decision.goal is None) == (name == "direct")


def test_the_critic_is_computed_once():
    calls = []
    scores = Scores(torch.zeros(1, 2), torch.zeros(1, 2), lambda: calls.append(1) or torch.zeros(1))
    assert scores.critic is scores.critic
    assert len(calls) == 1


def test_a_goal_that_is_ruled_out_is_never_chosen():
    scores = one_episode([0.0, 0.0, 0.0], [[9.0, 0.0, 0.0]], [-math.inf, 0.0, -math.inf])
    for name in COMMITTING:
        assert GROUNDINGS[name].ground(scores, None, seeded())[0].goal.tolist() == [1]


# -- needs ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["log_sum_exp", "nearest_goal"])
def test_a_missing_critic_is_named(name):
    with pytest.raises(GroundingError, match="critic"):
        GROUNDINGS[name].ground(Scores(torch.zeros(1, 2), torch.zeros(1, 2)), None, seeded())


def test_a_missing_direct_comparison_is_named():
    scores = Scores(torch.zeros(1, 2), torch.zeros(1, 2), no_critic)
    with pytest.raises(GroundingError, match="shared encoder; use log_sum_exp"):
        GROUNDINGS["direct"].ground(scores, None, seeded())


def test_needs_that_are_not_offered_are_named_with_an_alternative():
    with pytest.raises(GroundingError, match=r"Direct needs a shared encoder.*log_sum_exp"):
        check_needs(Direct(), frozenset({"critic"}))
    with pytest.raises(GroundingError, match=r"critic and a shared encoder.*sampled_goal"):
        check_needs(Direct(), frozenset())
    for grounding in GROUNDINGS.values():
        check_needs(grounding, frozenset({"critic", "shared encoder"}))
