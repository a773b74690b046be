import math

import mpmath
import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch.nn.functional import normalize

from langrl.errors import DomainError, NonFiniteError, ShapeError, UnknownNameError
from langrl.functional.energies import cosine, dot, neg_half_sq_l2, neg_l2
from langrl.functional.marginals import gaussian, monte_carlo, von_mises_fisher

INF, NAN = float("inf"), float("nan")
ENERGIES = [dot, cosine, neg_half_sq_l2]


def normal(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def tensor(values):
    return torch.tensor(values, dtype=torch.float64)


def covariance_of_rank(size, rank, seed=0):
    root = normal(size, rank, seed=seed) / math.sqrt(rank)
    return root @ root.T


def joint(encoders, mean, covariance):
    """The law of a goal's embeddings by several linear encoders, side by side."""
    both = torch.cat(encoders)
    return both @ mean, both @ covariance @ both.T


def assert_within_sampling_error(value, log_terms):
    """``log_terms`` [..., samples]: their mean exponential, against ``value`` [...]."""
    terms = (log_terms - value.unsqueeze(-1)).exp()
    error = terms.std(-1) / math.sqrt(terms.shape[-1])
    assert (error < 0.02).all()  # a test that could pass by noise alone would say nothing
    assert ((terms.mean(-1) - 1).abs() < 4.5 * error).all()


# Directions: goal embeddings uniform on the sphere.


def test_sphere_hand_worked_equal_and_opposite_embeddings():
    left, right = tensor([[2.0, 0.0, 0.0]]), tensor([[3.0, 0.0, 0.0], [-5.0, 0.0, 0.0]])
    value = von_mises_fisher(left, right)  # k = 2 and 0 in three dimensions: log(sinh(k) / k)
    torch.testing.assert_close(value, tensor([[math.log(math.sinh(2) / 2), 0.0]]))


def test_sphere_hand_worked_right_angle_with_scales():
    value = von_mises_fisher(tensor([[1.0, 0.0]]), tensor([[0.0, 1.0]]), 3.0, 4.0)
    assert value.item() == pytest.approx(math.log(float(mpmath.besseli(0, 5))), rel=1e-14)


@pytest.mark.parametrize(("size", "scales"), [(2, (1.0, 2.0)), (8, (3.0, 2.0)), (64, (5.0, 4.0))])
def test_sphere_equals_sampled_goals(size, scales):
    left, right, goals = normal(4, size), normal(3, size, seed=1), normal(200_000, size, seed=2)
    value = von_mises_fisher(left, right, *scales)
    f = scales[0] * cosine(left, goals)  # [N, samples]
    h = scales[1] * cosine(right, goals)  # [K, samples]
    assert_within_sampling_error(value, f.unsqueeze(1) + h)


@pytest.mark.parametrize("size", [2, 16, 384])
@pytest.mark.parametrize("scales", [(1.0, 1.0), (0.5, 30.0), (100.0, 100.0), (0.0, 2.0)])
def test_sphere_equals_mpmath_in_single_precision(size, scales):
    left, right = normal(3, size, dtype=torch.float32), normal(2, size, seed=1, dtype=torch.float32)
    value = von_mises_fisher(left, right, *scales)
    assert value.dtype == torch.float32
    sums = scales[0] * normalize(left.double(), dim=1).unsqueeze(1)
    sums = sums + scales[1] * normalize(right.double(), dim=1)  # [N, K, D]
    for got, squared in zip(value.flatten(), sums.square().sum(-1).flatten(), strict=True):
        with mpmath.workdps(30):
            exact = mpmath.log(mpmath.hyp0f1(mpmath.mpf(size) / 2, squared.item() / 4))
        assert got.item() == pytest.approx(float(exact), rel=1e-6)


def test_sphere_ranks_as_the_cosine_does():
    left, right = normal(1, 16), normal(50, 16, seed=1)
    order = von_mises_fisher(left, right, 2.0, 3.0).argsort(dim=1)
    assert torch.equal(order, cosine(left, right).argsort(dim=1))


@pytest.mark.parametrize("scales", [(1.0, 1.0), (100.0, 100.0), (2.0, 3.0), (0.0, 0.0)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sphere_gradients_are_finite_at_opposite_and_equal_embeddings(scales, dtype):
    a = normal(6, 8, dtype=dtype)
    left, right = a.clone().requires_grad_(), torch.cat([-a, 2 * a]).requires_grad_()
    t1, t2 = (torch.tensor(scale, dtype=dtype, requires_grad=True) for scale in scales)
    value = von_mises_fisher(left, right, t1, t2)
    value.sum().backward()
    for argument in (left, right, t1, t2):
        assert argument.grad.isfinite().all()


def test_sphere_value_at_opposite_embeddings_is_zero_to_rounding():
    a = normal(50, 32, dtype=torch.float32)
    value = von_mises_fisher(a, -3 * a).diagonal()
    assert (value >= 0).all()
    assert (value < 1e-12).all()


def test_sphere_slope_in_a_scale_is_right_where_embeddings_are_opposite():
    t1, t2 = (torch.tensor(t, dtype=torch.float64, requires_grad=True) for t in (5.0, 3.0))
    a = normal(1, 3)
    value = von_mises_fisher(a, -a, t1, t2)  # k = t1 - t2 in three dimensions
    slopes = torch.autograd.grad(value.squeeze(), (t1, t2))
    expected = 1 / math.tanh(2) - 1 / 2
    np.testing.assert_allclose([slope.item() for slope in slopes], [expected, -expected])


@pytest.mark.parametrize("size", [2, 5])
def test_sphere_derivatives_are_those_of_the_value(size):
    scales = [torch.tensor(t, dtype=torch.float64, requires_grad=True) for t in (2.0, 3.0)]
    inputs = [normal(2, size).requires_grad_(), normal(3, size, seed=1).requires_grad_(), *scales]
    assert torch.autograd.gradcheck(von_mises_fisher, inputs)
    assert torch.autograd.gradgradcheck(von_mises_fisher, inputs)


def test_sphere_embedding_of_zeros_has_critic_zero():
    value = von_mises_fisher(torch.zeros(1, 3).double(), normal(1, 3), 7.0, 2.0)
    assert value.item() == pytest.approx(math.log(math.sinh(2) / 2))  # only t2 is left


def test_sphere_needs_two_dimensions_or_more():
    with pytest.raises(ShapeError, match=r"the same D >= 2, got \[4, 1\] and \[3, 1\]; give both"):
        von_mises_fisher(normal(4, 1), normal(3, 1))


def test_sphere_sizes_that_differ_are_refused():
    with pytest.raises(ShapeError, match=r"got \[4, 5\] and \[3, 6\]; give both encoders one size"):
        von_mises_fisher(normal(4, 5), normal(3, 6))


# Gaussian goal embeddings.


@pytest.mark.parametrize("v", [0.01, 1.0, 30.0])
@pytest.mark.parametrize("size", [1, 7])
def test_gaussian_equals_lemma_3_for_an_isotropic_law(size, v):
    a, c = normal(4, size), normal(3, size, seed=1)
    value = gaussian(a, c, torch.zeros(size), v * torch.eye(size, dtype=torch.float64))
    gamma, delta = (v + 1) / (4 * v + 2), 2 / (v + 1)
    distance = torch.cdist(a, c).square()
    lemma = -size / 2 * math.log(2 * v + 1) - gamma * (distance + delta * a @ c.T)
    torch.testing.assert_close(value, lemma)


def test_gaussian_hand_worked_dot_in_one_dimension():
    # E exp(t b) = exp(t m + t^2 v / 2) with t = 2 * 3 + 0.5 * 4 = 8, m = 0.25, v = 0.125
    arguments = (tensor([[3.0]]), tensor([[4.0]]), tensor([0.25]), tensor([[0.125]]))
    assert gaussian(*arguments, 2.0, 0.5, dot).item() == pytest.approx(8 * 0.25 + 64 * 0.125 / 2)


@pytest.mark.parametrize("scales", [(1.0, 1.0), (0.3, 20.0), (0.0, 2.0)])
@pytest.mark.parametrize("energy", ENERGIES)
def test_gaussian_equals_quadrature_in_one_dimension(energy, scales):
    a, c, mean, variance = 0.7, -1.2, 0.4, 0.3
    value = gaussian(
        tensor([[a]]), tensor([[c]]), tensor([mean]), tensor([[variance]]), *scales, energy
    )
    critic = {
        dot: lambda x, b: x * b,
        cosine: lambda x, b: np.sign(x) * b,
        neg_half_sq_l2: lambda x, b: -((x - b) ** 2) / 2,
    }[energy]

    def integrand(b):
        law = stats.norm.pdf(b, mean, math.sqrt(variance))
        return math.exp(scales[0] * critic(a, b) + scales[1] * critic(c, b)) * law

    exact, _ = integrate.quad(integrand, -20, 20, points=[a, c, mean], epsabs=0, epsrel=1e-10)
    assert value.item() == pytest.approx(math.log(exact), rel=1e-8)


@pytest.mark.parametrize("rank", [2, 5])
@pytest.mark.parametrize("energy", ENERGIES)
def test_gaussian_of_a_shared_encoder_equals_sampled_goals(energy, rank):
    size, scales = 5, (0.6, 0.4)
    left, right, mean = normal(4, size), normal(3, size, seed=1), normal(size, seed=2) / 2
    root = normal(size, rank, seed=3) / math.sqrt(2 * rank)
    goals = mean + normal(200_000, rank, seed=4) @ root.T
    value = gaussian(left, right, mean, root @ root.T, *scales, energy)
    if energy is cosine:  # the goals are given as they are
        left, right, energy = normalize(left, dim=1), normalize(right, dim=1), dot
    f, h = scales[0] * energy(left, goals), scales[1] * energy(right, goals)
    assert_within_sampling_error(value, f.unsqueeze(1) + h)


@pytest.mark.parametrize("sizes", [(3, 4), (4, 4), (1, 6)])
@pytest.mark.parametrize("energy", ENERGIES)
def test_gaussian_of_separate_encoders_equals_sampled_goals(energy, sizes):
    scales, rank = (0.6, 0.4), 6
    left, right, mean = normal(4, sizes[0]), normal(3, sizes[1], seed=1), normal(sum(sizes), seed=2)
    mean = mean / 2
    root = normal(sum(sizes), rank, seed=3) / math.sqrt(2 * rank)
    first, second = (mean + normal(200_000, rank, seed=4) @ root.T).split(sizes, dim=1)
    value = gaussian(left, right, mean, root @ root.T, *scales, energy)
    if energy is cosine:
        left, right, energy = normalize(left, dim=1), normalize(right, dim=1), dot
    f, h = scales[0] * energy(left, first), scales[1] * energy(right, second)
    assert_within_sampling_error(value, f.unsqueeze(1) + h)


@pytest.mark.parametrize("energy", ENERGIES)
@pytest.mark.parametrize("rank", [2, 5])
def test_separate_encoders_that_agree_are_a_shared_encoder(energy, rank):
    left, right, mean = normal(4, 5), normal(3, 5, seed=1), normal(5, seed=2)
    covariance, same = covariance_of_rank(5, rank, seed=3), torch.eye(5, dtype=torch.float64)
    shared = gaussian(left, right, mean, covariance, 2.0, 3.0, energy)
    law = joint([same, same], mean, covariance)
    torch.testing.assert_close(gaussian(left, right, *law, 2.0, 3.0, energy), shared)


def test_separate_encoders_of_independent_embeddings_give_a_sum():
    left, right, mean = normal(4, 2), normal(3, 3, seed=1), normal(5, seed=2)
    first, second = covariance_of_rank(2, 2), covariance_of_rank(3, 3)
    value = gaussian(left, right, mean, torch.block_diag(first, second), 2.0, 3.0)
    f = gaussian(left, left, mean[:2], first, 2.0, 0.0)[:, :1]  # the other scale is 0: f alone
    h = gaussian(right, right, mean[2:], second, 0.0, 3.0)[:1]
    torch.testing.assert_close(value, f + h)


def test_gaussian_of_a_certain_goal_is_the_sum_of_its_energies():
    left, right, goal = normal(4, 5), normal(3, 5, seed=1), normal(5, seed=2)
    value = gaussian(left, right, goal, torch.zeros(5, 5), 2.0, 3.0)
    f, h = neg_half_sq_l2(left, goal.unsqueeze(0)), neg_half_sq_l2(right, goal.unsqueeze(0))
    torch.testing.assert_close(value, 2 * f + 3 * h.T)


def test_gaussian_agrees_with_monte_carlo_over_candidates():
    left, right, mean = normal(4, 3), normal(2, 3, seed=1), normal(3, seed=2)
    covariance = covariance_of_rank(3, 3, seed=3)
    goals = mean + normal(200_000, 3, seed=4) @ torch.linalg.cholesky(covariance).T
    estimate = monte_carlo(neg_half_sq_l2(left, goals), neg_half_sq_l2(goals, right)).value
    exact = gaussian(left, right, mean, covariance)
    torch.testing.assert_close(estimate, exact, rtol=0, atol=0.05)


def test_gaussian_far_from_the_origin_keeps_its_digits():
    left, right, mean = normal(4, 6), normal(3, 6, seed=1), normal(6, seed=2)
    covariance = covariance_of_rank(6, 6, seed=3)
    near = gaussian(left, right, mean, covariance)
    far = gaussian(left + 2**20, right + 2**20, mean + 2**20, covariance)
    torch.testing.assert_close(far, near, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("v", [1e-8, 1e8])
def test_gaussian_of_a_very_narrow_or_wide_law_is_exact(v):
    a, c = normal(2, 3), normal(2, 3, seed=1)
    value = gaussian(a, c, torch.zeros(3), v * torch.eye(3), 10.0, 20.0)
    shrunk = 1 / (1 + 30 * v)  # f + h = -(30/2)|b - p|^2 - (200/30)/2 |a - c|^2, p = (a + 2c) / 3
    point = ((a.unsqueeze(1) + 2 * c) / 3).square().sum(-1)
    exact = -10 / 3 * torch.cdist(a, c).square() - 15 * shrunk * point + 1.5 * math.log(shrunk)
    torch.testing.assert_close(value, exact, rtol=1e-6, atol=1e-6)


def test_rounding_below_zero_does_not_make_the_mean_diverge_at_a_large_scale():
    covariance = torch.diag(tensor([1.0, -(2.0**-20)]))
    arguments = (normal(4, 2), normal(3, 2, seed=1), torch.zeros(2))
    value = gaussian(*arguments, covariance, 2.0**19, 2.0**19)  # 1 - 2^-20 (2^19 + 2^19) = 0
    exact = gaussian(*arguments, covariance.clamp(min=0), 2.0**19, 2.0**19)
    torch.testing.assert_close(value, exact, rtol=1e-5, atol=0)


@pytest.mark.parametrize("separate", [False, True])
@pytest.mark.parametrize("energy", ENERGIES)
def test_gaussian_derivatives_are_those_of_the_value(energy, separate):
    size = 5 if separate else 3
    inputs = [normal(2, 3), normal(2, 2 if separate else 3, seed=1), normal(size, seed=2)]
    inputs += [normal(size, 2, seed=3), tensor(0.0), tensor(2.0)]

    def value(left, right, mean, root, t1, t2):
        covariance = root @ root.T  # rank 2: singular
        return gaussian(left, right, mean, covariance, t1 + 1, t2, energy)

    assert torch.autograd.gradcheck(value, [x.requires_grad_() for x in inputs])


def test_gaussian_gradients_are_finite_where_scales_and_covariance_are_zero():
    inputs = [normal(2, 3), normal(2, 3, seed=1), normal(3), torch.zeros(3, 3).double()]
    inputs = [x.requires_grad_() for x in (*inputs, tensor(0.0), tensor(0.0))]
    gradients = torch.autograd.grad(gaussian(*inputs).sum(), inputs)
    assert all(gradient.isfinite().all() for gradient in gradients)


# Both.


def forms(size):
    """Each closed form as a function of (left, right)."""
    mean, covariance = normal(size, seed=7), covariance_of_rank(size, size, seed=8)
    return {
        "sphere": von_mises_fisher,
        "gaussian": lambda left, right: gaussian(left, right, mean, covariance),
    }


@pytest.mark.parametrize("name", ["sphere", "gaussian"])
@pytest.mark.parametrize(
    ("left_axes", "right_axes"), [((2, 3), (2, 3)), ((2, 1), (3,)), ((), (4,)), ((4,), ())]
)
def test_leading_axes_are_batches_that_broadcast(name, left_axes, right_axes):
    form = forms(4)[name]
    left, right = normal(*left_axes, 5, 4), normal(*right_axes, 6, 4, seed=1)
    value = form(left, right)
    axes = np.broadcast_shapes(left_axes, right_axes)
    assert value.shape == (*axes, 5, 6)
    lefts, rights = left.expand(*axes, 5, 4), right.expand(*axes, 6, 4)
    for place in np.ndindex(*axes):
        torch.testing.assert_close(value[place], form(lefts[place], rights[place]))


@pytest.mark.parametrize("name", ["sphere", "gaussian"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_values_have_the_dtype_of_the_embeddings(name, dtype):
    form, left, right = forms(4)[name], normal(3, 4, dtype=dtype), normal(2, 4, dtype=dtype)
    value = form(left, right)
    assert value.dtype == dtype
    tolerance = 2 * torch.finfo(dtype).eps
    torch.testing.assert_close(
        value.double(), form(left.double(), right.double()), rtol=tolerance, atol=tolerance
    )


@pytest.mark.parametrize("form", [von_mises_fisher, gaussian])
def test_plain_numbers_and_tensors_are_the_same_scales(form):
    law = [] if form is von_mises_fisher else [torch.zeros(3), torch.eye(3)]
    arguments = [normal(2, 3), normal(2, 3, seed=1), *law]
    scales = [torch.tensor([0.1], dtype=torch.float64), torch.tensor(3)]
    assert torch.equal(form(*arguments, *scales), form(*arguments, 0.1, 3))


@pytest.mark.parametrize("form", [von_mises_fisher, gaussian])
@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("left", torch.zeros(3), ShapeError, r"left \[..., rows, D\].* got \[3\] of"),
        ("right", torch.zeros(2, 0), ShapeError, r"right .* got \[2, 0\].*one embedding a row"),
        ("right", torch.zeros(2, 3).long(), ShapeError, r"right .* of torch.int64"),
        ("left", torch.full((2, 3), NAN), NonFiniteError, r"NaN or an infinity in left; mask"),
        ("right", torch.full((2, 3), INF), NonFiniteError, r"NaN or an infinity in right; mask"),
        ("left_scale", NAN, NonFiniteError, r"in left_scale; mask it or fix it"),
        ("right_scale", torch.tensor(INF), NonFiniteError, r"in right_scale; mask"),
        ("left_scale", -0.5, DomainError, r"left_scale >= 0, got -0.5; pass exp\(log_scale\)"),
        ("right_scale", torch.tensor(-2.0), DomainError, r"right_scale >= 0, got -2; pass exp"),
        ("left_scale", torch.ones(3), ShapeError, r"left_scale, one number, got \[3\]; scale the"),
    ],
)
def test_argument_that_cannot_serve_is_named_with_the_repair(form, name, value, error, message):
    arguments = {"left": normal(2, 3), "right": normal(2, 3)}
    if form is gaussian:
        arguments |= {"mean": torch.zeros(3), "covariance": torch.eye(3)}
    with pytest.raises(error, match=f"{form.__name__} .*{message}"):
        form(**{**arguments, name: value})


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        (
            "mean",
            torch.zeros(4),
            ShapeError,
            r"mean \[3\] or \[6\] for .* 3 and 3, got \[4\]; give",
        ),
        ("mean", torch.zeros(1, 3), ShapeError, r"mean .* got \[1, 3\]; give the mean"),
        ("right", torch.zeros(2, 2), ShapeError, r"mean \[5\] for .* 3 and 2, got \[3\]; give"),
        ("covariance", torch.eye(6), ShapeError, r"covariance \[3, 3\] .* got \[6, 6\]; take both"),
        ("covariance", torch.ones(3), ShapeError, r"covariance \[3, 3\] .* got \[3\]; take both"),
        ("mean", torch.tensor([0, NAN, 0]), NonFiniteError, r"NaN or an infinity in mean; mask"),
        ("covariance", torch.full((3, 3), INF), NonFiniteError, r"infinity in covariance; mask"),
        ("covariance", torch.ones(3, 3).triu(), DomainError, r"symmetric .*pass \(C \+ C.mT\) / 2"),
        ("covariance", torch.diag(tensor([1.0, 1.0, -0.5])), DomainError, r"got -0.5; estimate it"),
        ("covariance", -torch.eye(3), DomainError, r"got -1; estimate it with torch.cov"),
        ("energy", neg_l2, UnknownNameError, r"dot, cosine or neg_half_sq_l2, got neg_l2; use mon"),
        ("energy", "neg_l2", UnknownNameError, r"dot, cosine or neg_half_sq_l2, got neg_l2; use"),
    ],
)
def test_law_or_energy_that_cannot_serve_is_named_with_the_repair(name, value, error, message):
    arguments = {"left": normal(2, 3), "right": normal(2, 3), "mean": torch.zeros(3)}
    with pytest.raises(error, match=f"gaussian needs .*{message}|gaussian got .*{message}"):
        gaussian(**{**arguments, "covariance": torch.eye(3), name: value})


@pytest.mark.parametrize("size", [1e-7, -1e-7])
def test_rounding_of_a_covariance_is_accepted(size):
    covariance = torch.eye(3)
    covariance[2, 2] = 0
    exact = gaussian(normal(2, 3), normal(2, 3, seed=1), torch.zeros(3), covariance)
    covariance[0, 1], covariance[2, 2] = size, size
    value = gaussian(normal(2, 3), normal(2, 3, seed=1), torch.zeros(3), covariance)
    torch.testing.assert_close(value, exact, rtol=1e-5, atol=1e-5)
