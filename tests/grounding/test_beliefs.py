import numpy as np
import pytest
import torch

from langrl.envs.questions import maze_questions
from langrl.errors import DomainError
from langrl.grounding.beliefs import ExactBeliefs, LanguageBeliefs, posterior_of
from langrl.grounding.intents import MazeIntents

STARTS = np.array([[0.5, 0.5], [4.5, 4.5]], np.float32)
TEXTS = ["go to row 0", "column 4"]


@pytest.fixture
def intents(world):
    return MazeIntents(world, maze_questions(world.walls.shape))


@pytest.fixture
def language(make_critics):
    return make_critics()[1]


def test_exact_beliefs_are_uniform_over_what_is_denoted(intents):
    log_p = ExactBeliefs(intents).log_posterior(STARTS, TEXTS)
    denoted = torch.from_numpy(intents.denoted(STARTS, TEXTS))
    expected = denoted.double() / denoted.sum(1, keepdim=True)
    torch.testing.assert_close(log_p.exp(), expected)


def test_exact_beliefs_take_another_denotation(intents):
    only = np.zeros((2, len(intents.possible(STARTS)[0])), bool)
    only[:, 3] = True
    log_p = ExactBeliefs(intents, lambda observations, texts: only).log_posterior(STARTS, TEXTS)
    assert log_p.argmax(1).tolist() == [3, 3]
    assert log_p.exp().amax(1).tolist() == [1.0, 1.0]


def test_beliefs_of_a_language_side_follow_its_scores(intents, language):
    weight = 2.0
    beliefs = LanguageBeliefs(language, intents, language_weight=weight)
    log_p = beliefs.log_posterior(STARTS, TEXTS)
    goals = intents.goals(STARTS[0])
    with torch.no_grad():
        embedded = language.embed_goals(None, torch.from_numpy(goals)[None])
        scores = language.score(embedded, language.encode_text(TEXTS)[:, None]).squeeze(-1)
    expected = (weight * scores.double()).log_softmax(-1)
    found = log_p[:, torch.from_numpy(intents.reached(goals))]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    walls = ~torch.from_numpy(intents.possible(STARTS))
    assert (log_p[walls] == -torch.inf).all()


def test_beliefs_of_a_batch_are_those_of_each_episode(intents, language, monkeypatch):
    beliefs = LanguageBeliefs(language, intents)
    together = beliefs.log_posterior(STARTS, TEXTS)
    monkeypatch.setattr("langrl.grounding.beliefs._AT_ONCE", 1)
    torch.testing.assert_close(beliefs.log_posterior(STARTS, TEXTS), together)


def test_a_high_temperature_makes_beliefs_even(intents, language):
    cold, hot = (
        LanguageBeliefs(language, intents, temperature=t).log_posterior(STARTS, TEXTS).exp()
        for t in (0.1, 1e6)
    )
    free = intents.possible(STARTS)[0].sum()
    assert hot.amax() == pytest.approx(1 / free, rel=1e-3)
    assert (cold.amax(1) > hot.amax(1)).all()


def test_a_temperature_of_0_is_refused(intents, language):
    with pytest.raises(DomainError, match="above 0, got 0"):
        LanguageBeliefs(language, intents, temperature=0)


def test_a_posterior_over_goals_has_the_beliefs_of_intents(intents, language):
    for beliefs in (ExactBeliefs(intents), LanguageBeliefs(language, intents)):
        posterior = posterior_of(beliefs, STARTS[0], TEXTS[0])
        possible = intents.possible(STARTS[:1])[0]
        found = posterior.of_intents(intents.reached(posterior.goals), possible)
        expected = beliefs.log_posterior(STARTS[:1], TEXTS[:1])[0].exp().numpy()
        np.testing.assert_allclose(found, expected, atol=1e-6)
        assert posterior.probabilities.sum() == pytest.approx(1, abs=1e-5)
