import math

import pytest
import torch

from langrl.errors import DomainError, NonFiniteError, ShapeError
from langrl.functional.conformal import adaptive_scores, conformal_threshold, fit_temperature

TASKS = 10_000


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def draw_tasks(count, seed, sharpness=3.0, intents=6):
    """Return posteriors, and what was meant, drawn from them."""
    source = generator(seed)
    p = (sharpness * torch.randn(count, intents, generator=source)).softmax(-1)
    return p, torch.multinomial(p, 1, generator=source).squeeze(1)


def of(scores, meant):
    return scores.gather(1, meant.unsqueeze(1)).squeeze(1)


def coverage_and_size(p, meant, coverage, calibration=None):
    known, known_meant = calibration or draw_tasks(TASKS, 7)
    threshold = conformal_threshold(of(adaptive_scores(known, generator(1)), known_meant), coverage)
    sets = adaptive_scores(p, generator(2)) <= threshold
    return of(sets, meant).double().mean().item(), sets.sum(1).double().mean().item()


def test_scores_are_the_probability_of_less_likely_intents_and_a_share_of_its_own():
    beyond = (-adaptive_scores(torch.tensor([[0.2, 0.5, 0.3]]), generator())[0]).exp()
    share = beyond[0] / 0.2
    assert 0 < share < 1
    expected = torch.stack([0.2 * share, 0.5 + 0.5 * share, 0.2 + 0.3 * share])
    torch.testing.assert_close(beyond, expected)


def test_a_sharp_posterior_still_orders_its_unlikely_intents():
    scores = adaptive_scores(torch.tensor([[1.0, 1e-30, 1e-25]]).double(), generator())[0]
    assert scores[0] < scores[2] < scores[1] < math.inf


def test_equally_likely_intents_come_in_a_random_order():
    scores = adaptive_scores(torch.full((4000, 4), 0.25), generator())
    first = torch.bincount(scores.argmin(1), minlength=4) / 4000
    torch.testing.assert_close(first, torch.full((4,), 0.25), atol=0.03, rtol=0)
    assert (-scores).exp().mean().item() == pytest.approx(0.5, abs=0.01)


def test_an_intent_of_probability_0_is_in_no_set():
    scores = adaptive_scores(torch.tensor([[0.5, 0.0, 0.5]]), generator())
    assert scores[0, 1] == math.inf


def test_the_same_generator_gives_the_same_scores():
    p, _ = draw_tasks(50, 3)
    assert torch.equal(adaptive_scores(p, generator(5)), adaptive_scores(p, generator(5)))
    assert not torch.equal(adaptive_scores(p, generator(5)), adaptive_scores(p, generator(6)))


def test_the_threshold_is_a_rank_of_the_scores():
    scores = torch.tensor([0.9, 0.1, 0.5, 0.3, 0.7, 0.2, 0.4, 0.6, 0.8])
    assert conformal_threshold(scores, 0.9) == pytest.approx(0.9)  # the 9th of 9
    assert conformal_threshold(scores, 0.5) == pytest.approx(0.5)
    assert conformal_threshold(scores, 0.91) == math.inf  # there is no 10th


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
def test_sets_hold_what_was_meant_as_often_as_stated(coverage):
    p, meant = draw_tasks(TASKS, 8)
    held, _ = coverage_and_size(p, meant, coverage)
    assert held == pytest.approx(coverage, abs=0.015)


@pytest.mark.parametrize("coverage", [0.8, 0.95])
def test_a_wrong_posterior_has_the_stated_coverage_by_larger_sets(coverage):
    (known, known_meant), (p, meant) = draw_tasks(TASKS, 8), draw_tasks(TASKS, 9)
    _, size = coverage_and_size(p, meant, coverage)
    wrong = [
        (each.log() + 3 * torch.randn(each.shape, generator=generator(seed))).softmax(-1)
        for seed, each in enumerate((known, p))
    ]
    held, larger = coverage_and_size(wrong[1], meant, coverage, (wrong[0], known_meant))
    assert held == pytest.approx(coverage, abs=0.015)
    assert larger > 1.2 * size


def test_where_n_intents_are_equally_likely_sets_hold_the_share_that_is_stated():
    p = torch.full((TASKS, 5), 0.2)
    meant = torch.randint(0, 5, (TASKS,), generator=generator(3))
    held, size = coverage_and_size(p, meant, 0.9, (p, meant))
    assert held == pytest.approx(0.9, abs=0.015)
    assert size == pytest.approx(4.5, abs=0.1)


@pytest.mark.parametrize("temperature", [0.25, 1.0, 3.0])
def test_the_temperature_that_made_a_posterior_wrong_is_found(temperature):
    p, meant = draw_tasks(TASKS, 4)
    fitted = fit_temperature(p.log() / temperature, meant)
    assert fitted * temperature == pytest.approx(1.0, rel=0.06)


def test_the_temperature_has_the_least_loss_of_a_grid():
    p, meant = draw_tasks(500, 5)
    logits = 2.5 * p.double().log()

    def loss(t):
        return torch.nn.functional.cross_entropy(logits / t, meant).item()

    best = fit_temperature(logits, meant)
    assert all(loss(best) <= loss(best * factor) for factor in (0.5, 0.9, 0.99, 1.01, 1.1, 2))


def test_padding_and_impossible_tasks_do_not_move_the_temperature():
    p, meant = draw_tasks(500, 6)
    logits = p.log()
    padded = torch.cat([logits, torch.full((500, 1), -math.inf)], 1)
    more = torch.cat([padded, padded[:1]])
    impossible = torch.cat([meant, torch.tensor([6])])
    assert fit_temperature(more, impossible) == pytest.approx(fit_temperature(logits, meant))


def test_what_is_wrong_is_named():
    p, meant = draw_tasks(5, 0)
    with pytest.raises(DomainError, match="sum to 1"):
        adaptive_scores(2 * p, generator())
    with pytest.raises(NonFiniteError, match="probabilities"):
        adaptive_scores(p * math.nan, generator())
    with pytest.raises(DomainError, match=r"coverage .* got 1"):
        conformal_threshold(p[:, 0], 1)
    with pytest.raises(NonFiniteError, match="scores"):
        conformal_threshold(p[:, 0] * math.nan, 0.9)
    with pytest.raises(ShapeError, match=r"meant \[5\]"):
        fit_temperature(p.log(), meant[:2])
    with pytest.raises(NonFiniteError, match="above -inf"):
        fit_temperature(torch.full((5, 2), -math.inf), torch.zeros(5, dtype=torch.int64))
