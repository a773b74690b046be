import math

import pytest
import torch

from langrl.errors import DomainError, NonFiniteError, ShapeError
from langrl.functional.losses import (
    LOSSES,
    backward_info_nce,
    binary_nce,
    forward_info_nce,
    ranking_info_nce,
    sigmoid,
    symmetric_info_nce,
    triplet,
)

INF, NAN = float("inf"), float("nan")
LN2, LN3, LN4 = math.log(2), math.log(3), math.log(4)
LOGITS = torch.tensor([[LN2, 0.0], [0.0, LN3]])  # row and column sums of exp: 3 and 4
INFO_NCE = {
    name: LOSSES[name] for name in ("forward_info_nce", "backward_info_nce", "symmetric_info_nce")
}


def mask(*rows):
    return torch.tensor([[mark == "x" for mark in row] for row in rows])


# -- errors ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("shape", [(3, 2), (4,), (2, 2, 2), (), (0, 0), (0, 3)])
def test_logits_of_another_shape_are_refused(name, shape):
    with pytest.raises(ShapeError) as caught:
        LOSSES[name](torch.zeros(shape))
    assert "logits must be floats [N, M]" in str(caught.value)
    assert f"got {list(shape)}" in str(caught.value)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize(
    "positives", [torch.eye(2), torch.eye(2, dtype=torch.int64), torch.eye(2, 3).bool()]
)
def test_positives_that_are_no_mask_of_the_logits_are_refused(name, positives):
    with pytest.raises(
        ShapeError, match=r"^positives must be \[2, 2\] of torch.bool, got .*; mark"
    ):
        LOSSES[name](LOGITS, positives=positives)


def test_integers_are_no_logits():
    with pytest.raises(ShapeError, match=r"floats .* got .* of torch.int64"):
        binary_nce(torch.zeros(2, 2, dtype=torch.int64))


@pytest.mark.parametrize("name", LOSSES)
def test_a_row_without_a_positive_is_refused(name):
    with pytest.raises(DomainError, match=r"^row 1 of positives has none; mark one"):
        LOSSES[name](torch.zeros(3, 3), positives=mask("x..", "...", ".x."))


@pytest.mark.parametrize("name", LOSSES)
def test_a_pair_alone_has_nothing_to_contrast_with(name):
    with pytest.raises(DomainError, match=r"0 has no negative to contrast with; add"):
        LOSSES[name](torch.zeros(1, 1))


def test_a_pair_alone_can_have_explicit_negatives():
    logits, more = torch.zeros(1, 1), torch.zeros(1, 3)
    assert forward_info_nce(logits, negatives=more)[0].item() == pytest.approx(LN4)
    assert backward_info_nce(logits, negatives=more)[0].item() == pytest.approx(LN4)
    assert forward_info_nce(torch.zeros(1, 4))[0].item() == pytest.approx(LN4)
    with pytest.raises(DomainError, match="column 0 has no negative"):
        symmetric_info_nce(logits, negatives=more)


@pytest.mark.parametrize("name", sorted(set(LOSSES) - {"backward_info_nce"}))
@pytest.mark.parametrize("way", ["marked", "ruled out"])
def test_a_row_without_a_negative_is_refused(name, way):
    logits, positives = torch.zeros(3, 3), mask("x..", "xxx", "..x")
    if way == "ruled out":
        positives = mask("x..", ".xx", "..x")
        logits[1, 0] = -INF
    with pytest.raises(DomainError, match=r"^row 1 has no negative"):
        LOSSES[name](logits, positives=positives)


@pytest.mark.parametrize("name", ["backward_info_nce", "symmetric_info_nce", "triplet"])
def test_a_column_without_a_negative_is_refused(name):
    with pytest.raises(DomainError, match=r"^column 2 has no negative"):
        LOSSES[name](torch.zeros(3, 4), positives=mask("x.x.", "..x.", "..x."))


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("value", [NAN, INF])
@pytest.mark.parametrize("index", [(1, 1), (1, 2), (2, 0)])
def test_values_that_are_not_finite_are_refused_and_named(name, value, index):
    logits = torch.zeros(3, 3)
    logits[index] = value
    message = rf"^logits\[{index[0]}, {index[1]}\] is {value:g}; give finite values"
    with pytest.raises(NonFiniteError, match=message):
        LOSSES[name](logits.requires_grad_())


@pytest.mark.parametrize("name", LOSSES)
def test_a_positive_that_is_ruled_out_is_refused(name):
    logits = torch.zeros(3, 3)
    logits[2, 2] = logits[0, 2] = -INF
    with pytest.raises(NonFiniteError, match=r"^logits\[2, 2\] is -inf; .* rules out a negative"):
        LOSSES[name](logits)


@pytest.mark.parametrize("value", [NAN, INF])
def test_explicit_negatives_that_are_not_finite_are_named(value):
    negatives = torch.zeros(2, 3)
    negatives[1, 2] = value
    for loss in INFO_NCE.values():
        with pytest.raises(NonFiniteError, match=rf"^negatives\[1, 2\] is {value}"):
            loss(LOGITS, negatives=negatives)
    with pytest.raises(NonFiniteError, match=rf"^negatives\[1, 2\] is {value}"):
        ranking_info_nce(torch.zeros(2), negatives)
    with pytest.raises(NonFiniteError, match=rf"^positive\[1\] is {value}"):
        ranking_info_nce(torch.tensor([0.0, value]), torch.zeros(2, 3))


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_a_bias_that_is_not_finite_is_named(value):
    with pytest.raises(NonFiniteError, match=f"^bias is {value}"):
        sigmoid(LOGITS, torch.tensor(value))


@pytest.mark.parametrize("name", INFO_NCE)
def test_an_overflow_of_finite_values_is_told(name):
    with pytest.raises(NonFiniteError, match="overflows to inf; lower the scale or the penalty"):
        INFO_NCE[name](LOGITS, logsumexp_penalty=3e38)


@pytest.mark.parametrize("name", INFO_NCE)
@pytest.mark.parametrize("shape", [(3, 4), (4,), (2, 2, 2)])
def test_explicit_negatives_that_are_not_one_row_for_each_anchor_are_refused(name, shape):
    with pytest.raises(ShapeError) as caught:
        INFO_NCE[name](LOGITS, negatives=torch.zeros(shape))
    axis = "column" if name == "backward_info_nce" else "row"
    message = f"negatives must be [2, J], got {list(shape)}; give each {axis} J of its own"
    assert str(caught.value) == message


@pytest.mark.parametrize("weight", [-0.1, NAN, INF])
def test_penalties_and_margins_out_of_range_are_refused(weight):
    for loss in INFO_NCE.values():
        with pytest.raises(DomainError, match=r"^logsumexp_penalty is"):
            loss(LOGITS, logsumexp_penalty=weight)
    with pytest.raises(DomainError, match=r"^logsumexp_penalty is"):
        symmetric_info_nce(LOGITS, logsumexp_penalty=(0.1, weight))
    with pytest.raises(DomainError, match=r"^margin is"):
        triplet(LOGITS, margin=weight)


def test_a_bias_that_is_no_scalar_is_refused():
    with pytest.raises(ShapeError, match=r"^bias must be a scalar, got \[2\]"):
        sigmoid(LOGITS, torch.zeros(2))


@pytest.mark.parametrize(
    ("positive", "negatives"),
    [((2,), (3, 4)), ((2, 1), (2, 4)), ((2,), (2,)), ((), (2, 1)), ((0,), (0, 2))],
)
def test_ranking_shapes_that_do_not_fit_are_refused(positive, negatives):
    with pytest.raises(ShapeError, match=r"^(positive|negatives) must be \[.*; give"):
        ranking_info_nce(torch.zeros(positive), torch.zeros(negatives))


def test_ranking_without_negatives_is_refused():
    with pytest.raises(DomainError, match="row 0 has no negative"):
        ranking_info_nce(torch.zeros(2), torch.zeros(2, 0))
