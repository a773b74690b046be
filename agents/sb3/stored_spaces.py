"""Spaces of a Stable-Baselines3 zip, from what its JSON says in plain text; no pickle is read.

Beside the pickle of a space, the JSON has its attributes: numbers and lists as they are, arrays and
the parts of a Dict as Python prints them. That is enough to make the same space, but for bounds
that are printed to 8 decimal places or left out of the middle of long arrays.
"""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from langrl.errors import CheckpointError, PickledError, quoted

_MOST = 1 << 22  # numbers in an observation
_MOST_VALUES = 1 << 20  # of a discrete number
_MOST_PARTS = 100  # of a Dict
_CLASS = re.compile(r"<class 'gym(?:nasium)?\.spaces\.\w+\.(\w+)'>")
_PART = re.compile(r"\(?'([^'\\]{1,100})'[:,] (\w+)\(")
_BODY = re.compile(r"(?:[^()]|\([^()]*\))*")  # what is in the parentheses of a part
_BOX = re.compile(r"([^,]+), ([^,]+), \(([\d, ]*)\), (\w+)")
_DTYPES = {
    name: np.dtype(name)
    for name in (
        "float16", "float32", "float64", "uint8", "uint16", "uint32", "int8", "int16", "int32",
        "int64", "bool",
    )
}  # fmt: skip
_PRINTED = 8  # decimal places that NumPy prints at most
_CERTAIN = 9  # significant digits that say which float32 it is


def read_space(fields: Any, name: str, certain: bool) -> spaces.Space[Any]:
    """Return the space that fields of the JSON of a zip describe.

    Args:
        fields: ``:type:`` and the attributes of the space.
        name: of the space, for messages.
        certain: whether bounds must be those of the space to the last bit, as those of actions,
            which are scaled by them.

    Raises:
        PickledError: if it is of another kind, or its bounds are not printed in full.
        CheckpointError: if there is no space, or it is far too large.
    """
    try:
        found = _CLASS.fullmatch(fields[":type:"])
        kind = "" if found is None else found[1]
        if kind == "Dict":
            return _dict(fields["spaces"], name)
        if kind == "Box":
            shape = tuple(_whole(side) for side in fields["_shape"])
            bounds = fields["low"], fields["high"]
            return _box(*bounds, shape, fields["dtype"], name, certain)
        if kind == "Discrete":
            return _discrete(fields["n"], fields.get("start", 0))
        if kind == "MultiDiscrete":
            return _multi_discrete(fields["nvec"], fields.get("start"))
        if kind == "MultiBinary":
            return _multi_binary(fields["n"])
    except CheckpointError:  # which is a ValueError, too
        raise
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise CheckpointError(f"{name} is not readable: {quoted(error)}") from error
    kind = quoted(fields.get(":type:") if isinstance(fields, Mapping) else fields)
    raise PickledError(f"{name} is {kind}, which is no space of a policy's")


def check_same_space(stored: spaces.Space[Any] | None, given: spaces.Space[Any], name: str) -> None:
    """Raise CheckpointError unless a space is the given one, as far as it is printed."""
    if not _same(stored, given):
        raise CheckpointError(
            f"its {name} is {quoted(stored)}, and here it is {quoted(given)}; give a policy that"
            " was trained in this world, with the same wrappers"
        )


def _same(stored: Any, given: Any) -> bool:
    if isinstance(stored, spaces.Dict) and isinstance(given, spaces.Dict):
        return list(stored.spaces) == list(given.spaces) and all(
            _same(part, given[name]) for name, part in stored.items()
        )
    if isinstance(stored, spaces.Box) and isinstance(given, spaces.Box):
        return (stored.shape, stored.dtype) == (given.shape, given.dtype) and all(
            np.allclose(a.astype(float), b.astype(float), rtol=1e-6, atol=1e-8)
            for a, b in ((stored.low, given.low), (stored.high, given.high))
        )
    return bool(stored == given)


def _whole(value: Any, most: int = _MOST, least: int = 0) -> int:
    """Return a whole number, given as one or as text."""
    number = int(value) if isinstance(value, str) else value
    if isinstance(number, bool) or not isinstance(number, int) or not least <= number <= most:
        raise ValueError(f"{quoted(value)} is no whole number of {least} to {most:,}")
    return number


def _array(text: str) -> NDArray[np.int64]:
    """Return whole numbers of a printed list, as [3 4]."""
    words = text.strip("[]").split()
    return np.array([_whole(word, _MOST_VALUES) for word in words], np.int64)


def _discrete(count: Any, start: Any) -> spaces.Discrete:
    return spaces.Discrete(
        _whole(count, _MOST_VALUES, 1), start=_whole(start, _MOST_VALUES, -_MOST)
    )


def _multi_discrete(counts: str, start: Any) -> spaces.MultiDiscrete:
    if isinstance(start, str) and _array(start).any():
        raise ValueError(f"it starts at {quoted(start)}")
    numbers = _array(counts)
    if numbers.sum() > _MOST_VALUES:
        raise ValueError(f"it has more than {_MOST_VALUES:,} values")
    return spaces.MultiDiscrete(numbers)


def _multi_binary(shape: Any) -> spaces.MultiBinary:
    sides = re.findall(r"\d+", shape) if isinstance(shape, str) else np.ravel(shape).tolist()
    numbers = _sizes(tuple(_whole(side, least=1) for side in sides))
    return spaces.MultiBinary(numbers[0] if len(numbers) == 1 else list(numbers))


def _sizes(shape: tuple[int, ...]) -> tuple[int, ...]:
    if len(shape) > 8 or math.prod(shape) > _MOST:
        raise ValueError(f"the shape {quoted(shape)} is of more than {_MOST:,} numbers")
    return shape


def _box(
    low: str, high: str, shape: tuple[int, ...], dtype: str, name: str, certain: bool
) -> spaces.Box:
    if dtype not in _DTYPES:
        raise ValueError(f"numbers are {quoted(dtype)}")
    kind, sizes = _DTYPES[dtype], _sizes(shape)
    bounds = [_bound(text, sizes, kind, name, certain) for text in (low, high)]
    return spaces.Box(bounds[0], bounds[1], dtype=kind.type)


def _bound(
    text: str, shape: tuple[int, ...], dtype: np.dtype[Any], name: str, certain: bool
) -> NDArray[Any]:
    """Return bounds from what NumPy prints of them."""
    words = text.replace("[", " ").replace("]", " ").split()
    shown = [word for word in words if word != "..."]
    if certain and any(_rounded(word, dtype) for word in words):
        raise PickledError(
            f"the bounds of {name} are printed to {_PRINTED} decimal places; give env, the"
            " environment that the policy acts in"
        )
    if len(shown) < len(words):  # the middle is left out, as of images
        if certain or len(set(shown)) > 1:
            raise PickledError(
                f"the bounds of {name} are not printed in full; give env, the environment that the"
                " policy acts in"
            )
        shown = shown[:1]
    read: Callable[[str], Any] = float if dtype.kind == "f" else int
    if dtype.kind == "b":
        read = ("False", "True").index
    values = np.array([read(word) for word in shown], dtype)
    if values.size not in (1, math.prod(shape)):
        raise ValueError(f"{values.size} bounds are given for the shape {quoted(shape)}")
    return np.full(shape, values[0]) if values.size == 1 else values.reshape(shape)


def _rounded(word: str, dtype: np.dtype[Any]) -> bool:
    """Whether a printed number may have had more decimal places."""
    number, _, _ = word.partition("e")
    if dtype.kind != "f" or len(number.partition(".")[2]) < _PRINTED:
        return False
    digits = len(number.lstrip("-0.").replace(".", ""))
    return dtype.itemsize > 4 or digits < _CERTAIN


def _dict(text: str, name: str) -> spaces.Dict:
    """Return a Dict from what Python prints of its parts, in their order."""
    at = re.compile(r"OrderedDict\(\[|OrderedDict\(\{|\{").match(text)
    parts: list[tuple[str, spaces.Space[Any]]] = []
    position = 0 if at is None else at.end()
    while len(parts) < _MOST_PARTS and (found := _PART.match(text, position)):
        body = _BODY.match(text, found.end())
        assert body is not None  # it may be empty
        parts.append((found[1], _part(found[2], body[0], name, found[1])))
        _sizes((sum(math.prod(part.shape or ()) for _, part in parts),))
        position = body.end()
        position += len(text[position:]) - len(text[position:].lstrip("), "))
    if not parts or text[position:] not in ("}", "]", "})", "])", ""):
        raise ValueError(f"{quoted(text[position:])} are no parts that are known")
    return spaces.Dict(parts)  # in a list, they keep their order


def _part(kind: str, text: str, name: str, part: str) -> spaces.Space[Any]:
    if kind == "Box" and (found := _BOX.fullmatch(text)):
        shape = tuple(_whole(side) for side in re.findall(r"\d+", found[3]))
        return _box(found[1], found[2], shape, found[4], f"{part!r} of {name}", certain=False)
    if kind == "Discrete" and (found := re.fullmatch(r"(\d+)(?:, start=(-?\d+))?", text)):
        return _discrete(found[1], found[2] or 0)
    if kind == "MultiDiscrete" and re.fullmatch(r"\[[\d ]+\]", text):
        return _multi_discrete(text, None)
    if kind == "MultiBinary":
        return _multi_binary(text)
    raise PickledError(f"{part!r} of {name} is {quoted(kind + '(' + text + ')')}")
