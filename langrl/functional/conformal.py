"""Split conformal prediction: sets of intents that hold what was meant with a stated probability.

Scores of what was meant in calibration tasks fix a threshold; in a new task, the set is all intents
whose score is at most that. If calibration tasks and the new one are exchangeable, then the set
holds what was meant with at least the stated probability, whatever the posterior is; a good
posterior makes the sets small.

Axes: ``N`` tasks, ``M`` intents.
"""

import math
from functools import partial

import torch
from torch import Generator, Tensor

from langrl.errors import DomainError, NonFiniteError, ShapeError
from langrl.functional.checks import takes_tensors

_LOWEST, _HIGHEST = 1e-3, 1e3  # of a temperature
_HALVINGS = 60


@takes_tensors(probabilities="N M")
def adaptive_scores(probabilities: Tensor, generator: Generator) -> Tensor:
    """Return the score of each intent [N, M]: -log of the probability that is beyond it, in nats.

    Beyond it are the intents that are less likely, and a share of its own probability. The share
    is uniform, one draw for each task, and intents of the same probability are put in a random
    order. If the posterior is the true one, the probability beyond what is meant is uniform over
    [0, 1], so that coverage is exact where many intents are equally likely. Logarithms keep the
    order of unlikely intents where a posterior is sharp.

    Args:
        probabilities: of intents; rows sum to 1. An intent of probability 0, such as padding, has
            score infinity.
        generator: of shares and orders, on the device of the probabilities.

    Raises:
        ShapeError: if it is not [N, M].
        NonFiniteError: if a probability is not finite.
        DomainError: if a row is no distribution.

    Source: adaptive prediction sets, Romano, Sesia & Candes 2020, arXiv:2006.02544, eq. 7; its
    score is 1 less the probability beyond, which orders intents alike.
    """
    _check_probabilities(probabilities)
    p = probabilities.double()
    draw = partial(torch.rand, generator=generator, device=p.device, dtype=p.dtype)
    order = draw(p.shape).argsort(-1)
    order = order.gather(1, p.gather(1, order).argsort(dim=-1, stable=True))  # least likely first
    ranked = p.gather(1, order)
    share = draw((len(p), 1))
    beyond = (ranked.cumsum(-1) - ranked * share).clamp(max=1)
    scores = torch.empty_like(p).scatter_(1, order, -beyond.log())
    return torch.where(p > 0, scores, torch.inf)


@takes_tensors(scores="N")
def conformal_threshold(scores: Tensor, coverage: float) -> float:
    """Return the threshold of scores for sets of a stated coverage.

    It is the ceil((N + 1) * coverage)-th smallest score of what was meant in N calibration tasks;
    infinity if there are too few of them.

    Args:
        scores: of what was meant [N].
        coverage: probability that a set holds what is meant, above 0 and below 1.

    Raises:
        ShapeError: if scores are not [N] with N >= 1.
        NonFiniteError: if a score is NaN.
        DomainError: if the coverage is no such probability.

    Source: Vovk, Gammerman & Shafer 2005; as KnowNo uses it, Ren et al. 2023, arXiv:2307.01928.
    """
    if not 0 < coverage < 1:
        raise DomainError(f"coverage is a probability above 0 and below 1, got {coverage}")
    if scores.isnan().any():
        raise NonFiniteError("conformal_threshold got NaN in scores; fix the posterior")
    rank = math.ceil((len(scores) + 1) * coverage - 1e-9)  # 0.9 * 10 is 9, in floats as well
    return math.inf if rank > len(scores) else float(scores.sort().values[rank - 1])


@takes_tensors(log_probabilities="N M")
def fit_temperature(log_probabilities: Tensor, meant: Tensor) -> float:
    """Return the temperature t for which softmax(log p / t) gives what was meant most likelihood.

    The negative log-likelihood is convex in 1 / t, so that halving an interval finds its minimum.

    Args:
        log_probabilities: of intents [N, M], in nats, up to a constant for each task; -inf for
            padding.
        meant: number of the intent that was meant, int64 [N]; tasks where its probability is 0
            are left out.

    Returns:
        A temperature between 0.001 and 1,000; the bounds where likelihood rises up to them.

    Raises:
        ShapeError: if the axes do not fit together.
        NonFiniteError: if there is NaN or +inf, or what was meant is impossible everywhere.

    Source: temperature scaling, Guo et al. 2017, arXiv:1706.04599.
    """
    logits = log_probabilities.double()
    if meant.shape != logits.shape[:1] or meant.is_floating_point():
        raise ShapeError(
            f"fit_temperature needs meant [{len(logits)}] of whole numbers, got"
            f" {list(meant.shape)} of {meant.dtype}; give the number of an intent for each task"
        )
    own = logits.gather(1, meant.unsqueeze(1))
    kept = (own > -torch.inf).squeeze(1)
    if logits.isnan().any() or (logits == torch.inf).any() or not kept.any():
        raise NonFiniteError(
            "fit_temperature needs log probabilities below infinity, and above -inf for what was"
            " meant in some task; fix the posterior"
        )
    logits = logits[kept] - own[kept]  # what was meant has 0
    finite = torch.where(logits > -torch.inf, logits, 0)
    low, high = math.log(1 / _HIGHEST), math.log(1 / _LOWEST)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        slope = ((logits * math.exp(middle)).softmax(-1) * finite).sum()  # of the loss, in 1 / t
        low, high = (low, middle) if slope > 0 else (middle, high)
    return math.exp(-(low + high) / 2)


def _check_probabilities(probabilities: Tensor) -> None:
    if not probabilities.isfinite().all():
        raise NonFiniteError("probabilities are NaN or infinite; fix the posterior")
    sums = probabilities.sum(-1)
    if (probabilities < 0).any() or not torch.allclose(sums, torch.ones_like(sums), atol=1e-3):
        raise DomainError(
            "probabilities of intents are at least 0 and sum to 1 in each row; divide by the sum"
        )
