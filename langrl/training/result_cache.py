"""Rows of long evaluations, kept as they come, so that a run that was stopped goes on."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Row = dict[str, Any]


class ResultCache:
    """A file of rows by label, all measured under one key; rows of other keys are not used.

    Args:
        path: JSON lines; made when the first rows come.
        key: everything that the rows depend on, as JSON can hold it.
    """

    def __init__(self, path: Path, key: Any) -> None:
        self._path = path
        self._key = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
        self._rows: dict[str, list[Row]] = {}
        text = path.read_text() if path.exists() else ""
        self._torn = bool(text) and not text.endswith("\n")  # by a kill while it was written
        for line in text.splitlines():
            try:
                entry = json.loads(line)
                if entry["key"] == self._key:
                    self._rows[entry["label"]] = entry["rows"]
            except (json.JSONDecodeError, KeyError, TypeError):
                continue  # no line of a record: what it may have said is measured again

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
                file.write("\n" * self._torn + line + "\n")
            self._torn = False
            self._rows[label] = rows
        return self._rows[label]
