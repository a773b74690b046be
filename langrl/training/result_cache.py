"""Rows of long evaluations, stored as they are measured: a run that was stopped resumes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from langrl.checkpoint import digest

Row = dict[str, Any]


class ResultCache:
    """A file of rows by label, all measured under one key; rows of other keys are not used.

    Args:
        path: JSON lines; made when the first rows are stored.
        key: everything that the rows depend on, as JSON values.
    """

    def __init__(self, path: Path, key: Any) -> None:
        self._path = path
        self._key = digest(json.dumps(key, sort_keys=True).encode())
        self._rows: dict[str, list[Row]] = {}
        text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        self._cut_off = bool(text) and not text.endswith("\n")  # by a kill while it was written
        for line in text.splitlines():
            try:
                entry = json.loads(line)
                if entry["key"] == self._key:
                    self._rows[entry["label"]] = entry["rows"]
            except (ValueError, RecursionError, KeyError, TypeError):
                continue  # not a whole entry: its rows are measured again

    def __len__(self) -> int:
        """Return how many labels have rows."""
        return len(self._rows)

    def rows(self, label: str, measure: Callable[[], list[Row]]) -> list[Row]:
        """Return the rows of a label, measured now if they are not in the file."""
        if label not in self._rows:
            rows = measure()
            line = json.dumps({"key": self._key, "label": label, "rows": rows})
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a") as file:
                file.write("\n" * self._cut_off + line + "\n")
            self._cut_off = False
            self._rows[label] = rows
        return self._rows[label]
