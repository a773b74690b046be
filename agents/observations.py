"""Reading observations, single or batched, as every agent takes them.

Axes: ``N`` episodes, ``S`` numbers in a state.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from langrl.errors import NonFiniteError, ShapeError
from langrl.protocols import Observation, check_instruction


def read_observations(
    observations: Observation, instructions: str | Sequence[str] | None
) -> tuple[NDArray[np.float32], list[str], bool]:
    """Return states [N, S], N checked instructions, and whether it was a single observation.

    Args:
        observations: {"observation": [S] or [N, S], "instruction": str or N of them}.
        instructions: used instead of the observation's own; one for all, or N.

    Raises:
        InstructionError: if there is no instruction, or it cannot be one.
        ShapeError: if the numbers of states and instructions differ.
        NonFiniteError: if a state is NaN or infinite.
    """
    states = np.asarray(observations["observation"], np.float32)
    single = states.ndim == 1
    if states.ndim not in (1, 2):
        raise ShapeError(f"observations must be [S] or [N, S], got {list(states.shape)}")
    states = np.atleast_2d(states)
    if not np.isfinite(states).all():
        row = int((~np.isfinite(states)).any(1).argmax())
        raise NonFiniteError(f"observation {row} is not finite; mend the environment")
    texts = observations.get("instruction") if instructions is None else instructions
    if isinstance(texts, str) or not isinstance(texts, Sequence | np.ndarray):
        texts = [check_instruction(texts)] * len(states)
    if len(texts) != len(states):
        raise ShapeError(f"got {len(states)} observations and {len(texts)} instructions; pair them")
    distinct = {text: check_instruction(text) for text in dict.fromkeys(texts)}
    return states, [distinct[text] for text in texts], single
