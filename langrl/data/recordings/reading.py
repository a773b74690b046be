"""One reader for recorded trajectories in every layout that langrl knows.

The layout is told from the arrays in the file, and never from the file's name.

Axes: ``T`` states of all trajectories one after another, ``n`` steps of one episode, ``G`` numbers
in a goal.

Sources: the READMEs of OGBench (arXiv:2410.20092) and D4RL (arXiv:2004.07219), and Minari's
documentation of its data sets.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from langrl.data.recordings.files import EPISODE, MAIN_FILE, numbers, open_arrays
from langrl.data.recordings.recording import Recording
from langrl.data.trajectories import END_ARRAYS, ends_of
from langrl.errors import MissingExtraError, NonFiniteError, ShapeError, TrajectoryError
from langrl.protocols import Array, Mask

LAYOUTS = {
    "ogbench": "observations, actions and terminals, which is 1 at the last state of each"
    " trajectory (OGBench's, and langrl's own)",
    "d4rl": "observations, actions, terminals (ended for good) and timeouts (ended by time)",
    "gymnasium": "observations, actions, terminations and truncations, or dones",
    "minari": f"a folder with data/{MAIN_FILE}, whose groups {EPISODE}0, {EPISODE}1, ... hold"
    " observations, actions, terminations and truncations",
}
"""What each layout consists of, by name."""

_GOAL, _ACHIEVED, _DESIRED = "infos/goal", "achieved_goal", "desired_goal"
_NEXT, _VALID = "next_observations", "valids"
_SHOWN = 12  # names of arrays that a message lists


def read_recording(path: str | Path) -> Recording:
    """Read recorded trajectories: .npz or .hdf5 of OGBench, D4RL or langrl, or a Minari folder.

    Nothing in a file is run: pickled objects are refused.

    Raises:
        TrajectoryError: if there is no such file, it is damaged, its layout is not known, or what
            is in it breaks the layout's rules.
        NonFiniteError: if a number in it is NaN or infinite.
        MissingExtraError: if it is HDF5, and h5py is not installed.
    """
    path = Path(path)
    try:
        with open_arrays(path) as arrays:
            return _read_minari(arrays) if _episodes(arrays) else _read_flat(arrays)
    except (TrajectoryError, NonFiniteError, ShapeError, MissingExtraError) as error:
        raise type(error)(f"{path}: {error}") from error


# -- trajectories end to end: OGBench, D4RL, langrl ------------------------------------------


def _read_flat(arrays: Mapping[str, Array]) -> Recording:
    _check_names(arrays)
    layout = _layout_of(arrays)
    observations, actions = _as_observations(arrays, "observations"), _as_actions(arrays)
    states = len(observations)
    _check_lengths(arrays, states, ("observations", "actions", "rewards", _NEXT, _GOAL))
    # OGBench's compact form marks the last two states, and says which one has no action.
    valid = {"terminals": 1 - numbers(arrays, _VALID)} if _VALID in arrays else arrays
    last = ends_of(valid, states)
    terminated = np.zeros(states, bool)
    for name in ("terminations", "terminals"):
        if name in arrays and (name == "terminations" or layout == "d4rl"):
            terminated |= arrays[name].astype(bool)
    found: dict[str, Any] = {
        "observations": observations,
        "actions": actions,
        "last": last,
        "terminated": terminated & last,
        "rewards": _floats(arrays, "rewards").reshape(-1) if "rewards" in arrays else None,
        "desired": _floats(arrays, _GOAL).reshape(states, -1) if _GOAL in arrays else None,
    }
    if _NEXT in arrays:
        found = _with_last_states(found, _as_observations(arrays, _NEXT))
    elif layout == "d4rl":
        found = _without_single_states(found)
    return Recording(layout, **found)


def _layout_of(arrays: Mapping[str, Array]) -> str:
    """Return the layout of trajectories that stand one after another."""
    # D4RL's terminals say what ended for good, OGBench's where trajectories end, by time.
    if "terminals" not in arrays and _VALID not in arrays:
        return "d4rl" if "timeouts" in arrays else "gymnasium"
    by_time = not arrays.keys().isdisjoint(("timeouts", "truncations"))
    rewarded = "rewards" in arrays and arrays.keys().isdisjoint(("masks", _VALID))
    return "d4rl" if by_time or rewarded else "ogbench"


def _check_names(arrays: Mapping[str, Array]) -> None:
    marks = [name for name in (*END_ARRAYS, _VALID) if name in arrays]
    missing = [name for name in ("observations", "actions") if name not in arrays]
    listed = ", ".join(list(arrays)[:_SHOWN]) or "no array"
    if len(arrays) > _SHOWN:
        listed += f" and {len(arrays) - _SHOWN} more"
    if len(missing) == 2 or (missing and not marks):
        needed = ", or of ".join(f"{name}: {content}" for name, content in LAYOUTS.items())
        raise TrajectoryError(
            f"the layout is not known: there is {listed}; save the arrays of {needed}"
        )
    if missing:
        raise TrajectoryError(
            f"there is no array {missing[0]!r}, but {listed}; save all of {LAYOUTS['ogbench']}"
        )
    if not marks:
        raise TrajectoryError(
            f"no array says where trajectories end: there is {listed}; save 'terminals', which is"
            " 1 at the last state of each trajectory, else 0 ('timeouts' where the clock ended it)"
        )


def _check_lengths(arrays: Mapping[str, Array], states: int, names: Iterable[str]) -> None:
    lengths = {name: len(np.atleast_1d(arrays[name])) for name in names if name in arrays}
    if set(lengths.values()) - {states}:
        listed = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise TrajectoryError(f"arrays have mixed lengths: {listed}; make them equal")


def _without_single_states(found: dict[str, Any]) -> dict[str, Any]:
    """Return D4RL's arrays without trajectories of one state, with an end at the last state.

    D4RL's terminals stay 1 for as long as a task is solved, and its files are cut off anywhere.
    """
    last = found["last"]
    if not last.any():
        return found
    last = last.copy()
    last[-1] = True
    alone = last & np.concatenate([[True], last[:-1]])
    if alone.all():
        return found | {"last": last}
    kept = {
        name: None if values is None else values[~alone]
        for name, values in (found | {"last": last}).items()
    }
    return kept | {"left_out": int(alone.sum())}


def _with_last_states(found: dict[str, Any], following: Array) -> dict[str, Any]:
    """Return arrays of transitions with the state that each trajectory's last transition led to.

    Raises:
        TrajectoryError: if a transition does not lead to the next row's observation.
    """
    last = found["last"]
    if last.any():
        _check_order(found["observations"], following, last)
    where = np.flatnonzero(last) + 1
    longer: dict[str, Any] = {}
    for name, values in found.items():
        if values is None:
            continue
        added = following[last] if name == "observations" else values[last]
        if name in ("last", "terminated"):  # the marks move to the states that are added
            values = values & ~last
        elif name == "rewards":
            added = 0 * added
        longer[name] = np.insert(values, where, added, 0)
    return longer


def _check_order(observations: Array, following: Array, last: Mask) -> None:
    apart = observations[1:] != following[:-1]
    wrong = apart.reshape(len(apart), -1).any(1) & ~last[:-1]
    if wrong.any():
        first = int(wrong.argmax())
        raise TrajectoryError(
            f"{_NEXT}[{first}] is not observations[{first + 1}], and no trajectory ends there;"
            " mark its end, and keep transitions in the order in which they were recorded"
        )


# -- Minari ----------------------------------------------------------------------------------


def _episodes(arrays: Mapping[str, Array]) -> list[str]:
    """Return the names of Minari's groups, in the order of their numbers."""
    groups = {name.partition("/")[0] for name in arrays if "/" in name}
    found = [name for name in groups if name.removeprefix(EPISODE).isdecimal()]
    return sorted(found, key=lambda name: int(name.removeprefix(EPISODE)))


def _read_minari(arrays: Mapping[str, Array]) -> Recording:
    """Join episodes of n + 1 observations and n actions; a last state gets an action of 0."""
    names: dict[str, dict[str, str]] = {}
    for name in arrays:
        group, _, rest = name.partition("/")
        names.setdefault(group, {})[rest] = name
    parts: dict[str, list[Array]] = {}
    for group in _episodes(arrays):
        episode = {rest: numbers(arrays, name) for rest, name in names[group].items()}
        try:
            for name, values in _minari_episode(episode).items():
                parts.setdefault(name, []).append(values)
        except TrajectoryError as error:
            raise TrajectoryError(f"{group}: {error}") from error
    if mixed := [name for name, values in parts.items() if len(values) != len(parts["last"])]:
        raise TrajectoryError(f"some episodes have {mixed[0]} and others do not; record it in all")
    for name, same in parts.items():
        if len(shapes := {part.shape[1:] for part in same}) > 1:
            listed = ", ".join(str(list(shape)) for shape in sorted(shapes))
            raise TrajectoryError(f"{name} differ in shape among episodes: {listed}")
    joined: dict[str, Any] = {name: np.concatenate(part) for name, part in parts.items()}
    return Recording("minari", **joined)


def _minari_episode(episode: Mapping[str, Array]) -> dict[str, Array]:
    """Return one episode's arrays as ``Recording`` has them."""
    root = "observations"
    achieved, desired = f"{root}/{_ACHIEVED}", f"{root}/{_DESIRED}"
    inner = f"{root}/observation"
    is_dict = any(name.startswith((inner, achieved, desired)) for name in episode)
    for name in ("actions", "terminations", "truncations"):
        if name not in episode:
            raise TrajectoryError(f"there is no array {name!r}; Minari has {LAYOUTS['minari']}")
    observations = _joined(episode, inner if is_dict else root)
    actions = _as_actions(episode)
    steps = len(actions)
    found = {
        "observations": observations,
        "actions": np.concatenate([actions, np.zeros_like(actions[:1])]),
        "last": np.arange(steps + 1) == steps,
        "terminated": np.append(np.zeros(steps, bool), episode["terminations"][-1:].astype(bool)),
    }
    for name, source in (("achieved", achieved), ("desired", desired)):
        if any(key.startswith(source) for key in episode):
            found[name] = _joined(episode, source)
    if "rewards" in episode:
        found["rewards"] = np.append(_floats(episode, "rewards"), np.float32(0))
    lengths = {name: len(values) for name, values in found.items()}
    if set(lengths.values()) != {steps + 1} or not steps:
        listed = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise TrajectoryError(
            f"{steps} actions need {steps + 1} observations, one after each and one before, and at"
            f" least one step: with the last state's there are {listed}; record the episode again"
        )
    return found


def _joined(episode: Mapping[str, Array], root: str) -> Array:
    """Return an observation [n + 1, ...]; the arrays of a Dict side by side, by their names."""
    if root in episode:
        return _as_observations(episode, root)
    members = sorted(name for name in episode if name.startswith(f"{root}/"))
    if not members:
        raise TrajectoryError(f"there is no array {root!r}; Minari has {LAYOUTS['minari']}")
    flat = [_floats(episode, name) for name in members]
    return np.concatenate([values.reshape(len(values), -1) for values in flat], 1)


# -- one array -------------------------------------------------------------------------------


def _floats(arrays: Mapping[str, Array], name: str) -> Array:
    with np.errstate(over="ignore"):  # what is too large is infinite, and refused as such
        return numbers(arrays, name).astype(np.float32)


def _as_observations(arrays: Mapping[str, Array], name: str) -> Array:
    values = numbers(arrays, name)
    images = values.dtype == np.uint8 and values.ndim == 4
    return values if images else _floats(arrays, name)


def _as_actions(arrays: Mapping[str, Array]) -> Array:
    values = numbers(arrays, "actions")
    if values.dtype.kind in "iu" and (values.ndim == 1 or values.shape[1:] == (1,)):
        return values.reshape(-1).astype(np.int64)
    return _floats(arrays, "actions")
