"""Retrieval: how often a query's own answer has the highest score.

Axes: ``K`` queries and their K answers in one group; leading axes are groups.
"""

import torch
from torch import Tensor

from langrl.errors import NonFiniteError, ShapeError
from langrl.functional.checks import takes_tensors


@takes_tensors()
def recall_at_1(scores: Tensor) -> Tensor:
    """Return for each query the chance that its own answer is ranked first, ties broken at random.

    In scores [..., K, K] the answer of query i is column i. Chances [..., K] are 0, 1, or 1 / n
    where n answers share the first place.

    >>> recall_at_1(torch.tensor([[3.0, 1.0], [2.0, 2.0]])).tolist()
    [1.0, 0.5]

    Raises:
        ShapeError: if ``scores`` is not square.
        NonFiniteError: if a score is NaN.
    """
    if scores.ndim < 2 or scores.shape[-1] != scores.shape[-2]:
        raise ShapeError(
            f"recall_at_1 needs scores [..., K, K], got {list(scores.shape)};"
            " score every query against every answer"
        )
    if scores.isnan().any():
        raise NonFiniteError("recall_at_1 got NaN in scores; fix the critic that gave it")
    own = scores.diagonal(dim1=-2, dim2=-1).unsqueeze(-1)  # [..., K, 1]
    first = (scores > own).sum(-1) == 0
    return torch.where(first, 1 / (scores == own).sum(-1), 0.0)
