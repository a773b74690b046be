"""When a question pays: expectimax over questions whose answers are a fixed partition.

One of M intents is meant. Who acts chooses an intent, and succeeds if it is the one that is meant.
A question costs a price; its answer is true, and is the label that the question gives to the
intent that is meant. An answer never changes, so that asking a question twice tells nothing more.

Axes: leading axes are episodes, ``Q`` questions, ``M`` intents, ``K`` answers to a question.
"""

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from langrl.errors import DomainError, NonFiniteError, ShapeError
from langrl.functional.checks import check_axes, takes_tensors

ACT = -1
"""The number of no question: act now."""
_TOLERANCE = 1e-6  # a gain below it is rounding: float32 holds probabilities to about 1e-7
_CELLS_AT_ONCE = 1 << 22
_MOST_ANSWERS = 100_000


class AskPlan(NamedTuple):
    """What to do, and what it is worth.

    ``value`` [...] is the expected success less the prices of the questions to come; ``question``
    int64 [...] is what to ask first, ``ACT`` where nothing; ``choice`` int64 [...] is the intent to
    choose when acting now.
    """

    value: Tensor
    question: Tensor
    choice: Tensor


@takes_tensors()
def best_question(weights: Tensor, labels: Tensor, price: float) -> AskPlan:
    """Return the best plan of asking and acting: the optimum, not one step ahead.

    The value of knowing that what is meant is in a set S, times the probability of S, is
    U(S) = max(max_i w_i, max_q sum_k U(S with answer k to q) - price * w(S)).

    Args:
        weights: of the intents [..., M], probabilities up to a factor; 0 for padding.
        labels: what each intent answers to each question, int64 [..., Q, M].
        price: of a question, in successes; at 1 or more, and at infinity, asking never pays.

    Returns:
        The plan. Where asking is worth exactly as much as acting, it is to act; a question that all
        possible intents answer alike is never asked.

    Raises:
        ShapeError: if the axes do not fit together.
        NonFiniteError: if a weight is not finite.
        DomainError: if a price or weight is negative, all weights of an episode are 0, or the
            questions have more than 100,000 combinations of answers.

    Of two balls and a key one is meant. Asking "a ball or a key?" for 0.1 finds the key, or leaves
    a choice between two balls: 1/3 + 2/3 * 1/2 - 0.1. Without it, one guess in three is right.

    >>> plan = best_question(torch.ones(3), torch.tensor([[0, 0, 1]]), price=0.1)
    >>> plan.question.item(), round(plan.value.item(), 3)
    (0, 0.567)

    Source: expectimax, Russell & Norvig, Artificial Intelligence, section on stochastic games;
    the value of information, Howard 1966.
    """
    _check(weights, labels, price)
    shape = torch.broadcast_shapes(weights.shape[:-1], labels.shape[:-2])
    episodes, (questions, intents) = math.prod(shape), labels.shape[-2:]
    flat = weights.double().expand(*shape, intents).reshape(episodes, intents)
    each = labels.expand(*shape, questions, intents).reshape(episodes, questions, intents)
    codes, counts = _joint_answers(flat, each)
    size = max(1, _CELLS_AT_ONCE // math.prod(count + 1 for count in counts))
    parts = zip(flat.split(size), codes.split(size), strict=True)
    found = [_solve(*part, counts, price) for part in parts]
    value, question = (torch.cat(each).reshape(shape) for each in zip(*found, strict=True))
    return AskPlan(value, question, flat.argmax(-1).reshape(shape))


@takes_tensors()
def exact_value(labels: Tensor, price: float, denoted: Tensor | None = None) -> Tensor:
    """Return the best expected success less prices [...], where one denoted intent is meant.

    Each is meant with the same probability. Without asking, which an infinite price says, it is
    1 / n with n denoted intents. Asking pays where ``best_question(denoted, labels, price)`` has a
    question.

    Args:
        labels: what each intent answers to each question, int64 [..., Q, M].
        price: of a question.
        denoted: which intents may be meant, bool [..., M]; all if not given.

    Raises:
        ShapeError, DomainError: as ``best_question``.
    """
    if denoted is None:
        denoted = torch.ones(labels.shape[-1:], device=labels.device)
    return best_question(denoted.double(), labels, price).value


def _check(weights: Tensor, labels: Tensor, price: float) -> None:
    check_axes("best_question", {"weights": "... M"}, {"weights": weights})
    if labels.is_floating_point() or labels.ndim < 2 or labels.shape[-1] != weights.shape[-1]:
        raise ShapeError(
            f"best_question needs labels [..., Q, {weights.shape[-1]}] of whole numbers, got"
            f" {list(labels.shape)} of {labels.dtype}; give a label for each question and intent"
        )
    try:
        torch.broadcast_shapes(weights.shape[:-1], labels.shape[:-2])
    except RuntimeError:
        raise ShapeError(
            f"best_question got weights {list(weights.shape)} and labels {list(labels.shape)};"
            " give both the same episodes"
        ) from None
    if not price >= 0:  # or NaN
        raise DomainError(f"the price of a question is at least 0, got {price}")
    if not weights.isfinite().all():
        raise NonFiniteError("best_question got NaN or an infinity in weights; fix the posterior")
    if (weights < 0).any() or not (weights > 0).any(-1).all():
        raise DomainError(
            "best_question needs weights of at least 0, above it for one intent of each episode;"
            " give probabilities"
        )


def _joint_answers(weights: Tensor, labels: Tensor) -> tuple[Tensor, tuple[int, ...]]:
    """Return what each intent answers to all questions, one number [N, M], and K of each question.

    Labels are numbered anew, without those that no possible intent has.
    """
    possible = weights > 0
    joint, counts = torch.zeros_like(weights, dtype=torch.int64), []
    for question in labels.unbind(1):
        values = question[possible].unique()
        codes = torch.searchsorted(values, question.contiguous()).clamp(max=len(values) - 1)
        joint = joint * len(values) + codes
        counts.append(len(values))
    if math.prod(counts) > _MOST_ANSWERS:
        raise DomainError(
            f"the questions have {math.prod(counts)} combinations of answers, at most"
            f" {_MOST_ANSWERS} can be compared; leave out some questions"
        )
    return joint, tuple(counts)


def _solve(
    weights: Tensor, codes: Tensor, counts: tuple[int, ...], price: float
) -> tuple[Tensor, Tensor]:
    """Return the value [N] and the first question [N] for weights and answers [N, M].

    What is known is a cell of a table with one axis for each question; an axis of size 1 is one
    that was not asked.
    """
    empty = weights.new_zeros(len(weights), math.prod(counts))
    mass = empty.scatter_add(1, codes, weights).reshape(-1, *counts)
    top = empty.scatter_reduce(1, codes, weights, "amax").reshape(-1, *counts)
    useful = [q for q, count in enumerate(counts) if count > 1] if price < 1 else []
    values: dict[frozenset[int], Tensor] = {}  # by the questions that were asked
    gains = weights.new_full((len(weights), len(counts)), -torch.inf)
    for number in range(len(useful), -1, -1):
        for asked in map(frozenset, itertools.combinations(useful, number)):
            others = [q for q in range(len(counts)) if q not in asked]
            acting, known = _over(top, torch.amax, others), _over(mass, torch.sum, others)
            best = acting
            for q in set(useful) - asked:
                value = values[asked | {q}].sum(q + 1, keepdim=True) - price * known
                best = torch.maximum(best, value)
                if not asked:
                    told = _over(mass, torch.sum, [other for other in others if other != q])
                    splits = (told > 0).sum(q + 1).reshape(-1) > 1  # or else it tells nothing
                    gains[splits, q] = (value - acting).reshape(-1)[splits]
            values[asked] = best
    total = weights.sum(1)
    if not counts:
        return top.reshape(-1) / total, torch.full_like(codes[:, 0], ACT)
    gain, question = gains.max(1)
    question = torch.where(gain > _TOLERANCE * total, question, ACT)
    return values[frozenset()].reshape(-1) / total, question


def _over(table: Tensor, reduce: Callable[..., Tensor], questions: list[int]) -> Tensor:
    """Reduce a table [N, K, ...] over the axes of some questions, which stay with size 1."""
    axes = [q + 1 for q in questions]
    return reduce(table, dim=axes, keepdim=True) if axes else table
