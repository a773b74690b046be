"""A device for tests without an accelerator: tensors there do not mix with those of the CPU.

It goes by the name of "meta", which torch knows, but its tensors have values, those of a tensor of
the CPU inside. An operation on tensors of both places raises, as it does with a GPU; so does NumPy.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

AWAY = torch.device("meta")
_MIXED = ("aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_")


class AwayTensor(Tensor):
    """A tensor on the stand-in device."""

    inside: Tensor

    @staticmethod
    def __new__(cls, inside: Tensor) -> "AwayTensor":
        made: AwayTensor = torch.Tensor._make_wrapper_subclass(
            cls, inside.shape, strides=inside.stride(), dtype=inside.dtype, device=AWAY,
            requires_grad=inside.requires_grad, storage_offset=inside.storage_offset(),
        )  # fmt: skip
        made.inside = inside
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class _Away(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


def _run(func: Any, args: Any, kwargs: Any) -> Any:
    given, _ = tree_flatten((args, kwargs))
    tensors = [value for value in given if isinstance(value, Tensor)]
    is_away = any(isinstance(value, AwayTensor) for value in tensors)
    name = func._schema.name
    target = kwargs.get("device")
    goes = is_away if target is None else torch.device(target) == AWAY
    copies = name in ("aten::_to_copy", "aten::copy_")
    # Numbers of the CPU mix with any device, and index it.
    mixed = [t for t in tensors if not isinstance(t, AwayTensor) and t.ndim]
    if is_away and mixed and not copies and name not in _MIXED:
        raise RuntimeError(f"{name}: found tensors on two devices, {AWAY} and cpu")
    if name == "aten::_local_scalar_dense" or not (is_away or goes):
        return func(*tree_map(_inside, args), **kwargs)
    if target is not None:
        kwargs = kwargs | {"device": torch.device("cpu")}
    outcome = func(*tree_map(_inside, args), **tree_map(_inside, kwargs))
    if func._schema.name.endswith("_") and args and isinstance(args[0], Tensor):
        return args[0]
    return tree_map(_wrap, outcome) if goes else outcome


def _inside(value: Any) -> Any:
    return value.inside if isinstance(value, AwayTensor) else value


def _wrap(value: Any) -> Any:
    return AwayTensor(value) if type(value) is Tensor else value


class AwayGenerator(torch.Generator):
    """A generator that says it is on the device that was asked for."""

    def __new__(cls, device: Any = "cpu") -> "AwayGenerator":
        made: AwayGenerator = super().__new__(cls)
        made.where = torch.device(device)
        return made

    @property
    def device(self) -> torch.device:
        return self.where


@contextmanager
def stand_in_device(monkeypatch: Any) -> Iterator[torch.device]:
    """Give torch the stand-in device, and what it lacks for a device of this name."""
    make = torch.tensor  # which no dispatch sees
    monkeypatch.setattr(torch, "Generator", AwayGenerator)
    monkeypatch.setattr(torch, "tensor", lambda data, device="cpu", **k: make(data, **k).to(device))
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    with _Away():
        yield AWAY


def send(module: torch.nn.Module) -> torch.nn.Module:
    """Move a module to the stand-in device."""
    for part in module.modules():
        for name, weight in part._parameters.items():
            if weight is not None and not isinstance(weight, AwayTensor):
                moved = torch.nn.Parameter(AwayTensor(weight.detach()), weight.requires_grad)
                part._parameters[name] = moved
        for name, buffer in part._buffers.items():
            if buffer is not None and not isinstance(buffer, AwayTensor):
                part._buffers[name] = AwayTensor(buffer.detach())
    return module
