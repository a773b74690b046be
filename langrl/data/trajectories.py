"""Trajectories as flat arrays, and the file format in which users bring their own.

Axes: ``T`` states of all trajectories one after another, ``S`` numbers in a state, ``A`` numbers
in an action.
"""

import io
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from langrl.checkpoint import write_atomically
from langrl.data.npz import check_npz
from langrl.errors import NonFiniteError, TrajectoryError
from langrl.protocols import Array, Floats, Integers, Mask

ARRAYS = ("observations", "actions", "terminals")
END_ARRAYS = ("terminals", "timeouts", "truncations", "terminations", "dones")
"""Arrays that mark last states: by D4RL (two), Minari and Gymnasium (two), and others (one)."""

_LIKE_ENDS = re.compile(  # whole words of a name such as is_last, infos/timeouts, episode_starts
    r"(?<![a-z])(done|end|last|final|term\w*|trunc\w*|time_?out|first|start|reset)s?(?![a-z])",
    re.IGNORECASE,
)
_ROUNDING = 1e-3  # share of a step


def ends_of(arrays: Mapping[str, Array], states: int) -> Mask:
    """Return where trajectories end, bool [T]: where any array of ``END_ARRAYS`` is 1.

    D4RL's ``terminals`` alone would be wrong: where the clock ends a trajectory, only its
    ``timeouts`` are 1, and the states after it would count as its future.

    Args:
        arrays: those of a data set by name; one of ``END_ARRAYS`` at least.
        states: how many there are, T.

    Raises:
        TrajectoryError: if such an array is not [T] of 0 and 1, or one of another name seems to
            mark ends too.
    """
    for name in arrays:
        if name not in END_ARRAYS and _LIKE_ENDS.search(name):
            values = np.asarray(arrays[name])
            flags = values.dtype.kind in "fiub" and np.isin(values, (0, 1)).all()
            if flags and values.shape in ((states,), (states, 1)):
                raise TrajectoryError(
                    f"{name} looks as if it marked ends, and is not read under this name; rename"
                    " it to 'dones' if it marks the last state of trajectories, or leave it out"
                )
    ends = np.zeros(states, bool)
    for name in (name for name in END_ARRAYS if name in arrays):
        values = _numbers(name, np.asarray(arrays[name]))
        if values.ndim != 1:
            raise TrajectoryError(f"{name} must have 1 axes, got shape {list(values.shape)}")
        if len(values) != states:
            raise TrajectoryError(
                f"trajectory arrays have mixed lengths: observations {states}, {name}"
                f" {len(values)}; make them equal"
            )
        wrong = ~np.isin(values, (0, 1))  # NaN too
        if wrong.any():
            first = int(wrong.argmax())
            raise TrajectoryError(
                f"{name}[{first}] is {values[first]}; write 1 at the last state of each trajectory"
                " and 0 elsewhere"
            )
        ends |= values.astype(bool)
    return ends


@dataclass(frozen=True, eq=False)
class Trajectories:
    """Trajectories end to end, as in D4RL and OGBench.

    ``observations`` float32 [T, S], ``actions`` float32 [T, A], ``terminals`` bool [T], True at
    the last state of each trajectory, whatever ended it; ``ends_of`` makes them of D4RL's arrays.
    The action at a last state leads nowhere and is not used.

    Raises:
        TrajectoryError: if lengths or axes do not fit, ``terminals`` are not bool, no trajectory
            has a step, or the last trajectory does not end.
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
        if self.terminals.dtype != np.bool_:  # ~1 is -2, which is no False
            raise TrajectoryError(
                f"terminals must be bool, got {self.terminals.dtype}; make them with"
                " langrl.data.trajectories.ends_of"
            )
        if not len(self.terminals) or not self.terminals[-1]:
            raise TrajectoryError(
                f"the last trajectory does not end ({int(self.terminals.sum())} others do); mark"
                " the last state of every trajectory: in terminals, or in timeouts where the clock"
                " or the recording ended it"
            )
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

    def check_moves(self, longest: float) -> None:
        """Raise TrajectoryError if a state is further than ``longest`` from the one before it.

        Such a move within a trajectory shows an end that is not marked, or steps left out.
        """
        moves = np.linalg.norm(np.diff(self.observations, axis=0), axis=1)  # [T - 1]
        far = (moves > longest * (1 + _ROUNDING)) & ~self.terminals[:-1]
        if far.any():
            first = int(far.argmax())
            raise TrajectoryError(
                f"observations[{first}] and [{first + 1}] are {moves[first]:.3g} apart, and the"
                f" longest step is {longest:g}; set timeouts[{first}] to 1 if a trajectory ends"
                " there, and record every step"
            )

    def save(self, path: Path) -> None:
        """Write the three arrays to an .npz file of exactly this name, whole or not at all."""
        file = io.BytesIO()
        np.savez_compressed(file, **{name: getattr(self, name) for name in ARRAYS})
        write_atomically(Path(path), file.getvalue())


def _numbers(name: str, values: Array) -> Array:
    if values.dtype.kind not in "fiub":
        raise TrajectoryError(f"{name} holds {values.dtype}, not numbers")
    return values


def by_walker(record: Sequence[tuple[Array, ...]]) -> list[Array]:
    """Join the columns of a record, sorted by the first one; its rows stay in the order of time."""
    columns = [np.concatenate(column) for column in zip(*record, strict=True)]
    order = np.argsort(columns[0], kind="stable")
    return [column[order] for column in columns]


def load_trajectories(path: Path, state_size: int, action_size: int) -> Trajectories:
    """Read an .npz file with ``observations``, ``actions`` and one or more of ``END_ARRAYS``.

    Raises:
        TrajectoryError: if the file is missing, is not an .npz of numbers, lacks an array, or its
            widths are not ``state_size`` and ``action_size``; what ``ends_of`` and
            ``Trajectories`` raise, too.
    """
    path = Path(path)
    if not path.is_file():
        raise TrajectoryError(f"no trajectory file {path}; check the path")
    try:
        loaded = np.load(path, allow_pickle=False)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            raise TrajectoryError(f"this is a single array; save an .npz with {', '.join(ARRAYS)}")
        check_npz(path)
        with loaded as file:
            needed = ARRAYS if file.keys().isdisjoint(END_ARRAYS) else ARRAYS[:2]
            if missing := [name for name in needed if name not in file.files]:
                raise TrajectoryError(
                    f"there is no array {' and no array '.join(map(repr, missing))};"
                    f" save {', '.join(ARRAYS)}"
                )
            arrays = {name: _numbers(name, file[name]).astype(np.float32) for name in ARRAYS[:2]}
            ends = ends_of(file, len(np.atleast_1d(arrays["observations"])))
        trajectories = Trajectories(**arrays, terminals=ends)
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
