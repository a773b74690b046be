"""Checks that the array engines of goal worlds share."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from langrl.errors import CheckpointError, ConfigError, suggestion
from langrl.protocols import Array


def refuse_unknown(arguments: Mapping[str, Any], *known: str) -> None:
    """Raise ConfigError if an engine got arguments that it has no use for."""
    for name in arguments:
        raise ConfigError(
            f"an array engine of this environment has no argument {name!r};"
            f' {suggestion(name, known)}, or step the environments themselves: engine="sync"'
        )


def check_state(state: Mapping[str, Array], own: Mapping[str, Array]) -> None:
    """Raise CheckpointError unless a state has the arrays of an engine's own, in their shapes."""
    if set(state) != set(own):
        raise CheckpointError(
            f"the state has {', '.join(sorted(state)) or 'nothing'} and not"
            f" {', '.join(sorted(own))}; give that of an engine of this kind of world"
        )
    for name, mine in own.items():
        other = np.asarray(state[name])
        if other.shape != mine.shape or other.dtype != mine.dtype:
            raise CheckpointError(
                f"the state's {name} is {other.dtype} {list(other.shape)} and not {mine.dtype}"
                f" {list(mine.shape)}; make the engine of the same world and as many environments"
            )
