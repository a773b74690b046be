import math

import numpy as np
import pytest
import torch

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
SKEW = torch.tensor([[0.0, LN3], [0.0, LN3]])  # row sums 4 and 4, column sums 2 and 6
INFO_NCE = {
    name: LOSSES[name] for name in ("forward_info_nce", "backward_info_nce", "symmetric_info_nce")
}


def normal(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def mask(*rows):
    return torch.tensor([[mark == "x" for mark in row] for row in rows])


# -- hand-worked numbers ---------------------------------------------------------------------


def test_forward_loss_of_hand_worked_logits():
    loss, metrics = forward_info_nce(SKEW)  # ln 4/1 and ln 4/3
    assert loss.item() == pytest.approx(0.5 * math.log(16 / 3))
    assert metrics["information"].item() == pytest.approx(LN2 - 0.5 * math.log(16 / 3))
    assert metrics["accuracy_right"].item() == 0.5


def test_backward_loss_of_hand_worked_logits():
    loss, metrics = backward_info_nce(SKEW)  # ln 2/1 and ln 6/3
    assert loss.item() == pytest.approx(LN2)
    assert set(metrics) == {"accuracy_left"}


def test_symmetric_loss_of_hand_worked_logits():
    assert symmetric_info_nce(LOGITS)[0].item() == pytest.approx(0.5 * LN2)  # ln 3/2 and ln 4/3
    loss, _ = symmetric_info_nce(SKEW)
    assert loss.item() == pytest.approx(0.5 * (0.5 * math.log(16 / 3) + LN2))


def test_shared_negatives_join_the_rows_and_are_no_anchors():
    logits = torch.tensor([[LN2, 0.0, LN3], [0.0, LN3, LN4]])  # row sums 6 and 8
    assert forward_info_nce(logits)[0].item() == pytest.approx(0.5 * (LN3 + math.log(8 / 3)))
    # The columns 0 and 1 are those of LOGITS; column 2 has no positive.
    assert backward_info_nce(logits)[0].item() == pytest.approx(0.5 * LN2)


def test_a_rows_own_negatives_join_its_softmax_only():
    loss, metrics = forward_info_nce(LOGITS, negatives=torch.tensor([[LN3], [LN4]]))
    assert loss.item() == pytest.approx(0.5 * (LN3 + LN3 - LN3 + math.log(8 / 3)))  # 6/2 and 8/3
    assert metrics["accuracy_right"].item() == 0
    loss, _ = backward_info_nce(SKEW, negatives=torch.tensor([[LN2], [LN3]]))
    assert loss.item() == pytest.approx(0.5 * (LN4 + LN3))  # (2 + 2)/1 and (6 + 3)/3


def test_several_positives_of_a_row_are_averaged():
    logits, positives = torch.tensor([[0.0, LN2, LN3], [LN2, 0.0, 0.0]]), mask("xx.", "..x")
    # Row 0: mean of ln 6/1 and ln 6/2; row 1: ln 4/1.
    expected = 0.5 * (0.5 * math.log(18) + LN4)
    assert forward_info_nce(logits, positives=positives)[0].item() == pytest.approx(expected)
    # Columns: ln 3/1, ln 3/2, ln 4/1.
    expected = math.log(3 * 1.5 * 4) / 3
    assert backward_info_nce(logits, positives=positives)[0].item() == pytest.approx(expected)


def test_ranking_loss_of_hand_worked_values():
    positive, negatives = torch.tensor([LN2, 0.0]), torch.tensor([[0.0, 0.0], [LN3, LN4]])
    loss, metrics = ranking_info_nce(positive, negatives)
    assert loss.item() == pytest.approx(0.5 * (LN2 + math.log(8)))  # ln 4/2 and ln 8/1
    assert metrics["accuracy"].item() == 0.5


def test_binary_loss_of_hand_worked_logits():
    # Positives: ln 3/2 and ln 4/3, on average ln(2)/2; each negative: ln 2.
    assert binary_nce(LOGITS)[0].item() == pytest.approx(0.5 * (0.5 * LN2 + LN2))
    # Four negatives instead of two, of ln 2 each: the same.
    more = torch.cat([LOGITS, torch.zeros(2, 1)], 1)
    assert binary_nce(more)[0].item() == pytest.approx(0.5 * (0.5 * LN2 + LN2))
    assert binary_nce(torch.zeros(3, 3))[0].item() == pytest.approx(LN2)


def test_sigmoid_loss_of_hand_worked_logits():
    # Positives: ln 3/2 + ln 4/3 = ln 2; negatives: 2 ln 2; divided by two rows.
    assert sigmoid(LOGITS, 0.0)[0].item() == pytest.approx(1.5 * LN2)
    assert sigmoid(LOGITS)[0].item() == pytest.approx(1.5 * LN2)  # the bias is -ln 1
    # Bias -ln 2 in rows of three: odds 1 and 3/2; four negatives of odds 1/2.
    more = torch.cat([LOGITS, torch.zeros(2, 1)], 1)
    expected = 0.5 * (LN2 + math.log(5 / 3) + 4 * math.log(3 / 2))
    assert sigmoid(more)[0].item() == pytest.approx(expected)
    # With bias ln 2, positives of odds 4 and 6: ln 5/4 + ln 7/6; negatives of odds 2: 2 ln 3.
    expected = 0.5 * (math.log(35 / 24) + 2 * LN3)
    assert sigmoid(LOGITS, torch.tensor(LN2))[0].item() == pytest.approx(expected, rel=1e-6)


def test_triplet_loss_of_hand_worked_logits():
    logits = torch.tensor([[3.0, 2.5], [0.0, 1.0]])
    # Rows: 1 - 3 + 2.5 = 0.5 and 1 - 1 + 0 = 0; columns: 1 - 3 + 0 < 0 and 1 - 1 + 2.5 = 2.5.
    assert triplet(logits)[0].item() == pytest.approx(0.5 * (0.5 / 2 + 2.5 / 2))
    # Margin 2: 1.5 and 1; 0 and 3.5.
    assert triplet(logits, margin=2.0)[0].item() == pytest.approx(0.5 * (2.5 / 2 + 3.5 / 2))


def test_triplet_stops_once_the_order_is_right_by_the_margin():
    for scale in (1.5, 3.0, 100.0):  # hence the scale, and so the ratio, is not learned
        logits = (scale * torch.eye(3)).requires_grad_()
        loss, _ = triplet(logits)
        loss.backward()
        assert loss.item() == 0
        assert not logits.grad.any()


# -- oracles: loops over anchors, positives and negatives -------------------------------------


def anchors(logits, positives, own):
    """Give the positive and negative values of each row that has positives."""
    for values, marks, more in zip(logits, positives, own, strict=True):
        if marks.any():
            rivals = [v for v, m in zip(values, marks, strict=True) if not m and v > -INF]
            yield [v for v, m in zip(values, marks, strict=True) if m], [*rivals, *more]


def forward_oracle(logits, positives, own=None, penalty=0.0):
    losses, squares, sizes = [], [], []
    own = [[]] * len(logits) if own is None else own
    for wanted, rivals in anchors(logits, positives, own):
        partition = math.log(sum(math.exp(value) for value in [*wanted, *rivals]))
        losses.append(np.mean([partition - value for value in wanted]))
        squares.append(partition**2)
        sizes.append(math.log(len(wanted) + len(rivals)))
    information = np.mean(sizes) - np.mean(losses)
    return np.mean(losses) + penalty * np.mean(squares), information


def logistic_oracle(logits, positives):
    costs = {True: [], False: []}
    for index, value in np.ndenumerate(logits):
        if value > -INF:
            sign = -1 if positives[index] else 1
            costs[bool(positives[index])].append(math.log(1 + math.exp(sign * value)))
    return costs[True], costs[False]


def triplet_oracle(logits, positives, margin):
    return np.mean(
        [
            max(0, margin - high + low)
            for wanted, rivals in anchors(logits, positives, [[]] * len(logits))
            for high in wanted
            for low in rivals
        ]
    )


def ruled_out():
    logits = normal(5, 6)
    logits[0, 3] = logits[2, 1] = logits[4, 5] = -INF
    return logits


CASES = {
    "a square": (normal(5, 5), None),
    "the smallest": (normal(2, 2), None),
    "shared negatives": (normal(3, 7), None),
    "several positives": (normal(4, 5), mask("xx..x", ".x...", ".xx..", "x....")),
    "shared positives": (normal(5, 3), mask("x..", "x..", ".x.", "..x", ".x.")),
    "pairs ruled out": (ruled_out(), None),
    "all of it": (ruled_out(), mask("xx....", "x.....", "..xx..", "...x..", "..x...")),
}


@pytest.fixture(params=CASES)
def case(request):
    logits, positives = CASES[request.param]
    marks = torch.eye(*logits.shape, dtype=torch.bool) if positives is None else positives
    return logits, positives, logits.numpy(), marks.numpy()


@pytest.mark.parametrize("penalty", [0.0, 0.3])
@pytest.mark.parametrize("count", [0, 1, 4])
def test_info_nce_equals_the_sums_over_anchors(case, count, penalty):
    logits, positives, values, marks = case
    own_rows, own_columns = normal(len(logits), count), normal(logits.shape[1], count, seed=1)
    forward, information = forward_oracle(values, marks, own_rows.numpy(), penalty)
    backward, _ = forward_oracle(values.T, marks.T, own_columns.numpy(), penalty)
    plain, _ = forward_oracle(values.T, marks.T, None, 0.0)
    options = {"positives": positives, "logsumexp_penalty": penalty}
    loss, metrics = forward_info_nce(logits, negatives=own_rows, **options)
    assert loss.item() == pytest.approx(forward)
    assert metrics["information"].item() == pytest.approx(information, abs=1e-6)
    loss, _ = backward_info_nce(logits, negatives=own_columns, **options)
    assert loss.item() == pytest.approx(backward)
    options["logsumexp_penalty"] = (penalty, 0.0)
    loss, metrics = symmetric_info_nce(logits, negatives=own_rows, **options)
    half = forward_oracle(values, marks, own_rows.numpy(), 2 * penalty)[0]
    assert loss.item() == pytest.approx(0.5 * (half + plain))
    assert metrics["information"].item() == pytest.approx(information, abs=1e-6)


@pytest.mark.parametrize("bias", [0.0, -1.3])
def test_logistic_losses_equal_the_sums_over_pairs(case, bias):
    logits, positives, values, marks = case
    wanted, rivals = logistic_oracle(values + bias, marks)
    expected = 0.5 * (np.mean(wanted) + np.mean(rivals))
    assert binary_nce(logits + bias, positives=positives)[0].item() == pytest.approx(expected)
    expected = (sum(wanted) + sum(rivals)) / len(values)
    loss, _ = sigmoid(logits, torch.tensor(bias), positives=positives)
    assert loss.item() == pytest.approx(expected)
    loss, _ = sigmoid(logits, bias, positives=positives)
    assert loss.item() == pytest.approx(expected)


@pytest.mark.parametrize("margin", [0.2, 1.0])
def test_triplet_equals_the_sum_over_triplets(case, margin):
    logits, positives, values, marks = case
    expected = 0.5 * (
        triplet_oracle(values, marks, margin) + triplet_oracle(values.T, marks.T, margin)
    )
    loss, _ = triplet(logits, positives=positives, margin=margin)
    assert loss.item() == pytest.approx(expected)


@pytest.mark.parametrize("count", [1, 5])
def test_ranking_loss_equals_the_sum_over_anchors(count):
    positive, negatives = normal(6), normal(6, count, seed=1)
    losses = [
        np.log(np.exp(value) + np.exp(others).sum()) - value
        for value, others in zip(positive.numpy(), negatives.numpy(), strict=True)
    ]
    assert ranking_info_nce(positive, negatives)[0].item() == pytest.approx(np.mean(losses))


@pytest.mark.parametrize("name", LOSSES)
def test_accuracies_equal_counts(case, name):
    logits, positives, values, marks = case
    _, metrics = LOSSES[name](logits, positives=positives)
    right = np.mean([marks[i, values[i].argmax()] for i in range(len(values))])
    left = np.mean(
        [marks[values[:, j].argmax(), j] for j in range(len(marks.T)) if any(marks.T[j])]
    )
    expected = {"accuracy_right": right, "accuracy_left": left}
    found = {key: value.item() for key, value in metrics.items() if key in expected}
    assert found == {key: pytest.approx(expected[key]) for key in found}
    assert found


# -- gradients -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_those_of_finite_differences(case, name):
    logits, positives, *_ = case
    finite = logits > -INF  # a finite difference of -inf is none

    def loss(values):
        return LOSSES[name](
            torch.full_like(logits, -INF).masked_scatter(finite, values), positives=positives
        )[0]

    assert torch.autograd.gradcheck(loss, (logits[finite].requires_grad_(),))


@pytest.mark.parametrize("name", INFO_NCE)
@pytest.mark.parametrize("penalty", [0.0, 0.1])
def test_gradients_reach_explicit_negatives_and_the_penalty(name, penalty):
    values = normal(4, 4).requires_grad_(), normal(4, 3, seed=1).requires_grad_()

    def loss(logits, negatives):
        return INFO_NCE[name](logits, negatives=negatives, logsumexp_penalty=penalty)[0]

    assert torch.autograd.gradcheck(loss, values)


def test_ranking_gradients_are_those_of_finite_differences():
    values = normal(4).requires_grad_(), normal(4, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda *both: ranking_info_nce(*both)[0], values)


def test_the_bias_of_the_sigmoid_loss_has_a_gradient():
    values = normal(4, 4).requires_grad_(), normal().requires_grad_()
    assert torch.autograd.gradcheck(lambda *both: sigmoid(*both)[0], values)


@pytest.mark.parametrize("name", LOSSES)
def test_a_pair_that_is_ruled_out_has_no_gradient_and_spoils_none(name):
    logits = ruled_out()
    logits[:, 5] = -INF  # a column of padding
    logits.requires_grad_()
    LOSSES[name](logits)[0].backward()
    assert logits.grad.isfinite().all()
    assert not logits.grad[logits == -INF].any()
    assert logits.grad.any()


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_large_logits_do_not_overflow(name, dtype):
    # In half precision, the square of a log-partition of 1000 does.
    logits = (1e3 * torch.eye(3, dtype=dtype)).requires_grad_()
    loss, _ = LOSSES[name](logits - (500 if name in ("binary_nce", "sigmoid") else 0))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("name", LOSSES)
def test_large_batches_do_not_overflow_in_half_precision(name):
    logits = torch.zeros(300, 300)  # 90,000 pairs; float16 ends at 65,504
    expected = LOSSES[name](logits)[0].item()
    assert LOSSES[name](logits.half())[0].item() == pytest.approx(expected, rel=5e-3)


# -- what a loss does not see, and what the penalties do ---------------------------------------


def test_loss_ignores_a_constant_and_the_penalty_does_not():
    plain = symmetric_info_nce(LOGITS + 5)[0]
    assert plain.item() == pytest.approx(0.5 * LN2, rel=1e-5)
    penalised = [
        symmetric_info_nce(LOGITS + shift, logsumexp_penalty=0.1)[0] for shift in (-1.0, 0.0, 5.0)
    ]
    assert penalised[0] < penalised[1] < penalised[2]  # the log-partitions are above 0 at shift 0


def test_forward_loss_leaves_a_function_of_the_left_side_free():
    logits, negatives, free = normal(4, 6), normal(4, 3, seed=1), 9 * normal(4, 1, seed=2)
    torch.testing.assert_close(
        forward_info_nce(logits + free, negatives=negatives + free)[0],
        forward_info_nce(logits, negatives=negatives)[0],
    )
    assert abs(backward_info_nce(logits + free)[0] - backward_info_nce(logits)[0]) > 1


def test_backward_loss_leaves_a_function_of_the_right_side_free():
    logits, negatives, free = normal(4, 6), normal(6, 3, seed=1), 9 * normal(6, seed=2)
    torch.testing.assert_close(
        backward_info_nce(logits + free, negatives=negatives + free.unsqueeze(1))[0],
        backward_info_nce(logits, negatives=negatives)[0],
    )
    assert abs(forward_info_nce(logits + free)[0] - forward_info_nce(logits)[0]) > 1


def test_ranking_loss_ignores_a_constant_for_each_anchor():
    positive, negatives, free = normal(5), normal(5, 3, seed=1), 9 * normal(5, seed=2)
    torch.testing.assert_close(
        ranking_info_nce(positive + free, negatives + free.unsqueeze(1))[0],
        ranking_info_nce(positive, negatives)[0],
    )


def test_logsumexp_penalties_add_the_mean_squared_log_partitions():
    squares = 0.5 * (LN3**2 + LN4**2)
    assert forward_info_nce(LOGITS, logsumexp_penalty=0.1)[0].item() == pytest.approx(
        0.5 * LN2 + 0.1 * squares
    )
    assert symmetric_info_nce(LOGITS, logsumexp_penalty=0.1)[0].item() == pytest.approx(
        0.5 * LN2 + 0.1 * 2 * squares
    )
    plain = symmetric_info_nce(SKEW)[0].item()
    rows = symmetric_info_nce(SKEW, logsumexp_penalty=(0.1, 0.0))[0].item()
    columns = symmetric_info_nce(SKEW, logsumexp_penalty=(0.0, 0.1))[0].item()
    assert rows - plain == pytest.approx(0.1 * LN4**2, rel=1e-5)
    assert columns - plain == pytest.approx(0.05 * (LN2**2 + math.log(6) ** 2), rel=1e-5)


@pytest.mark.parametrize("penalty", [0.0, 1.0])
@pytest.mark.parametrize(("name", "axis"), [("forward_info_nce", 1), ("backward_info_nce", 0)])
def test_training_with_a_penalty_drives_the_log_partition_to_zero(name, axis, penalty):
    logits = (normal(4, 4) + 3).requires_grad_()
    optimiser = torch.optim.SGD([logits], lr=0.5)
    for _ in range(200):
        optimiser.zero_grad()
        LOSSES[name](logits, logsumexp_penalty=penalty)[0].backward()
        optimiser.step()
    partition = logits.detach().logsumexp(axis)
    assert partition.abs().max() < 0.1 if penalty else partition.min() > 2


# -- equivalences ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", LOSSES)
def test_a_mask_of_the_diagonal_is_the_default(name):
    logits = normal(4, 6)
    loss, metrics = LOSSES[name](logits)
    masked, masked_metrics = LOSSES[name](logits, positives=torch.eye(4, 6, dtype=torch.bool))
    torch.testing.assert_close(masked, loss)
    torch.testing.assert_close(masked_metrics, metrics)


@pytest.mark.parametrize("name", LOSSES)
def test_the_order_of_rows_and_of_columns_does_not_matter(name):
    logits, positives = CASES["several positives"]
    rows, columns = [2, 0, 3, 1], [4, 2, 0, 1, 3]
    loss, metrics = LOSSES[name](logits, positives=positives)
    moved, moved_metrics = LOSSES[name](
        logits[rows][:, columns], positives=positives[rows][:, columns]
    )
    torch.testing.assert_close(moved, loss)
    torch.testing.assert_close(moved_metrics, metrics)


@pytest.mark.parametrize("name", ["symmetric_info_nce", "binary_nce", "triplet"])
def test_two_sided_losses_do_not_mind_which_side_is_left(name):
    logits = normal(5, 5)
    torch.testing.assert_close(LOSSES[name](logits.mT)[0], LOSSES[name](logits)[0])


def test_backward_is_forward_of_the_transpose():
    logits, positives, negatives = normal(4, 4), mask("x...", "xx..", "..x.", "...x"), normal(4, 2)
    torch.testing.assert_close(
        backward_info_nce(logits, positives=positives, negatives=negatives, logsumexp_penalty=0.2)[
            0
        ],
        forward_info_nce(
            logits.mT, positives=positives.mT, negatives=negatives, logsumexp_penalty=0.2
        )[0],
    )


def test_symmetric_is_the_mean_of_its_halves():
    logits, negatives = normal(4, 6), normal(4, 2, seed=1)
    forward, right = forward_info_nce(logits, negatives=negatives)
    backward, left = backward_info_nce(logits)
    loss, metrics = symmetric_info_nce(logits, negatives=negatives)
    torch.testing.assert_close(loss, 0.5 * (forward + backward))
    assert metrics == right | left


def test_shared_negatives_are_the_same_negatives_for_every_row():
    logits, shared = normal(4, 4), normal(1, 3, seed=1).expand(4, 3)
    loss, metrics = forward_info_nce(logits, negatives=shared)
    as_columns, column_metrics = forward_info_nce(torch.cat([logits, shared], 1))
    torch.testing.assert_close(as_columns, loss)
    torch.testing.assert_close(column_metrics, metrics)


def test_ranking_is_forward_info_nce_without_the_batch():
    positive, negatives = normal(4), normal(4, 3, seed=1)
    logits = torch.full((4, 4), -INF, dtype=torch.float64)
    logits.diagonal().copy_(positive)
    torch.testing.assert_close(
        forward_info_nce(logits, negatives=negatives)[0], ranking_info_nce(positive, negatives)[0]
    )


@pytest.mark.parametrize("name", LOSSES)
def test_a_column_ruled_out_is_a_column_left_out(name):
    logits = torch.cat([normal(4, 5), torch.full((4, 2), -INF)], 1)
    loss, metrics = LOSSES[name](logits)
    shorter, shorter_metrics = LOSSES[name](logits[:, :5])
    torch.testing.assert_close(loss, shorter)
    torch.testing.assert_close(metrics, shorter_metrics)


def test_negatives_of_columns_that_are_no_anchors_are_ignored():
    logits, negatives = normal(3, 5), normal(5, 2, seed=1)
    loss, _ = backward_info_nce(logits, negatives=negatives)
    negatives[3:] = NAN
    torch.testing.assert_close(backward_info_nce(logits, negatives=negatives)[0], loss)


# -- metrics ---------------------------------------------------------------------------------


def test_accuracies_count_the_positives_that_win():
    logits = torch.tensor([[2.0, 0.0, 0.0], [3.0, 1.0, 0.0], [0.0, 5.0, 4.0]])
    _, metrics = symmetric_info_nce(logits)
    assert metrics["accuracy_right"].item() == pytest.approx(1 / 3)  # only row 0 is right
    assert metrics["accuracy_left"].item() == pytest.approx(1 / 3)  # only column 2 is
    logits[1, 2] = 9.0
    _, metrics = symmetric_info_nce(logits)
    assert metrics["accuracy_right"].item() == pytest.approx(1 / 3)
    assert metrics["accuracy_left"].item() == 0


def test_a_collapsed_critic_is_not_accurate():
    zeros = torch.zeros(8, 8)
    assert ranking_info_nce(zeros[0], zeros)[1]["accuracy"].item() == 0
    assert forward_info_nce(zeros, negatives=zeros)[1]["accuracy_right"].item() == 0
    assert symmetric_info_nce(zeros)[1]["accuracy_right"].item() == 0


def test_information_is_log_batch_for_perfect_logits_and_zero_for_none():
    assert symmetric_info_nce(100 * torch.eye(8))[1]["information"].item() == pytest.approx(3 * LN2)
    zeros, positives = torch.zeros(4, 4), mask("xxx.", "xx..", "x...", ".x..")
    for options in ({}, {"negatives": zeros}, {"positives": positives}):
        _, metrics = forward_info_nce(zeros, **options)
        assert metrics["information"].item() == pytest.approx(0, abs=1e-6)


def test_information_of_several_positives_is_what_tells_their_group():
    positives = torch.eye(4).repeat_interleave(2, 0).repeat_interleave(2, 1).bool()  # [8, 8]
    _, metrics = forward_info_nce(100.0 * positives, positives=positives)
    assert metrics["information"].item() == pytest.approx(LN4)  # 8 columns, 2 positives each


def test_information_does_not_count_the_penalty_or_pairs_ruled_out():
    blocks = torch.full((4, 4), -INF)
    blocks[:2, :2] = blocks[2:, 2:] = 0
    _, metrics = forward_info_nce(blocks + 100 * torch.eye(4), logsumexp_penalty=1.0)
    assert metrics["information"].item() == pytest.approx(LN2)


@pytest.mark.parametrize("name", LOSSES)
def test_metrics_are_detached_scalars(name):
    _, metrics = LOSSES[name](LOGITS.clone().requires_grad_())
    assert metrics
    for value in metrics.values():
        assert value.shape == ()
        assert value.dtype == torch.float32
        assert not value.requires_grad


def test_names_of_metrics_are_those_of_the_logs():
    names = {"accuracy_right", "accuracy_left", "information"}
    assert set(symmetric_info_nce(LOGITS)[1]) == names
    assert set(forward_info_nce(LOGITS)[1]) == {"accuracy_right", "information"}
    assert set(ranking_info_nce(LOGITS.diagonal(), LOGITS)[1]) == {"accuracy"}
