"""What contrastive losses are made of: pairs in a matrix of logits, softmaxes, metrics.

Axes: ``N`` rows, ``M`` columns, ``J`` explicit negatives of one anchor, ``P`` positives. The losses
are in ``langrl.functional.losses``, which says what each contrasts and which errors are raised.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from langrl.errors import DomainError, NonFiniteError, ShapeError
from langrl.functional.checks import check_dtypes

_LEAST_MASS = 1e-30  # of a row: what has underflown beside it does not matter


class Pairs(NamedTuple):
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

    def flipped(self) -> "Pairs":
        """Return the same pairs of the matrix transposed."""
        return self._replace(row=self.column, column=self.row)

    def of(self, values: Tensor) -> Tensor:
        """Return the positives' entries of values [N, M]."""
        # an index costs a sort on the way back
        return values.diagonal() if self.diagonal else values[self.row, self.column]


def find_pairs(logits: Tensor, positives: Tensor | None) -> Pairs:
    """Return where the positives are: on the diagonal, if they are not given as bool [N, M].

    Raises:
        ShapeError: if logits are no matrix of floats, or positives are no mask of its shape.
        DomainError: if a row has no positive.
    """
    shape = list(logits.shape)
    fits = len(shape) == 2 and 0 not in shape and (positives is not None or shape[0] <= shape[1])
    if not fits or not logits.is_floating_point():
        raise ShapeError(
            f"logits must be floats [N, M], with M >= N unless positives are given, got {shape} of"
            f" {logits.dtype}; score every left side against every right side"
        )
    if positives is None:
        each = torch.arange(shape[0], device=logits.device)
        return Pairs(each, each, logits.diagonal(), True, _all_count(logits))
    if positives.shape != logits.shape or positives.dtype != torch.bool:
        got = f"{list(positives.shape)} of {positives.dtype}"
        raise ShapeError(f"positives must be {shape} of torch.bool, got {got}; mark each pair")
    lost = ~positives.any(1)  # [N]
    if lost.any():
        raise DomainError(f"row {_first(lost)[0]} of positives has none; mark one or drop the row")
    row, column = positives.nonzero(as_tuple=True)
    return Pairs(row, column, logits[row, column], all_count=_all_count(logits))


def _all_count(logits: Tensor) -> bool:
    return logits.amin().item() != -math.inf


def count_pairs(axis: str, logits: Tensor, pairs: Pairs) -> tuple[Tensor, Tensor]:
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


def softmax(
    axis: str, logits: Tensor, pairs: Pairs, own: Tensor | None, penalty: float
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
    count, negatives = count_pairs(axis, logits, pairs)
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
    axis: str, logits: Tensor, pairs: Pairs, penalty: float
) -> tuple[Tensor, Tensor, Tensor]:
    """As ``softmax`` of plain pairs, in fewer steps."""
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


def plain_symmetric(
    logits: Tensor, pairs: Pairs, rows: float, columns: float
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


def logistic(logits: Tensor, pairs: Pairs) -> tuple[Tensor, Tensor]:
    """Return -log P(classified right) of positives [P] and of negatives [N, M]."""
    return -functional.logsigmoid(pairs.logits), -functional.logsigmoid(-_without(logits, pairs))


def hinge(axis: str, logits: Tensor, pairs: Pairs, margin: float) -> Tensor:
    """Return the mean hinge between positives and the negatives in their rows."""
    _, negatives = count_pairs(axis, logits, pairs)
    rivals = _without(logits, pairs).index_select(0, pairs.row)  # [P, M]
    hinges = (rivals - (pairs.logits - margin).unsqueeze(1)).relu()
    return hinges.mean() * (hinges.numel() / negatives[pairs.row].sum())


def _without(logits: Tensor, pairs: Pairs) -> Tensor:
    """Rule the positives out: they cost nothing then."""
    return logits.index_put((pairs.row, pairs.column), logits.new_tensor(-torch.inf))


@torch.no_grad()
def _hits(logits: Tensor, pairs: Pairs) -> Tensor:
    """Return in how many rows a positive comes before all negatives; a tie is no success."""
    if pairs.diagonal:
        rival = logits.clone().fill_diagonal_(-torch.inf).amax(1)
        return (pairs.logits > rival[: len(pairs.row)]).sum()
    rival = _without(logits, pairs).amax(1)  # [N]
    best = torch.full_like(rival, -torch.inf)
    best = best.scatter_reduce(0, pairs.row, pairs.logits, "amax")
    return (best > rival).sum()


def retrieval(logits: Tensor, pairs: Pairs) -> dict[str, Tensor]:
    """Return how often a positive comes first in its row, and in its column."""
    left = _hits(logits.mT, pairs.flipped()) / len(pairs.column.unique())
    return metrics(accuracy_right=_hits(logits, pairs) / len(logits), accuracy_left=left)


def metrics(**values: Tensor) -> dict[str, Tensor]:
    """Return scalars without gradients, in float32, by name."""
    return {name: value.detach().float() for name, value in values.items()}


def _first(where: Tensor) -> list[int]:
    return where.nonzero()[0].tolist()


def require_finite(loss: Tensor, pairs: Pairs, **arguments: Tensor | None) -> None:
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
