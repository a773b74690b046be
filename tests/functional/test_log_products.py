import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from langrl.errors import NonFiniteError
from langrl.functional import log_products
from langrl.functional.log_products import log_matmul_exp

INF, NAN = float("inf"), float("nan")
STATED = 20e-6  # accuracy of float32
# float32 scores of +-scale: a product in float32, one in float64, and terms where that underflows
PATHS = {"float32": 10, "float64": 300, "terms": 5000}


def uniform(*shape, scale=1.0, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return ((2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1) * scale).to(dtype)


def terms_of(left, right):
    """All of [..., N, M, K], in float64."""
    return left.double().unsqueeze(-1) + right.double().unsqueeze(-3)


def assert_accurate(value, left, right, tolerance=STATED):
    exact = terms_of(left, right).logsumexp(-2)
    assert value.shape == exact.shape
    assert value.dtype == torch.float64
    assert ((value - exact).abs() <= tolerance * exact.abs().clamp(min=1)).all()


def exact_gradients(left, right, upstream):
    """Each term's share of its sum, where there is one: the gradient of logsumexp by hand."""
    terms = terms_of(left, right).detach()
    shares = (terms - terms.logsumexp(-2, keepdim=True)).exp().nan_to_num(nan=0.0)
    weighted = upstream.unsqueeze(-2) * shares  # [..., N, M, K]
    return weighted.sum(-1).sum_to_size(left.shape), weighted.sum(-3).sum_to_size(right.shape)


class Products(TorchDispatchMode):
    """Notes the dtype of every matrix product."""

    def __init__(self):
        super().__init__()
        self.dtypes = set()

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        if function.overloadpacket in (torch.ops.aten.mm, torch.ops.aten.bmm):
            self.dtypes.add(arguments[0].dtype)
        return function(*arguments, **(keywords or {}))


def test_hand_worked_product():
    left = torch.tensor([[1.0, 3.0], [5.0, 1.0]]).log()
    right = torch.tensor([[2.0, 1.0], [4.0, 7.0]]).log()
    value, recomputed = log_matmul_exp(left, right)
    expected = torch.tensor([[14.0, 22.0], [14.0, 12.0]], dtype=torch.float64).log()
    torch.testing.assert_close(value, expected, rtol=1e-6, atol=1e-6)
    assert not recomputed.any()


def test_hand_worked_product_that_only_its_terms_can_give():
    # exp(-1000) is 0 even in float64: the three sums are 2 exp(-1000), exp(0) and exp(-1000)
    left = torch.tensor([[0.0, -1000.0], [-INF, 0.0]])
    right = torch.tensor([[-1000.0, 0.0], [0.0, -1000.0]])
    value, recomputed = log_matmul_exp(left, right)
    expected = torch.tensor([[math.log(2) - 1000, 0.0], [0.0, -1000.0]], dtype=torch.float64)
    torch.testing.assert_close(value, expected, rtol=1e-14, atol=1e-14)
    assert recomputed.tolist() == [[True, False], [False, True]]


@pytest.mark.parametrize("scale", [1, 20, 100, 500, 2000, 5000])
def test_float32_scores_of_any_scale_keep_the_stated_accuracy(scale):
    left, right = uniform(64, 64, scale=scale), uniform(64, 8, scale=scale, seed=1)
    value, recomputed = log_matmul_exp(left, right)
    assert_accurate(value, left, right)
    assert recomputed.any() == (scale >= 2000)


@pytest.mark.parametrize("scale", [1, 20, 100])
@pytest.mark.parametrize("offset", [500.0, -500.0])
def test_opposite_offsets_keep_the_stated_accuracy(scale, offset):
    left = uniform(64, 64, scale=scale) + offset
    right = uniform(64, 8, scale=scale, seed=1) - offset
    assert_accurate(log_matmul_exp(left, right)[0], left, right)


def test_rows_and_columns_each_far_from_the_others_keep_the_stated_accuracy():
    left = uniform(16, 64) + uniform(16, 1, scale=5000, seed=2)
    right = uniform(64, 8, seed=1) + uniform(1, 8, scale=5000, seed=3)
    value, recomputed = log_matmul_exp(left, right)
    assert_accurate(value, left, right)
    assert not recomputed.any()


@pytest.mark.parametrize(("queries", "instructions"), [(1, 1), (4, 2)])
def test_long_sums_of_equal_float32_terms_keep_the_stated_accuracy(queries, instructions):
    for score in (-0.1, -0.5, -1.1, -2.3, -3.7):  # one float32 sum would be off by up to 1e-3
        left = torch.full((queries, 20_000), score)
        right = torch.full((20_000, instructions), score / 2)
        left[:, 0], right[0] = 0.0, 0.0
        assert_accurate(log_matmul_exp(left, right)[0], left, right)


@pytest.mark.parametrize("terms", [255, 256, 257, 512, 513])
def test_every_term_counts_once_wherever_blocks_of_256_end(terms):
    left, right = uniform(2, 3, terms), uniform(terms, 2, seed=1)
    left.requires_grad_()
    value, _ = log_matmul_exp(left, right)
    assert_accurate(value, left, right)
    upstream = uniform(2, 3, 2, seed=9, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(value, left, upstream)
    exact, _ = exact_gradients(left, right, upstream)
    torch.testing.assert_close(gradient.double(), exact, rtol=1e-5, atol=1e-7)


def test_mixed_precision_regions_keep_the_stated_accuracy():
    left, right = uniform(16, 64, scale=5), uniform(64, 8, scale=5, seed=1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value, _ = log_matmul_exp(left, right)
    assert_accurate(value, left, right)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("scale", [1, 100, 5000])
def test_scores_of_other_dtypes_are_summed_in_double_precision(scale, dtype):
    left = uniform(16, 64, scale=scale, dtype=dtype)
    right = uniform(64, 8, scale=scale, seed=1, dtype=dtype)
    assert_accurate(log_matmul_exp(left, right)[0], left, right, 1e-13)
    assert_accurate(log_matmul_exp(left, right.float())[0], left, right.float(), 1e-13)


def test_half_precision_scores_whose_range_overflows_are_summed():
    left = torch.tensor([[60000.0, -60000.0, 0.0]]).half()
    right = torch.tensor([[-60000.0], [60000.0], [1.0]]).half()
    assert_accurate(log_matmul_exp(left, right)[0], left, right, 1e-13)


@pytest.mark.parametrize(
    ("left_span", "right_span", "dtype"),
    [(40, 40, torch.float32), (40, 41, torch.float64), (81, 0, torch.float64)],
)
def test_product_is_made_in_float64_beyond_80_nats(left_span, right_span, dtype):
    left = torch.tensor([[0.0, -left_span], [500.0, 500.0 - left_span]])
    right = torch.tensor([[-right_span], [0.0]]) - 500
    with Products() as products:
        value, recomputed = log_matmul_exp(left, right)
    assert products.dtypes == {dtype}
    assert not recomputed.any()
    assert_accurate(value, left, right)


def test_sum_that_underflows_in_part_in_float32_is_whole():
    # exp(-50 - 50) survives in float32; 512 terms of exp(-106 + 0), worth 1.27 of it, do not
    left = torch.tensor([[0.0, -50.0, *[-106.0] * 512]])
    right = torch.tensor([[-300.0], [-50.0], *[[0.0]] * 512])
    value, recomputed = log_matmul_exp(left, right)
    assert value - (left.exp() @ right.exp()).log() > 0.5
    assert_accurate(value, left, right, 1e-12)
    assert not recomputed.any()


def test_sum_that_underflows_in_part_in_float64_is_recomputed():
    left = torch.tensor([[0.0, -352.5, *[-711.0] * 512]])
    right = torch.tensor([[-3000.0], [-352.5], *[[0.0]] * 512])
    value, recomputed = log_matmul_exp(left, right)
    assert_accurate(value, left, right, 1e-14)
    assert recomputed.all()


def test_every_depth_around_the_reach_of_float64_is_exact():
    depth = torch.linspace(500, 1100, 601, dtype=torch.float64)
    zero, low = torch.zeros_like(depth), torch.full_like(depth, -1500)
    left = torch.stack([zero, -depth / 2, low], 1).unsqueeze(1)  # [depths, 1, 3]
    right = torch.stack([low, -depth / 2, zero], 1).unsqueeze(2)  # [depths, 3, 1]
    value, recomputed = log_matmul_exp(left, right)
    assert_accurate(value, left, right, 1e-14)
    flags = recomputed.flatten().tolist()
    assert flags == sorted(flags)  # from some depth on
    assert depth[flags.index(True)] > 650


@pytest.mark.parametrize("scale", PATHS.values(), ids=PATHS)
@pytest.mark.parametrize(
    ("left_axes", "right_axes"), [((2, 3), (2, 3)), ((2, 1), (3,)), ((), (4,)), ((4,), ())]
)
def test_leading_axes_are_batches_that_broadcast(left_axes, right_axes, scale):
    left = uniform(*left_axes, 5, 16, scale=scale)
    right = uniform(*right_axes, 16, 3, scale=scale, seed=1)
    value, recomputed = log_matmul_exp(left, right)
    assert recomputed.shape == (*np.broadcast_shapes(left_axes, right_axes), 5, 3)
    assert_accurate(value, left, right)


def test_recomputing_in_small_portions_gives_the_same(monkeypatch):
    left, right = uniform(2, 16, 64, scale=5000), uniform(64, 8, scale=5000, seed=1)
    whole, recomputed = log_matmul_exp(left, right)
    assert recomputed.sum() > 20
    monkeypatch.setattr(log_products, "_CHUNK", 200)
    torch.testing.assert_close(log_matmul_exp(left, right)[0], whole, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("scale", PATHS.values(), ids=PATHS)
def test_term_at_minus_infinity_counts_for_nothing(scale):
    left, right = uniform(4, 9, scale=scale), uniform(9, 3, scale=scale, seed=1)
    left[:, 2], right[5] = -INF, -INF
    kept = [m for m in range(9) if m not in (2, 5)]
    value, _ = log_matmul_exp(left, right)
    assert_accurate(value, left[:, kept], right[kept])


@pytest.mark.parametrize("scale", PATHS.values(), ids=PATHS)
def test_only_sums_without_any_term_are_minus_infinity(scale):
    left, right = uniform(3, 4, scale=scale), uniform(4, 3, scale=scale, seed=1)
    left[0] = -INF  # nothing left for a row,
    right[:, 1] = -INF  # for a column,
    left[1, :2], right[2:, 2] = -INF, -INF  # and for a pair
    value, recomputed = log_matmul_exp(left, right)
    expected = [[True, True, True], [False, True, True], [False, True, False]]
    assert (value == -INF).tolist() == expected
    assert recomputed[value == -INF].all()
    assert_accurate(value[2:, ::2], left[2:], right[:, ::2])


@pytest.mark.parametrize("bad", [NAN, INF])
@pytest.mark.parametrize("name", ["left", "right"])
def test_nan_and_plus_infinity_are_refused_by_name(name, bad):
    arguments = {"left": torch.full((4, 3), -INF), "right": torch.full((3, 2), -INF)}
    arguments[name].view(-1)[1] = bad  # however impossible the other side makes it
    repair = f"in the {name} scores of candidates; a critic that diverged has to be trained anew"
    with pytest.raises(NonFiniteError, match=f"^NaN or [+]inf {repair}.*$"):
        log_matmul_exp(**arguments)


@pytest.mark.parametrize("impossible", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("path", PATHS)
def test_gradients_are_each_terms_share(path, dtype, impossible):
    left = uniform(2, 5, 16, scale=PATHS[path], dtype=dtype)
    right = uniform(16, 3, scale=PATHS[path], seed=1, dtype=dtype)
    if impossible:
        left[:, 1], left[0, 0, 3], right[4], right[:8, 2] = -INF, -INF, -INF, -INF
    left.requires_grad_()
    right.requires_grad_()
    upstream = uniform(2, 5, 3, seed=9, dtype=torch.float64)
    value, recomputed = log_matmul_exp(left, right)
    possible = value.detach() > -INF
    assert recomputed[possible].any() == (path == "terms")
    gradients = torch.autograd.grad(value, (left, right), upstream)
    tolerance = 1e-5 if dtype == torch.float32 else 1e-10
    for gradient, exact in zip(gradients, exact_gradients(left, right, upstream), strict=True):
        assert gradient.dtype == dtype
        torch.testing.assert_close(gradient.double(), exact, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_large_upstream_gradients_do_not_overflow_in_deep_sums(dtype):
    left = torch.tensor([[0.0, -40.0]], dtype=dtype, requires_grad=True)
    right = torch.tensor([[-40.0], [0.0]], dtype=dtype)
    value, _ = log_matmul_exp(left, right)
    (gradient,) = torch.autograd.grad(1e10 * value.sum(), left)
    torch.testing.assert_close(gradient, torch.full_like(left, 5e9))


def test_second_derivatives_are_those_of_the_value():
    left, right = (uniform(*s, scale=2, dtype=torch.float64) for s in ((2, 3), (3, 2)))
    left[0, 1] -= 2000  # both rows and terms
    inputs = (left.requires_grad_(), right.requires_grad_())
    assert torch.autograd.gradgradcheck(lambda f, h: log_matmul_exp(f, h)[0], inputs)


def test_arguments_are_left_as_they_were():
    left, right = torch.zeros(2, 3), torch.zeros(3, 2)
    log_matmul_exp(left, right)
    assert not left.any()
    assert not right.any()


scales = st.sampled_from([1.0, 30.0, 300.0, 4000.0])
seeds = st.integers(0, 2**31)


@given(seeds, scales, st.floats(-1e4, 1e4))
@settings(deadline=None, max_examples=50)
def test_constant_added_to_one_side_is_added_to_the_value(seed, scale, constant):
    left = uniform(3, 6, scale=scale, seed=seed, dtype=torch.float64)
    right = uniform(6, 2, scale=scale, seed=seed + 1, dtype=torch.float64)
    value, _ = log_matmul_exp(left, right)
    for moved in (log_matmul_exp(left + constant, right), log_matmul_exp(left, right + constant)):
        torch.testing.assert_close(moved[0], value + constant, rtol=1e-11, atol=1e-8)


@given(seeds, scales, st.permutations(range(6)))
@settings(deadline=None, max_examples=50)
def test_order_of_the_terms_does_not_matter(seed, scale, order):
    left, right = uniform(3, 6, scale=scale, seed=seed), uniform(6, 2, scale=scale, seed=seed + 1)
    value, recomputed = log_matmul_exp(left, right)
    again, recomputed_again = log_matmul_exp(left[:, order], right[order])
    torch.testing.assert_close(again, value, rtol=1e-6, atol=1e-6)
    assert torch.equal(recomputed, recomputed_again)
