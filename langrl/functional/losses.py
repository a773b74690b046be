"""Contrastive losses: tensors in, ``(loss, metrics)`` out.

Axes: ``B`` pairs in a batch, ``J`` extra negatives for each of them.
"""

import math

import torch
from torch import Tensor

from langrl.errors import ShapeError


def symmetric_info_nce(
    logits: Tensor, left_negatives: Tensor | None = None, logsumexp_penalty: float = 0.0
) -> tuple[Tensor, dict[str, Tensor]]:
    """Mean of forward InfoNCE (which right?) and backward InfoNCE (which left?).

    The symmetric form determines the log density ratio up to one constant; either half alone
    leaves a free function of the left or of the right side.

    Args:
        logits: critic values [B, B]; row i's positive is column i.
        left_negatives: critic values [B, J] of J further left sides against the right side i,
            which join the backward softmax of column i. In reinforcement learning: other
            actions in the same state, without which actions are never told apart.
        logsumexp_penalty: weight of the mean squared log-partition on both axes, which ties
            down the constant.

    Returns:
        Scalar loss in nats; metrics: ``accuracy_right`` and ``accuracy_left`` in [0, 1], and
        ``information``, the InfoNCE bound log B - forward loss in nats.

    Raises:
        ShapeError: if ``logits`` is not square or ``left_negatives`` has another batch size.

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
    columns = logits.mT  # [B, B]
    if left_negatives is not None:
        if left_negatives.ndim != 2 or left_negatives.shape[0] != size:
            raise ShapeError(
                f"symmetric_info_nce needs left_negatives [B, J] with B = {size}, got"
                f" {list(left_negatives.shape)}; give each right side its own J negatives"
            )
        columns = torch.cat([columns, left_negatives], dim=1)  # [B, B + J]
    log_rows = logits.logsumexp(1)
    log_columns = columns.logsumexp(1)
    forward = (log_rows - positive).mean()
    backward = (log_columns - positive).mean()
    loss = 0.5 * (forward + backward)
    if logsumexp_penalty:
        partition = log_rows.square().mean() + log_columns.square().mean()
        loss = loss + logsumexp_penalty * partition
    metrics = {
        "accuracy_right": (logits.argmax(1) == torch.arange(size, device=logits.device)),
        "accuracy_left": columns.argmax(1) == torch.arange(size, device=logits.device),
        "information": math.log(size) - forward,
    }
    return loss, {name: value.detach().float().mean() for name, value in metrics.items()}
