import pytest
import torch
from torch import Generator

from langrl.models.config import CriticConfig, TextConfig
from langrl.models.critics.build import LanguageDescription, build_language, word_table_of
from langrl.models.encoders import CompactTextEncoder
from langrl.models.regions import ROLES, Regions, trust_in_roles
from langrl.words import PAD, WordTokeniser

TEXTS = ["go to row 3", "not row 3", "row 3 or column 11"]
INSIDE, OUTSIDE = 0.0, -40.0  # energies of a goal in a region and far from it, in nats


def role(include, excludes_only):
    return [60.0 * include, -60.0 * include, 300.0 if excludes_only else -300.0]


def scores(energies, roles):
    """h of goals [M], of one text, by energies [M, J] and roles [J, 3]."""
    h = Regions()(torch.tensor(energies).unsqueeze(1), torch.tensor(roles).unsqueeze(0))
    return h[:, 0].tolist()


def test_what_is_included_is_the_sum_of_its_regions():
    energies = [[INSIDE, OUTSIDE], [OUTSIDE, INSIDE], [OUTSIDE, OUTSIDE]]
    first, second, neither = scores(energies, [role(1, False)] * 2)
    assert first == pytest.approx(0, abs=1e-3)
    assert second == pytest.approx(0, abs=1e-3)
    assert neither < -30


def test_an_excluded_region_is_out_and_all_else_is_alike():
    inside, outside, elsewhere = scores(
        [[INSIDE], [OUTSIDE], [2 * OUTSIDE]], [role(-1, excludes_only=True)]
    )
    assert outside == pytest.approx(elsewhere, abs=1e-3)
    assert inside < outside - 7


def test_one_region_without_another():
    energies = [[INSIDE, OUTSIDE], [INSIDE, INSIDE], [OUTSIDE, INSIDE], [OUTSIDE, OUTSIDE]]
    first, both, second, neither = scores(energies, [role(1, False), role(-1, False)])
    assert first - max(both, second, neither) > 7


def test_without_trust_every_region_is_included():
    energies = [[INSIDE, OUTSIDE], [OUTSIDE, OUTSIDE]]
    roles = torch.tensor([[role(-1, True), role(-1, True)]])
    inside, outside = Regions()(torch.tensor(energies).unsqueeze(1), roles, 0.0)[:, 0].tolist()
    assert inside > outside + 30
    shares = [trust_in_roles(progress / 8) for progress in range(9)]
    assert shares[:3] == [0, 0, 0]
    assert shares[4:] == [1] * 5
    assert 0 < shares[3] < 1


def build(**text):
    config = TextConfig(width=16, exclusions=True, **text)
    description = LanguageDescription(
        low=(0.0, 0.0), high=(10.0, 10.0), critic=CriticConfig(embedding=8, width=16), text=config,
        vocabulary=WordTokeniser.learn(TEXTS).vocabulary, text_width=None,
        word_table=word_table_of(config),
    )  # fmt: skip
    return build_language(description, 0)


def test_texts_have_roles_beside_their_embeddings():
    language = build()
    texts = language.encode_text(TEXTS)
    assert texts.shape == (3, 2, 8 + ROLES)
    torch.testing.assert_close(language.as_goals(texts), texts[..., :8])
    goals = language.embed_goals(torch.rand(5, 2), torch.rand(5, 2))
    assert language.score(goals, texts).shape == (5, 3)
    several = language.score(goals.expand(4, 5, 8), texts.expand(4, 3, 2, 11))
    torch.testing.assert_close(several[2], language.score(goals, texts))


def test_roles_are_learned():
    language = build()
    goals = torch.cartesian_prod(torch.arange(10.0), torch.arange(10.0)) + 0.5
    in_row = goals[:, 0].long() == 3
    wanted = torch.stack([in_row, ~in_row, in_row | (goals[:, 1].long() == 9)])
    optimiser = torch.optim.Adam(language.parameters(), 1e-2)
    for _ in range(150):
        h = language.score(language.goal(goals), language.encode_text(TEXTS)).T.log_softmax(1)
        loss = -((h * wanted).sum(1) / wanted.sum(1)).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    h = language.score(language.goal(goals), language.encode_text(TEXTS)).T
    for score, fits in zip(h, wanted, strict=True):
        assert score[fits].mean() > score[~fits].mean() + 2
    included = language.encode_text(TEXTS)[..., 8:10].softmax(-1)[..., 0]
    assert included[0].max() > included[1].min()


def test_idle_words_stand_before_or_after_a_text():
    language = build(words="distilled", idle_rate=0.5, unknown_rate=0.0, hidden_rate=0.0)
    text = language.text
    assert isinstance(text, CompactTextEncoder)
    tokens = text.tokenise(TEXTS).repeat(200, 1)
    told = text.corrupt(tokens, Generator().manual_seed(0))
    assert told.shape == (600, tokens.shape[1] + 6)
    lengths, before = (tokens != PAD).sum(1), (told != PAD).sum(1)
    longer = before > lengths
    assert 0.4 < longer.float().mean() < 0.6
    assert set((before - lengths).tolist()) == set(range(7))
    first = 0
    for row, original, count in zip(told, tokens, lengths.tolist(), strict=True):
        words = row[row != PAD].tolist()
        kept = original[:count].tolist()
        assert kept in (words[:count], words[len(words) - count :])
        assert all(word >= len(text.tokeniser) for word in words if word not in kept)
        first += words[:count] != kept
    assert 0.15 < first / 600 < 0.35  # half of the others have words before
    again = text.corrupt(tokens, Generator().manual_seed(0))
    assert again.equal(told)
