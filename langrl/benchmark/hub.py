"""Results in the form that model pages of the Hugging Face Hub read: ``.eval_results/*.yaml``."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from langrl.checkpoint import write_atomically
from langrl.evaluation.intervals import Interval

FOLDER = ".eval_results"


def write_eval_results(
    folder: Path,
    rows: Sequence[Mapping[str, Any]],
    measures: Sequence[str],
    suite: str,
    notes: str,
) -> list[Path]:
    """Write a file for each entrant, to be copied into the folder ``.eval_results`` of its model.

    The suite's name stands for the data set, and each measure is one of its tasks. A source is not
    given, since it is an address, and a date neither: the Hub takes that of the commit.

    Args:
        folder: in which the folder ``.eval_results`` is made.
        rows: with ``entrant``, and ``Interval`` or None by measure.
        measures: that are written, where a row has them.
        suite: name of the benchmark.
        notes: how the numbers were made.

    Source: the Hub's documentation of evaluation results, 2026.
    """
    paths = []
    for row in rows:
        measured = [(name, row[name]) for name in measures if isinstance(row.get(name), Interval)]
        entries = [
            {
                "dataset": {"id": suite, "task_id": name},
                "value": round(interval.value, 6),
                "notes": f"95 %: {_limits(interval)}; {notes}",
            }
            for name, interval in measured
        ]
        path = folder / FOLDER / f"{_file_name(row['entrant'])}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, yaml.safe_dump(entries, sort_keys=False, allow_unicode=True))
        paths.append(path)
    return paths


def _limits(interval: Interval) -> str:
    return f"[{interval.low:.3f}, {interval.high:.3f}], {interval.method}"


def _file_name(entrant: str) -> str:
    """Return a name that every file system has, and that stays within its folder."""
    return re.sub(r"[^A-Za-z0-9_.-]|^\.", lambda found: f"%{ord(found[0]):x}", entrant)
