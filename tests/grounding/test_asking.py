import math

import pytest
import torch

from langrl.errors import DomainError, GroundingError, UnknownNameError
from langrl.functional.asking import ACT
from langrl.grounding.asking import Asking
from langrl.grounding.strategies import GROUNDINGS, Scores, check_needs

LABELS = torch.tensor([[[0, 0, 1, 1], [0, 1, 0, 1]]])


def decide(asking, probabilities, memory=None, ruled_out=(), seed=0):
    beliefs = torch.tensor([probabilities]).double().log()
    weights = torch.zeros_like(beliefs)
    weights[0, list(ruled_out)] = -math.inf
    scores = Scores(beliefs, weights, labels=LABELS)
    return asking.ground(scores, memory, torch.Generator().manual_seed(seed))


def test_asking_pays_where_the_gain_is_above_the_price():
    even = [0.25] * 4
    for price, asks in ((0.05, True), (0.2, True), (0.8, False)):
        decision, _ = decide(Asking("pays", price), even)
        assert decision.ask.tolist() == [asks]
        assert (decision.question != ACT).tolist() == [asks]


def test_the_goal_is_the_likeliest_intent_that_answers_have_left():
    decision, _ = decide(Asking("never"), [0.5, 0.3, 0.15, 0.05], ruled_out=(0, 1))
    assert decision.goal.tolist() == [2]
    torch.testing.assert_close(decision.posterior[0, 2].item(), 0.75)
    assert not decision.ask.any()


def test_always_asks_whatever_it_costs_until_nothing_is_told():
    asking = Asking("always", 5.0)
    first, _ = decide(asking, [0.25] * 4)
    assert first.ask.all()
    both, _ = decide(asking, [0.25] * 4, ruled_out=(2, 3))
    assert both.question.tolist() == [1]  # the first question was answered
    one, _ = decide(asking, [0.25] * 4, ruled_out=(1, 2, 3))
    assert not one.ask.any()


def test_a_conformal_set_of_one_intent_needs_no_question():
    sure = [0.97, 0.01, 0.01, 0.01]
    beyond = -math.log(0.05)
    decision, sets = decide(Asking("conformal", threshold=beyond), sure)
    assert sets.tolist() == [[1, 0, 0, 0]]
    assert not decision.ask.any()
    asks, sets = decide(Asking("conformal", threshold=math.inf), sure)
    assert sets.tolist() == [[1, 1, 1, 1]]
    assert asks.ask.all()


def test_a_conformal_set_is_that_of_the_instruction_alone():
    asking = Asking("conformal", threshold=-math.log(0.3))
    even = [0.25] * 4
    _, sets = decide(asking, even)
    later, same = decide(asking, even, memory=sets, ruled_out=(0,), seed=9)
    assert torch.equal(sets, same)
    within = (sets[0] == 1) & (torch.arange(4) > 0)
    assert later.ask.item() == (within.sum() > 1).item()


def test_where_answers_rule_out_all_that_was_predicted_the_posterior_is_left():
    sets = torch.tensor([[1, 0, 0, 0]], dtype=torch.int8)
    decision, _ = decide(Asking("conformal"), [0.25] * 4, memory=sets, ruled_out=(0, 1))
    assert decision.question.tolist() == [1]


def test_what_is_wrong_is_named():
    with pytest.raises(UnknownNameError, match="did you mean 'pays'"):
        Asking("pay")
    with pytest.raises(DomainError, match=r"price .* -1"):
        Asking("pays", -1)
    with pytest.raises(DomainError, match="NaN"):
        Asking("conformal", threshold=math.nan)
    beliefs = torch.zeros(1, 4)
    with pytest.raises(GroundingError, match="needs questions"):
        Asking("pays").ground(Scores(beliefs, beliefs), None, torch.Generator())
    with pytest.raises(GroundingError, match="Asking needs a questions"):
        check_needs(Asking("pays"), frozenset({"critic"}))


def test_other_strategies_do_not_ask():
    scores = Scores(torch.zeros(3, 4), torch.zeros(3, 4), lambda: torch.zeros(3, 2, 4))
    for name in ("max_goal", "log_sum_exp"):
        decision, _ = GROUNDINGS[name].ground(scores, None, torch.Generator())
        assert not decision.ask.any()
        assert decision.question is None
