"""The marginal over candidate goals (Lemma 1), and its estimators.

    log p(l|s,a)/p(l) = log E_{g~p(g)}[exp(f(s,a,g) + h(g,l))]

``monte_carlo`` averages over candidates; ``von_mises_fisher`` and ``gaussian`` know the law of goal
embeddings; ``direct`` puts the instruction in the goal's place.

Axes: ``N`` queries (state-actions), ``M`` candidate goals, ``K`` instructions, ``D`` embedding
size; leading axes are batches that broadcast.
Source: Che & Eysenbach, ICLR 2025, arXiv:2501.11326.
"""

import torch
from torch import Tensor
from torch.nn import functional

from langrl.errors import DomainError, NonFiniteError, ShapeError, UnknownNameError
from langrl.functional import checks as arguments
from langrl.functional.densities import (
    checked_law,
    log_hyp0f1,
    log_mean_exp_quadratic,
    parts,
    widened,
)
from langrl.functional.energies import Energy, cosine, dot, energy_of, neg_half_sq_l2
from langrl.functional.estimates import Estimate, from_sums
from langrl.functional.log_products import log_matmul_exp, weighted
from langrl.functional.streaming import streamed_log_matmul_exp


@arguments.takes_tensors()
def direct(
    left: Tensor, right: Tensor, scale: float | Tensor = 1.0, energy: Energy | str = neg_half_sq_l2
) -> Tensor:
    """Return the critic with the instruction's embedding in the goal's place, t energy(a, c).

    It ranks as the marginal does only where both critics share their goal encoder and goal
    embeddings are uniform on the sphere or isotropic Gaussian (Assumption 3; Lemmas 2 and 3).

    Args:
        left: state-action embeddings a [..., N, D].
        right: instruction embeddings c [..., K, D].
        scale: t >= 0, the inverse temperature; one number.
        energy: how two embeddings are compared, or its name in ``ENERGIES``.

    Returns:
        Scores [..., N, K]; no density ratio.

    Raises:
        ShapeError: if the embedding sizes differ.
        NonFiniteError: if an argument holds NaN or an infinity.
        DomainError: if the scale is negative.
    """
    for name, value in (("left", left), ("right", right)):
        arguments.check_embeddings("direct", name, value)
        arguments.check_finite("direct", name, value)
    t = arguments.scale("direct", "scale", scale, left).to(left.dtype)
    return t * energy_of(energy)(left, right)


@arguments.takes_tensors()
def monte_carlo(
    left: Tensor, right: Tensor, log_weights: Tensor | None = None, *, error_bars: bool = False
) -> Estimate:
    """Estimate the marginal from scores of M candidate goals: logsumexp_m(f + h) - log M.

    Computed as one matrix product of exponentials, see ``log_matmul_exp``. Differentiable. In
    float32, within 20 * 1e-6 * max(1, |value|) of the exact sum at any scale; typically 1e-7.

    Args:
        left: f, critic values [..., N, M] in nats; [..., N, 1, M] where each query has candidates
            of its own.
        right: h, fits [..., M, K] in nats.
        log_weights: log p(g) - log q(g) [..., M], for candidates drawn from q instead of p; its
            leading axes are among those of ``left``.
        error_bars: whether to compute the standard error and the effective sample size too, at
            the cost of a second product in float64.

    Returns:
        The estimate, with values [..., N, K].

    Raises:
        ShapeError: if the numbers of candidates differ, weights have axes that ``left`` has not, or
            something is empty.
        NonFiniteError: if an input holds NaN or +inf (-inf rules a candidate out), or if nothing
            is left for some query and instruction.

    Two candidate goals, and two instructions: one that fits both, and one that fits the second.

    >>> f = torch.tensor([[0.0, 2.0]])
    >>> h = torch.tensor([[0.0, -9.0], [0.0, 1.0]])
    >>> monte_carlo(f.double(), h.double()).value.numpy().round(2).tolist()
    [[1.43, 2.31]]

    Source: arXiv:2501.11326, Lemma 1.
    """
    arguments.check_scores("monte_carlo", left, right)
    dtype = torch.promote_types(left.dtype, right.dtype)
    top: float | Tensor = 0.0
    if log_weights is not None:
        arguments.check_log_weights("monte_carlo", log_weights, left.shape[-1])
        axes = {"left": left.shape[:-2], "right": right.shape[:-2]}
        arguments.check_batches("monte_carlo", **axes, log_weights=log_weights.shape[:-1])
        # not those of right: scores of left are of the same candidates all along an axis it lacks
        arguments.check_weights("monte_carlo", log_weights.shape[:-1], left=left.shape[:-2])
        right, top = weighted(right, log_weights)
    log_sum, doubtful = log_matmul_exp(left, right)
    log_squares = None
    if error_bars:
        squares, _ = log_matmul_exp(2 * left.detach().double(), 2 * right.detach().double())
        log_squares = squares + 2 * top
    fraction = doubtful.float().mean().item()
    return from_sums(log_sum + top, log_squares, left.shape[-1], fraction, dtype)


@arguments.takes_tensors()
def monte_carlo_embeddings(
    left: Tensor,
    right: Tensor,
    goals: Tensor,
    right_goals: Tensor | None = None,
    *,
    left_scale: float | Tensor = 1.0,
    right_scale: float | Tensor = 1.0,
    energy: Energy | str = neg_half_sq_l2,
    right_energy: Energy | str | None = None,
    log_weights: Tensor | None = None,
    error_bars: bool = False,
    chunk: int = 4096,
) -> Estimate:
    """Estimate the marginal from embeddings, scoring a chunk of candidates at a time.

    Memory grows with (N + K) chunk and never with M; gradients score each chunk a second time.
    Differentiable once, in every tensor given here; weights inside of an energy get no gradient.

    Args:
        left: state-action embeddings [..., N, D].
        right: instruction embeddings [..., K, E].
        goals: candidate goals, embedded by the critic's goal encoder [..., M, D].
        right_goals: the same goals, embedded by the language side's own goal encoder [..., M, E];
            None where both share one.
        left_scale: inverse temperature of f, >= 0; one number.
        right_scale: inverse temperature of h, >= 0; one number.
        energy: of f, and of h where ``right_energy`` does not say otherwise; or its name.
        right_energy: of h.
        log_weights: as for ``monte_carlo``; its leading axes are among those of left and goals.
        error_bars: as for ``monte_carlo``.
        chunk: candidates scored at a time.

    Returns:
        The estimate, with values [..., N, K].

    Raises:
        ShapeError: if embedding sizes or numbers of candidates differ, or something is empty.
        NonFiniteError: as for ``monte_carlo``.
        DomainError: if a scale is negative or the chunk is empty.

    Source: arXiv:2501.11326, Lemma 1.
    """
    name = "monte_carlo_embeddings"
    others = goals if right_goals is None else right_goals
    given = {"left": left, "right": right, "goals": goals, "right_goals": others}
    arguments.check_same_goals(name, **given)
    if chunk < 1:
        raise DomainError(f"{name} needs chunk >= 1, got {chunk}; 4096 suits most caches")
    if log_weights is not None:
        arguments.check_log_weights(name, log_weights, goals.shape[-2])
        log_weights = log_weights.unsqueeze(-1)
        given |= {"log_weights": log_weights}
    arguments.check_batches(name, **{key: value.shape[:-2] for key, value in given.items()})
    if log_weights is not None:
        axes = {"left": left.shape[:-2], "goals": goals.shape[:-2]}
        arguments.check_weights(name, log_weights.shape[:-2], **axes)
    one = energy_of(energy)
    other = one if right_energy is None else energy_of(right_energy)
    t1 = arguments.scale(name, "left_scale", left_scale, left).to(left.dtype)
    t2 = arguments.scale(name, "right_scale", right_scale, right).to(right.dtype)
    whole = (*_folded(one, left, t1), *_folded(other, right, t2))

    def scores(
        goals: Tensor, others: Tensor | None, weights: Tensor | None, left: Tensor,
        t1: Tensor | None, right: Tensor, t2: Tensor | None,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        f = one(left, goals)
        # transposed, so that sums over candidates run along memory
        h = other(right, goals if others is None else others)
        f, h = f if t1 is None else t1 * f, h if t2 is None else t2 * h
        return f, (h if weights is None else h + weights.mT).mT

    try:
        with torch.autocast(left.device.type, enabled=False):
            log_sum, log_squares, fraction = streamed_log_matmul_exp(
                scores, chunk, error_bars, (goals, right_goals, log_weights), whole
            )
    except NonFiniteError:
        # checked only now: each check is a pass over the data
        for argument in ("left", "right", "goals", "right_goals"):
            arguments.check_finite(name, argument, given[argument])
        raise
    dtype = torch.promote_types(left.dtype, right.dtype)
    squares = log_squares if error_bars else None
    return from_sums(log_sum, squares, goals.shape[-2], fraction, dtype)


def _folded(energy: Energy, embedded: Tensor, scale: Tensor) -> tuple[Tensor, Tensor | None]:
    """Scale embeddings instead of scores where that is the same: a pass less over the scores."""
    return (embedded * scale, None) if energy is dot else (embedded, scale)


@arguments.takes_tensors()
def von_mises_fisher(
    left: Tensor,
    right: Tensor,
    left_scale: float | Tensor = 1.0,
    right_scale: float | Tensor = 1.0,
) -> Tensor:
    """Return log E_b[exp(t1 cos(a, b) + t2 cos(b, c))] for b uniform on the sphere in D dimensions.

    It is log 0F1(; D/2; k^2 / 4) with k = |t1 a + t2 c|, increasing in cos(a, c). Differentiable,
    with finite gradients where k = 0.

    Args:
        left: state-action embeddings a [..., N, D], normalised here; D >= 2.
        right: instruction embeddings c [..., K, D], normalised here.
        left_scale: t1 >= 0, the inverse temperature of f; one number.
        right_scale: t2 >= 0, the inverse temperature of h; one number.

    Returns:
        Values [..., N, K] in nats.

    Raises:
        ShapeError: if the embedding sizes differ or are below 2, or a scale is no single number.
        NonFiniteError: if an argument holds NaN or an infinity.
        DomainError: if a scale is negative.

    Source: arXiv:2501.11326, Lemma 2.
    """
    a, c = (
        functional.normalize(_widened("von_mises_fisher", name, value), dim=-1)
        for name, value in (("left", left), ("right", right))
    )
    if left.shape[-1] != right.shape[-1] or left.shape[-1] < 2:
        raise ShapeError(
            "von_mises_fisher needs left [..., N, D] and right [..., K, D] with the same D >= 2,"
            f" got {list(left.shape)} and {list(right.shape)}; give both encoders one size"
        )
    t1 = arguments.scale("von_mises_fisher", "left_scale", left_scale, a).double()
    t2 = arguments.scale("von_mises_fisher", "right_scale", right_scale, a).double()
    # The norms are 1, constant therefore, or 0 for an embedding of zeros, as in `cosine`.
    a_norm = torch.linalg.vector_norm(a.detach(), dim=-1, keepdim=True)  # [..., N, 1]
    c_norm = torch.linalg.vector_norm(c.detach(), dim=-1, keepdim=True).mT  # [..., 1, K]
    # |t1 a + t2 c|^2 without cancellation near opposite vectors, and without a root
    excess = (a_norm * c_norm + a @ c.mT).clamp(min=0.0)  # [..., N, K]
    k_squared = (t1 * a_norm - t2 * c_norm).square() + 2 * t1 * t2 * excess
    return _like(left, right, log_hyp0f1(left.shape[-1] / 2, k_squared / 4))


@arguments.takes_tensors()
def gaussian(
    left: Tensor,
    right: Tensor,
    mean: Tensor,
    covariance: Tensor,
    left_scale: float | Tensor = 1.0,
    right_scale: float | Tensor = 1.0,
    energy: Energy | str = neg_half_sq_l2,
) -> Tensor:
    """Return log E_b[exp(t1 energy(a, b) + t2 energy(b, c))] for Gaussian goal embeddings b.

    One shared goal encoder: b ~ N(mean, covariance) in D dimensions. Two separate ones: a goal's
    two embeddings side by side, b = (b1, b2) ~ N(mean, covariance) in D1 + D2 dimensions, and the
    value is log E[exp(t1 energy(a, b1) + t2 energy(b2, c))]. The size of ``mean`` says which.
    Differentiable in every tensor.

    Args:
        left: state-action embeddings a [..., N, D1].
        right: instruction embeddings c [..., K, D2].
        mean: [D] with D = D1 = D2 (shared), or [D1 + D2] (separate).
        covariance: of the same goal embeddings [D, D] or [D1 + D2, D1 + D2]; may be singular.
            Asymmetry and negative eigenvalues up to 1e-5 of its largest eigenvalue are taken for
            rounding.
        left_scale: t1 >= 0, the inverse temperature of f; one number.
        right_scale: t2 >= 0, the inverse temperature of h; one number.
        energy: ``dot``, ``neg_half_sq_l2``, or ``cosine``: ``dot`` after normalising ``left`` and
            ``right``; mean and covariance are then those of normalised goal embeddings. Or a name.

    Returns:
        Values [..., N, K] in nats.

    Raises:
        ShapeError: if the sizes do not fit, or a scale is no single number.
        NonFiniteError: if an argument holds NaN or an infinity.
        DomainError: if a scale is negative or the covariance is none.
        UnknownNameError: if the energy has no closed form.

    Source: arXiv:2501.11326, Lemma 3 (mean 0, covariance v I, scales 1); the general case by
        completing the square.
    """
    energy = energy_of(energy)
    if energy not in (dot, cosine, neg_half_sq_l2):
        raise UnknownNameError(
            "gaussian needs energy dot, cosine or neg_half_sq_l2, got"
            f" {getattr(energy, '__name__', energy)}; use monte_carlo for any other"
        )
    a, c = _widened("gaussian", "left", left), _widened("gaussian", "right", right)
    m, spread = checked_law(mean, covariance, left, right)
    t1 = arguments.scale("gaussian", "left_scale", left_scale, a).double()
    t2 = arguments.scale("gaussian", "right_scale", right_scale, a).double()
    if energy is cosine:
        a, c = functional.normalize(a, dim=-1), functional.normalize(c, dim=-1)
    first, second = parts(a, c, m)
    # With b = m + e: f + h = f_m + h_m + s.e - e' diag(curvature) e / 2, where s = t1 a (+) t2 c.
    curvature = torch.zeros_like(m)
    if energy is neg_half_sq_l2:
        curvature[first] += t1
        curvature[second] += t2
        a, c = a - m[first], c - m[second]
        f_m, h_m = -t1 * a.square().sum(-1) / 2, -t2 * c.square().sum(-1) / 2
    else:
        f_m, h_m = t1 * (a @ m[first]), t2 * (c @ m[second])  # [..., N], [..., K]
    value = log_mean_exp_quadratic(t1 * a, t2 * c, spread, curvature)
    return _like(left, right, value + f_m.unsqueeze(-1) + h_m.unsqueeze(-2))


@arguments.takes_tensors()
def gaussian_law(
    goals: Tensor, right_goals: Tensor | None = None, energy: Energy | str = neg_half_sq_l2
) -> tuple[Tensor, Tensor]:
    """Return the mean and the covariance of goal embeddings that ``gaussian`` asks for, in float64.

    Goals [M, D1] are embedded by the critic's goal encoder, ``right_goals`` [M, D2] are the same by
    the language side's own, None where one is shared. The energy ``cosine`` normalises them.

    Raises:
        ShapeError: if they are not of the same goals, two at least.
        NonFiniteError: if there is NaN or an infinity.
    """
    sides = [goals] if right_goals is None else [goals, right_goals]
    if any(side.ndim != 2 or len(side) != len(goals) or len(side) < 2 for side in sides):
        raise ShapeError(
            "gaussian_law needs goals [M, D1] and right_goals [M, D2] of the same M >= 2 goals, got"
            f" {[list(side.shape) for side in sides]}; embed the same goals twice"
        )
    both = [_widened("gaussian_law", "goals", side) for side in sides]
    if energy_of(energy) is cosine:
        both = [functional.normalize(side, dim=-1) for side in both]
    embedded = torch.cat(both, -1)
    size = embedded.shape[1]
    return embedded.mean(0), torch.cov(embedded.mT).reshape(size, size)  # cov drops an axis of 1


def _widened(function: str, name: str, value: Tensor) -> Tensor:
    """Return embeddings in float64, checked."""
    arguments.check_embeddings(function, name, value)
    arguments.check_finite(function, name, value)
    return widened(value)


def _like(left: Tensor, right: Tensor, value: Tensor) -> Tensor:
    """Return the value in the dtype and on the device of the embeddings."""
    return value.to(torch.promote_types(left.dtype, right.dtype)).to(left.device)
