"""Weights as torch saves them, read without running code and within the size of the file.

``torch.load(weights_only=True)`` makes tensors and plain values alone. What it is told to make may
still be of any size, so the file is first read without its numbers, and looked at.
"""

import io
import pickletools
import zipfile
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from langrl.errors import CheckpointError, quoted

_MOST_PICKLE = 16 << 20  # bytes: of names, shapes and numbers beside the tensors
_NAMES = frozenset(
    {
        "collections OrderedDict",
        "torch._utils _rebuild_tensor_v2",
        "torch._utils _rebuild_parameter",
        *(
            f"torch {kind}Storage"
            for kind in ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char",
                         "Byte", "Bool")
        ),
    }
)  # fmt: skip
"""What weights are made of, as their pickle names it; anything else is refused."""
_OTHER_NAMES = frozenset({"STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2"})


def read_shapes(content: bytes, name: str) -> Any:
    """Return what ``torch.save`` has written, with tensors that have shapes and no numbers.

    Args:
        content: of the file.
        name: of the file, for messages.

    Raises:
        CheckpointError: if it is no such file, it names code, or a tensor claims more numbers than
            the file has.
    """
    _check_records(content, name)
    found = _load(content, name, "meta")
    for tensor in _tensors(found):
        if type(tensor) is not Tensor or tensor.layout is not torch.strided:
            raise CheckpointError(f"{name} holds {quoted(type(tensor))}, which is no weight")
        size = tensor.numel() * tensor.element_size()
        if size > len(content) or tensor.storage_offset() or not tensor.is_contiguous():
            raise CheckpointError(
                f"{name} claims a tensor {quoted(list(tensor.shape))}, which is not in it"
            )
    return found


def read_weights(content: bytes, name: str, device: str | torch.device = "cpu") -> Any:
    """Return what ``torch.save`` has written; see ``read_shapes``, which is called first."""
    return _load(content, name, device)


def _check_records(content: bytes, name: str) -> None:
    """Raise CheckpointError if a file holds more than its size, or names code."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            records = archive.infolist()
            if any(record.compress_type != zipfile.ZIP_STORED for record in records):
                raise CheckpointError(f"{name} is compressed within, as torch writes no weights")
            (table,) = (each for each in records if each.filename.endswith("/data.pkl"))
            if sum(each.file_size for each in records) > len(content):
                raise CheckpointError(f"{name} claims more than it has")
            if table.file_size > _MOST_PICKLE:
                raise CheckpointError(f"{name} has a table of more than {_MOST_PICKLE >> 20} MB")
            named = archive.read(table)
        for code, argument, _ in pickletools.genops(named):
            if code.name in _OTHER_NAMES or (code.name == "GLOBAL" and argument not in _NAMES):
                found = quoted(argument or code.name)
                raise CheckpointError(f"{name} names {found}, which is no part of weights")
    except CheckpointError:
        raise
    except (zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError) as error:
        raise CheckpointError(f"{name} holds no weights as torch writes them: {error}") from error


def _load(content: bytes, name: str, device: str | torch.device) -> Any:
    try:
        return torch.load(io.BytesIO(content), map_location=device, weights_only=True)
    except Exception as error:  # which errors there are depends on torch's version
        raise CheckpointError(f"{name} holds no weights that can be read: {error}") from error


def _tensors(values: Any) -> list[Any]:
    """Return the tensors of nested tables and lists."""
    found, pending, seen = [], [values], set[int]()
    while pending:
        each = pending.pop()
        if id(each) in seen:  # a list may hold itself
            continue
        if isinstance(each, Mapping | list | tuple | set):
            seen.add(id(each))
            pending += list(each.values() if isinstance(each, Mapping) else each)
        elif isinstance(each, Tensor | torch.UntypedStorage | torch.TypedStorage):
            found.append(each)
    return found
