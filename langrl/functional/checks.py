"""Checks of the estimators' arguments: each error names the argument and the fix."""

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from inspect import signature
from numbers import Real
from types import NoneType
from typing import Any, ParamSpec, TypeVar, get_args

import torch
from torch import Tensor

from langrl.errors import DomainError, NonFiniteError, ShapeError

P = ParamSpec("P")
R = TypeVar("R")


def takes_tensors(**axes: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a function refuse what is no tensor where it declares one, such as NumPy arrays.

    Args:
        **axes: the axes of some arguments, as ``check_axes`` takes them, which are checked too.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        parameters = signature(function).parameters
        names, title = tuple(parameters), function.__name__
        types = {name: _types(parameter.annotation) for name, parameter in parameters.items()}
        ordered = [(name, types[name]) for name in names]

        @wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            for value, (name, allowed) in zip(args, ordered, strict=False):
                if not isinstance(value, allowed):
                    refuse_type(title, name, value, Real in allowed)
            for name, value in kwargs.items():
                allowed = types.get(name, (object,))
                if not isinstance(value, allowed):
                    refuse_type(title, name, value, Real in allowed)
            if axes:
                check_axes(title, axes, {**dict(zip(names, args, strict=False)), **kwargs})
            return function(*args, **kwargs)

        return checked

    return decorate


def _types(annotation: Any) -> tuple[type, ...]:
    """Return the classes that an argument may have; any for what is declared without a tensor."""
    among = get_args(annotation) or (annotation,)
    if Tensor not in among:
        return (object,)
    return tuple({Tensor: Tensor, float: Real, NoneType: NoneType}[each] for each in among)


def refuse_type(function: str, name: str, value: object, number: bool = False) -> None:
    """Raise ShapeError for an argument that is no tensor, nor a number where one would do."""
    given = f"{type(value).__module__}.{type(value).__name__}".removeprefix("builtins.")
    wanted = "a number or a torch.Tensor" if number else "a torch.Tensor"
    repair = "" if isinstance(value, str) else f"; convert it with torch.as_tensor({name})"
    raise ShapeError(f"{function} needs {name} as {wanted}, got {given}{repair}")


def check_axes(function: str, axes: Mapping[str, str], given: Mapping[str, Any]) -> None:
    """Raise ShapeError unless tensors of floats have their axes.

    Args:
        function: for messages.
        axes: of each argument, such as "... N D": a name stands for one size, at least 1, in all
            arguments, "..." for axes that broadcast, and "D?" for an axis of size 1 or D, or none.
        given: arguments by name; those that are missing or None are left out.
    """
    tensors = {name: given[name] for name in axes if given.get(name) is not None}
    sizes: dict[str, int] = {}
    leading: set[tuple[int, ...]] = set()
    fits = True
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor):
            refuse_type(function, name, tensor)
        expected, shape = axes[name].split(), list(tensor.shape)
        if "..." in expected:
            place, more = expected.index("..."), max(0, len(shape) - len(expected) + 1)
            leading.add(tuple(shape[place : place + more]))
            del shape[place : place + more], expected[place]
        if expected and expected[-1].endswith("?") and shape in ([], [1]):
            continue
        named = zip((axis.rstrip("?") for axis in expected), shape, strict=False)
        fits &= len(shape) == len(expected) and tensor.is_floating_point()
        fits &= all(size == sizes.setdefault(axis, size) > 0 for axis, size in named)
    if len(leading) > 1:
        try:
            torch.broadcast_shapes(*leading)
        except RuntimeError:
            fits = False
    if not fits:
        needed = ", ".join(f"{name} [{axes[name].replace(' ', ', ')}]" for name in tensors)
        got = ", ".join(f"{list(tensor.shape)} of {tensor.dtype}" for tensor in tensors.values())
        raise ShapeError(
            f"{function} needs {needed} of floats, got {got}; axes of one name have one size"
        )


def check_dtypes(function: str, **tensors: Tensor) -> None:
    """Raise ShapeError unless tensors are floats of one dtype, or autocast makes them so."""
    first, *others = tensors.values()
    floats = all(tensor.is_floating_point() for tensor in tensors.values())
    if not floats or any(
        tensor.dtype != first.dtype and not torch.is_autocast_enabled(first.device.type)
        for tensor in others
    ):
        got = " and ".join(f"{name} of {tensor.dtype}" for name, tensor in tensors.items())
        raise ShapeError(
            f"{function} needs floats of one dtype, got {got}; convert all with .float()"
        )


def check_finite(function: str, name: str, value: Tensor) -> None:
    """Raise NonFiniteError if there is NaN or an infinity."""
    if not value.isfinite().all():
        raise NonFiniteError(f"{function} got NaN or an infinity in {name}; mask it or fix it")


def check_embeddings(function: str, name: str, value: Tensor) -> None:
    """Raise ShapeError unless it is [..., rows, D] of floats with at least one row."""
    if not isinstance(value, Tensor):
        refuse_type(function, name, value)
    if value.ndim < 2 or not value.numel() or not value.is_floating_point():
        raise ShapeError(
            f"{function} needs {name} [..., rows, D] of floats, got {list(value.shape)} of"
            f" {value.dtype}; give one embedding a row, and at least one row"
        )


def check_batches(function: str, **axes: Sequence[int]) -> None:
    """Raise ShapeError unless the leading axes of the arguments broadcast."""
    try:
        torch.broadcast_shapes(*axes.values())
    except RuntimeError:
        shapes = ", ".join(f"{name} {list(shape)}" for name, shape in axes.items())
        raise ShapeError(
            f"{function} needs leading axes that broadcast, got {shapes}; give all the same batches"
        ) from None


def check_log_weights(function: str, value: Tensor, candidates: int) -> None:
    """Raise unless there is one log weight per candidate and some candidate is possible."""
    if value.shape[-1:] != (candidates,) or not value.numel():
        raise ShapeError(
            f"{function} needs log_weights [..., {candidates}], got {list(value.shape)};"
            " give one weight per candidate"
        )
    top = value.amax(-1)
    if top.isnan().any() or (top == torch.inf).any():
        raise NonFiniteError(
            f"{function} got NaN or +inf in log_weights; log p(g) - log q(g) needs q(g) > 0"
        )
    if (top == -torch.inf).any():
        raise NonFiniteError(
            f"{function} got log_weights of -inf only, which rules every candidate out; draw"
            " candidates that are possible under p(g)"
        )


def scale(function: str, name: str, value: float | Tensor, like: Tensor) -> Tensor:
    """Return an inverse temperature as a scalar tensor on the device of ``like``.

    Raises ShapeError unless it is one number, NonFiniteError if not finite, DomainError below 0.
    """
    given = value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64)
    if given.numel() != 1:
        raise ShapeError(
            f"{function} needs {name}, one number, got {list(given.shape)}; scale the embeddings"
            " for one temperature each"
        )
    check_finite(function, name, given)
    if given < 0:
        raise DomainError(
            f"{function} needs {name} >= 0, got {given.item():.3g}; pass exp(log_scale) where it"
            " is learned"
        )
    return given.reshape(()).to(like.device)


def check_weights(function: str, log_weights: Sequence[int], **axes: Sequence[int]) -> None:
    """Raise ShapeError if weights have leading axes that nothing else about candidates has."""
    leading = torch.broadcast_shapes(*axes.values())
    if torch.broadcast_shapes(leading, log_weights) != leading:
        of = " and ".join(f"{argument} {list(shape)}" for argument, shape in axes.items())
        raise ShapeError(
            f"{function} got log_weights with leading axes {list(log_weights)}, which those of {of}"
            " do not include; where each query has candidates of its own, give it an axis for one"
            " query: left.unsqueeze(-2)"
        )


def check_same_goals(
    function: str, *, left: Tensor, right: Tensor, goals: Tensor, right_goals: Tensor
) -> None:
    """Raise ShapeError unless embeddings fit together and both sides embed the same goals."""
    given = {"left": left, "right": right, "goals": goals, "right_goals": right_goals}
    for argument, value in given.items():
        check_embeddings(function, argument, value)
    if left.shape[-1] != goals.shape[-1] or right.shape[-1] != right_goals.shape[-1]:
        raise ShapeError(
            f"{function} needs left and goals of one embedding size, right and right_goals of one,"
            f" got { ({argument: value.shape[-1] for argument, value in given.items()}) }; without"
            " right_goals, all four share one encoder's"
        )
    if goals.shape[-2] != right_goals.shape[-2]:
        raise ShapeError(
            f"{function} needs goals and right_goals of the same candidates, got {goals.shape[-2]}"
            f" and {right_goals.shape[-2]}; embed the same goals twice"
        )


def check_scores(function: str, left: Tensor, right: Tensor) -> None:
    """Raise ShapeError unless [..., N, M] and [..., M, K] are scores of the same candidates."""
    shapes = f"{list(left.shape)} and {list(right.shape)}"
    if left.ndim < 2 or right.ndim < 2 or left.shape[-1] != right.shape[-2] or not left.shape[-1]:
        raise ShapeError(
            f"{function} needs left [..., N, M] and right [..., M, K] with the same M >= 1, got"
            f" {shapes}; score both against the same candidates"
        )
    if not left.numel() or not right.numel():
        raise ShapeError(
            f"{function} got no query or no instruction: left and right are {shapes}; give at"
            " least one of each"
        )
    if not (left.is_floating_point() and right.is_floating_point()):
        raise ShapeError(
            f"{function} needs left and right of floats, got {left.dtype} and {right.dtype};"
            " convert them with .float()"
        )
    check_batches(function, left=left.shape[:-2], right=right.shape[:-2])
