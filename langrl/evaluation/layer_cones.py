"""How narrow the cones are inside a model's towers, layer by layer.

A tower's layers are the members of the list of modules of which most run one after the other:
residual blocks, transformer layers, or the layers of a small network. Their outputs are averaged
over positions.

Axes: ``n`` inputs, ``T`` positions, ``C`` channels or width.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from langrl.functional.geometry import cone

_CHUNK = 64
# Axes of positions: none in [n, C], the second in [n, T, C], the sides of images [n, C, H, W].
_POSITIONS: dict[int, tuple[int, ...]] = {2: (), 3: (1,), 4: (2, 3)}
Row = dict[str, Any]
_Outputs = dict[tuple[int, int], list[Tensor]]  # by module list and place; -1: its input


@torch.no_grad()
def layer_cones(
    module: nn.Module, embed: Callable[[Any], Tensor], inputs: Any, *, alone: bool = False
) -> list[Row]:
    """Return a row {layer, mean, low, high} of cosines for each layer, and for the embedding.

    Args:
        module: the module whose layers are measured.
        embed: embeds inputs by ``module``.
        inputs: n images or texts, an array or a list.
        alone: embed inputs one at a time, since padding would be averaged with the rest.
    """
    size = 1 if alone else _CHUNK
    with _watched(module) as (outputs, lengths):
        embedded = []
        for start in range(0, len(inputs), size):
            lengths.append(len(part := inputs[start : start + size]))
            embedded.append(embed(part))
    layers = [*_longest(outputs, len(inputs)), ("embedding", torch.cat(embedded))]
    rows = []
    for name, values in layers:
        values = values[values.abs().amax(1) > 0]  # rows of zeros have no direction
        if len(values) > 1 and values.isfinite().all():
            c = cone(values)
            rows.append({"layer": name, "mean": c.mean, "low": c.low, "high": c.high})
    return rows


@contextmanager
def _watched(module: nn.Module) -> Iterator[tuple[_Outputs, list[int]]]:
    """Keep what the members of every list of modules put out, averaged over positions."""
    outputs: _Outputs = defaultdict(list)
    lengths: list[int] = []  # of each call, so that an axis of inputs is known as such
    hooks = []

    def watch(member: nn.Module, key: tuple[int, int]) -> None:
        def keep(_: nn.Module, args: Any, kwargs: dict[str, Any], output: Any) -> None:
            if key[1] == 0:
                _keep(outputs[key[0], -1], [*args, *kwargs.values()], lengths[-1])
            _keep(outputs[key], output, lengths[-1])

        hooks.append(member.register_forward_hook(keep, with_kwargs=True))

    for number, container in enumerate(module.modules()):
        if isinstance(container, nn.ModuleList | nn.Sequential):
            for place, member in enumerate(container):
                watch(member, (number, place))
    try:
        yield outputs, lengths
    finally:
        for hook in hooks:
            hook.remove()


def _keep(kept: list[Tensor], output: Any, count: int) -> None:
    """Keep the first tensor of floats of an output as [count, C]."""
    while isinstance(output, list | tuple):
        output = next((part for part in output if isinstance(part, Tensor | list | tuple)), None)
    if not isinstance(output, Tensor) or not output.is_floating_point() or output.ndim < 2:
        return
    value = output.detach()
    if len(value) != count:
        value = value.unsqueeze(0)  # [T, C] of a single input
    if len(value) == count and value.ndim in _POSITIONS:
        axes = _POSITIONS[value.ndim]
        kept.append((value.mean(axes) if axes else value).float().cpu())


def _longest(outputs: _Outputs, count: int) -> list[tuple[str, Tensor]]:
    """Return the layers of the list of modules of which most ran, once for every input."""
    whole = {
        key: torch.cat(parts)
        for key, parts in outputs.items()
        if parts and len({part.shape[1] for part in parts}) == 1 and sum(map(len, parts)) == count
    }
    members: dict[int, list[int]] = defaultdict(list)
    for number, place in sorted(whole):
        members[number].append(place)
    if not members:
        return []
    longest = max(members, key=lambda number: (sum(p >= 0 for p in members[number]), -number))
    return [
        ("input" if place < 0 else str(place + 1), whole[longest, place])
        for place in members[longest]
    ]
