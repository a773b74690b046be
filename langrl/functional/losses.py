"""Contrastive losses: tensors in, ``(loss, metrics)`` out.

Axes: ``B`` pairs in a batch, ``J`` explicit negatives for each of them.
"""

import math

import torch
from torch import Tensor

from langrl.errors import ShapeError


def symmetric_info_nce(
    logits: Tensor, logsumexp_penalty: float = 0.0
) -> tuple[Tensor, dict[str, Tensor]]:
    """Mean of forward InfoNCE (which right?) and backward InfoNCE (which left?).

    The symmetric form determines the log density ratio up to one constant; either half alone
    leaves a free function of the left or of the right side.

    Args:
        logits: critic values [B, B]; row i's positive is column i.
        logsumexp_penalty: weight of the mean squared log-partition on both axes, which ties
            down the constant.

    Returns:
        Scalar loss in nats; metrics: ``accuracy_right`` and ``accuracy_left`` in [0, 1], and
        ``information``, the InfoNCE bound log B - forward loss in nats.

    Raises:
        ShapeError: if ``logits`` is not square.

    Source: van den Oord et al. 2018, arXiv:1807.03748, eq. 4; symmetric as in Radford et al.
    2021, arXiv:2103.00020; penalty as in Eysenbach et al. 2022, arXiv:2206.07568.
    """
    if logits.ndim != 2 or logits.shape[0] != logits.shape[1]:
        raise ShapeError(
            f"symmetric_info_nce needs logits [B, B], got {list(logits.shape)};"
            " score every left side against every right side"
        )
    size = logits.shape[0]
    positive = logits.diagonal()  # [B]
    log_rows, log_columns = logits.logsumexp(1), logits.logsumexp(0)
    forward = (log_rows - positive).mean()
    backward = (log_columns - positive).mean()
    loss = 0.5 * (forward + backward)
    if logsumexp_penalty:
        partition = log_rows.square().mean() + log_columns.square().mean()
        loss = loss + logsumexp_penalty * partition
    right = torch.arange(size, device=logits.device)
    metrics = {
        "accuracy_right": logits.argmax(1) == right,
        "accuracy_left": logits.argmax(0) == right,
        "information": math.log(size) - forward,
    }
    return loss, {name: value.detach().float().mean() for name, value in metrics.items()}


def ranking_info_nce(positive: Tensor, negatives: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """InfoNCE of one positive against its own explicit negatives.

    Args:
        positive: critic values [B].
        negatives: critic values [B, J]. In reinforcement learning, of other actions in the same
            state against the same goal.

    Returns:
        Scalar loss in nats; metrics: ``accuracy`` in [0, 1].

    Raises:
        ShapeError: if the batch sizes differ or there is no negative.

    Source: van den Oord et al. 2018, arXiv:1807.03748, eq. 4; as ranking NCE in Ma & Collins
    2018, arXiv:1809.01812, eq. 4.
    """
    if positive.ndim != 1 or negatives.ndim != 2 or len(positive) != len(negatives):
        raise ShapeError(
            f"ranking_info_nce needs positive [B] and negatives [B, J], got {list(positive.shape)}"
            f" and {list(negatives.shape)}; give each positive its own J negatives"
        )
    if not negatives.shape[1]:
        raise ShapeError("ranking_info_nce needs at least one negative for each positive; add some")
    logits = torch.cat([positive.unsqueeze(1), negatives], 1)  # [B, 1 + J]
    loss = (logits.logsumexp(1) - positive).mean()
    return loss, {"accuracy": (logits.argmax(1) == 0).float().mean()}
