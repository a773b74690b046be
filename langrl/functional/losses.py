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

from collections.abc import Callable

import torch
from torch import Tensor

from langrl.errors import DomainError, ShapeError
from langrl.functional.checks import takes_tensors
from langrl.functional.contrasts import (
    Pairs,
    count_pairs,
    find_pairs,
    hinge,
    logistic,
    metrics,
    plain_symmetric,
    require_finite,
    retrieval,
    softmax,
)

Result = tuple[Tensor, dict[str, Tensor]]


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
    pairs = find_pairs(logits, positives)
    loss, accuracy, information = softmax("row", logits, pairs, negatives, logsumexp_penalty)
    require_finite(loss, pairs, logits=logits, negatives=negatives)
    return loss, metrics(accuracy_right=accuracy, information=information)


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
    pairs = find_pairs(logits, positives)
    flipped = pairs.flipped()
    loss, accuracy, _ = softmax("column", logits.mT, flipped, negatives, logsumexp_penalty)
    require_finite(loss, pairs, logits=logits, negatives=negatives)
    return loss, metrics(accuracy_left=accuracy)


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
    pairs = find_pairs(logits, positives)
    known = plain_symmetric(logits, pairs, rows, columns) if negatives is None else None
    if known is None:
        forward, right, information = softmax("row", logits, pairs, negatives, 2 * rows)
        backward, left, _ = softmax("column", logits.mT, pairs.flipped(), None, 2 * columns)
        known = 0.5 * (forward + backward), right, left, information
    loss, right, left, information = known
    require_finite(loss, pairs, logits=logits, negatives=negatives)
    return loss, metrics(accuracy_right=right, accuracy_left=left, information=information)


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
    pairs = Pairs(each, torch.zeros_like(each), positive)
    loss, accuracy, _ = softmax("row", positive.unsqueeze(1), pairs, negatives, 0.0)
    require_finite(loss, pairs, positive=positive, negatives=negatives)
    return loss, metrics(accuracy=accuracy)


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
    pairs = find_pairs(logits, positives)
    _, negatives = count_pairs("row", logits, pairs)
    positive, negative = logistic(logits, pairs)
    loss = 0.5 * (positive.mean() + negative.mean() * (logits.numel() / negatives.sum()))
    require_finite(loss, pairs, logits=logits)
    return loss, retrieval(logits, pairs)


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
    pairs = find_pairs(logits, positives)
    count, negatives = count_pairs("row", logits, pairs)
    offset = (count.sum() / negatives.sum()).log() if bias is None else bias
    shift = torch.as_tensor(offset, dtype=logits.dtype, device=logits.device)
    if shift.numel() != 1:
        raise ShapeError(f"bias must be a scalar, got {list(shift.shape)}; learn one number")
    positive, negative = logistic(logits + shift, pairs._replace(logits=pairs.logits + shift))
    loss = positive.mean() * (len(pairs.row) / len(logits)) + negative.mean() * logits.shape[1]
    require_finite(loss, pairs, logits=logits, bias=shift)
    return loss, retrieval(logits, pairs)


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
    pairs = find_pairs(logits, positives)
    rows = hinge("row", logits, pairs, margin)
    loss = 0.5 * (rows + hinge("column", logits.mT, pairs.flipped(), margin))
    require_finite(loss, pairs, logits=logits)
    return loss, retrieval(logits, pairs)


LOSSES: dict[str, Callable[..., Result]] = {  # of logits [N, M], and positives=
    "forward_info_nce": forward_info_nce,
    "backward_info_nce": backward_info_nce,
    "symmetric_info_nce": symmetric_info_nce,
    "binary_nce": binary_nce,
    "sigmoid": sigmoid,
    "triplet": triplet,
}
