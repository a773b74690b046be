"""Contrastive losses: tensors in, ``(loss, metrics)`` out.

Axes: ``N`` left sides x (rows), ``M`` right sides y (columns), ``J`` explicit negatives of one
anchor, ``B`` pairs, ``P`` positives.

Most losses take ``logits`` [N, M], critic values f(x, y) in nats, the learned temperature included,
and ``positives`` [N, M], a bool mask with a True in every row. By default row i's positive is
column i, and the columns beyond N are explicit negatives that all rows share. The other pairs are
negatives, except those that a logit of -inf rules out. The best critic is

* ``forward_info_nce``: log p(y|x)/p(y) + c(x), with any function c;
* ``backward_info_nce``: log p(x|y)/p(x) + c(y), with any function c;
* ``symmetric_info_nce``: the log density ratio log p(x, y)/(p(x) p(y)) + a constant;
* ``binary_nce``: the log density ratio; ``sigmoid``: that, minus its bias and log(M - 1);
* ``triplet``: whatever ranks the positives first,

where p(x) and p(y) are what negatives are drawn from. Every loss raises ``ShapeError`` for shapes
and dtypes that do not fit, ``DomainError`` for a row without a positive, an anchor without a
negative or a number out of range, and ``NonFiniteError`` for NaN, +inf, a positive at -inf or an
overflow, so that a loss is always finite.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from langrl.errors import DomainError, NonFiniteError, ShapeError
from langrl.functional.checks import check_dtypes, takes_tensors

Result = tuple[Tensor, dict[str, Tensor]]
_LEAST_MASS = 1e-30  # of a row: what has underflown beside it does not matter


@takes_tensors()
def forward_info_nce(
    logits: Tensor,
    *,
    positives: Tensor | None = None,
    negatives: Tensor | None = None,
    logsumexp_penalty: float = 0.0,
) -> Result:
    """InfoNCE over right sides: which right belongs to this left?

    Args:
        logits: critic values [N, M].
        positives: bool [N, M]; with several in a row, the mean of their -log softmax counts.
        negatives: critic values [N, J] of each row with right sides of its own, which join the
            softmax of that row.
        logsumexp_penalty: weight of the mean squared log-partition, which ties c(x) down.

    Returns:
        Scalar loss in nats; metrics: ``accuracy_right`` in [0, 1], and ``information``: how many
        nats the loss, without penalty, is below that of a uniform softmax. With one positive and
        negatives from p(y) this is InfoNCE's lower bound log(M + J) - loss on the mutual
        information; with P positives in a row it is no bound, and at most log((M + J) / P).

    Source: van den Oord et al. 2018, arXiv:1807.03748, eq. 4; several positives: Khosla et al.
    2020, arXiv:2004.11362, eq. 2; penalty: Eysenbach et al. 2022, arXiv:2206.07568.
    """
    pairs = _pairs(logits, positives)
    loss, accuracy, information = _softmax("row", logits, pairs, negatives, logsumexp_penalty)
    _require_finite(loss, pairs, logits=logits, negatives=negatives)
    return loss, _metrics(accuracy_right=accuracy, information=information)


@takes_tensors()
def backward_info_nce(
    logits: Tensor,
    *,
    positives: Tensor | None = None,
    negatives: Tensor | None = None,
    logsumexp_penalty: float = 0.0,
) -> Result:
    """InfoNCE over left sides: which left belongs to this right?

    Args, returns and source: as ``forward_info_nce`` with the axes exchanged. Only columns with a
    positive are anchors; ``negatives`` [M, J] are left sides, ignored where a column is no anchor;
    the penalty ties c(y) down; metrics: ``accuracy_left`` in [0, 1].
    """
    pairs = _pairs(logits, positives)
    flipped = pairs.flipped()
    loss, accuracy, _ = _softmax("column", logits.mT, flipped, negatives, logsumexp_penalty)
    _require_finite(loss, pairs, logits=logits, negatives=negatives)
    return loss, _metrics(accuracy_left=accuracy)


@takes_tensors()
def symmetric_info_nce(
    logits: Tensor,
    *,
    positives: Tensor | None = None,
    negatives: Tensor | None = None,
    logsumexp_penalty: float | tuple[float, float] = 0.0,
) -> Result:
    """Mean of forward InfoNCE (which right?) and backward InfoNCE (which left?).

    Args:
        logits, positives: as for ``forward_info_nce``.
        negatives: as for ``forward_info_nce``, and in that half only: they are no anchors.
        logsumexp_penalty: weight of the mean squared log-partitions, one or (rows, columns); each
            is added in full, not halved. It ties the constant down.

    Returns:
        Scalar loss in nats; metrics: those of both halves.

    Source: as ``forward_info_nce``; symmetric as in Radford et al. 2021, arXiv:2103.00020.
    """
    penalty = logsumexp_penalty
    rows, columns = penalty if isinstance(penalty, tuple) else (penalty, penalty)
    pairs = _pairs(logits, positives)
    known = _plain_symmetric(logits, pairs, rows, columns) if negatives is None else None
    if known is None:
        forward, right, information = _softmax("row", logits, pairs, negatives, 2 * rows)
        backward, left, _ = _softmax("column", logits.mT, pairs.flipped(), None, 2 * columns)
        known = 0.5 * (forward + backward), right, left, information
    loss, right, left, information = known
    _require_finite(loss, pairs, logits=logits, negatives=negatives)
    return loss, _metrics(accuracy_right=right, accuracy_left=left, information=information)


@takes_tensors()
def ranking_info_nce(positive: Tensor, negatives: Tensor) -> Result:
    """InfoNCE of one positive against its own explicit negatives.

    Args:
        positive: critic values [B].
        negatives: critic values [B, J]. In reinforcement learning, of other actions in the same
            state against the same goal.

    Returns:
        Scalar loss in nats; metrics: ``accuracy`` in [0, 1].

    Source: van den Oord et al. 2018, arXiv:1807.03748, eq. 4; as ranking NCE in Ma & Collins
    2018, arXiv:1809.01812, eq. 4.
    """
    if positive.ndim != 1 or not len(positive):
        raise ShapeError(
            f"positive must be [B], got {list(positive.shape)}; give one critic value per pair"
        )
    each = torch.arange(len(positive), device=positive.device)
    pairs = _Pairs(each, torch.zeros_like(each), positive)
    loss, accuracy, _ = _softmax("row", positive.unsqueeze(1), pairs, negatives, 0.0)
    _require_finite(loss, pairs, positive=positive, negatives=negatives)
    return loss, _metrics(accuracy=accuracy)


@takes_tensors()
def binary_nce(logits: Tensor, *, positives: Tensor | None = None) -> Result:
    """Logistic classification of positive against negative pairs, 1:1 whatever their numbers.

    Positives and negatives are averaged apart, so that the best critic is the log density ratio
    with no offset if negatives are independent pairs. (If ``positives`` marks all pairs that could
    match, the classes are separable, and nothing bounds f.)

    Args:
        logits, positives: as for ``forward_info_nce``.

    Returns:
        Scalar loss in nats, log 2 at f = 0; metrics: ``accuracy_right`` and ``accuracy_left`` of
        retrieval, in [0, 1].

    Source: Gutmann & Hyvärinen 2010 (AISTATS), section 2.1; the binary objective of Ma & Collins
    2018, arXiv:1809.01812.
    """
    pairs = _pairs(logits, positives)
    _, negatives = _counts("row", logits, pairs)
    positive, negative = _logistic(logits, pairs)
    loss = 0.5 * (positive.mean() + negative.mean() * (logits.numel() / negatives.sum()))
    _require_finite(loss, pairs, logits=logits)
    return loss, _retrieval(logits, pairs)


@takes_tensors()
def sigmoid(
    logits: Tensor, bias: Tensor | float | None = None, *, positives: Tensor | None = None
) -> Result:
    """SigLIP: logistic classification of every pair, each with the same weight.

    There are M - 1 negatives to a positive (or what ``positives`` makes of it), hence at the
    optimum the log density ratio is logits + bias + log(M - 1); a marginal needs that sum.

    Args:
        logits, positives: as for ``forward_info_nce``.
        bias: scalar, learned with the critic; the paper starts it at -10. By default -log(M - 1),
            with which the optimal logits are the log density ratio themselves.

    Returns:
        Scalar loss in nats, a sum over pairs divided by N; metrics: as ``binary_nce``.

    Source: Zhai et al. 2023, arXiv:2303.15343, section 3.2.
    """
    pairs = _pairs(logits, positives)
    count, negatives = _counts("row", logits, pairs)
    offset = (count.sum() / negatives.sum()).log() if bias is None else bias
    shift = torch.as_tensor(offset, dtype=logits.dtype, device=logits.device)
    if shift.numel() != 1:
        raise ShapeError(f"bias must be a scalar, got {list(shift.shape)}; learn one number")
    positive, negative = _logistic(logits + shift, pairs._replace(logits=pairs.logits + shift))
    loss = positive.mean() * (len(pairs.row) / len(logits)) + negative.mean() * logits.shape[1]
    _require_finite(loss, pairs, logits=logits, bias=shift)
    return loss, _retrieval(logits, pairs)


@takes_tensors()
def triplet(logits: Tensor, *, positives: Tensor | None = None, margin: float = 1.0) -> Result:
    """Max-margin ranking: each positive above the negatives of its row and of its column.

    It learns an order and no density ratio, so its critic must not be used inside a marginal.

    Args:
        logits, positives: as for ``forward_info_nce``.
        margin: by how much a positive is to exceed a negative, above 0, in units of the logits.

    Returns:
        Scalar loss in units of the logits: max(0, margin - positive + negative), averaged over the
        (positive, negative) pairs of each axis, then over the axes; metrics: as ``binary_nce``.

    Source: Kiros et al. 2014, arXiv:1411.2539, section 2.2; the hinge is that of Weinberger & Saul
    2009 (JMLR 10).
    """
    if not 0 < margin < torch.inf:
        raise DomainError(f"margin is {margin}; give a finite one above 0")
    pairs = _pairs(logits, positives)
    rows = _hinge("row", logits, pairs, margin)
    loss = 0.5 * (rows + _hinge("column", logits.mT, pairs.flipped(), margin))
    _require_finite(loss, pairs, logits=logits)
    return loss, _retrieval(logits, pairs)


LOSSES: dict[str, Callable[..., Result]] = {  # of logits [N, M], and positives=
    "forward_info_nce": forward_info_nce,
    "backward_info_nce": backward_info_nce,
    "symmetric_info_nce": symmetric_info_nce,
    "binary_nce": binary_nce,
    "sigmoid": sigmoid,
    "triplet": triplet,
}


class _Pairs(NamedTuple):
    """Where the positives are, and their logits, each [P]; often simply on the diagonal."""

    row: Tensor
    column: Tensor
    logits: Tensor
    diagonal: bool = False
    all_count: bool = False  # no pair is ruled out

    @property
    def is_plain(self) -> bool:
        """Whether row i's one positive is column i and all others are negatives."""
        return self.diagonal and self.all_count

    def flipped(self) -> "_Pairs":
        return self._replace(row=self.column, column=self.row)

    def of(self, values: Tensor) -> Tensor:
        """Return the positives' entries of values [N, M]."""
        # an index costs a sort on the way back
        return values.diagonal() if self.diagonal else values[self.row, self.column]


def _pairs(logits: Tensor, positives: Tensor | None) -> _Pairs:
    shape = list(logits.shape)
    fits = len(shape) == 2 and 0 not in shape and (positives is not None or shape[0] <= shape[1])
    if not fits or not logits.is_floating_point():
        raise ShapeError(
            f"logits must be floats [N, M], with M >= N unless positives are given, got {shape} of"
            f" {logits.dtype}; score every left side against every right side"
        )
    if positives is None:
        each = torch.arange(shape[0], device=logits.device)
        return _Pairs(each, each, logits.diagonal(), True, _all_count(logits))
    if positives.shape != logits.shape or positives.dtype != torch.bool:
        got = f"{list(positives.shape)} of {positives.dtype}"
        raise ShapeError(f"positives must be {shape} of torch.bool, got {got}; mark each pair")
    lost = ~positives.any(1)  # [N]
    if lost.any():
        raise DomainError(f"row {_first(lost)[0]} of positives has none; mark one or drop the row")
    row, column = positives.nonzero(as_tuple=True)
    return _Pairs(row, column, logits[row, column], all_count=_all_count(logits))


def _all_count(logits: Tensor) -> bool:
    return logits.amin().item() != -math.inf


def _counts(axis: str, logits: Tensor, pairs: _Pairs) -> tuple[Tensor, Tensor]:
    """Return how many positives and negatives each row has; one with positives needs both."""
    positives = pairs.row.bincount(minlength=len(logits))  # [N]
    negatives = logits.shape[1] - positives  # [N]
    if not pairs.all_count:
        negatives = (_without(logits, pairs) != -torch.inf).sum(1)
    lost = (positives > 0) & (negatives < 1)
    if lost.any():
        raise _no_negative(axis, _first(lost)[0])
    return positives, negatives


def _no_negative(axis: str, index: int) -> DomainError:
    return DomainError(f"{axis} {index} has no negative to contrast with; add pairs or negatives")


def _check_penalty(penalty: float) -> None:
    if not 0 <= penalty < math.inf:
        raise DomainError(f"logsumexp_penalty is {penalty}; give a finite weight, 0 or above")


def _softmax(
    axis: str, logits: Tensor, pairs: _Pairs, own: Tensor | None, penalty: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Contrast each row's positives with the rest of it: loss, accuracy, information."""
    _check_penalty(penalty)
    if own is not None:
        if own.ndim != 2 or len(own) != len(logits):
            shape = f"[{len(logits)}, J], got {list(own.shape)}"
            raise ShapeError(f"negatives must be {shape}; give each {axis} J of its own")
        check_dtypes("a loss", logits=logits, negatives=own)
        logits = torch.cat([logits, own], 1)  # [N, M + J]
        pairs = pairs._replace(all_count=_all_count(logits))
    if pairs.is_plain:
        return _plain_softmax(axis, logits, pairs, penalty)
    count, negatives = _counts(axis, logits, pairs)
    anchors = count > 0  # [N]
    if not anchors.all():
        logits, count, negatives = logits[anchors], count[anchors], negatives[anchors]
        pairs = pairs._replace(row=(anchors.cumsum(0) - 1)[pairs.row])
    surprise = -pairs.of(_log_softmax(logits))  # [P]
    # One term per positive; those of a row share its weight. No sum: half precision overflows.
    share = len(surprise) / len(logits) / count[pairs.row].to(logits.dtype)
    loss = (surprise * share).mean()
    information = (count + negatives).log().mean() - loss
    if penalty:  # at weight 0, an overflow of the square does not matter
        log_partition = surprise + pairs.logits  # of a row, once for each of its positives
        loss = loss + penalty * (log_partition.square() * share).mean()
    return loss, _hits(logits, pairs) / len(logits), information


def _plain_softmax(
    axis: str, logits: Tensor, pairs: _Pairs, penalty: float
) -> tuple[Tensor, Tensor, Tensor]:
    """As ``_softmax`` of plain pairs, in fewer steps."""
    anchors, size = len(pairs.row), logits.shape[1]
    if size < 2:
        raise _no_negative(axis, 0)
    rows = logits if anchors == len(logits) else logits[:anchors]  # a slice costs a copy
    surprise = -pairs.of(_log_softmax(rows))
    loss = surprise.mean()
    information = math.log(size) - loss
    if penalty:
        loss = loss + penalty * (surprise + pairs.logits).square().mean()
    return loss, _hits(logits, pairs) / anchors, information


def _plain_symmetric(
    logits: Tensor, pairs: _Pairs, rows: float, columns: float
) -> tuple[Tensor, Tensor, Tensor, Tensor] | None:
    """Contrast plain pairs in rows and columns: loss, both accuracies, information of rows.

    Both axes share the exponentials, and nothing is read across memory on the way back, which is
    several times faster than two softmaxes. None where this would not be exact: in half precision,
    or if a row or a column is far below the rest.
    """
    if not pairs.is_plain or len(logits) < 2 or logits.dtype.itemsize < 4:
        return None
    for penalty in (rows, columns):
        _check_penalty(penalty)
    top, anchors = logits.detach().amax(), len(pairs.row)
    mass = (logits - top).exp_()
    sums = torch.stack([mass.sum(1), mass.sum(0)[:anchors]])  # [2, P]
    if not sums.detach().amin().item() > _LEAST_MASS:
        return None
    surprise = sums.log() - (pairs.logits - top)  # -log softmax of the positives [2, P]
    loss = surprise.mean()
    information = math.log(logits.shape[1]) - surprise.detach()[0].mean()
    if rows or columns:
        squares = (surprise + pairs.logits).square().mean(1)  # of log-partitions [2]
        loss = loss + (squares * squares.new_tensor([rows, columns])).sum()
    with torch.no_grad():
        rivals = logits.clone().fill_diagonal_(-torch.inf)
        hits = [(pairs.logits > rivals.amax(axis)[:anchors]).sum() / anchors for axis in (1, 0)]
    return loss, hits[0], hits[1], information


def _log_softmax(logits: Tensor) -> Tensor:
    """Return logits - logsumexp of rows, along memory where they are a matrix transposed."""
    # Several times faster than logsumexp, forward and backward.
    return logits.log_softmax(1) if logits.is_contiguous() else logits.mT.log_softmax(0).mT


def _logistic(logits: Tensor, pairs: _Pairs) -> tuple[Tensor, Tensor]:
    """Return -log P(classified right) of positives [P] and of negatives [N, M]."""
    return -functional.logsigmoid(pairs.logits), -functional.logsigmoid(-_without(logits, pairs))


def _hinge(axis: str, logits: Tensor, pairs: _Pairs, margin: float) -> Tensor:
    """Return the mean hinge between positives and the negatives in their rows."""
    _, negatives = _counts(axis, logits, pairs)
    rivals = _without(logits, pairs).index_select(0, pairs.row)  # [P, M]
    hinges = (rivals - (pairs.logits - margin).unsqueeze(1)).relu()
    return hinges.mean() * (hinges.numel() / negatives[pairs.row].sum())


def _without(logits: Tensor, pairs: _Pairs) -> Tensor:
    """Rule the positives out: they cost nothing then."""
    return logits.index_put((pairs.row, pairs.column), logits.new_tensor(-torch.inf))


@torch.no_grad()
def _hits(logits: Tensor, pairs: _Pairs) -> Tensor:
    """Return in how many rows a positive comes before all negatives; a tie is no success."""
    if pairs.diagonal:
        rival = logits.clone().fill_diagonal_(-torch.inf).amax(1)
        return (pairs.logits > rival[: len(pairs.row)]).sum()
    rival = _without(logits, pairs).amax(1)  # [N]
    best = torch.full_like(rival, -torch.inf)
    best = best.scatter_reduce(0, pairs.row, pairs.logits, "amax")
    return (best > rival).sum()


def _retrieval(logits: Tensor, pairs: _Pairs) -> dict[str, Tensor]:
    left = _hits(logits.mT, pairs.flipped()) / len(pairs.column.unique())
    return _metrics(accuracy_right=_hits(logits, pairs) / len(logits), accuracy_left=left)


def _metrics(**values: Tensor) -> dict[str, Tensor]:
    return {name: value.detach().float() for name, value in values.items()}


def _first(where: Tensor) -> list[int]:
    return where.nonzero()[0].tolist()


def _require_finite(loss: Tensor, pairs: _Pairs, **arguments: Tensor | None) -> None:
    """Name the argument that made the loss NaN or infinite."""
    given = {name: value.detach() for name, value in arguments.items() if value is not None}
    # The maximum too: a positive at +inf may leave the loss at 0. Entries only if that fails.
    if math.isfinite(loss.item() + next(iter(given.values())).amax().item()):
        return
    for name, values in given.items():
        bad = ~values.isfinite()
        if name in ("logits", "negatives"):  # where -inf rules a pair out
            bad &= values != -torch.inf
        if name == "logits":
            bad[pairs.row, pairs.column] = ~pairs.logits.isfinite()
        if bad.any():
            index = _first(bad)
            problem = f"{name}{index or ''} is {values[tuple(index)].item():g}"
            raise NonFiniteError(f"{problem}; give finite values (-inf rules out a negative)")
    raise NonFiniteError(f"the loss overflows to {loss.item():g}; lower the scale or the penalty")
