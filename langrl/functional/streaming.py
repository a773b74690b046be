"""Sums over more candidates than fit in memory, with gradients.

Axes: ``N`` queries, ``M`` candidate goals, ``K`` instructions, ``D`` embedding size; leading axes
are batches.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from langrl.functional.checks import refuse_type
from langrl.functional.log_products import log_matmul_exp

Block = Callable[..., tuple[Tensor, Tensor]]


def streamed_log_matmul_exp(
    block: Block,
    chunk: int,
    squares: bool,
    along: Sequence[Tensor | None],
    whole: Sequence[Tensor | None],
) -> tuple[Tensor, Tensor, float]:
    """Return log_matmul_exp of scores that are made chunk by chunk, and made again for gradients.

    Args:
        block: makes scores [..., N, m] and [..., m, K] from a chunk of each tensor of ``along``,
            then ``whole``.
        chunk: candidates scored at a time.
        squares: whether to return the log sum of squared exponentials as well.
        along: tensors [..., M, D], candidates in the axis before the last; None is passed on.
        whole: tensors that every chunk needs, or None.

    Returns:
        Log sums [..., N, K] in float64; log sums of squares, likewise, without gradient, or empty;
        the fraction of entries that was summed term by term.

    Raises:
        ShapeError: if ``along`` or ``whole`` holds something else than tensors and None.
    """
    for name, tensors in (("along", along), ("whole", whole)):
        for tensor in tensors:
            if not isinstance(tensor, Tensor | None):
                refuse_type("streamed_log_matmul_exp", name, tensor)
    log_sum, log_squares, fraction = _apply(block, chunk, squares, len(along), *along, *whole)
    return log_sum, log_squares, fraction.item()


class _Streamed(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, block: Block, chunk: int, squares: bool, split: int, *tensors: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        ctx.block, ctx.chunk, ctx.split = block, chunk, split
        total, total_squares, recomputed = None, torch.empty(0), []
        for part, _ in _chunks(tensors, split, chunk):
            left, right = block(*part)
            value, doubtful = log_matmul_exp(left, right)
            recomputed.append(doubtful.float().mean() * left.shape[-1])
            if squares:
                square, _ = log_matmul_exp(2 * left.double(), 2 * right.double())
                total_squares = square if total is None else total_squares.logaddexp(square)
            total = value if total is None else total.logaddexp(value)
        assert total is not None
        ctx.save_for_backward(total, *tensors)
        ctx.mark_non_differentiable(total_squares)
        fraction = torch.stack(recomputed).sum() / _candidates(tensors)
        ctx.mark_non_differentiable(fraction)
        return total, total_squares, fraction

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        total, *tensors = ctx.saved_tensors
        needed = [i for i, needs in enumerate(ctx.needs_input_grad[4:]) if needs]
        gradients: list[Any] = [None] * len(tensors)
        for i in needed:
            gradients[i] = torch.zeros_like(tensors[i])
        for part, window in _chunks(tensors, ctx.split, ctx.chunk):
            leaves = [None if t is None else t.detach() for t in part]
            wanted = [leaves[i].requires_grad_() for i in needed]  # type: ignore[union-attr]
            # as in the forward pass, whatever surrounds the backward one
            with torch.enable_grad(), torch.autocast(total.device.type, enabled=False):
                value, _ = log_matmul_exp(*ctx.block(*leaves))
                # d log(sum of chunks) / d log(one chunk) is that chunk's share of the sum
                share = upstream[0] * (value.detach() - total).exp()
                partial = torch.autograd.grad(value, wanted, share, allow_unused=True)
            for i, gradient in zip(needed, partial, strict=True):
                if gradient is not None:
                    place = gradients[i][..., window, :] if i < ctx.split else gradients[i]
                    place += gradient
        return None, None, None, None, *gradients


_apply: Callable[..., tuple[Tensor, Tensor, Tensor]] = _Streamed.apply


def _candidates(tensors: Sequence[Tensor | None]) -> int:
    first = tensors[0]
    assert first is not None
    return first.shape[-2]


def _chunks(
    tensors: Sequence[Tensor | None], split: int, chunk: int
) -> Iterator[tuple[list[Tensor | None], slice]]:
    """Yield the tensors with the first ``split`` of them cut to a window, and that window."""
    for start in range(0, _candidates(tensors), chunk):
        window = slice(start, start + chunk)
        cut = [None if t is None else t[..., window, :] for t in tensors[:split]]
        yield [*cut, *tensors[split:]], window
