"""Products of matrices of exponentials, in logarithms: Lemma 1's sum over goals as one product.

Axes: ``N`` rows, ``M`` summed over, ``K`` columns; leading axes are batches that broadcast.
"""

import math

import torch
from torch import Tensor

from langrl.errors import NonFiniteError
from langrl.functional.checks import takes_tensors
from langrl.functional.densities import widened

_NARROW = 80.0  # nats: exp of minus that is a normal float32, and nothing underflows
_HEADROOM = 8.0  # nats above the smallest normal number: subnormal ones are slow
_BLOCK = 256  # terms that float32 adds up
_SUMS = 1 << 17  # sums of blocks held at once
_CHUNK = 1 << 22  # numbers held at once while entries are recomputed


@takes_tensors(left="... N M", right="... M K")
def log_matmul_exp(left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``log(exp(left) @ exp(right))`` and which entries had to be summed term by term.

    Each row of ``left`` and column of ``right`` is first divided by its largest exponential, so
    that N*M + M*K exponentials and one matrix product replace N*M*K exponentials. Where the scores
    range over more than 80 nats the product is made in float64, which reaches 660; an entry
    beyond that is summed term by term, as its product underflows wholly or in part.

    Args:
        left: [..., N, M] in nats; -inf rules a term out.
        right: [..., M, K], likewise.

    Returns:
        Values [..., N, K] in float64 (float32 on a device that has nothing wider), -inf where no
        term is possible; bool [..., N, K], True where summed term by term.

    Raises:
        ShapeError: if the scores have not the same M, or something is empty.
        NonFiniteError: if a score is NaN or +inf.
    """
    left_span, left_top = _extremes("left", left, -1)  # [], [..., N, 1]
    right_span, right_top = _extremes("right", right, -2)  # [], [..., 1, K]
    narrow = left.dtype == right.dtype == torch.float32 and left_span + right_span <= _NARROW
    dtype = torch.promote_types(left.dtype, right.dtype) if narrow else _widest(left_top).dtype
    lowest = math.log(torch.finfo(dtype).tiny) + _HEADROOM
    left_exp = _exponentials(left, left_top.to(dtype), lowest if left_span > -lowest else None)
    right_exp = _exponentials(right, right_top.to(dtype), lowest if right_span > -lowest else None)
    total = _product(left_exp, right_exp)  # [..., N, K]
    # Terms that were cut off at `lowest` must not show: not even M of them.
    lost = left.shape[-1] * math.exp(lowest) / torch.finfo(dtype).eps
    doubtful = torch.zeros_like(total, dtype=torch.bool) if narrow else total < lost
    value = total.masked_fill(doubtful, 1.0).log() + (_widest(left_top) + _widest(right_top))
    if doubtful.any():
        value = value.masked_scatter(doubtful, _term_by_term(left, right, doubtful))
    return value, doubtful


def _widest(x: Tensor) -> Tensor:
    return x if x.device.type == "mps" else widened(x)


def _extremes(name: str, scores: Tensor, dim: int) -> tuple[float, Tensor]:
    """Return the widest range of a row (or column), and each one's largest score, detached."""
    scores = scores.detach()  # and not torch.aminmax, which is several times slower
    low, top = scores.amin(dim, keepdim=True), scores.amax(dim, keepdim=True)
    if top.isnan().any() or (top == torch.inf).any():
        raise NonFiniteError(
            f"NaN or +inf in the {name} scores of candidates; a critic that diverged has to be"
            " trained anew, an impossible candidate scored -inf"
        )
    top = _or_zero(top)
    return (top - low).amax().item(), top


def weighted(scores: Tensor, log_weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return scores [..., M, K] plus log weights [..., M], as distances from a top, and that top.

    Added to a large score, a small weight would be lost to rounding. The distances are float64,
    or float32 like the scores where all are near; the top [..., 1, K] is detached.
    """
    every = _widest(scores) + _widest(log_weights).unsqueeze(-1)
    top = _or_zero(every.detach().amax(-2, keepdim=True))
    distances = every - top
    near = scores.dtype == torch.float32 and bool(distances.detach().amin() >= -_NARROW)
    return distances.float() if near else distances, top


def _or_zero(top: Tensor) -> Tensor:
    # A row of -inf has no largest term: its entries are summed term by term, to -inf.
    return top.masked_fill(top == -torch.inf, 0.0)


def _exponentials(scores: Tensor, top: Tensor, lowest: float | None) -> Tensor:
    """Return exp(scores - top) in the dtype of ``top``, from ``lowest`` upwards."""
    shifted = scores - top
    return (shifted if lowest is None else shifted.clamp(min=lowest)).exp_()


def _product(left: Tensor, right: Tensor) -> Tensor:
    """Return left @ right in the widest dtype, whatever autocast would make of it."""
    # A long sum in float32 loses digits: blocks of it are added up in float64.
    wide = _widest(left.new_empty(0)).dtype
    with torch.autocast(left.device.type, enabled=False):
        if left.dtype == wide or left.shape[-1] <= _BLOCK:
            return _widest(left @ right)
        entries = left.shape[-2] * right.shape[-1]
        step = _BLOCK * max(1, _SUMS // entries)
        total = torch.zeros((), dtype=wide, device=left.device)
        for part, other in zip(left.split(step, -1), right.split(step, -2), strict=True):
            full = part.shape[-1] - part.shape[-1] % _BLOCK
            if full:
                blocks = part[..., :full].unflatten(-1, (-1, _BLOCK)).transpose(-2, -3)
                products = blocks @ other[..., :full, :].unflatten(-2, (-1, _BLOCK))
                total = total + products.sum(-3, dtype=wide)  # [..., N, K]
            if full < part.shape[-1]:
                total = total + part[..., full:] @ other[..., full:, :]
        return total


def _term_by_term(left: Tensor, right: Tensor, where: Tensor) -> Tensor:
    """Return logsumexp_m(left + right) at the True entries of ``where``, in row-major order."""
    batch = where.shape[:-2]
    rows = left.expand(*batch, *left.shape[-2:])
    columns = right.mT.expand(*batch, *right.mT.shape[-2:])  # [..., K, M]
    places = where.nonzero().split(max(1, _CHUNK // left.shape[-1]))
    parts = []
    for place in places:
        *leading, n, k = place.unbind(1)
        terms = _widest(rows[(*leading, n)]) + _widest(columns[(*leading, k)])
        parts.append(_logsumexp(terms))
    return torch.cat(parts)


def _logsumexp(terms: Tensor) -> Tensor:
    """Return logsumexp over the last axis; its gradient is 0, not NaN, where all are -inf."""
    impossible = (terms == -torch.inf).all(-1, keepdim=True)
    value = terms.masked_fill(impossible, 0.0).logsumexp(-1)
    return value.masked_fill(impossible.squeeze(-1), -torch.inf)
