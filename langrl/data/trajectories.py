"""Trajectories as flat arrays, and the file format in which users bring their own.

Axes: ``T`` states of all trajectories one after another, ``S`` numbers in a state, ``A`` numbers
in an action.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from langrl.errors import NonFiniteError, TrajectoryError
from langrl.protocols import Array, Floats, Integers, Mask

ARRAYS = ("observations", "actions", "terminals")


@dataclass(frozen=True, eq=False)
class Trajectories:
    """Trajectories end to end, as in D4RL and OGBench.

    ``observations`` float32 [T, S], ``actions`` float32 [T, A], ``terminals`` bool [T], True at
    the last state of each trajectory. The action at a last state leads nowhere and is not used.

    Raises:
        TrajectoryError: if lengths or axes do not fit, no trajectory has a step, or the last
            trajectory does not end.
        NonFiniteError: if an observation or an action is NaN or infinite.
    """

    observations: Floats
    actions: Floats
    terminals: Mask

    def __post_init__(self) -> None:
        for name, axes in (("observations", 2), ("actions", 2), ("terminals", 1)):
            if getattr(self, name).ndim != axes:
                shape = list(getattr(self, name).shape)
                raise TrajectoryError(f"{name} must have {axes} axes, got shape {shape}")
        lengths = {name: len(getattr(self, name)) for name in ARRAYS}
        if len(set(lengths.values())) != 1:
            listed = ", ".join(f"{name} {length}" for name, length in lengths.items())
            raise TrajectoryError(
                f"trajectory arrays have mixed lengths: {listed}; make them equal"
            )
        if not len(self.terminals) or not self.terminals[-1]:
            raise TrajectoryError("the last trajectory does not end; set terminals[-1] to True")
        if self.terminals[0] and self.terminals.all():
            raise TrajectoryError("every trajectory has a single state; give at least one step")
        for name in ("observations", "actions"):
            bad = ~np.isfinite(getattr(self, name)).all(1)
            if name == "actions":
                bad &= ~self.terminals
            if bad.any():
                raise NonFiniteError(
                    f"{name}[{int(bad.argmax())}] is not finite; remove that trajectory"
                )

    @cached_property
    def ends(self) -> Integers:
        """Index of the last state of the trajectory that each state is in, int [T]."""
        last = np.flatnonzero(self.terminals)
        return last[np.searchsorted(last, np.arange(len(self.terminals)))]

    @cached_property
    def transitions(self) -> Integers:
        """Indices of the states that have an action and a future."""
        return np.flatnonzero(~self.terminals)

    def save(self, path: Path) -> None:
        """Write the three arrays to an .npz file of exactly this name."""
        with Path(path).open("wb") as file:  # given a name, NumPy would add a suffix to it
            np.savez_compressed(file, **{name: getattr(self, name) for name in ARRAYS})


def by_walker(record: Sequence[tuple[Array, ...]]) -> list[Array]:
    """Join the columns of a record, sorted by the first one; its rows stay in the order of time."""
    columns = [np.concatenate(column) for column in zip(*record, strict=True)]
    order = np.argsort(columns[0], kind="stable")
    return [column[order] for column in columns]


def load_trajectories(path: Path, state_size: int, action_size: int) -> Trajectories:
    """Read an .npz file with ``observations``, ``actions`` and ``terminals``.

    Raises:
        TrajectoryError: if the file is missing, is not an .npz of numbers, lacks an array, or its
            widths are not ``state_size`` and ``action_size``; what ``Trajectories`` raises, too.
    """
    path = Path(path)
    if not path.is_file():
        raise TrajectoryError(f"no trajectory file {path}; check the path")
    try:
        loaded = np.load(path, allow_pickle=False)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            raise TrajectoryError(f"this is a single array; save an .npz with {', '.join(ARRAYS)}")
        with loaded as file:
            if missing := [name for name in ARRAYS if name not in file.files]:
                raise TrajectoryError(
                    f"there is no array {' and no array '.join(map(repr, missing))};"
                    f" save {', '.join(ARRAYS)}"
                )
            arrays = {name: file[name] for name in ARRAYS}
        for name, dtype in zip(ARRAYS, (np.float32, np.float32, np.bool_), strict=True):
            if arrays[name].dtype.kind not in "fiub":
                raise TrajectoryError(f"{name} holds {arrays[name].dtype}, not numbers")
            arrays[name] = arrays[name].astype(dtype)
        trajectories = Trajectories(**arrays)
    except (TrajectoryError, NonFiniteError) as error:
        raise type(error)(f"{path}: {error}") from error
    except (OSError, ValueError, RuntimeError, EOFError, BadZipFile, zlib.error) as error:
        raise TrajectoryError(f"{path} is no readable .npz ({error}); save it again") from error
    for name, width in (("observations", state_size), ("actions", action_size)):
        if arrays[name].shape[1] != width:
            raise TrajectoryError(
                f"{path}: {name} has rows of {arrays[name].shape[1]} numbers, not {width} as here"
            )
    return trajectories
