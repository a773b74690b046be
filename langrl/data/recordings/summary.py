"""What is in recorded trajectories: sizes, lengths, ends, ranges of numbers.

Axes: ``T`` states, ``S`` numbers in an observation or an action.
"""

from typing import Any

import numpy as np

from langrl.data.recordings.reading import LAYOUTS
from langrl.data.recordings.recording import Recording, size
from langrl.protocols import Array

Row = dict[str, Any]
COLUMNS = ("array", "number", "min", "mean", "std", "max")


def summary_rows(recording: Recording) -> list[Row]:
    """Return what is in a recording, as rows of ``measure`` and ``value``."""
    lengths = recording.lengths
    terminated = int(recording.terminated.sum())
    found: Row = {
        "layout": f"{recording.layout}: {LAYOUTS[recording.layout]}",
        "trajectories": len(lengths),
        "states": recording.states,
        "transitions": recording.states - len(lengths),
        "shortest trajectory": int(lengths.min()),
        "median trajectory": float(np.median(lengths)),
        "longest trajectory": int(lengths.max()),
        "ended by time": len(lengths) - terminated,
        "ended for good": terminated,
        "observation": size(recording.observations.shape[1:]),
        "action": _actions(recording),
        "achieved goals": _goals(recording.achieved),
        "desired goals": _goals(recording.desired),
    }
    if recording.rewards is not None:
        found["rewards other than 0"] = float((recording.rewards != 0).mean())
    if recording.left_out:
        found["left out: trajectories of one state"] = recording.left_out
    if (move := _largest_move(recording)) is not None:
        found["mean move"], found["largest move"], found["largest move, from state"] = move
    return [{"measure": name, "value": value} for name, value in found.items()]


def _actions(recording: Recording) -> str:
    if not recording.discrete:
        return size(recording.actions.shape[1:])
    used = recording.actions[~recording.last]
    return f"choices {int(used.min())} to {int(used.max())}"


def _goals(goals: Array | None) -> str:
    return "not recorded" if goals is None else size(goals.shape[1:])


def _largest_move(recording: Recording) -> tuple[float, float, int] | None:
    """Return the mean and the largest distance of a step, and where that is; None of images.

    A move that is far larger than others shows an end that is not marked.
    """
    if recording.observations.ndim != 2:
        return None
    moves = np.linalg.norm(np.diff(recording.observations, axis=0), axis=1)  # [T - 1]
    moves[recording.last[:-1]] = 0
    steps = recording.states - len(recording.lengths)
    return float(moves.sum() / steps), float(moves.max()), int(moves.argmax())


def number_rows(recording: Recording) -> list[Row]:
    """Return the range of every number in observations, actions and goals, with ``COLUMNS``."""
    rows = []
    acted = ~recording.last
    arrays = {
        "observation": recording.observations,
        "action": recording.actions[acted],
        "achieved goal": recording.achieved,
        "desired goal": recording.desired,
    }
    for name, values in arrays.items():
        if values is None or values.ndim != 2:
            continue
        columns = values.astype(np.float64)
        numbers = (columns.min(0), columns.mean(0), columns.std(0), columns.max(0))
        for number, (low, mean, std, high) in enumerate(zip(*numbers, strict=True)):
            statistics = (float(low), float(mean), float(std), float(high))
            rows.append(dict(zip(COLUMNS, (name, number, *statistics), strict=True)))
    return rows
