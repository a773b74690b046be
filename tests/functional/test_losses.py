import math

import numpy as np
import pytest
import torch
from torch import nn

from langrl.errors import ShapeError
from langrl.functional.energies import ENERGIES
from langrl.functional.losses import ranking_info_nce, symmetric_info_nce

LN2, LN3, LN4 = math.log(2), math.log(3), math.log(4)
LOGITS = torch.tensor([[LN2, 0.0], [0.0, LN3]])  # row and column sums of exp: 3 and 4


def normal(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


# -- symmetric_info_nce ----------------------------------------------------------------------


def symmetric_oracle(logits, penalty):
    losses, squares = [], []
    for i in range(len(logits)):
        row, column = np.log(np.exp(logits[i]).sum()), np.log(np.exp(logits[:, i]).sum())
        losses += [row - logits[i, i], column - logits[i, i]]
        squares.append(row**2 + column**2)
    return np.mean(losses) + penalty * np.mean(squares)


def test_loss_of_hand_worked_logits():
    loss, _ = symmetric_info_nce(LOGITS)
    assert loss.item() == pytest.approx(0.5 * LN2)  # each way (ln 3/2 + ln 4/3) / 2


def test_loss_is_the_mean_of_both_directions():
    # rows: ln 4/1 and ln 4/3; columns: ln 2/1 and ln 6/3
    loss, metrics = symmetric_info_nce(torch.tensor([[0.0, LN3], [0.0, LN3]]))
    forward, backward = 0.5 * math.log(16 / 3), LN2
    assert loss.item() == pytest.approx((forward + backward) / 2)
    assert metrics["information"].item() == pytest.approx(LN2 - forward)


def test_logsumexp_penalty_adds_the_mean_squared_log_partitions():
    loss, _ = symmetric_info_nce(LOGITS, logsumexp_penalty=0.1)
    assert loss.item() == pytest.approx(0.5 * LN2 + 0.1 * (LN3**2 + LN4**2))


def test_loss_ignores_a_constant_and_the_penalty_does_not():
    plain = symmetric_info_nce(LOGITS + 5)[0]
    assert plain.item() == pytest.approx(0.5 * LN2, rel=1e-5)
    penalised = [symmetric_info_nce(LOGITS + shift, 0.1)[0] for shift in (-1.0, 0.0, 5.0)]
    assert penalised[0] < penalised[1] < penalised[2]  # the log-partitions are above 0 at shift 0


@pytest.mark.parametrize("size", [1, 2, 6])
@pytest.mark.parametrize("penalty", [0.0, 0.3])
def test_loss_equals_the_sum_over_anchors(size, penalty):
    logits = normal(size, size)
    loss, _ = symmetric_info_nce(logits, penalty)
    assert loss.item() == pytest.approx(symmetric_oracle(logits.numpy(), penalty))


@pytest.mark.parametrize("penalty", [0.0, 0.1])
def test_gradients_are_those_of_finite_differences(penalty):
    logits = normal(4, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: symmetric_info_nce(x, penalty)[0], (logits,))


def test_large_logits_do_not_overflow():
    loss, _ = symmetric_info_nce(1e4 * torch.eye(3))
    assert loss.item() == 0


@pytest.mark.parametrize("shape", [(2, 3), (4,), (2, 2, 2), ()])
def test_logits_that_are_not_square_are_refused(shape):
    with pytest.raises(ShapeError) as caught:
        symmetric_info_nce(torch.zeros(shape))
    assert f"needs logits [B, B], got {list(shape)}" in str(caught.value)


def test_accuracies_count_the_positives_that_win():
    logits = torch.tensor([[2.0, 0.0, 0.0], [3.0, 1.0, 0.0], [0.0, 5.0, 4.0]])
    _, metrics = symmetric_info_nce(logits)
    assert metrics["accuracy_right"].item() == pytest.approx(1 / 3)  # only row 0 is right
    assert metrics["accuracy_left"].item() == pytest.approx(1 / 3)  # only column 2 is
    logits[2, 1] = 0.0
    _, metrics = symmetric_info_nce(logits)
    assert metrics["accuracy_right"].item() == pytest.approx(2 / 3)
    assert metrics["accuracy_left"].item() == pytest.approx(2 / 3)
    logits[1, 2] = 9.0
    _, metrics = symmetric_info_nce(logits)
    assert metrics["accuracy_right"].item() == pytest.approx(2 / 3)  # row 1 was wrong before
    assert metrics["accuracy_left"].item() == pytest.approx(1 / 3)


def test_information_is_log_batch_for_perfect_logits_and_zero_for_none():
    assert symmetric_info_nce(100 * torch.eye(8))[1]["information"].item() == pytest.approx(3 * LN2)
    _, metrics = symmetric_info_nce(torch.zeros(8, 8))
    assert metrics["information"].item() == pytest.approx(0, abs=1e-6)


def test_metrics_are_detached_scalars():
    logits = LOGITS.clone().requires_grad_()
    _, metrics = symmetric_info_nce(logits)
    assert set(metrics) == {"accuracy_right", "accuracy_left", "information"}
    _, ranking_metrics = ranking_info_nce(logits.diagonal(), logits)
    assert set(ranking_metrics) == {"accuracy"}
    for value in (*metrics.values(), *ranking_metrics.values()):
        assert value.shape == ()
        assert not value.requires_grad


# -- ranking_info_nce ------------------------------------------------------------------------


def test_ranking_loss_of_hand_worked_values():
    positive, negatives = torch.tensor([LN2, 0.0]), torch.tensor([[0.0, 0.0], [LN3, LN4]])
    loss, metrics = ranking_info_nce(positive, negatives)
    assert loss.item() == pytest.approx(0.5 * (LN2 + math.log(8)))  # ln 4/2 and ln 8/1
    assert metrics["accuracy"].item() == 0.5


@pytest.mark.parametrize("count", [1, 5])
def test_ranking_loss_equals_the_sum_over_anchors(count):
    positive, negatives = normal(6), normal(6, count, seed=1)
    losses = [
        np.log(np.exp(value) + np.exp(others).sum()) - value
        for value, others in zip(positive.numpy(), negatives.numpy(), strict=True)
    ]
    assert ranking_info_nce(positive, negatives)[0].item() == pytest.approx(np.mean(losses))


def test_ranking_gradients_are_those_of_finite_differences():
    values = normal(4).requires_grad_(), normal(4, 3, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda *both: ranking_info_nce(*both)[0], values)


def test_ranking_loss_ignores_a_constant_for_each_anchor():
    positive, negatives, constants = normal(5), normal(5, 3, seed=1), 9 * normal(5, seed=2)
    torch.testing.assert_close(
        ranking_info_nce(positive + constants, negatives + constants.unsqueeze(1))[0],
        ranking_info_nce(positive, negatives)[0],
    )


@pytest.mark.parametrize(
    ("positive", "negatives"),
    [((2,), (3, 4)), ((2, 1), (2, 4)), ((2,), (2,)), ((2,), (2, 0)), ((), (2, 1))],
)
def test_ranking_shapes_that_do_not_fit_are_refused(positive, negatives):
    with pytest.raises(ShapeError, match=r"^ranking_info_nce needs .* negative.*; \w+"):
        ranking_info_nce(torch.zeros(positive), torch.zeros(negatives))


# -- training --------------------------------------------------------------------------------


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # small matrices: more threads only wait for each other
    yield
    torch.set_num_threads(threads)


def tower(generator):
    layers = nn.Sequential(nn.Linear(6, 64), nn.SiLU(), nn.Linear(64, 8))
    for parameter in layers.parameters():
        nn.init.normal_(parameter, std=parameter.shape[-1] ** -0.5, generator=generator)
    return layers


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("name", ENERGIES)
def test_two_towers_train_to_retrieve_held_out_pairs(name):
    generator = torch.Generator().manual_seed(0)
    mix = torch.linalg.qr(torch.randn(2, 6, 4, generator=generator))[0].mT  # [2, 4, 6]

    def pairs(count):
        common = torch.randn(count, 4, generator=generator)
        noise = 0.03 * torch.randn(2, count, 6, generator=generator)
        return torch.tanh(common @ mix[0]) + noise[0], common @ mix[1] + noise[1]

    left_tower, right_tower = tower(generator), tower(generator)
    log_scale = nn.Parameter(torch.zeros(()))
    weights = [*left_tower.parameters(), *right_tower.parameters(), log_scale]
    optimiser = torch.optim.Adam(weights, lr=1e-2)

    def score(left, right):
        return log_scale.exp() * ENERGIES[name](left_tower(left), right_tower(right))

    def recalls(left, right):
        logits, answers = score(left, right), torch.arange(len(left))
        return [(logits.argmax(axis) == answers).float().mean().item() for axis in (0, 1)]

    held_out = pairs(64)
    assert max(recalls(*held_out)) < 0.2
    for _ in range(300):
        loss, _ = symmetric_info_nce(score(*pairs(128)), logsumexp_penalty=1e-3)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert min(recalls(*held_out)) > 0.9
