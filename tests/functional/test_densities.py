import math

import mpmath
import numpy as np
import pytest
import torch

from langrl.errors import DomainError, NonFiniteError, ShapeError
from langrl.functional.densities import log_hyp0f1

INF, NAN = float("inf"), float("nan")
DIMENSIONS = [1, 2, 3, 4, 5, 8, 16, 33, 50, 51, 52, 64, 100, 384, 512, 1024]  # 50-52: the seam
LENGTHS = np.logspace(-3, 4, 22)


def tensor(values, dtype=torch.float64):
    return torch.tensor(values, dtype=dtype)


def exact(dimension, length):
    """log E[exp(k b_1)] on the sphere, and its derivative in k."""
    with mpmath.workdps(30):
        b, k = mpmath.mpf(dimension) / 2, mpmath.mpf(length)
        total = mpmath.hyp0f1(b, k**2 / 4)
        slope = mpmath.hyp0f1(b + 1, k**2 / 4) / total * k / dimension
        return float(mpmath.log(total)), float(slope)


def value_and_slope(dimension, lengths, dtype=torch.float64):
    k = tensor(lengths, dtype).requires_grad_()
    value = log_hyp0f1(dimension / 2, k**2 / 4)
    (slope,) = torch.autograd.grad(value.sum(), k)
    return value.detach(), slope


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_value_and_slope_equal_those_of_mpmath(dimension):
    value, slope = value_and_slope(dimension, LENGTHS)
    expected = np.array([exact(dimension, length) for length in LENGTHS])
    np.testing.assert_allclose(value, expected[:, 0], rtol=1e-12)
    np.testing.assert_allclose(slope, expected[:, 1], rtol=1e-11)


@pytest.mark.parametrize("dimension", [2, 33, 384])
def test_single_precision_loses_only_its_own_rounding(dimension):
    value, slope = value_and_slope(dimension, LENGTHS, torch.float32)
    assert value.dtype == slope.dtype == torch.float32
    expected = np.array([exact(dimension, length) for length in LENGTHS])
    np.testing.assert_allclose(value, expected[:, 0], rtol=1e-6)
    np.testing.assert_allclose(slope, expected[:, 1], rtol=1e-6)


@pytest.mark.parametrize("b", [0.01, 0.75, 24.9, 25.0, 25.1, 1e5])
def test_order_need_not_be_half_a_dimension(b):
    for x in (1e-9, 1.0, 1e6):
        with mpmath.workdps(40):
            expected = float(mpmath.log(mpmath.hyp0f1(b, x)))
        assert log_hyp0f1(b, tensor(x)).item() == pytest.approx(expected, rel=1e-12)


def test_hand_worked_three_dimensions():
    k = tensor([0.5, 1.0, 7.0])
    torch.testing.assert_close(log_hyp0f1(1.5, k**2 / 4), (k.sinh() / k).log())


def test_hand_worked_two_dimensions():
    k = tensor([0.5, 1.0, 7.0])
    torch.testing.assert_close(log_hyp0f1(1, k**2 / 4), torch.special.i0(k).log())


def test_hand_worked_first_order_at_tiny_x():
    x = tensor([1e-300, 1e-100, 1e-18])
    torch.testing.assert_close(log_hyp0f1(192.0, x), x / 192, rtol=1e-14, atol=0)


@pytest.mark.parametrize("b", [1, 1.5, 24.0, 192.0])
def test_zero_gives_exactly_zero_and_a_finite_slope(b):
    x = tensor([0.0]).requires_grad_()
    value = log_hyp0f1(b, x)
    assert value.item() == 0
    (slope,) = torch.autograd.grad(value, x, create_graph=True)
    assert slope.item() == pytest.approx(1 / b, rel=1e-14)
    (curvature,) = torch.autograd.grad(slope, x)
    assert curvature.item() == pytest.approx(-1 / (b**2 * (b + 1)), rel=1e-11)


@pytest.mark.parametrize("dimension", [2, 49, 50, 384])
def test_value_rises_with_x_and_falls_with_the_dimension(dimension):
    x = torch.logspace(-8, 8, 400, dtype=torch.float64)
    value = log_hyp0f1(dimension / 2, x)
    assert (value.diff() > 0).all()
    assert (log_hyp0f1(dimension / 2 + 1, x) < value).all()


@pytest.mark.parametrize("b", [1.0, 2.5, 24.5, 25.0, 60.0])
def test_first_and_second_derivatives_are_those_of_the_value(b):
    x = tensor([0.01, 0.5, 3.0, 40.0, 900.0]).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: log_hyp0f1(b, x), x)
    assert torch.autograd.gradgradcheck(lambda x: log_hyp0f1(b, x), x)


@pytest.mark.parametrize("shape", [(), (0,), (2, 3, 4)])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_shape_and_dtype_are_kept(shape, dtype):
    value = log_hyp0f1(2.0, torch.ones(shape, dtype=dtype))
    assert value.shape == shape
    assert value.dtype == dtype


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
def test_non_finite_numbers_are_refused(bad):
    with pytest.raises(NonFiniteError, match=r"in x; mask it"):
        log_hyp0f1(1.0, tensor([1.0, bad]))
    with pytest.raises(NonFiniteError, match=r"finite b, got .*; give half the dimension"):
        log_hyp0f1(bad, tensor([1.0]))


def test_negative_x_is_refused():
    with pytest.raises(DomainError, match=r"x >= 0, got -0.5; clamp it at 0"):
        log_hyp0f1(1.0, tensor([1.0, -0.5]))


@pytest.mark.parametrize("b", [0.0, -0.5])
def test_order_that_is_not_positive_is_refused(b):
    with pytest.raises(DomainError, match=r"b > 0, got -?0\.\d; give half the dimension"):
        log_hyp0f1(b, tensor([1.0]))


def test_integers_are_refused():
    with pytest.raises(ShapeError, match=r"floats, got torch.int64; convert it with .float\(\)"):
        log_hyp0f1(1.0, torch.tensor([1]))


def test_result_far_beyond_the_grid_follows_its_asymptote():
    k = tensor([1e6, 1e8]).requires_grad_()
    value = log_hyp0f1(1.5, k**2 / 4)
    torch.testing.assert_close(value, k - math.log(2) - k.log(), rtol=1e-14, atol=0)
    (slope,) = torch.autograd.grad(value.sum(), k)
    torch.testing.assert_close(slope, 1 - 1 / k.detach(), rtol=1e-7, atol=0)
