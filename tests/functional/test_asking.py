import math

import pytest
import torch

from langrl.errors import DomainError, NonFiniteError, ShapeError
from langrl.functional.asking import ACT, best_question, exact_value

COLOUR_AND_SIDE = torch.tensor([[0, 0, 1, 1], [0, 1, 0, 1]])


def brute_force(weights, labels, price, asked=()):
    """Return the best unnormalised value by recursion over every sequence of questions."""
    best = max(weights, default=0.0)
    for q in set(range(len(labels))) - set(asked):
        value = -price * sum(weights)
        for answer in set(labels[q]):
            left = [
                w if label == answer else 0.0 for w, label in zip(weights, labels[q], strict=True)
            ]
            value += brute_force(left, labels, price, (*asked, q))
        best = max(best, value)
    return best


def test_two_intents_and_a_question_that_tells_them_apart():
    plan = best_question(torch.tensor([0.5, 0.5]), torch.tensor([[0, 1]]), 0.2)
    assert plan.value.item() == pytest.approx(0.8)
    assert plan.question.item() == 0


def test_a_question_that_costs_what_it_gains_is_not_asked():
    plan = best_question(torch.tensor([0.5, 0.5]), torch.tensor([[0, 1]]), 0.5)
    assert plan.value.item() == pytest.approx(0.5)
    assert plan.question.item() == ACT
    fifths = torch.full((5,), 0.2)  # the gain 2/5 - 1/5 is the price up to rounding
    assert best_question(fifths, torch.tensor([[0, 0, 1, 1, 1]]), 0.2).question.item() == ACT


def test_two_questions_are_asked_where_neither_alone_would_do():
    # One question leaves two of four: 1/2 - p. Two leave one: 1 - 2p.
    plan = best_question(torch.ones(4), COLOUR_AND_SIDE, 0.3)
    assert plan.value.item() == pytest.approx(0.4)
    assert plan.question.item() == 0


def test_a_likely_intent_makes_a_question_worth_less():
    # One question: 0.7 + 0.1 - p; both: 1 - 2p; acting now: 0.7.
    weights, labels = torch.tensor([0.7, 0.1, 0.1, 0.1]), COLOUR_AND_SIDE
    assert best_question(weights, labels, 0.05).value.item() == pytest.approx(0.9)
    plan = best_question(weights, labels, 0.2)
    assert (plan.value.item(), plan.question.item()) == (pytest.approx(0.7), ACT)
    assert plan.choice.item() == 0


def test_questions_whose_answer_decides_what_to_ask_next():
    # The first question says which of the two others tells the rest apart.
    labels = torch.tensor([[0, 0, 1, 1], [0, 1, 0, 0], [0, 0, 0, 1]])
    plan = best_question(torch.ones(4), labels, 0.1)
    assert plan.value.item() == pytest.approx(0.8)
    assert plan.question.item() == 0


@pytest.mark.parametrize("seed", range(8))
def test_the_value_is_that_of_every_sequence_tried(seed):
    generator = torch.Generator().manual_seed(seed)
    intents, questions = 3 + seed % 5, 1 + seed % 4
    labels = torch.randint(-1, 3, (questions, intents), generator=generator)
    weights = torch.rand(intents, generator=generator, dtype=torch.float64)
    weights[0] *= seed % 2  # with and without padding
    for price in (0.0, 0.05, 0.2, 0.8):
        plan = best_question(weights, labels, price)
        expected = brute_force(weights.tolist(), labels.tolist(), price) / weights.sum()
        assert plan.value.item() == pytest.approx(expected.item())
        acting = weights.max() / weights.sum()
        assert (plan.question.item() == ACT) == (plan.value - acting < 1e-6).item()


def test_the_question_is_one_that_reaches_the_value():
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 2, (3, 6), generator=generator)
    weights = torch.rand(6, generator=generator, dtype=torch.float64)
    plan, price = best_question(weights, labels, 0.02), 0.02
    q = plan.question.item()
    after = sum(
        brute_force((weights * (labels[q] == k)).tolist(), labels.tolist(), price, (q,))
        for k in (0, 1)
    )
    assert plan.value.item() == pytest.approx((after / weights.sum() - price).item())


def test_episodes_in_a_batch_are_planned_as_they_are_alone():
    generator = torch.Generator().manual_seed(1)
    weights = torch.rand(20, 5, generator=generator)
    labels = torch.randint(0, 3, (20, 2, 5), generator=generator)
    together = best_question(weights, labels, 0.1)
    alone = [best_question(*each, 0.1) for each in zip(weights, labels, strict=True)]
    for name in ("value", "question", "choice"):
        expected = torch.stack([getattr(plan, name) for plan in alone])
        torch.testing.assert_close(getattr(together, name), expected)


def test_labels_of_padding_and_large_labels_do_not_matter():
    weights = torch.tensor([1.0, 1.0, 0.0])
    plan = best_question(weights, torch.tensor([[7, 10**12, -3]]), 0.1)
    assert plan.value.item() == pytest.approx(0.9)


def test_without_asking_the_value_of_n_intents_is_one_in_n():
    denoted = torch.tensor([[True, False, True, True], [True, False, False, False]])
    assert exact_value(COLOUR_AND_SIDE, math.inf, denoted).tolist() == pytest.approx([1 / 3, 1])
    assert exact_value(COLOUR_AND_SIDE, 1.0).item() == pytest.approx(1 / 4)


def test_the_exact_value_falls_with_the_price_and_never_below_that_of_acting():
    prices = (0.0, 0.05, 0.2, 0.8)
    values = [exact_value(COLOUR_AND_SIDE, price).item() for price in prices]
    assert values == pytest.approx([1.0, 0.9, 0.6, 0.25])


def test_a_question_that_tells_nothing_is_not_asked_even_for_free():
    # The first does not tell the two apart that are left; asked, it would be asked for ever.
    labels = torch.tensor([[3, 3, 4], [0, 1, 0]])
    assert best_question(torch.tensor([0.5, 0.5, 0.0]), labels, 0.0).question.item() == 1
    assert best_question(torch.tensor([0.5, 0.0, 0.0]), labels, 0.0).question.item() == ACT


def test_no_question_at_all_means_acting():
    plan = best_question(torch.ones(2, 3), torch.zeros(0, 3, dtype=torch.int64), 0.1)
    assert plan.value.tolist() == pytest.approx([1 / 3, 1 / 3])
    assert plan.question.tolist() == [ACT, ACT]


@pytest.mark.parametrize(
    ("weights", "labels", "price", "error", "message"),
    [
        (torch.ones(3), COLOUR_AND_SIDE, 0.1, ShapeError, r"labels \[..., Q, 3\]"),
        (torch.ones(4), COLOUR_AND_SIDE.double(), 0.1, ShapeError, "of whole numbers"),
        (torch.ones(3, 4), COLOUR_AND_SIDE.expand(2, 2, 4), 0.1, ShapeError, "same episodes"),
        (torch.ones(4), COLOUR_AND_SIDE, -0.1, DomainError, r"price .* at least 0, got -0.1"),
        (torch.ones(4), COLOUR_AND_SIDE, math.nan, DomainError, "price"),
        (torch.zeros(4), COLOUR_AND_SIDE, 0.1, DomainError, "give probabilities"),
        (-torch.ones(4), COLOUR_AND_SIDE, 0.1, DomainError, "give probabilities"),
        (torch.full((4,), math.nan), COLOUR_AND_SIDE, 0.1, NonFiniteError, "weights"),
        (torch.ones(50), torch.arange(50).expand(3, 50), 0.1, DomainError, "leave out some"),
    ],
)
def test_what_is_wrong_is_named(weights, labels, price, error, message):
    with pytest.raises(error, match=message):
        best_question(weights, labels, price)
