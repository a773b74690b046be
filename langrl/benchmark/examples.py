"""Examples: episodes that a report shows, with what the agent believed to be meant.

Axes: ``T`` time, ``M`` candidates, ``I`` denoted intents, ``H`` rows, ``W`` columns.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from langrl.errors import ResultsError, suggestion
from langrl.protocols import Integers

MOST_CANDIDATES = 400  # that a file keeps
_LONGEST = 2_000  # characters of a text
_TEXTS = ("entrant", "task", "world", "instruction")


@dataclass(frozen=True, eq=False, kw_only=True)
class Example:
    """An episode of the benchmark, small enough to be kept beside its outcomes.

    A maze has a ``layout``; places in it are (row, column), (0, 0) at its upper left corner, 1 the
    side of a cell. A grid world has a ``room``; places in it are poses (row, column, direction).

    Args:
        entrant, task, world: names.
        instruction: what the agent was told.
        path: places over time, [T, 2] or [T, 3].
        candidates: goals that the agent considered, [M, 2] or [M, 3].
        probabilities: of the candidates, as the agent saw it at the start [M].
        denoted: cells of the denoted intents [I, 2]: places in a maze, objects in a room.
        success: whether the episode succeeded; where one intent was meant, in reaching that one.
        layout: a maze, as an ASCII map.
        room: types and colours of cells, uint8 [H, W, 2].
        intended: the cell that was meant [2]; None where any denoted one will do.
        answers: questions that were asked, each with its answer.

    Raises:
        ResultsError: if a field has another type or shape.
    """

    entrant: str
    task: str
    world: str
    instruction: str
    path: NDArray[np.float64]
    candidates: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    denoted: Integers
    success: bool
    layout: str | None = None
    room: NDArray[np.uint8] | None = None
    intended: Integers | None = None
    answers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in _TEXTS:
            self._check_text(name, getattr(self, name))
        for answer in self.answers:
            self._check_text("answers", answer)
        if not isinstance(self.success, bool):
            raise self._error("success is true or false")
        if (self.layout is None) == (self.room is None):
            raise self._error("give the layout of a maze, or the room of a grid world")
        numbers = 2 if self.room is None else 3
        self._store("path", float, (None, numbers))
        self._store("candidates", float, (None, numbers))
        self._store("probabilities", float, (len(self.candidates),))
        self._store("denoted", np.int64, (None, 2))
        if self.room is not None:
            self._store("room", np.uint8, (None, None, 2))
        if self.intended is not None:
            self._store("intended", np.int64, (2,))
        if not len(self.path):
            raise self._error("path has no place; give at least the start")

    @classmethod
    def from_json(cls, content: Any) -> Self:
        """Return the example that ``to_json`` wrote.

        Raises:
            ResultsError: if fields are missing or unknown, or as the constructor.
        """
        names = [field.name for field in fields(cls)]
        if not isinstance(content, Mapping):
            raise ResultsError("an example is an object; write it with Example.to_json")
        if unknown := [name for name in content if name not in names]:
            raise ResultsError(
                f"an example has no {unknown[0]!r}; {suggestion(str(unknown[0]), names)}"
            )
        if missing := [name for name in names if name not in content]:
            raise ResultsError(f"an example lacks {', '.join(missing)}; give every field")
        if not isinstance(content["answers"], list):
            raise ResultsError("an example's answers are a list of texts")
        return cls(**{**content, "answers": tuple(content["answers"])})

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values, with the most likely candidates only.

        Candidates in one cell of a maze become one, at its centre.
        """
        candidates, probabilities = self.candidates, self.probabilities
        if self.room is None:
            cells, places = np.unique(np.floor(candidates), axis=0, return_inverse=True)
            probabilities = np.bincount(places.ravel(), probabilities, len(cells)).astype(float)
            candidates = cells + 0.5
        likely = np.sort(np.argsort(-probabilities, kind="stable")[:MOST_CANDIDATES])
        return {
            **{name: getattr(self, name) for name in (*_TEXTS, "success", "layout")},
            "path": self.path.round(2).tolist(),
            "candidates": candidates[likely].tolist(),
            "probabilities": probabilities[likely].round(5).tolist(),
            "denoted": self.denoted.tolist(),
            "room": None if self.room is None else self.room.tolist(),
            "intended": None if self.intended is None else self.intended.tolist(),
            "answers": list(self.answers),
        }

    def _error(self, message: str) -> ResultsError:
        return ResultsError(f"example of task {str(self.task)[:80]!r}: {message}")

    def _check_text(self, name: str, text: Any) -> None:
        if not isinstance(text, str) or len(text) > _LONGEST:
            raise self._error(f"{name} is a text of at most {_LONGEST:,} characters")

    def _store(self, name: str, dtype: Any, shape: tuple[int | None, ...]) -> None:
        """Keep a field as an array of a type and shape; None is any length."""
        try:
            values = np.asarray(getattr(self, name), float)
        except (TypeError, ValueError) as error:
            raise self._error(f"{name} is an array of numbers: {error}") from error
        if not len(np.atleast_1d(values)):
            values = values.reshape([size or 0 for size in shape])
        wanted = [had if size is None else size for had, size in zip(values.shape, shape)]  # noqa: B905
        if list(values.shape) != wanted or values.ndim != len(shape):
            sizes = ", ".join("any" if size is None else str(size) for size in shape)
            raise self._error(f"{name} is [{sizes}], got {list(values.shape)}")
        if not np.isfinite(values).all() or (values < 0).any():
            raise self._error(f"{name} is finite numbers from 0")
        object.__setattr__(self, name, values.astype(dtype))
