import math

import pytest
import torch

from langrl.errors import CheckpointError, DomainError, ShapeError
from langrl.models.logistic import newton, platt_targets
from langrl.models.understanding import (
    Understanding,
    fit_understanding,
    p_understood,
    read_understanding,
    understanding_of,
)


class Named:
    """A language side that embeds a text by the number in it."""

    understanding = None

    def encode_text(self, texts):
        angle = torch.tensor([float(text) for text in texts])
        return torch.stack([angle.cos(), angle.sin()], 1).unsqueeze(1)


def test_a_probability_is_the_sigmoid_of_the_directions_by_hand():
    fit = Understanding(weights=(2.0, -1.0, 0.0, 1.0), offset=-0.5)
    embedded = torch.tensor([[[3.0, 4.0], [0.0, 2.0]], [[5.0, 0.0], [1.0, 0.0]]])  # [K, J, D]
    logits = torch.tensor([2 * 0.6 - 0.8 + 1.0 - 0.5, 2.0 - 0.5])
    torch.testing.assert_close(fit.probability(embedded), logits.double().sigmoid())
    torch.testing.assert_close(fit.probability(7 * embedded), logits.double().sigmoid())
    with pytest.raises(ShapeError, match=r"embedded in 2 numbers and P.* was fitted to 4"):
        fit.probability(embedded[:, :1])


def test_the_fit_tells_two_directions_apart_and_counts_both_sorts_alike():
    generator = torch.Generator().manual_seed(0)
    meant = torch.tensor([1.0, 0.0]) + 0.3 * torch.randn(400, 2, generator=generator)
    other = torch.tensor([0.0, 1.0]) + 0.3 * torch.randn(100, 2, generator=generator)
    fit = fit_understanding(meant, other)
    assert (fit.probability(meant) > 0.5).double().mean() > 0.95
    assert (fit.probability(other) < 0.5).double().mean() > 0.95
    assert fit.weights[0] > 0 > fit.weights[1]
    # On the diagonal, nothing speaks for either: not even that four times as many were meant.
    assert fit.probability(torch.ones(1, 2)).item() == pytest.approx(0.5, abs=0.12)


def test_embeddings_that_say_nothing_give_one_half():
    same = torch.ones(30, 1, 3)
    fit = fit_understanding(same, same[:10])
    assert fit.probability(same[:1]).item() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(
    ("meant", "other", "error", "message"),
    [
        (torch.ones(1, 2), torch.ones(5, 2), DomainError, "got 1 and 5; give more texts"),
        (torch.full((5, 2), torch.nan), torch.ones(5, 2), DomainError, "finite embeddings"),
        (torch.ones(5, 2), torch.ones(5, 3), ShapeError, r"\[2\] and \[3\]"),
    ],
)
def test_what_cannot_be_fitted_is_refused(meant, other, error, message):
    with pytest.raises(error, match=message):
        fit_understanding(meant, other)


def test_a_language_side_without_a_fit_says_nothing():
    language = Named()
    assert understanding_of(language) is None
    assert understanding_of(object()) is None
    assert p_understood(language, ["0"]) is None
    language.understanding = Understanding(weights=(3.0, 0.0), offset=0.0)
    found = p_understood(language, ["0", str(math.pi)])
    assert found == pytest.approx([1 / (1 + math.exp(-3)), 1 / (1 + math.exp(3))], abs=1e-5)


def test_documents_are_read_and_damaged_ones_refused():
    assert read_understanding({}, "x") is None
    stored = Understanding(weights=(1.5,), offset=2.0)
    assert read_understanding({"understood": stored.model_dump(mode="json")}, "x") == stored
    for damaged in ([], {"weights": [], "offset": 0.0}, {"weights": [1.0], "offset": "inf"}):
        with pytest.raises(CheckpointError, match=r"x/understood\.json: .*fit it anew"):
            read_understanding({"understood": damaged}, "x")


def test_a_ridge_shrinks_slopes_and_not_the_base_rate():
    matches = torch.arange(40) < 30
    x = torch.where(matches, 1.0, -1.0).double()
    design = torch.stack([x, torch.ones(40).double()], 1)
    loose, tight = (newton(design, platt_targets(matches), ridge) for ridge in (1e-3, 1e3))
    assert loose[0] > 1
    assert tight[0].abs() < 1e-3
    assert tight[1].sigmoid().item() == pytest.approx(
        float(platt_targets(matches).mean()), abs=1e-3
    )
