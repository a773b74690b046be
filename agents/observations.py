"""Reading observations, single or batched, as every agent takes them.

Axes: ``N`` episodes, ``S`` numbers in a state.
"""

import warnings
from collections.abc import Mapping, Sequence

import numpy as np

from langrl.errors import NonFiniteError, ShapeError, quoted
from langrl.protocols import Array, Instructions, Mask, Observation, check_instructions


def read_observations(
    observations: Observation, instructions: Instructions, axes: int = 1
) -> tuple[Array, list[str], bool]:
    """Return states [N, ...], N checked instructions, and whether it was a single observation.

    The states are a copy, so that agents neither keep nor write their caller's array.

    Args:
        observations: {"observation": [...] or [N, ...], "instruction": str or N of them}.
        instructions: used instead of the observation's own; one for all, or N.
        axes: how many axes a single state has. With one, states become float32; with more, as in
            grid worlds, their numbers stay what they are.

    Raises:
        InstructionError: if there is no instruction, or it cannot be one.
        ShapeError: if there is no observation, or the numbers of states and instructions differ.
        NonFiniteError: if a state is NaN or infinite.
    """
    if not isinstance(observations, Mapping) or "observation" not in observations:
        found = list(observations) if isinstance(observations, Mapping) else observations
        raise ShapeError(
            "an observation is a dict with what is seen as 'observation', as environments give it;"
            f" got {quoted(found)}"
        )
    given = observations["observation"]
    # Contiguous: torch takes no array that runs backwards.
    states = np.array(given, np.float32 if axes == 1 else None, order="C")
    single = states.ndim == axes
    if states.ndim not in (axes, axes + 1):
        shape = "[S] or [N, S]" if axes == 1 else f"of {axes} axes, or N of them"
        raise ShapeError(f"observations must be {shape}, got {list(states.shape)}")
    states = states[None] if single else states
    if not len(states):
        raise ShapeError("act needs at least one observation, got a batch of 0")
    finite = np.isfinite(states).reshape(len(states), -1).all(1)
    if not finite.all():
        row = int((~finite).argmax())
        raise NonFiniteError(f"observation {row} is not finite; fix the environment")
    texts = observations.get("instruction") if instructions is None else instructions
    return states, check_instructions(texts, len(states)), single


def read_single(
    observation: Observation, instruction: str | None, axes: int
) -> tuple[Array, list[str]]:
    """As ``read_observations``, of one; raises ShapeError for a batch, too."""
    states, texts, single = read_observations(observation, instruction, axes)
    if not single:
        raise ShapeError("posterior takes a single observation; call it for each of the batch")
    return states, texts


def check_mask(mask: Mask, episodes: int) -> Mask:
    """Return a mask of episodes as bool [N]; raises ShapeError if it is something else."""
    array = np.atleast_1d(np.asarray(mask))
    if array.shape != (episodes,) or array.dtype != bool:
        raise ShapeError(
            f"a mask is bool [{episodes}], one for each episode, got"
            f" {list(array.shape)} of {array.dtype}; reset without a mask before a batch of another"
            " size"
        )
    return array


def warn_of_missed_starts(
    before: Sequence[str | None], now: Sequence[str], stacklevel: int
) -> None:
    """Warn where the text of an observation has changed and no episode was said to start.

    Args:
        before: the texts at the last action; None where an episode starts.
        now: the observations' own texts, which environments change when an episode starts.
        stacklevel: as ``warnings.warn`` has it, of the line that calls ``act``.
    """
    changed = [n for n, text in enumerate(now) if before[n] not in (None, text)]
    if changed:
        warnings.warn(
            f"the instruction of observation {changed[0]} has changed and no episode was said to"
            " start: the agent goes on with what it remembers of the episode before; after each"
            " step, pass act the argument starts= (langrl.envs.autoreset.EpisodeStarts), or call"
            " reset(mask=...); if it is one episode, pass its texts as the second argument of act",
            UserWarning,
            stacklevel=stacklevel,
        )
